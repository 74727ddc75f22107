//! Values that take one column, and what wraps them.

use std::net::SocketAddr;

use hopscope_attribution::evidence::{ConnectionId, Moment, Observation, PathId, RouteId, Span, WhyUnseen};
use rusqlite::types::{Null, ValueRef};

use super::words::Word;
use super::{Binder, Columns, Cursor, Malformed};

/// Numbers that SQLite's signed 64-bit integer holds, and that are checked when they are read.
macro_rules! numbers {
    ($($type:ty),+) => {$(
        impl Columns for $type {
            const WIDTH: usize = 1;

            fn names(name: &str, names: &mut Vec<String>) {
                names.push(name.to_owned());
            }

            fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
                row.put(i64::from(*self))
            }

            fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
                let value = row.integer()?;
                Self::try_from(value).or(Err(row.malformed(concat!("in the range of ", stringify!($type)))))
            }
        }
    )+};
}

numbers!(u8, u16, u32, i32);

impl Columns for u64 {
    const WIDTH: usize = 1;

    fn names(name: &str, names: &mut Vec<String>) {
        names.push(name.to_owned());
    }

    /// Above 2^63 the number is kept as the negative one with the same bits.
    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        row.put(self.cast_signed())
    }

    fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
        row.integer().map(i64::cast_unsigned)
    }
}

impl Columns for bool {
    const WIDTH: usize = 1;

    fn names(name: &str, names: &mut Vec<String>) {
        names.push(name.to_owned());
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        row.put(i64::from(*self))
    }

    fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
        match row.integer()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(row.malformed("0 or 1")),
        }
    }
}

impl Columns for String {
    const WIDTH: usize = 1;

    fn names(name: &str, names: &mut Vec<String>) {
        names.push(name.to_owned());
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        row.put(self.as_str())
    }

    fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
        row.text().map(str::to_owned)
    }
}

/// Bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Blob(pub(in super::super) Vec<u8>);

impl Columns for Blob {
    const WIDTH: usize = 1;

    fn names(name: &str, names: &mut Vec<String>) {
        names.push(name.to_owned());
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        row.put(self.0.as_slice())
    }

    fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
        row.blob().map(|bytes| Self(bytes.to_vec()))
    }
}

/// That it was looked at, where nothing else is to be kept.
impl Columns for () {
    const WIDTH: usize = 1;

    fn names(name: &str, names: &mut Vec<String>) {
        names.push(name.to_owned());
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        row.put(1)
    }

    fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
        row.integer().map(|_| ())
    }
}

/// Numbers with a meaning of their own; `$unit` ends the column's name.
macro_rules! wrapped {
    ($($type:ident($inner:ty) $unit:literal),+ $(,)?) => {$(
        impl Columns for $type {
            const WIDTH: usize = 1;

            fn names(name: &str, names: &mut Vec<String>) {
                names.push(format!("{name}{}", $unit));
            }

            fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
                self.0.bind(row)
            }

            fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
                <$inner>::read(row).map(Self)
            }
        }
    )+};
}

wrapped! {
    Moment(u64) "_us",
    PathId(u8) "",
    RouteId(u16) "",
    ConnectionId(u64) "",
}

impl Columns for Span {
    const WIDTH: usize = 1;

    fn names(name: &str, names: &mut Vec<String>) {
        names.push(format!("{name}_us"));
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        self.as_micros().bind(row)
    }

    fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
        u64::read(row).map(Self::from_micros)
    }
}

impl Columns for SocketAddr {
    const WIDTH: usize = 2;

    fn names(name: &str, names: &mut Vec<String>) {
        names.push(format!("{name}_host"));
        names.push(format!("{name}_port"));
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        row.host(*self)?;
        self.port().bind(row)
    }

    fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let mut address = row.host()?;
        address.set_port(u16::read(row)?);
        Ok(address)
    }
}

impl<T: Columns> Columns for Box<T> {
    const WIDTH: usize = T::WIDTH;

    fn names(name: &str, names: &mut Vec<String>) {
        T::names(name, names);
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        T::bind(self, row)
    }

    fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
        T::read(row).map(Self::new)
    }
}

impl<T: Columns> Columns for Option<T> {
    const WIDTH: usize = T::WIDTH;

    fn names(name: &str, names: &mut Vec<String>) {
        T::names(name, names);
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        match self {
            Some(value) => value.bind(row),
            None => (0..Self::WIDTH).try_for_each(|_| row.put(Null)),
        }
    }

    fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
        if row.peek()? == ValueRef::Null {
            row.skip(Self::WIDTH);
            return Ok(None);
        }
        T::read(row).map(Some)
    }
}

impl<T: Columns> Columns for Observation<T> {
    const WIDTH: usize = T::WIDTH;

    fn names(name: &str, names: &mut Vec<String>) {
        T::names(name, names);
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        match self {
            Self::Seen(value) => value.bind(row),
            Self::Unseen(why) => {
                row.put(Word::word(why).into_bytes())?;
                (1..Self::WIDTH).try_for_each(|_| row.put(Null))
            }
        }
    }

    fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let ValueRef::Blob(word) = row.peek()? else {
            return T::read(row).map(Self::Seen);
        };
        let why = std::str::from_utf8(word).ok().and_then(WhyUnseen::from_word);
        row.skip(Self::WIDTH);
        why.map(Self::Unseen)
            .ok_or_else(|| row.malformed("a reason why it was not seen"))
    }
}

/// A row of something that belongs to a path.
impl<T: Columns> Columns for (PathId, T) {
    const WIDTH: usize = 1 + T::WIDTH;

    fn names(name: &str, names: &mut Vec<String>) {
        PathId::names("path", names);
        T::names(name, names);
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        self.0.bind(row)?;
        self.1.bind(row)
    }

    fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
        Ok((PathId::read(row)?, T::read(row)?))
    }
}
