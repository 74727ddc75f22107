//! Why a recording could not be made or read: our own failures, one line each, with what to do.

use std::path::PathBuf;

/// Why a recording could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file is there already: a recording is never written over.
    #[error("{} exists already: name another file with --record, or remove it", .0.display())]
    Exists(PathBuf),
    /// The file could not be made.
    #[error("cannot make the recording {}: {reason}; name a file in a folder that can be written with --record", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system or SQLite said.
        reason: String,
    },
    /// No such file.
    #[error("there is no recording at {}", .0.display())]
    NotFound(PathBuf),
    /// The file is something else.
    #[error("{} is not a hopscope recording: {reason}", path.display())]
    NotARecording {
        /// The file.
        path: PathBuf,
        /// By what it was told.
        reason: String,
    },
    /// A newer hopscope wrote it.
    #[error(
        "{} was written by hopscope {written_by} (recording schema {found}); this hopscope reads up to {supported}: upgrade hopscope to read it",
        path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest that we read.
        supported: i64,
        /// The version of hopscope that wrote it, where it says.
        written_by: String,
    },
    /// The file is a recording and cannot be read.
    #[error("cannot read the recording {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system or SQLite said, and what could be read.
        reason: String,
    },
    /// What is known only after the run could not be added.
    #[error("cannot add to the recording {}: {reason}; what it had before is unchanged", path.display())]
    Add {
        /// The file.
        path: PathBuf,
        /// What the system or SQLite said.
        reason: String,
    },
    /// The writer thread is gone: everything after its end was counted as lost.
    #[error("the recording {} was not completed: its writer stopped; what was written before is readable", .0.display())]
    WriterGone(PathBuf),
}
