//! The SQLite file while it is written: one transaction at a time.
//!
//! WAL, because a report may be read from a recording that still grows, and must not hold the writer up; `NORMAL`,
//! because a killed process loses nothing that was committed, and only a checkpoint waits for the disk.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;

use hopscope_attribution::evidence::{GeneratorResult, PathId};
use rusqlite::{Connection, OpenFlags};

use super::columns::{AddressBook, Binder, Columns, numbers};
use super::error::RecordingError;
use super::facts::Options;
use super::schema::{self, APPLICATION_ID, PATH, VERSION};
use hopscope_attribution::evidence::RunFacts;

/// Disk space, or room below the limit on a file's size, kept back for the last words of a run that has no more.
const BALLAST_BYTES: usize = 256 * 1024;
/// `PRAGMA page_size`: a multiple of every common block size.
const PAGE_BYTES: u32 = 4_096;

/// The file.
#[derive(Debug)]
pub(super) struct Store {
    database: Connection,
    path: PathBuf,
    addresses: AddressBook,
    ballast: Option<File>,
    limited: bool,
}

impl Store {
    /// Makes the file, its tables, and writes down what is known when the run begins.
    pub(super) fn create(
        path: &FilePath,
        facts: &RunFacts,
        options: &Options,
    ) -> Result<Self, RecordingError> {
        let failed = |reason: String| RecordingError::Create {
            path: path.to_path_buf(),
            reason,
        };
        match private().open(path) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(RecordingError::Exists(path.to_path_buf()));
            }
            Err(error) => return Err(failed(error.to_string())),
        }
        Self::begin_in(path, facts, options).map_err(|error| {
            // It was not there before, and nothing is in it.
            remove(path);
            failed(error.to_string())
        })
    }

    fn begin_in(path: &FilePath, facts: &RunFacts, options: &Options) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut store = Self {
            database: Connection::open_with_flags(path, flags)?,
            path: path.to_path_buf(),
            addresses: AddressBook::default(),
            ballast: ballast(path),
            limited: options.max_bytes.is_some() || options.limit.is_some(),
        };
        store.lay_out(facts, options)?;
        Ok(store)
    }

    /// Opens a recording that has been closed, to add to it.
    pub(super) fn reopen(path: &FilePath) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(path, flags)?;
        database.busy_timeout(Duration::from_secs(1))?;
        Ok(Self {
            database,
            path: path.to_path_buf(),
            addresses: AddressBook::default(),
            ballast: None,
            limited: false,
        })
    }

    fn lay_out(&mut self, facts: &RunFacts, options: &Options) -> rusqlite::Result<()> {
        let database = &self.database;
        database.busy_timeout(Duration::from_secs(1))?;
        database.pragma_update(None, "page_size", PAGE_BYTES)?;
        database.pragma_update(None, "application_id", APPLICATION_ID)?;
        database.pragma_update(None, "user_version", VERSION)?;
        database.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        database.pragma_update(None, "synchronous", "NORMAL")?;
        // Rows are only ever added: what is worth keeping in memory is the end of each table.
        database.pragma_update(None, "cache_size", -1_000)?;
        // Checkpoints are ours to run: an error of an automatic one looks like that of the commit before it.
        database.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
        if let Some(bytes) = options.max_bytes.into_iter().chain(options.limit).min() {
            let rows = bytes.saturating_sub(BALLAST_BYTES as u64);
            let pages = i64::try_from(rows / u64::from(PAGE_BYTES)).unwrap_or(i64::MAX);
            database.pragma_update_and_check(None, "max_page_count", pages.max(1), |_| Ok(()))?;
        }
        database.set_prepared_statement_cache_capacity(32);
        self.begin()?;
        for table in schema::tables() {
            self.database.execute_batch(&table.create())?;
        }
        for (of, number, word) in numbers() {
            self.database
                .execute("INSERT INTO word VALUES (?, ?, ?)", (of, number, word))?;
        }
        let paths = facts.paths.iter().enumerate();
        let paths = paths.filter_map(|(id, path)| Some((PathId(u8::try_from(id).ok()?), path.clone())));
        self.insert(PATH, paths.collect::<Vec<_>>().iter())?;
        self.set("started_unix_us", facts.started_unix_us.cast_signed())?;
        self.set_text("version", &facts.version)?;
        if let Some(command) = &facts.command {
            // A JSON array: words may hold blanks.
            self.set_text(
                "command",
                &serde_json::Value::from(command.as_slice()).to_string(),
            )?;
        }
        if !facts.notes.is_empty() {
            self.set_notes(&facts.notes)?;
        }
        self.set("closed_properly", 0)?;
        self.commit()
    }

    /// Begins a transaction, unless one is under way.
    pub(super) fn begin(&mut self) -> rusqlite::Result<()> {
        if self.database.is_autocommit() {
            self.database.execute_batch("BEGIN IMMEDIATE")
        } else {
            Ok(())
        }
    }

    /// Ends the transaction; what was inserted outlives the process from now on.
    pub(super) fn commit(&mut self) -> rusqlite::Result<()> {
        if self.database.is_autocommit() {
            Ok(())
        } else {
            self.database.execute_batch("COMMIT")
        }
    }

    /// Gives up what was inserted since the transaction began.
    pub(super) fn roll_back(&mut self) {
        self.addresses.forget_written();
        if !self.database.is_autocommit() {
            // An error here means that SQLite has rolled back by itself.
            match self.database.execute_batch("ROLLBACK") {
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Adds rows to a table.
    pub(super) fn insert<'a, T: Columns + 'a>(
        &mut self,
        table: &str,
        rows: impl Iterator<Item = &'a T>,
    ) -> rusqlite::Result<()> {
        let mut statement = self.database.prepare_cached(&schema::insert::<T>(table))?;
        for row in rows {
            row.bind(&mut Binder::new(&mut statement, &mut self.addresses))?;
            statement.raw_execute()?;
        }
        drop(statement);
        let new = self.addresses.take_new();
        if !new.is_empty() {
            let mut statement = self
                .database
                .prepare_cached("INSERT OR REPLACE INTO address VALUES (?, ?)")?;
            for (number, host) in new {
                statement.execute((number, host.to_string()))?;
            }
        }
        Ok(())
    }

    /// Names a route.
    pub(super) fn route(&mut self, route: u16, name: &str) -> rusqlite::Result<()> {
        let mut statement = self
            .database
            .prepare_cached("INSERT OR REPLACE INTO route VALUES (?, ?)")?;
        statement.execute((route, name)).map(|_| ())
    }

    /// Sets a fact of the run.
    pub(super) fn set(&mut self, key: &str, value: i64) -> rusqlite::Result<()> {
        let mut statement = self
            .database
            .prepare_cached("INSERT OR REPLACE INTO run VALUES (?, ?)")?;
        statement.execute((key, value)).map(|_| ())
    }

    pub(super) fn set_text(&mut self, key: &str, value: &str) -> rusqlite::Result<()> {
        let mut statement = self
            .database
            .prepare_cached("INSERT OR REPLACE INTO run VALUES (?, ?)")?;
        statement.execute((key, value)).map(|_| ())
    }

    /// Sets what a reader of the report must know first.
    pub(super) fn set_notes(&mut self, notes: &[String]) -> rusqlite::Result<()> {
        self.set_text("notes", &serde_json::Value::from(notes).to_string())
    }

    /// Sets how much of a kind was lost.
    pub(super) fn set_lost(&mut self, kind: &str, lost: u64) -> rusqlite::Result<()> {
        let mut statement = self
            .database
            .prepare_cached("INSERT OR REPLACE INTO loss VALUES (?, ?)")?;
        statement.execute((kind, lost.cast_signed())).map(|_| ())
    }

    /// Writes down what the load generator reported.
    pub(super) fn generator(&mut self, result: &GeneratorResult) -> rusqlite::Result<()> {
        let timeout = result.timeout.map(|timeout| timeout.as_micros().cast_signed());
        self.database.execute("DELETE FROM generator", ())?;
        self.database.execute("DELETE FROM generator_error", ())?;
        self.database.execute(
            "INSERT INTO generator VALUES (?, ?, ?, ?)",
            (
                &result.tool,
                result.requests.cast_signed(),
                result.failed.cast_signed(),
                timeout,
            ),
        )?;
        for (error, times) in &result.errors {
            self.database.execute(
                "INSERT INTO generator_error VALUES (?, ?)",
                (error, times.cast_signed()),
            )?;
        }
        Ok(())
    }

    /// Moves what was committed from the log into the file itself.
    pub(super) fn checkpoint(&mut self) -> rusqlite::Result<()> {
        self.database
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()))
    }

    /// Gives the disk space that was kept back, so that the last words can be written.
    pub(super) fn release_ballast(&mut self) {
        self.ballast = None;
        if self.limited {
            // An error leaves the limit where it was, and the last words unwritten, which is said.
            match self.database.pragma_update_and_check(
                None,
                "max_page_count",
                i64::from(u32::MAX) - 1,
                |_| Ok(()),
            ) {
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Makes one self-contained file of it, with no log beside it.
    pub(super) fn close(self) -> rusqlite::Result<()> {
        self.database
            .pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
        self.database.close().map_err(|(_, error)| error)
    }

    /// The file.
    pub(super) fn path(&self) -> &FilePath {
        &self.path
    }

    /// Size of the file and of the log beside it.
    pub(super) fn bytes(&self) -> u64 {
        let size = |path: &FilePath| std::fs::metadata(path).map_or(0, |file| file.len());
        size(&self.path) + size(&beside(&self.path, "-wal"))
    }
}

/// A new file that nobody else may read: a recording tells routes, addresses and what kubectl said. SQLite gives its log and
/// the log's index the mode of the file.
fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options
}

/// The file of that name with an ending: SQLite keeps its log and the log's index there.
fn beside(path: &FilePath, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(ending);
    PathBuf::from(name)
}

/// Removes a recording with what lies beside it, as far as it is there.
pub(super) fn remove(path: &FilePath) {
    for file in [path.to_path_buf(), beside(path, "-wal"), beside(path, "-shm")] {
        match std::fs::remove_file(file) {
            Ok(()) | Err(_) => {}
        }
    }
}

/// A file without a name that takes up disk space, which is freed when it is dropped. Without it a recording on a
/// full disk ends without its last words; nothing else is lost, so failing to make it is not an error.
fn ballast(path: &FilePath) -> Option<File> {
    let name = beside(path, "-ballast");
    let mut file = private().open(&name).ok()?;
    let written = file.write_all(&vec![1; BALLAST_BYTES]);
    std::fs::remove_file(&name).ok()?;
    written.ok().map(|()| file)
}
