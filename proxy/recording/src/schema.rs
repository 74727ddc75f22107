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

/// Columns that recordings made before them do not have; each of them may be `NULL`, and is where it is missing.
pub(super) const LATER: &[(&str, &[&str])] = &[(CONNECTION, &["unread_up", "unread_down"])];

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
        // Columns are quoted: `from` is a keyword.
        format!(
            "CREATE TABLE {} ({}{})",
            self.name,
            quoted(&self.columns),
            self.constraint
        )
    }
}

/// The statement that adds a row.
pub(super) fn insert<T: Columns>(table: &str) -> String {
    let parameters = vec!["?"; T::WIDTH].join(", ");
    format!("INSERT INTO {table} VALUES ({parameters})")
}

/// The statement that reads every row in the order in which it was written. `missing` are columns of [`LATER`] that the file does not have.
pub(super) fn select<T: Columns>(table: &str, missing: &[&str]) -> String {
    let mut columns = Vec::with_capacity(T::WIDTH);
    T::names("", &mut columns);
    // Each with its table: SQLite takes a quoted name that it does not know for a text.
    let columns: Vec<_> = columns
        .iter()
        .map(|column| {
            if missing.contains(&column.as_str()) {
                format!("NULL AS \"{column}\"")
            } else {
                format!("{table}.\"{column}\"")
            }
        })
        .collect();
    format!("SELECT {} FROM {table} ORDER BY rowid", columns.join(", "))
}

fn quoted(columns: &[String]) -> String {
    let quoted: Vec<_> = columns.iter().map(|column| format!("\"{column}\"")).collect();
    quoted.join(", ")
}
