//! Comma-separated rows behind a head, field by field.

use std::borrow::Cow;
use std::io::Read;

use super::detect::Unrecognised;

/// Rows of a table.
pub(super) struct Rows<'a> {
    reader: csv::Reader<&'a mut dyn Read>,
    head: csv::ByteRecord,
    row: csv::ByteRecord,
    /// A row that was read already.
    held: Option<csv::ByteRecord>,
}

impl<'a> Rows<'a> {
    /// Reads the head.
    pub(super) fn new(input: &'a mut dyn Read) -> Result<Self, Unrecognised> {
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .has_headers(false)
            .from_reader(input);
        let mut head = csv::ByteRecord::new();
        reader.read_byte_record(&mut head).map_err(unreadable)?;
        Ok(Self {
            reader,
            head,
            row: csv::ByteRecord::new(),
            held: None,
        })
    }

    /// Takes the head for a row, of columns in a known order: it is the next one.
    pub(super) fn head_is_a_row(&mut self, columns: &[&str]) {
        let row = std::mem::replace(&mut self.head, columns.iter().copied().collect());
        self.held = Some(row);
    }

    /// The place of a column.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.head
            .iter()
            .position(|head| head.trim_ascii() == name.as_bytes())
    }

    /// Goes on to the next row; whether there is one.
    pub(super) fn next(&mut self) -> csv::Result<bool> {
        if let Some(row) = self.held.take() {
            self.row = row;
            return Ok(true);
        }
        self.reader.read_byte_record(&mut self.row)
    }

    /// Whether the row is the head once more, as where one file was written behind another.
    pub(super) fn is_head(&self) -> bool {
        self.row == self.head
    }

    /// A field that is not empty.
    pub(super) fn field(&self, column: Option<usize>) -> Option<Cow<'_, str>> {
        let field = self.row.get(column?)?;
        (!field.is_empty()).then(|| String::from_utf8_lossy(field))
    }
}

/// What went wrong with the input itself.
pub(super) fn unreadable(error: csv::Error) -> Unrecognised {
    if let csv::ErrorKind::Io(error) = error.into_kind() {
        Unrecognised::Unreadable(error)
    } else {
        Unrecognised::Unknown
    }
}
