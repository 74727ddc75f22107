//! Tables to rows: every value is checked here, and nowhere later.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use hopscope_attribution::evidence::rows::Row;
use hopscope_attribution::evidence::{
    self, AddressFailures, Connections, Exchange, Exchanges, GeneratorResult, Path, PathId, Protocol, Route,
    Rows, Span, Unread,
};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::super::columns::{COMPLETE, Columns, Cursor, Malformed};
use super::super::losses::{LossKind, Losses};
use super::super::schema;
use super::assemble::{Parts, assemble};
use super::guard::{Allowance, time_for};
use super::layout::Layout;
use super::thinning::Thinning;
use super::{Bounds, Recording};

/// What is wrong with a file, and how far it could be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    /// SQLite could not go on.
    #[error(
        "table `{table}` is damaged after {rows} readable rows: {reason}; `sqlite3 FILE .recover` may save what is left"
    )]
    Sqlite {
        table: &'static str,
        rows: u64,
        reason: rusqlite::Error,
    },
    /// The definitions of the tables cannot be read.
    #[error("its tables cannot be told: {0}")]
    Schema(rusqlite::Error),
    /// A table that every recording has is not there.
    #[error("it has no table `{table}`")]
    NoTable { table: &'static str },
    /// A column that every recording has is not there.
    #[error("table `{table}` has no column `{column}`")]
    NoColumn { table: &'static str, column: String },
    /// A table is not defined as hopscope defines it.
    #[error(
        "`{table}` is not defined as hopscope defines it: the file was made or altered by another program"
    )]
    NotOurs { table: &'static str },
    /// A table has more rows than a file of this size can hold: its pages are read more than once.
    #[error("table `{table}` goes on after {rows} rows, more than the file has room for: it is damaged")]
    Endless { table: &'static str, rows: u64 },
    /// A table other than those that are thinned has more rows than are read.
    #[error("table `{table}` has more than {most} rows, which is the most that a report is made of")]
    TooMany { table: &'static str, most: u64 },
    /// Reading took longer than any recording of this size takes.
    #[error(
        "table `{table}` could not be read within {seconds} s: it is damaged, or the disk does not answer"
    )]
    Slow { table: &'static str, seconds: u64 },
    /// A value is not what the schema says.
    #[error("table `{table}` row {row}: column `{column}` is not {expected}")]
    Value {
        table: &'static str,
        row: u64,
        column: String,
        expected: &'static str,
    },
    /// A row names a path that the run did not have.
    #[error("table `{table}` names path {path}, and the run had {paths}")]
    Path {
        table: &'static str,
        path: u8,
        paths: usize,
    },
}

/// Kinds of failure of addresses that are read, at most: a balancer's name has a few addresses.
const MOST_ADDRESSES: u32 = 10_000;

/// Rows out of the ordinary that are kept of either table, about 100 MB of them: rows with numbers that hopscope writes of
/// few connections, if of any. Those beyond are counted as lost.
const MOST_WHOLE: usize = 250_000;

/// A file's tables, read row by row.
#[derive(Debug)]
struct Tables<'d> {
    database: &'d Connection,
    layout: Layout,
    allowance: Allowance,
    /// Bytes of the file and its log.
    size: u64,
    most: Bounds,
    hosts: HashMap<i64, SocketAddr>,
}

