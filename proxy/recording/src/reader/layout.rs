//! The tables that a file has, checked against those that hopscope makes before a row of them is read.
//!
//! A definition must be, to the letter, what [`Table::create`] gives for its columns. So no table is a view, none is
//! virtual, no column is computed, and reading a row runs nothing that the file brought along.

use std::collections::HashMap;

use rusqlite::Connection;

use super::load::Damage;
use crate::schema::{self, ADDED_TABLES, Table};

/// More entries than this has no schema of ours: it has a table for each kind of row, and an index for some keys.
const MOST_ENTRIES: u64 = 1_000;

/// Which columns each table of a file has.
#[derive(Debug, Default)]
pub(super) struct Layout {
    columns: HashMap<&'static str, Vec<String>>,
}

impl Layout {
    /// Reads the definitions of all tables that a recording has.
    pub(super) fn read(database: &Connection) -> Result<Self, Damage> {
        let mut found = definitions(database)?;
        let mut columns = HashMap::new();
        for table in schema::tables() {
            let Some(definition) = found.remove(table.name) else {
                if ADDED_TABLES.contains(&table.name) {
                    continue;
                }
                return Err(Damage::NoTable { table: table.name });
            };
            let present = columns_of(database, table.name)?;
            check(&table, &present, &definition)?;
            columns.insert(table.name, present);
        }
        Ok(Self { columns })
    }

    /// Whether a table has a column.
    pub(super) fn has(&self, table: &str, column: &str) -> bool {
        self.columns(table)
            .is_some_and(|columns| columns.iter().any(|present| present == column))
    }

    /// The columns of a table; `None` where the file was written before there was such a table.
    pub(super) fn columns(&self, table: &str) -> Option<&[String]> {
        self.columns.get(table).map(Vec::as_slice)
    }
}

/// The SQL of each table, by its name.
fn definitions(database: &Connection) -> Result<HashMap<String, String>, Damage> {
    let failed = |reason| Damage::Schema(reason);
    let mut statement = database
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND rootpage > 0")
        .map_err(failed)?;
    let mut rows = statement.query(()).map_err(failed)?;
    let mut found = HashMap::new();
    let mut entries = 0;
    while let Some(row) = rows.next().map_err(failed)? {
        entries += 1;
        if entries > MOST_ENTRIES {
            return Err(Damage::NotOurs {
                table: "sqlite_schema",
            });
        }
        if let (Ok(name), Ok(sql)) = (row.get(0), row.get(1)) {
            found.insert(name, sql);
        }
    }
    Ok(found)
}

fn columns_of(database: &Connection, table: &'static str) -> Result<Vec<String>, Damage> {
    let mut columns = Vec::new();
    database
        .pragma(None, "table_xinfo", table, |row| {
            columns.push(row.get::<_, String>("name")?);
            Ok(())
        })
        .map_err(Damage::Schema)?;
    Ok(columns)
}

/// A later hopscope may have added columns; all of them are plain.
fn check(table: &Table, present: &[String], definition: &str) -> Result<(), Damage> {
    let plain = |column: &String| {
        column
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    if !present.iter().all(plain) || table.create_with(present) != definition {
        return Err(Damage::NotOurs { table: table.name });
    }
    let added = |column: &str| {
        let mut additions = schema::ADDITIONS.iter();
        additions.any(|added| added.table == table.name && added.column == column)
    };
    match table
        .columns
        .iter()
        .find(|column| !present.contains(column) && !added(column))
    {
        Some(column) => Err(Damage::NoColumn {
            table: table.name,
            column: column.clone(),
        }),
        None => Ok(()),
    }
}
