//! Records: which columns each of them has, in the order of the table.

use std::net::SocketAddr;

use hopscope_attribution::evidence::node::{KernelEnd, KernelSocket, KernelWindow, Marks, SocketBytes};
use hopscope_attribution::evidence::tunnel::{TunnelLife, TunnelMeaning};
use hopscope_attribution::evidence::{
    AddressFailures, Author, ConnectFailure, Connection, ConnectionId, Cut, Delivery, Ending, Exchange,
    FailedAddress, FourTuple, Method, Moment, Observation, ObserverDelay, ObserverSample, Path, PathId,
    PathKind, Phases, PortOwner, Protocol, RouteId, SideEnd, Span, TcpFacts, TunnelGauge, TunnelLifeEvent,
    TunnelLine, TunnelProcess, Unread, Upstream,
};
use hopscope_attribution::hop::Hop;

use super::numbers::Numbered;
use super::{Binder, Blob, Columns, Cursor, Malformed};
use crate::batch::{NodeWatch, TunnelRow, TunnelWatch};
use crate::traffic::{AddedRow, TrafficRow};

/// What `upstream_how` holds when the connection stood.
pub(super) const CONNECTED: i64 = 0;
/// What `upstream_how` holds when the attempt was given up.
pub(super) const ABANDONED: i64 = 1;
/// What `delivery_how` holds for a complete response.
pub(in super::super) const COMPLETE: i64 = 0;
/// What `delivery_how` holds for a response that was cut off.
pub(super) const TRUNCATED: i64 = 1;
/// What `delivery_how` holds when no final response began.
pub(super) const NOTHING: i64 = 2;

/// A record's columns are those of its fields; a nested field's name stands before those of its own.
macro_rules! record {
    ($type:ident { $($field:ident: $of:ty),+ $(,)? }) => {
        impl Columns for $type {
            const WIDTH: usize = 0 $(+ <$of as Columns>::WIDTH)+;

            fn names(name: &str, names: &mut Vec<String>) {
                $(<$of as Columns>::names(&nested(name, stringify!($field)), names);)+
            }

            fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
                $(self.$field.bind(row)?;)+
                Ok(())
            }

            fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
                Ok(Self { $($field: <$of as Columns>::read(row)?,)+ })
            }
        }
    };
}

fn nested(outer: &str, field: &str) -> String {
    if outer.is_empty() {
        field.to_owned()
    } else {
        format!("{outer}_{field}")
    }
}

record!(Connection {
    id: ConnectionId,
    path: PathId,
    opened: Moment,
    closed: Observation<Moment>,
    upstream: Upstream,
    downstream_tuple: FourTuple,
    upstream_tuple: Option<FourTuple>,
    downstream_end: SideEnd,
    upstream_end: SideEnd,
    bytes_up: u64,
    bytes_down: u64,
    first_byte_up: Option<Span>,
    first_byte_down: Option<Span>,
    last_byte: Option<Moment>,
    blocked_up: Span,
    blocked_down: Span,
    protocol: Protocol,
    exchanges: u32,
    downstream_tcp: Observation<TcpFacts>,
    upstream_tcp: Observation<TcpFacts>,
    unread: Option<Unread>,
});

record!(Unread { up: u64, down: u64 });

record!(FailedAddress {
    connection: ConnectionId,
    path: PathId,
    at: Moment,
    address: SocketAddr,
    after: Span,
    failure: ConnectFailure,
});

record!(AddressFailures {
    path: PathId,
    address: SocketAddr,
    failure: ConnectFailure,
    times: u64,
    first: Moment,
    last: Moment,
});

record!(FourTuple {
    local: SocketAddr,
    remote: SocketAddr,
});

record!(SideEnd {
    at: Moment,
    how: Ending,
});

record!(TcpFacts {
    rtt_us: u32,
    min_rtt_us: u32,
    retransmits: u32,
    lost: u32,
    busy_ms: u32,
    rwnd_limited_ms: u32,
    sndbuf_limited_ms: u32,
    unacked_bytes: u32,
});

record!(Exchange {
    connection: ConnectionId,
    path: PathId,
    ordinal: u32,
    method: Method,
    route: RouteId,
    began: Moment,
    phases: Phases,
    bytes_up: u64,
    bytes_down: u64,
    request_complete: bool,
    answered_early: bool,
    delivery: Delivery,
});

record!(Phases {
    idle: Option<Span>,
    request_sent: Option<Span>,
    first_byte: Option<Span>,
    total: Span,
});

record!(Path {
    name: String,
    kind: PathKind,
    target: String,
});

record!(TunnelRow {
    watched: Observation<()>,
    watch: TunnelWatch,
});

record!(TunnelWatch {
    kubectl_version: Observation<String>,
    lines: Observation<()>,
    gauges: Observation<()>,
});

record!(TunnelProcess {
    at: Moment,
    member: u16,
    pid: Observation<u32>,
    command: Observation<String>,
    is_kubectl: Observation<bool>,
    version: Observation<String>,
    local_port: u16,
    on_ipv4: Observation<PortOwner>,
    on_ipv6: Observation<PortOwner>,
    pod: Observation<String>,
    node: Observation<String>,
    runtime: Observation<String>,
});

record!(TunnelLine {
    at: Moment,
    member: u16,
    meaning: TunnelMeaning,
    local_port: Option<u16>,
    remote_port: Option<u16>,
    text: String,
});