/// Reads everything of a file of this size, of connections and exchanges as many as `most` allows. What is left out is
/// told as lost.
pub(super) fn load(database: &Connection, size: u64, most: Bounds) -> Result<Recording, Damage> {
    let sqlite = |reason| Damage::Sqlite {
        table: "run",
        rows: 0,
        reason,
    };
    // One transaction, so that a recording that still grows is read as of one moment.
    database.execute_batch("BEGIN").map_err(sqlite)?;
    let mut tables = Tables {
        database,
        layout: Layout::read(database)?,
        allowance: Allowance::of(size),
        size,
        most,
        hosts: HashMap::new(),
    };
    tables.hosts = tables.hosts()?;
    let paths: Vec<(PathId, Path)> = tables.rows(schema::PATH)?;
    let run = tables.run()?;
    let mut losses = tables.losses()?;
    let connections = tables.connections(&mut losses)?;
    let exchanges = tables.exchanges(&mut losses)?;
    let parts = Parts {
        facts_started: run.get("started_unix_us").and_then(Value::number).unwrap_or(0),
        version: run.get("version").and_then(Value::text).unwrap_or_default(),
        command: run
            .get("command")
            .and_then(Value::text)
            .and_then(|json| serde_json::from_str(&json).ok()),
        notes: run
            .get("notes")
            .and_then(Value::text)
            .and_then(|json| serde_json::from_str(&json).ok())
            .unwrap_or_default(),
        closed_properly: run.get("closed_properly").and_then(Value::number) == Some(1),
        until: run.get("until_us").and_then(Value::number).unwrap_or(0),
        ended: run.get("ended_us").and_then(Value::number),
        exit_code: run
            .get("exit_code")
            .and_then(Value::signed)
            .and_then(|code| i32::try_from(code).ok()),
        exited: run.get("exited_us").and_then(Value::number),
        kernel: run.get("kernel").and_then(Value::text),
        accepts: run.get("accepts").and_then(Value::number).unwrap_or(0),
        paths: paths.into_iter().map(|(_, path)| path).collect(),
        losses,
        routes: tables.routes()?,
        generator: tables.generator()?,
        failed_addresses: tables.failed_addresses()?,
        connections,
        exchanges,
        traffic: tables.rows(schema::TRAFFIC)?,
        added: tables.rows(schema::ADDED)?,
        tunnels: tables.rows(schema::TUNNEL)?,
        processes: tables.rows(schema::TUNNEL_PROCESS)?,
        lines: tables.rows(schema::TUNNEL_LINE)?,
        gauges: tables.rows(schema::TUNNEL_GAUGE)?,
        life: tables.rows(schema::TUNNEL_LIFE)?,
        observer: tables.rows(schema::OBSERVER)?,
        delays: tables.rows(schema::DELAY)?,
        node: tables.rows(schema::NODE)?,
        sockets: tables.rows(schema::KERNEL_SOCKET)?,
        windows: tables.rows(schema::KERNEL_WINDOW)?,
    };
    assemble(parts)
}

/// A value of the table `run`.
#[derive(Debug)]
enum Value {
    Number(i64),
    Text(String),
}

impl Value {
    const fn signed(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) => None,
        }
    }

    fn number(&self) -> Option<u64> {
        self.signed().map(i64::cast_unsigned)
    }

    fn text(&self) -> Option<String> {
        match self {
            Self::Number(_) => None,
            Self::Text(text) => Some(text.clone()),
        }
    }
}

