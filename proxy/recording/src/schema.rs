//! The tables of a recording: what docs/recording.md describes.

use hopscope_attribution::evidence::node::{KernelSocket, KernelWindow};
use hopscope_attribution::evidence::{
    Connection, Exchange, FailedAddress, ObserverDelay, ObserverSample, Path, PathId, TunnelGauge,
    TunnelLifeEvent, TunnelLine, TunnelProcess,
};

use super::batch::{NodeWatch, TunnelRow};
use super::columns::Columns;
use super::traffic::{AddedRow, TrafficRow};

/// `PRAGMA application_id`: the letters `hopS`, by which `file` and we know a recording.
pub(super) const APPLICATION_ID: i64 = 0x686f_7053;
/// `PRAGMA user_version`: raised whenever an older reader would misread a newer file.
pub(super) const VERSION: i64 = 1;

/// Routes are numbered from 0, and a run has a thousand at most; a few more leave room for a later hopscope.
pub(super) const MOST_ROUTES: u16 = 1_024;

/// One table: what it is called, and which columns it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: Vec<String>,
    /// What the definition ends with, besides the columns.
    constraint: &'static str,
}

pub(super) const CONNECTION: &str = "connection";
pub(super) const FAILED_ADDRESS: &str = "failed_address";
pub(super) const EXCHANGE: &str = "exchange";
pub(super) const TRAFFIC: &str = "traffic";
pub(super) const ADDED: &str = "added";
pub(super) const NODE: &str = "node";
pub(super) const PATH: &str = "path";
pub(super) const TUNNEL: &str = "tunnel";
pub(super) const TUNNEL_PROCESS: &str = "tunnel_process";
pub(super) const TUNNEL_LINE: &str = "tunnel_line";
pub(super) const TUNNEL_GAUGE: &str = "tunnel_gauge";
pub(super) const TUNNEL_LIFE: &str = "tunnel_life";
pub(super) const OBSERVER: &str = "observer";
pub(super) const DELAY: &str = "delay";
pub(super) const KERNEL_SOCKET: &str = "kernel_socket";
pub(super) const KERNEL_WINDOW: &str = "kernel_window";

/// A column that recordings of an earlier hopscope do not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addition {
    pub(super) table: &'static str,
    pub(super) column: &'static str,
    /// What is read in its place from a recording that does not have it: an SQL literal. `NULL` where a record may lack
    /// it, [`NOT_WATCHED`] where it is an observation, a number only where that number was true of every earlier run.
    pub(super) otherwise: &'static str,
}

/// The literal of an observation that nobody made.
const NOT_WATCHED: &str = "CAST('not-watched' AS BLOB)";

/// Every column that was added since the first recordings of this [`VERSION`]; a table that was added needs no entry,
/// since a recording without it has no rows of it. A column is added here and in the type that it belongs to, in any
/// place: columns are read by their names.
pub(super) const ADDITIONS: &[Addition] = &[
    added(CONNECTION, "unread_up"),
    added(CONNECTION, "unread_down"),
    observed(TUNNEL_GAUGE, "abandoned"),
    observed(TUNNEL_GAUGE, "unread_connections"),
    unmarked("marks_after_fin"),
    unmarked("marks_after_own_fin"),
    unmarked("marks_dropped_at_home"),
    observed(TUNNEL_GAUGE, "tunnel_last_received_us"),
];

/// A mark of a kernel's socket, which nobody made in a recording that does not have it.
const fn unmarked(column: &'static str) -> Addition {
    Addition {
        table: KERNEL_SOCKET,
        column,
        otherwise: "0",
    }
}

/// A column that is an observation: nobody made it in a recording that does not have it.
const fn observed(table: &'static str, column: &'static str) -> Addition {
    Addition {
        table,
        column,
        otherwise: NOT_WATCHED,
    }
}

/// A column that may be `NULL`, and is in a recording that does not have it.
const fn added(table: &'static str, column: &'static str) -> Addition {
    Addition {
        table,
        column,
        otherwise: "NULL",
    }
}

/// Columns that no verdict needs: they are in the recording for whoever asks it, and are not read. What the kernel said of
/// the downstream socket reads as not watched, and times of the upstream one as zero.
const UNJUDGED: &[Addition] = &[
    observed(CONNECTION, "downstream_tcp_rtt_us"),
    added(CONNECTION, "downstream_tcp_min_rtt_us"),
    added(CONNECTION, "downstream_tcp_retransmits"),
    added(CONNECTION, "downstream_tcp_lost"),
    added(CONNECTION, "downstream_tcp_busy_ms"),
    added(CONNECTION, "downstream_tcp_rwnd_limited_ms"),
    added(CONNECTION, "downstream_tcp_sndbuf_limited_ms"),
    added(CONNECTION, "downstream_tcp_unacked_bytes"),
];

