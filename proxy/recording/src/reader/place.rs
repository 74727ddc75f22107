//! How a file is opened where it lies: beside its writer, after it, and where nothing can be written.
//!
//! What was committed last is in the log beside a recording (`-wal`) until it is closed. Reading it needs an index of
//! the log (`-shm`), which SQLite makes beside it. Where that cannot be made (another user's folder, a read-only mount),
//! the index is held in memory: the log is read all the same, or the recording is refused. It is never left out.

use std::path::{Path as FilePath, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::guard;

/// A recording that is open for reading.
#[derive(Debug)]
pub(super) struct Opened {
    database: Connection,
    bytes: u64,
}

/// Why a file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unopened {
    /// SQLite said so.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The log has what was committed last, and cannot be read.
    #[error(
        "its log {} cannot be read ({reason}), and without it the recording lacks what was written last: copy both \
         to a folder that you may write to, and read them there",
        log.display()
    )]
    Log {
        /// The log.
        log: PathBuf,
        /// What the system or SQLite said.
        reason: String,
    },
}

impl Opened {
    /// Opens the file with its log, and restrains what it may cost.
    pub(super) fn of(path: &FilePath) -> Result<Self, Unopened> {
        let log = beside(path, "-wal");
        let logged = std::fs::metadata(&log).map_or(0, |log| log.len());
        let bytes = std::fs::metadata(path)
            .map_or(0, |file| file.len())
            .saturating_add(logged);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut database = Connection::open_with_flags(path, flags)?;
        guard::restrain(&mut database, bytes)?;
        if readable(&database).is_ok() {
            return Ok(Self { database, bytes });
        }
        drop(database);
        let uri = flags | OpenFlags::SQLITE_OPEN_URI;
        if logged == 0 {
            let mut database = Connection::open_with_flags(address(path, "immutable=1"), uri)?;
            guard::restrain(&mut database, bytes)?;
            return Ok(Self { database, bytes });
        }
        let unread = |reason: String| Unopened::Log {
            log: log.clone(),
            reason,
        };
        std::fs::File::open(&log).map_err(|error| unread(error.to_string()))?;
        let mut database = Connection::open_with_flags(address(path, "nolock=1"), uri)?;
        guard::restrain(&mut database, bytes)?;
        // Alone with the file, as far as SQLite knows: then the index of the log needs no file.
        database.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
        readable(&database).map_err(|error| unread(error.to_string()))?;
        Ok(Self { database, bytes })
    }

    pub(super) const fn database(&self) -> &Connection {
        &self.database
    }

    /// Size of the file and its log.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Whether the file's first page can be read, with what its log has of it.
fn readable(database: &Connection) -> rusqlite::Result<()> {
    let mut statement = database.prepare("SELECT 1 FROM sqlite_schema LIMIT 1")?;
    statement.exists(()).map(|_| ())
}

/// The file of that name with an ending.
fn beside(path: &FilePath, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(ending);
    PathBuf::from(name)
}

/// The URI that makes SQLite read the file in another way than by default.
fn address(path: &FilePath, parameter: &str) -> PathBuf {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/.-_".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let hex = [byte >> 4, byte & 0xf]
                .into_iter()
                .filter_map(|digit| char::from_digit(digit.into(), 16));
            uri.push('%');
            uri.extend(hex);
        }
    }
    uri.push('?');
    uri.push_str(parameter);
    PathBuf::from(uri)
}
