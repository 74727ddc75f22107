//! What is recorded is what is read, whatever happens to the file.

mod arbitrary;
mod damage;
mod documented;
mod loss;
mod round_trip;

use std::path::PathBuf;

use hopscope_attribution::evidence::{
    Author, Connection, ConnectionId, Delivery, Ending, Exchange, FourTuple, Method, Moment, Observation,
    PackedTuple, Path, PathId, PathKind, Phases, Protocol, RouteId, SideEnd, Span, Upstream, WhyUnseen,
};

use super::{Closing, FinalFacts, Options, Recording, RecordingHandle, RunFacts, Summary, create};

/// A folder of its own, and the file in it.
pub(crate) struct Place {
    _folder: tempfile::TempDir,
    pub(crate) file: PathBuf,
}

pub(crate) fn place() -> Place {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("run.hopscope");
    Place {
        _folder: folder,
        file,
    }
}

pub(crate) fn path(name: &str) -> Path {
    Path {
        name: name.to_owned(),
        kind: PathKind::from_name(name),
        target: "127.0.0.1:3000".to_owned(),
    }
}

pub(crate) fn facts() -> RunFacts {
    RunFacts {
        started_unix_us: 1_790_000_000_000_000,
        paths: vec![path("tunnel"), path("direct")],
        command: Some(vec!["wrk".to_owned(), "-c 64".to_owned()]),
        version: "0.1.0".to_owned(),
    }
}

pub(crate) fn begin(place: &Place, options: &Options) -> (RecordingHandle, Closing) {
    create(&place.file, &facts(), options, Vec::new()).expect("a new recording")
}

pub(crate) fn finish(closing: Closing, seconds: u64) -> Summary {
    closing
        .finish(FinalFacts {
            ended: Moment(seconds * 1_000_000),
            exit_code: Some(0),
            exited: None,
        })
        .expect("the writer ends")
}

pub(crate) fn read(place: &Place) -> Recording {
    Recording::open(&place.file).expect("a readable recording")
}

pub(crate) fn connection(id: u64, path: u8) -> Connection {
    let end = |how| SideEnd {
        at: Moment(id * 1_000 + 900),
        how,
    };
    Connection {
        id: ConnectionId(id),
        path: PathId(path),
        opened: Moment(id * 1_000),
        closed: Observation::Seen(Moment(id * 1_000 + 950)),
        upstream: Upstream::Connected {
            tcp: Span::from_micros(120),
            tls: None,
        },
        downstream_tuple: tuple(8_080, 40_000),
        upstream_tuple: Some(tuple(50_000, 3_000)),
        downstream_end: end(Ending::Fin),
        upstream_end: end(Ending::EndedByRelay),
        bytes_up: 120,
        bytes_down: 1_200,
        first_byte_up: Some(Span::from_micros(10)),
        first_byte_down: Some(Span::from_micros(700)),
        last_byte: Some(Moment(id * 1_000 + 800)),
        blocked_up: Span::ZERO,
        blocked_down: Span::from_micros(3),
        protocol: Protocol::Http1,
        exchanges: 1,
        downstream_tcp: Observation::Unseen(WhyUnseen::NotSupported),
        upstream_tcp: Observation::Seen(hopscope_attribution::evidence::TcpFacts {
            rtt_us: 90,
            ..Default::default()
        }),
    }
}

fn tuple(local: u16, remote: u16) -> PackedTuple {
    PackedTuple::from(FourTuple {
        local: ([127, 0, 0, 1], local).into(),
        remote: ([127, 0, 0, 1], remote).into(),
    })
}

/// An exchange that ends at `ended_us`, with this status.
pub(crate) fn exchange(path: u8, route: u16, status: u16, ended_us: u64, total_us: u64) -> Exchange {
    Exchange {
        connection: ConnectionId(1),
        path: PathId(path),
        ordinal: 0,
        method: Method::Get,
        route: RouteId(route),
        began: Moment(ended_us - total_us),
        phases: Phases {
            first_byte: Some(Span::from_micros(total_us)),
            total: Span::from_micros(total_us),
            ..Phases::default()
        },
        bytes_up: 100,
        bytes_down: 1_100,
        request_complete: true,
        answered_early: false,
        delivery: Delivery::Complete {
            status,
            author: Author::Unstated,
        },
    }
}