impl Tables<'_> {
    /// Every row of a table, in the order in which they were written.
    fn rows<T: Columns>(&self, table: &'static str) -> Result<Vec<T>, Damage> {
        let (most, mut rows) = (self.most.others, 0);
        let mut values = Vec::new();
        self.read(table, |value| {
            rows += 1;
            if rows <= most {
                values.push(value);
            }
        })?;
        if rows > most {
            return Err(Damage::TooMany { table, most });
        }
        Ok(values)
    }

    /// Every row of a table, one after the other, in the order in which they were written.
    fn read<T: Columns>(&self, table: &'static str, mut take: impl FnMut(T)) -> Result<(), Damage> {
        let Some(present) = self.layout.columns(table) else {
            return Ok(());
        };
        let select = schema::select::<T>(table, present, schema::ADDITIONS);
        self.each(table, &select, |row| {
            take(T::read(row)?);
            Ok(())
        })
    }

    /// Room for the rows of a table. What it says of itself is believed as far as the file has bytes for it.
    fn room<T: Row>(&self, table: &'static str, most: u64) -> Rows<T> {
        let likely = most.min(self.last(table));
        Rows::with_capacity(usize::try_from(likely).unwrap_or(0))
    }

    /// The connections; where there are more than are to be read, as many as lie evenly over the run.
    fn connections(&self, losses: &mut Losses) -> Result<Connections, Damage> {
        let (table, most) = (schema::CONNECTION, self.most.connections);
        let mut all = Thinning::new(self.last(table), most);
        let mut connections = self.room(table, most);
        let unread_is_kept = self.layout.has(table, "unread_up");
        let mut left_out = 0;
        self.read(table, |mut connection: evidence::Connection| {
            if !unread_is_kept {
                suppose_unread(&mut connection);
            }
            if all.keep() && !connections.push_within(connection, MOST_WHOLE) {
                left_out += 1;
            }
        })?;
        losses.left_out_connections = losses
            .left_out_connections
            .saturating_add(all.left_out())
            .saturating_add(left_out);
        Ok(connections)
    }

    /// What failed of each address. A recording of an earlier version has no such table, and no such failure.
    fn failed_addresses(&self) -> Result<Vec<AddressFailures>, Damage> {
        let table = schema::FAILED_ADDRESS;
        let mut failures = Vec::new();
        let select = format!(
            "SELECT path, address_host, address_port, failure, count(*), min(at_us), max(at_us) FROM {table} \
             GROUP BY path, address_host, address_port, failure ORDER BY min(rowid) LIMIT {MOST_ADDRESSES}"
        );
        self.each(table, &select, |row| {
            failures.push(AddressFailures::read(row)?);
            Ok(())
        })?;
        Ok(failures)
    }

    /// The exchanges; where there are more than are to be read, of those that went well and of the others as many as lie
    /// evenly over the run. What went well is a sample as it is: half of the room is enough for it.
    fn exchanges(&self, losses: &mut Losses) -> Result<Exchanges, Damage> {
        let (table, most) = (schema::EXCHANGE, self.most.exchanges);
        let all = self.last(table);
        let (mut went_well, mut failed) = if all <= most {
            (Thinning::new(all, most), Thinning::new(all, most))
        } else {
            let rows = self.went_well()?;
            let failed = all.saturating_sub(rows);
            let went_well = Thinning::new(rows, most.saturating_sub(failed).max(most / 2));
            (
                went_well,
                Thinning::new(failed, most.saturating_sub(went_well.keeps())),
            )
        };
        let mut exchanges = self.room(table, most);
        let mut left_out = [0, 0];
        self.read(table, |exchange: Exchange| {
            let fails = exchange.delivery.failed();
            let keep = if fails { failed.keep() } else { went_well.keep() };
            if keep && !exchanges.push_within(exchange, MOST_WHOLE) {
                left_out[usize::from(fails)] += 1;
            }
        })?;
        let [well, fails] = left_out;
        losses.left_out_exchanges = losses
            .left_out_exchanges
            .saturating_add(failed.left_out())
            .saturating_add(fails);
        losses.sampled_exchanges = losses
            .sampled_exchanges
            .saturating_add(went_well.left_out())
            .saturating_add(well);
        Ok(exchanges)
    }

    /// How many exchanges went well.
    fn went_well(&self) -> Result<u64, Damage> {
        let table = schema::EXCHANGE;
        let select =
            format!("SELECT 1 FROM {table} WHERE delivery_how = {COMPLETE} AND delivery_status < 400");
        let mut rows = 0;
        self.each(table, &select, |_| {
            rows += 1;
            Ok(())
        })?;
        Ok(rows)
    }

    /// The number of a table's last row, which is how many it has: rows are only ever added. Reading them says what is
    /// wrong where that is not so; a number that the file has no room for is not believed.
    fn last(&self, table: &str) -> u64 {
        let columns = self.layout.columns(table).map_or(0, <[String]>::len);
        let last = format!("SELECT max(rowid) FROM {table}");
        let rows = self
            .database
            .query_row(&last, (), |row| row.get::<_, Option<i64>>(0));
        let rows = rows.ok().flatten().and_then(|rows| u64::try_from(rows).ok());
        rows.unwrap_or(0).min(self.allowance.rows(columns))
    }

    fn each(
        &self,
        table: &'static str,
        select: &str,
        mut take: impl FnMut(&mut Cursor<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Damage> {
        let Some(present) = self.layout.columns(table) else {
            return Ok(());
        };
        let possible = self.allowance.rows(present.len());
        let sqlite = |rows, reason: rusqlite::Error| match reason.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => Damage::Slow {
                table,
                seconds: time_for(self.size).as_secs(),
            },
            Some(_) | None => Damage::Sqlite { table, rows, reason },
        };
        let mut statement = self.database.prepare(select).map_err(|error| sqlite(0, error))?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query(()).map_err(|error| sqlite(0, error))?;
        let mut row_number = 0;
        while let Some(row) = rows.next().map_err(|error| sqlite(row_number, error))? {
            if row_number >= possible {
                return Err(Damage::Endless {
                    table,
                    rows: row_number,
                });
            }
            row_number += 1;
            let mut cursor = Cursor::new(row, &self.hosts, &self.allowance);
            take(&mut cursor).map_err(|malformed| Damage::Value {
                table,
                row: row_number,
                column: names.get(malformed.column).cloned().unwrap_or_default(),
                expected: malformed.expected,
            })?;
        }
        Ok(())
    }

    fn hosts(&self) -> Result<HashMap<i64, SocketAddr>, Damage> {
        let mut hosts = HashMap::new();
        self.each("address", "SELECT number, host FROM address", |row| {
            let number = row.integer()?;
            let host = row.text()?.parse().or(Err(Malformed {
                column: 1,
                expected: "an address and port 0",
            }))?;
            hosts.insert(number, host);
            Ok(())
        })?;
        Ok(hosts)
    }

    fn run(&self) -> Result<BTreeMap<String, Value>, Damage> {
        let mut run = BTreeMap::new();
        self.each("run", "SELECT key, value FROM run", |row| {
            let key = row.text()?.to_owned();
            let value = match row.peek()? {
                ValueRef::Integer(number) => Value::Number(number),
                ValueRef::Text(_) => Value::Text(row.text()?.to_owned()),
                ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => {
                    return Err(Malformed {
                        column: 1,
                        expected: "a number or text",
                    });
                }
            };
            run.insert(key, value);
            Ok(())
        })?;
        Ok(run)
    }

    fn losses(&self) -> Result<Losses, Damage> {
        let mut losses = Losses::default();
        self.each("loss", "SELECT kind, lost FROM loss", |row| {
            let kind = row.text()?;
            let lost = row.integer()?;
            if let Some(kind) = LossKind::ALL.iter().find(|known| known.word() == kind) {
                *losses.of_mut(*kind) = lost.cast_unsigned();
            }
            Ok(())
        })?;
        Ok(losses)
    }

    fn routes(&self) -> Result<BTreeMap<u16, Route>, Damage> {
        let mut routes = BTreeMap::new();
        self.each("route", "SELECT route, name FROM route", |row| {
            let route = u16::read(row)?;
            routes.insert(route, Route(row.text()?.to_owned()));
            Ok(())
        })?;
        Ok(routes)
    }

    fn generator(&self) -> Result<Option<GeneratorResult>, Damage> {
        let mut result = None;
        let select = "SELECT tool, requests, failed, timeout_us FROM generator";
        self.each("generator", select, |row| {
            result = Some(GeneratorResult {
                tool: row.text()?.to_owned(),
                requests: u64::read(row)?,
                failed: u64::read(row)?,
                timeout: Option::<u64>::read(row)?.map(Span::from_micros),
                errors: Vec::new(),
            });
            Ok(())
        })?;
        let Some(generator) = &mut result else {
            return Ok(None);
        };
        let select = "SELECT error, times FROM generator_error ORDER BY rowid";
        self.each("generator_error", select, |row| {
            let error = row.text()?.to_owned();
            generator.errors.push((error, u64::read(row)?));
            Ok(())
        })?;
        Ok(result)
    }
}

/// A recording of a time when it was not kept how much of a connection was read: no more than its protocol is known.
fn suppose_unread(connection: &mut evidence::Connection) {
    if matches!(connection.protocol, Protocol::Opaque(_)) {
        connection.unread = Some(Unread {
            up: connection.bytes_up,
            down: connection.bytes_down,
        });
    }
}
