//! Any file is a recording, or one clear line says why not; and a recording with any values in any cells is told the
//! same every time, in every form.
//!
//! Bytes that begin as SQLite's do are a file; other bytes are instructions that alter a real, small recording.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use hopscope_attribution::evidence::RunFacts;
use hopscope_recording::{FinalFacts, Options, Recording};
use hopscope_report::terminal::{self, Screen};
use hopscope_report::{html, json, markdown};
use hopscope_attribution::evidence::{
    Author, Connection, ConnectionId, Cut, Delivery, Ending, Exchange, FourTuple, Method, Moment, Observation, PathId,
    PathKind, Phases, Protocol, RouteId, SideEnd, Span, TcpFacts, Upstream,
};
use libfuzzer_sys::fuzz_target;
use rusqlite::types::Value;

/// A small recording with something in every table that takes a row of zeroes, and every column there is.
struct Base {
    bytes: Vec<u8>,
    cells: Vec<(String, String)>,
}

fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let file = scratch();
        drop(std::fs::remove_file(&file));
        record(&file);
        let cells = cells(&file);
        let mut tables: Vec<&str> = cells.iter().map(|(table, _)| table.as_str()).collect();
        tables.dedup();
        for table in tables {
            let database = rusqlite::Connection::open(&file).expect("a database");
            let columns = cells.iter().filter(|(of, _)| of == table).count();
            let zeroes = vec!["0"; columns].join(", ");
            // Some tables have a row of that key already.
            let inserted = database.execute(&format!("INSERT INTO {table} VALUES ({zeroes})"), ());
            if inserted.is_ok() && Recording::open(&file).is_err() {
                let last = format!("DELETE FROM {table} WHERE rowid = (SELECT max(rowid) FROM {table})");
                database.execute(&last, ()).expect("the row is there");
            }
        }
        let database = rusqlite::Connection::open(&file).expect("a database");
        database.execute_batch("PRAGMA page_size = 512; VACUUM").expect("a smaller file");
        drop(database);
        Recording::open(&file).expect("it can be read before anything is altered");
        let bytes = std::fs::read(&file).expect("the file");
        Base { bytes, cells }
    })
}

/// Every column of every table.
fn cells(file: &Path) -> Vec<(String, String)> {
    let database = rusqlite::Connection::open(file).expect("a database");
    let mut statement = database
        .prepare("SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'")
        .expect("SQLite lists its tables");
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)));
    rows.and_then(Iterator::collect).expect("SQLite lists its columns")
}

fn record(file: &Path) {
    let path = |name: &str, kind| hopscope_attribution::evidence::Path {
        name: name.to_owned(),
        kind,
        target: "127.0.0.1:1".to_owned(),
    };
    let facts = RunFacts {
        started_unix_us: 1_795_385_308_000_000,
        paths: vec![path("tunnel", PathKind::Tunnel), path("lb", PathKind::Lb)],
        command: Some(vec!["wrk".to_owned()]),
        version: "0.1.0".to_owned(),
        notes: Vec::new(),
    };
    let (handle, closing) = hopscope_recording::create(file, &facts, &Options::default(), Vec::new()).expect("a recording");
    handle.route(RouteId(0), "/a/:id");
    let mut recorder = handle.recorder();
    for id in 0..6_u8 {
        let path = PathId(id % 2);
        recorder.accepted(path);
        recorder.exchange(&exchange(id, path));
        recorder.connection(connection(id, path));
    }
    recorder.added(Span::from_micros(90));
    drop((recorder, handle));
    let ended = FinalFacts {
        ended: Moment(2_000_000),
        exit_code: Some(0),
        exited: None,
    };
    closing.finish(ended).expect("it is closed");
}