record!(TunnelGauge {
    at: Moment,
    member: u16,
    handled: Observation<u64>,
    lines_omitted: u64,
    accept_queue: u32,
    tunnel_recv_queue: Observation<u32>,
    tunnel_send_queue: Observation<u32>,
    tunnel_unacked: Observation<u32>,
    tunnel_peer_window: Observation<u32>,
    tunnel_retransmits: Observation<u32>,
    tunnel_last_ack: Observation<Span>,
    tunnel_last_received: Observation<Span>,
    tunnel_rwnd_limited_ms: Observation<u32>,
    tunnel_busy_ms: Observation<u32>,
    tunnel_rtt: Observation<Span>,
    local_connections: u32,
    stalled_readers: u32,
    worst_reader: Observation<u16>,
    descriptors: Observation<u32>,
    descriptor_limit: Observation<u32>,
    stopped: Observation<bool>,
    cpu_ms: Observation<u64>,
    cpu_wait_ms: Observation<u64>,
    output_blocked: Observation<bool>,
    abandoned: Observation<u32>,
    unread_connections: Observation<u32>,
});

record!(TunnelLifeEvent {
    at: Moment,
    kind: TunnelLife,
    member: u16,
    reason: Option<TunnelMeaning>,
});

record!(ObserverSample {
    at: Moment,
    loop_lag: Span,
    cpu_millis: u32,
    cpu_limit_millis: u32,
    accept_queue: u32,
    descriptors: u32,
    descriptor_limit: u32,
    accepts_refused: u32,
});

record!(ObserverDelay { at: Moment, by: Span });

record!(NodeWatch {
    clock_error: Observation<Span>,
});

record!(KernelSocket {
    at: Moment,
    connection: Observation<ConnectionId>,
    owner: Observation<Hop>,
    peer: Observation<Hop>,
    end: KernelEnd,
    bytes: Observation<SocketBytes>,
    marks: Marks,
});

record!(Marks {
    after_fin: bool,
    after_own_fin: bool,
    dropped_at_home: bool,
});

record!(SocketBytes {
    received: u64,
    acknowledged: u64,
});

record!(KernelWindow {
    from: Moment,
    length: Span,
    hop: Hop,
    syn_retransmits: u64,
    accept_queue_overflows: u64,
    events_lost: u64,
});

record!(TrafficRow {
    second: u32,
    path: PathId,
    route: RouteId,
    requests: u64,
    delivered_errors: u64,
    undelivered: u64,
    latency_sum_us: u64,
    latency_max_us: u64,
    ok_latency_sum_us: u64,
    ok_latency_max_us: u64,
    ok_rows: u64,
    statuses: String,
    ok_latencies: Blob,
    failed_latencies: Blob,
});

record!(AddedRow {
    second: u32,
    latencies: Blob,
});

/// `_how`, how long it took, and the TLS handshake's part.
impl Columns for Upstream {
    const WIDTH: usize = 3;

    fn names(name: &str, names: &mut Vec<String>) {
        names.extend(["how", "after_us", "tls_us"].map(|part| nested(name, part)));
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        let (how, after, tls) = match *self {
            Self::Connected { tcp, tls } => (CONNECTED, tcp, tls),
            Self::Abandoned { after } => (ABANDONED, after, None),
            Self::Failed { after, failure } => (failure.number(), after, None),
        };
        row.put(how)?;
        after.bind(row)?;
        tls.bind(row)
    }

    fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let how = row.integer()?;
        let unknown = row.malformed("a number that `word` explains");
        let after = Span::read(row)?;
        let tls = Option::read(row)?;
        match how {
            CONNECTED => Ok(Self::Connected { tcp: after, tls }),
            ABANDONED => Ok(Self::Abandoned { after }),
            failed => {
                let failure = ConnectFailure::from_number(failed).ok_or(unknown)?;
                Ok(Self::Failed { after, failure })
            }
        }
    }
}

/// `_how`, and of status, author and cut those that it has.
impl Columns for Delivery {
    const WIDTH: usize = 4;

    fn names(name: &str, names: &mut Vec<String>) {
        names.extend(["how", "status", "author", "cut"].map(|part| nested(name, part)));
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        let (how, status, author, cut) = match *self {
            Self::Complete { status, author } => (COMPLETE, Some(status), Some(author), None),
            Self::Truncated { status, author, cut } => (TRUNCATED, Some(status), Some(author), Some(cut)),
            Self::Nothing { cut } => (NOTHING, None, None, Some(cut)),
        };
        row.put(how)?;
        status.bind(row)?;
        author.bind(row)?;
        cut.bind(row)
    }

    fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let how = row.integer()?;
        let unfit = row.malformed("a delivery that fits its status, author and cut");
        let status: Option<u16> = Option::read(row)?;
        let author: Option<Author> = Option::read(row)?;
        let cut: Option<Cut> = Option::read(row)?;
        match (how, status, author, cut) {
            (COMPLETE, Some(status), Some(author), None) => Ok(Self::Complete { status, author }),
            (TRUNCATED, Some(status), Some(author), Some(cut)) => Ok(Self::Truncated { status, author, cut }),
            (NOTHING, None, None, Some(cut)) => Ok(Self::Nothing { cut }),
            _ => Err(unfit),
        }
    }
}
