//! Tables to rows: every value is checked here, and nowhere later.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use hopscope_attribution::evidence::{
    self, AddressFailures, Exchange, GeneratorResult, Path, PathId, Protocol, Route, Span, Unread,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Rows};

use super::super::columns::{COMPLETE, Columns, Cursor, Malformed};
use super::super::losses::{LossKind, Losses};
use super::super::schema;
use super::assemble::{Parts, assemble};
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

/// A file's tables, read row by row.
#[derive(Debug)]
struct Tables<'d> {
    database: &'d Connection,
    hosts: HashMap<i64, SocketAddr>,
}

/// Reads everything, of connections and exchanges as many as `most` allows. What is left out is told as lost.
pub(super) fn load(database: &Connection, most: Bounds) -> Result<Recording, Damage> {
    let sqlite = |reason| Damage::Sqlite {
        table: "run",
        rows: 0,
        reason,
    };
    // One transaction, so that a recording that still grows is read as of one moment.
    database.execute_batch("BEGIN").map_err(sqlite)?;
    let mut tables = Tables {
        database,
        hosts: HashMap::new(),
    };
    tables.hosts = tables.hosts()?;
    let paths: Vec<(PathId, Path)> = tables.rows(schema::PATH)?;
    let run = tables.run()?;
    let mut losses = tables.losses()?;
    let connections = tables.connections(most.connections, &mut losses)?;
    let exchanges = tables.exchanges(most.exchanges, &mut losses)?;
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
        self.kept(table, self.count(table), |_| true)
    }

    /// The rows of a table that are to be kept, about `room` of them, in the order in which they were written.
    fn kept<T: Columns>(
        &self,
        table: &'static str,
        room: u64,
        mut keep: impl FnMut(&T) -> bool,
    ) -> Result<Vec<T>, Damage> {
        let mut values = Vec::with_capacity(usize::try_from(room).unwrap_or(0));
        let select = schema::select::<T>(table, &self.missing(table));
        self.each(table, &select, |row| {
            let value = T::read(&mut Cursor::new(row, &self.hosts))?;
            if keep(&value) {
                values.push(value);
            }
            Ok(())
        })?;
        Ok(values)
    }

    /// Columns that a table would have, had this version made the file.
    fn missing(&self, table: &str) -> Vec<&'static str> {
        let later = schema::LATER.iter().filter(|(of, _)| *of == table);
        later
            .flat_map(|(_, columns)| columns.iter().copied())
            .filter(|column| {
                let known = "SELECT count(*) FROM pragma_table_info(?1) WHERE name = ?2";
                let count = self
                    .database
                    .query_row(known, (table, column), |row| row.get::<_, i64>(0));
                // Where it cannot be told, the reading itself says what is wrong.
                matches!(count, Ok(0))
            })
            .collect()
    }

    /// The connections; where there are more than `most`, as many as lie evenly over the run.
    fn connections(&self, most: u64, losses: &mut Losses) -> Result<Vec<evidence::Connection>, Damage> {
        let mut all = Thinning::new(self.count(schema::CONNECTION), most);
        let mut connections = self.kept(schema::CONNECTION, all.keeps(), |_| all.keep())?;
        if !self.missing(schema::CONNECTION).is_empty() {
            connections.iter_mut().for_each(suppose_unread);
        }
        losses.connections = losses.connections.saturating_add(all.left_out());
        Ok(connections)
    }

    /// What failed of each address. A recording of an earlier version has no such table, and no such failure.
    fn failed_addresses(&self) -> Result<Vec<AddressFailures>, Damage> {
        let table = schema::FAILED_ADDRESS;
        let mut failures = Vec::new();
        if !self.has(table) {
            return Ok(failures);
        }
        let select = format!(
            "SELECT path, address_host, address_port, failure, count(*), min(at_us), max(at_us) FROM {table} \
             GROUP BY path, address_host, address_port, failure ORDER BY min(rowid) LIMIT {MOST_ADDRESSES}"
        );
        self.each(table, &select, |row| {
            failures.push(AddressFailures::read(&mut Cursor::new(row, &self.hosts))?);
            Ok(())
        })?;
        Ok(failures)
    }

    /// Whether the file has a table. What was added to the schema is missing in recordings of earlier versions.
    fn has(&self, table: &str) -> bool {
        let select = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?";
        let found: rusqlite::Result<i64> = self.database.query_row(select, (table,), |row| row.get(0));
        found.is_ok_and(|tables| tables > 0)
    }

    /// The exchanges; where there are more than `most`, of those that went well and of the others as many as lie evenly
    /// over the run. What went well is a sample as it is: half of the room is enough for it.
    fn exchanges(&self, most: u64, losses: &mut Losses) -> Result<Vec<Exchange>, Damage> {
        let all = self.count(schema::EXCHANGE);
        if all <= most {
            return self.rows(schema::EXCHANGE);
        }
        let went_well = self.count(&format!(
            "{} WHERE delivery_how = {COMPLETE} AND delivery_status < 400",
            schema::EXCHANGE
        ));
        let failed = all.saturating_sub(went_well);
        let mut went_well = Thinning::new(went_well, most.saturating_sub(failed).max(most / 2));
        let mut failed = Thinning::new(failed, most.saturating_sub(went_well.keeps()));
        let room = went_well.keeps().saturating_add(failed.keeps());
        let exchanges = self.kept(schema::EXCHANGE, room, |exchange: &Exchange| {
            if exchange.delivery.failed() {
                failed.keep()
            } else {
                went_well.keep()
            }
        })?;
        losses.failed_exchanges = losses.failed_exchanges.saturating_add(failed.left_out());
        losses.sampled_exchanges = losses.sampled_exchanges.saturating_add(went_well.left_out());
        Ok(exchanges)
    }

    /// How many rows a table has, as far as that can be told: reading them says what is wrong where it cannot.
    fn count(&self, table: &str) -> u64 {
        let count = format!("SELECT count(*) FROM {table}");
        let rows: i64 = self.database.query_row(&count, (), |row| row.get(0)).unwrap_or(0);
        u64::try_from(rows).unwrap_or(0)
    }

    fn each(
        &self,
        table: &'static str,
        select: &str,
        mut take: impl FnMut(&rusqlite::Row<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Damage> {
        let sqlite = |rows, reason| Damage::Sqlite { table, rows, reason };
        let mut statement = self.database.prepare(select).map_err(|error| sqlite(0, error))?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows: Rows<'_> = statement.query(()).map_err(|error| sqlite(0, error))?;
        let mut row_number = 0;
        while let Some(row) = rows.next().map_err(|error| sqlite(row_number, error))? {
            row_number += 1;
            take(row).map_err(|malformed| Damage::Value {
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
            let number: i64 = get(row, 0, "a number")?;
            let host: String = get(row, 1, "text")?;
            let host = host.parse().or(Err(Malformed {
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
            let key: String = get(row, 0, "text")?;
            let value = match row.get_ref(1) {
                Ok(ValueRef::Integer(number)) => Value::Number(number),
                Ok(ValueRef::Text(text)) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                Ok(ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_)) | Err(_) => {
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
            let kind: String = get(row, 0, "text")?;
            let lost: i64 = get(row, 1, "a number")?;
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
            let route: u16 = get(row, 0, "in the range of u16")?;
            let name: String = get(row, 1, "text")?;
            routes.insert(route, Route(name));
            Ok(())
        })?;
        Ok(routes)
    }

    fn generator(&self) -> Result<Option<GeneratorResult>, Damage> {
        let malformed = |column| {
            move |_| Malformed {
                column,
                expected: "what the schema says",
            }
        };
        let mut result = None;
        self.each(
            "generator",
            "SELECT tool, requests, failed, timeout_us FROM generator",
            |row| {
                result = Some(GeneratorResult {
                    tool: row.get(0).map_err(malformed(0))?,
                    requests: row.get::<_, i64>(1).map_err(malformed(1))?.cast_unsigned(),
                    failed: row.get::<_, i64>(2).map_err(malformed(2))?.cast_unsigned(),
                    timeout: row
                        .get::<_, Option<i64>>(3)
                        .map_err(malformed(3))?
                        .map(|us| Span::from_micros(us.cast_unsigned())),
                    errors: Vec::new(),
                });
                Ok(())
            },
        )?;
        let Some(generator) = &mut result else {
            return Ok(None);
        };
        self.each(
            "generator_error",
            "SELECT error, times FROM generator_error ORDER BY rowid",
            |row| {
                let error: String = row.get(0).map_err(malformed(0))?;
                generator
                    .errors
                    .push((error, row.get::<_, i64>(1).map_err(malformed(1))?.cast_unsigned()));
                Ok(())
            },
        )?;
        Ok(result)
    }
}

/// A recording of a time when it was not kept how much of a connection was read: no more than its protocol is known.
fn suppose_unread(connection: &mut evidence::Connection) {
    if matches!(connection.protocol, Protocol::Opaque(_)) {
        connection.unread = Some(Box::new(Unread {
            up: connection.bytes_up,
            down: connection.bytes_down,
        }));
    }
}

/// One value of a row that is read without [`Columns`].
fn get<T: rusqlite::types::FromSql>(
    row: &rusqlite::Row<'_>,
    column: usize,
    expected: &'static str,
) -> Result<T, Malformed> {
    row.get(column).or(Err(Malformed { column, expected }))
}
