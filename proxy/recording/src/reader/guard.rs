//! What a file may cost while it is read: anybody may have made it.
//!
//! SQLite itself is kept on a short lead (no schema of the file's is trusted, no statement is long, no value is large,
//! its memory has a limit), and what it gives is counted: a table cannot have more rows than its file has bytes for,
//! although pages that refer to one another would yield rows for ever.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;

use crate::columns::Allowed;

/// The longest text or blob, in bytes. The longest that is written is a command line, which Linux limits to 2 MiB.
const LONGEST_VALUE: i32 = 4 * 1024 * 1024;
/// The longest definition of a table.
const LONGEST_STATEMENT: i32 = 64 * 1024;
/// The most memory that SQLite may ask for: its cache has 2 MB, the definitions of the tables a few hundred KB.
const SQLITE_MEMORY: i64 = 64 * 1024 * 1024;
/// Operations of SQLite's machine between two looks at the clock: some milliseconds.
const OPERATIONS: i32 = 100_000;
/// How long reading may take, whatever the file's size.
const LEAST_TIME: Duration = Duration::from_secs(20);
/// Bytes of a file that add a second to that: the slowest machine reads ten times as many.
const BYTES_A_SECOND: u64 = 2 * 1024 * 1024;
/// From this size on a larger file has more time. Below it, a file that takes longer is not one of ours.
const LARGE: u64 = 100 * 1024 * 1024;

/// Sets the limits of a connection to a file of this size. To be called before anything of the file is looked at.
pub(super) fn restrain(database: &mut Connection, bytes: u64) -> rusqlite::Result<()> {
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_LENGTH, LONGEST_VALUE),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, LONGEST_STATEMENT),
        (Limit::SQLITE_LIMIT_COLUMN, 256),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 16),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 2),
        (Limit::SQLITE_LIMIT_VDBE_OP, 25_000),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 8),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        database.set_limit(limit, value)?;
    }
    for (config, on) in [
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true),
    ] {
        database.set_db_config(config, on)?;
    }
    // Of the whole process, and only ever lowered.
    database.pragma_update_and_check(None, "hard_heap_limit", SQLITE_MEMORY, |_| Ok(()))?;
    // A page is looked at where it lies in the file's cache; a file that is cut meanwhile must not end the process.
    database.pragma_update_and_check(None, "mmap_size", 0, |_| Ok(()))?;
    database.pragma_update(None, "cell_size_check", true)?;
    database.pragma_update(None, "temp_store", "MEMORY")?;
    let deadline = Instant::now() + time_for(bytes);
    database.progress_handler(OPERATIONS, Some(move || Instant::now() > deadline))
}

/// How long reading a file of this size may take.
pub(super) fn time_for(bytes: u64) -> Duration {
    LEAST_TIME + Duration::from_secs(bytes.saturating_sub(LARGE) / BYTES_A_SECOND)
}

/// What a file of a known size can hold.
#[derive(Debug)]
pub(super) struct Allowance {
    file: u64,
    /// Bytes of texts and blobs that may still be read.
    values: Cell<u64>,
}

impl Allowance {
    pub(super) fn of(file: u64) -> Self {
        Self {
            file,
            values: Cell::new(file),
        }
    }

    /// The most rows that a table of so many columns can have: a row takes a byte for each column at least, and two for
    /// its own length and number.
    pub(super) fn rows(&self, columns: usize) -> u64 {
        let row = u64::try_from(columns).unwrap_or(u64::MAX).saturating_add(2);
        self.file / row
    }
}

impl Allowed for Allowance {
    fn take(&self, bytes: usize) -> bool {
        let left = self.values.get().checked_sub(bytes as u64);
        self.values.set(left.unwrap_or(0));
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_no_more_than_it_can_hold() {
        let allowance = Allowance::of(1_000);
        assert_eq!(allowance.rows(8), 100);
        assert!(allowance.take(600) && allowance.take(400));
        assert!(!allowance.take(1));
        assert!(!allowance.take(1), "once too much is too much");
    }

    #[test]
    fn a_file_below_a_hundred_megabytes_has_twenty_seconds() {
        assert_eq!(time_for(147 * 1024), LEAST_TIME);
        assert_eq!(time_for(LARGE), LEAST_TIME);
        assert!(time_for(10 * LARGE) > Duration::from_mins(7));
    }
}