/// Tables that were added since the first recordings of this [`VERSION`].
pub(super) const ADDED_TABLES: &[&str] = &[FAILED_ADDRESS];

/// Every table.
pub(super) fn tables() -> Vec<Table> {
    vec![
        plain("run", &["key", "value"], ", PRIMARY KEY (key)"),
        plain("loss", &["kind", "lost"], ", PRIMARY KEY (kind)"),
        plain("word", &["of", "number", "word"], ""),
        plain("address", &["number", "host"], ", PRIMARY KEY (number)"),
        plain("route", &["route", "name"], ", PRIMARY KEY (route)"),
        of::<(PathId, Path)>(PATH),
        of::<Connection>(CONNECTION),
        of::<FailedAddress>(FAILED_ADDRESS),
        of::<Exchange>(EXCHANGE),
        of::<TrafficRow>(TRAFFIC),
        of::<AddedRow>(ADDED),
        of::<(PathId, TunnelRow)>(TUNNEL),
        of::<(PathId, TunnelProcess)>(TUNNEL_PROCESS),
        of::<(PathId, TunnelLine)>(TUNNEL_LINE),
        of::<(PathId, TunnelGauge)>(TUNNEL_GAUGE),
        of::<(PathId, TunnelLifeEvent)>(TUNNEL_LIFE),
        of::<ObserverSample>(OBSERVER),
        of::<ObserverDelay>(DELAY),
        of::<NodeWatch>(NODE),
        of::<KernelSocket>(KERNEL_SOCKET),
        of::<KernelWindow>(KERNEL_WINDOW),
        plain("generator", &["tool", "requests", "failed", "timeout_us"], ""),
        plain("generator_error", &["error", "times"], ""),
    ]
}

fn plain(name: &'static str, columns: &[&str], constraint: &'static str) -> Table {
    Table {
        name,
        columns: columns.iter().map(|&column| column.to_owned()).collect(),
        constraint,
    }
}

fn of<T: Columns>(name: &'static str) -> Table {
    let mut columns = Vec::with_capacity(T::WIDTH);
    T::names("", &mut columns);
    Table {
        name,
        columns,
        constraint: "",
    }
}

impl Table {
    /// Its definition.
    pub(super) fn create(&self) -> String {
        self.create_with(&self.columns)
    }

    /// The definition of the same table with these columns: an earlier or a later hopscope has others.
    pub(super) fn create_with(&self, columns: &[String]) -> String {
        // Columns are quoted: `from` is a keyword.
        format!(
            "CREATE TABLE {} ({}{})",
            self.name,
            quoted(columns),
            self.constraint
        )
    }
}

/// The statement that adds a row.
pub(super) fn insert<T: Columns>(table: &str) -> String {
    let parameters = vec!["?"; T::WIDTH].join(", ");
    format!("INSERT INTO {table} VALUES ({parameters})")
}

/// The statement that reads every row in the order in which it was written, from a table that has these columns.
pub(super) fn select<T: Columns>(table: &str, present: &[String], additions: &[Addition]) -> String {
    let mut columns = Vec::with_capacity(T::WIDTH);
    T::names("", &mut columns);
    let columns: Vec<_> = columns
        .iter()
        .map(|column| {
            let of_it = |other: &&Addition| other.table == table && other.column == column;
            if let Some(unjudged) = UNJUDGED.iter().find(of_it) {
                return format!("{} AS \"{column}\"", unjudged.otherwise);
            }
            let added = additions.iter().find(of_it);
            match added {
                Some(added) if !present.contains(column) => {
                    format!("{} AS \"{column}\"", added.otherwise)
                }
                // With its table: SQLite takes a quoted name that it does not know for a text.
                Some(_) | None => format!("{table}.\"{column}\""),
            }
        })
        .collect();
    format!("SELECT {} FROM {table} ORDER BY rowid", columns.join(", "))
}

fn quoted(columns: &[String]) -> String {
    let quoted: Vec<_> = columns.iter().map(|column| format!("\"{column}\"")).collect();
    quoted.join(", ")
}