fn connection(id: u8, path: PathId) -> Connection {
    let at = Moment(u64::from(id) * 100_000);
    let end = |how| SideEnd { at, how };
    let tuple = FourTuple {
        local: ([127, 0, 0, 1], 8_080).into(),
        remote: ([127, 0, 0, 1], 40_000).into(),
    };
    Connection {
        id: ConnectionId(id.into()),
        path,
        opened: at,
        closed: Observation::Seen(at),
        upstream: Upstream::Connected {
            tcp: Span::from_micros(120),
            tls: None,
        },
        downstream_tuple: tuple.into(),
        upstream_tuple: Some(tuple.into()),
        downstream_end: end(Ending::Fin),
        upstream_end: end(Ending::Reset),
        bytes_up: 120,
        bytes_down: 1_200,
        first_byte_up: Some(Span::from_micros(10)),
        first_byte_down: Some(Span::from_micros(700)),
        last_byte: Some(at),
        blocked_up: Span::ZERO,
        blocked_down: Span::from_micros(3),
        protocol: Protocol::Http1,
        unread: None,
        exchanges: 1,
        downstream_tcp: Observation::Seen(TcpFacts::default()),
        upstream_tcp: Observation::Seen(TcpFacts::default()),
    }
}

fn exchange(id: u8, path: PathId) -> Exchange {
    Exchange {
        connection: ConnectionId(id.into()),
        path,
        ordinal: 0,
        method: Method::Get,
        route: RouteId(0),
        began: Moment(u64::from(id) * 100_000),
        phases: Phases {
            first_byte: Some(Span::from_micros(500)),
            total: Span::from_micros(700),
            ..Phases::default()
        },
        bytes_up: 100,
        bytes_down: 1_100,
        request_complete: true,
        answered_early: false,
        delivery: match id {
            0 | 1 => Delivery::Complete {
                status: 200,
                author: Author::Unstated,
            },
            2 => Delivery::Complete {
                status: 503,
                author: Author::Unstated,
            },
            _ => Delivery::Nothing {
                cut: Cut::UpstreamReset,
            },
        },
    }
}

/// SQLite reads files, so the bytes must be one; a process fuzzes alone in its own.
fn scratch() -> PathBuf {
    std::env::temp_dir().join(format!("fuzz-{}.sqlite", std::process::id()))
}

/// Takes `count` bytes off the front, or what is left.
fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(count.min(input.len()));
    *input = rest;
    taken
}

fn value(input: &mut &[u8]) -> Value {
    let [kind] = take(input, 1) else {
        return Value::Null;
    };
    let mut word = [0; 8];
    let length = usize::from(kind >> 3);
    match kind & 7 {
        0 => Value::Null,
        1 => Value::Integer(i64::MAX),
        2 => Value::Integer(i64::MIN),
        3 => Value::Integer(i64::from(length as u8)),
        4 => {
            let bytes = take(input, 8);
            word[..bytes.len()].copy_from_slice(bytes);
            Value::Integer(i64::from_ne_bytes(word))
        }
        5 => Value::Text(String::from_utf8_lossy(take(input, length)).into_owned()),
        6 => Value::Blob(take(input, length * 8).to_vec()),
        _ => Value::Real(f64::from(kind >> 3) * 1e300),
    }
}

fn alter(file: &Path, mut input: &[u8]) {
    let database = rusqlite::Connection::open(file).expect("the seed is a database");
    for _ in 0..8 {
        let [column, row] = take(&mut input, 2) else { break };
        let (table, column) = &base().cells[usize::from(*column) % base().cells.len()];
        let value = value(&mut input);
        let sql = format!(
            "UPDATE {table} SET \"{column}\" = ? WHERE rowid = \
             (SELECT rowid FROM {table} LIMIT 1 OFFSET {row} % max(1, (SELECT count(*) FROM {table})))"
        );
        // A key that is there already is refused.
        drop(database.execute(&sql, [value]));
    }
}

fuzz_target!(|input: &[u8]| {
    let file = scratch();
    if input.starts_with(b"SQLite format 3\0") {
        std::fs::write(&file, input).expect("a temporary file");
    } else {
        std::fs::write(&file, &base().bytes).expect("a temporary file");
        alter(&file, input);
    }
    let told = match Recording::open(&file) {
        Ok(recording) => tell(&recording),
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "more than a line: {error}");
            return;
        }
    };
    let again = Recording::open(&file).expect("it could be read before");
    assert_eq!(tell(&again), told, "the same recording gives the same bytes");
});

fn tell(recording: &Recording) -> [String; 4] {
    let report = hopscope::diagnosis::of_recording(recording);
    [
        json::render(&report).expect("a report is JSON"),
        terminal::render(&report, Screen::PLAIN),
        markdown::render(&report),
        html::render(&report),
    ]
}
