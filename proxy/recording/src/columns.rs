//! How values of the evidence become columns of a table, and back.
//!
//! A type says once which columns it has; the table's definition, its rows' writing and their reading follow from it.
//! Two rules hold for every table. `NULL` is what a record does not have (`None`). A fact that was not seen
//! ([`Observation::Unseen`](hopscope_attribution::evidence::Observation::Unseen)) is a blob that holds the word for the reason, so `typeof(column) = 'blob'` finds it.

mod compound;
mod numbers;
mod scalar;
mod words;

use std::collections::HashMap;
use std::net::SocketAddr;

use rusqlite::Statement;
use rusqlite::types::{ToSql, ValueRef};

pub(super) use compound::COMPLETE;
pub(super) use numbers::numbers;
pub(super) use scalar::Blob;

/// A type that is kept in columns.
pub(super) trait Columns: Sized {
    /// How many columns it takes. At least one.
    const WIDTH: usize;

    /// Adds its columns' names; `name` is that of the field it stands in, empty for a whole row.
    fn names(name: &str, names: &mut Vec<String>);

    /// Binds its values to the next [`Self::WIDTH`] parameters.
    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()>;

    /// Reads it from the next [`Self::WIDTH`] columns.
    fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed>;
}

/// The parameters of one insertion, bound from left to right.
#[derive(Debug)]
pub(super) struct Binder<'a, 'c> {
    statement: &'a mut Statement<'c>,
    addresses: &'a mut AddressBook,
    next: usize,
}

impl<'a, 'c> Binder<'a, 'c> {
    pub(super) fn new(statement: &'a mut Statement<'c>, addresses: &'a mut AddressBook) -> Self {
        Self {
            statement,
            addresses,
            next: 1,
        }
    }

    fn put(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        let at = self.next;
        self.next += 1;
        self.statement.raw_bind_parameter(at, value)
    }

    /// The number that stands for a host's address.
    fn host(&mut self, address: SocketAddr) -> rusqlite::Result<()> {
        let number = self.addresses.number(address);
        self.put(number)
    }
}

/// Hosts' addresses by the number that stands for them in rows: few hosts take part in a run, and many rows name them.
#[derive(Debug, Default)]
pub(super) struct AddressBook {
    numbers: HashMap<SocketAddr, i64>,
    /// Numbers given since the last call of [`Self::take_new`].
    new: Vec<(i64, SocketAddr)>,
}

impl AddressBook {
    fn number(&mut self, mut host: SocketAddr) -> i64 {
        host.set_port(0);
        if let Some(number) = self.numbers.get(&host) {
            return *number;
        }
        let number = i64::try_from(self.numbers.len()).unwrap_or(i64::MAX);
        self.numbers.insert(host, number);
        self.new.push((number, host));
        number
    }

    /// Addresses that are not in the file yet.
    pub(super) fn take_new(&mut self) -> Vec<(i64, SocketAddr)> {
        std::mem::take(&mut self.new)
    }

    /// Takes every address as not yet in the file: the transaction that held some of them was lost.
    pub(super) fn forget_written(&mut self) {
        self.new = self
            .numbers
            .iter()
            .map(|(host, number)| (*number, *host))
            .collect();
    }
}

/// The columns of one row, read from left to right.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    row: &'a rusqlite::Row<'a>,
    hosts: &'a HashMap<i64, SocketAddr>,
    /// Whether a text or blob of this many bytes can still come from the file.
    allowed: &'a dyn Allowed,
    next: usize,
}

/// What bounds the texts and blobs that are read from a file.
pub(super) trait Allowed: std::fmt::Debug {
    /// Takes a value of this many bytes; `false` where the file cannot hold all that was taken.
    fn take(&self, bytes: usize) -> bool;
}

impl<'a> Cursor<'a> {
    pub(super) fn new(
        row: &'a rusqlite::Row<'a>,
        hosts: &'a HashMap<i64, SocketAddr>,
        allowed: &'a dyn Allowed,
    ) -> Self {
        Self {
            row,
            hosts,
            allowed,
            next: 0,
        }
    }

    pub(super) fn peek(&self) -> Result<ValueRef<'a>, Malformed> {
        self.row.get_ref(self.next).or(Err(Malformed {
            column: self.next,
            expected: "a value",
        }))
    }

    fn take(&mut self) -> Result<ValueRef<'a>, Malformed> {
        let value = self.peek()?;
        self.next += 1;
        Ok(value)
    }

    fn skip(&mut self, columns: usize) {
        self.next += columns;
    }

    pub(super) fn integer(&mut self) -> Result<i64, Malformed> {
        match self.take()? {
            ValueRef::Integer(value) => Ok(value),
            ValueRef::Null | ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => {
                Err(self.malformed("a whole number"))
            }
        }
    }

    fn blob(&mut self) -> Result<&'a [u8], Malformed> {
        match self.take()? {
            ValueRef::Blob(bytes) => self.within(bytes),
            ValueRef::Null | ValueRef::Real(_) | ValueRef::Integer(_) | ValueRef::Text(_) => {
                Err(self.malformed("a blob"))
            }
        }
    }

    /// The same bytes, where the file can hold them beside all others that came out of it.
    fn within(&self, bytes: &'a [u8]) -> Result<&'a [u8], Malformed> {
        if self.allowed.take(bytes.len()) {
            Ok(bytes)
        } else {
            Err(self.malformed("within the size of the file"))
        }
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        match self.take()? {
            ValueRef::Text(text) => std::str::from_utf8(self.within(text)?).or(Err(self.malformed("UTF-8"))),
            ValueRef::Null | ValueRef::Real(_) | ValueRef::Integer(_) | ValueRef::Blob(_) => {
                Err(self.malformed("text"))
            }
        }
    }

    fn host(&mut self) -> Result<SocketAddr, Malformed> {
        let number = self.integer()?;
        self.hosts
            .get(&number)
            .copied()
            .ok_or_else(|| self.malformed("the number of a row of `address`"))
    }

    /// What is wrong with the column that was just taken.
    fn malformed(&self, expected: &'static str) -> Malformed {
        Malformed {
            column: self.next.saturating_sub(1),
            expected,
        }
    }
}

/// A column that does not hold what its table's definition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column} is not {expected}")]
pub(super) struct Malformed {
    /// The column, from 0.
    pub(super) column: usize,
    /// What it should be.
    pub(super) expected: &'static str,
}
