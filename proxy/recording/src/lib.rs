//! What a run leaves behind: one SQLite file.
//!
//! Worker threads hand finished records to their own [`Recorder`], which counts every exchange exactly, keeps a row
//! of every connection and of every failed exchange, and samples the rest. A [`Recorder`] never waits: about four
//! times a second it passes what it has gathered through a bounded queue to the one writer thread, and what does not
//! fit is counted as lost. [`Recording`] reads the file back into [`hopscope_attribution::evidence::Evidence`].
//!
//! Tables, columns and units are documented in docs/recording.md.
//!
//! **Invariant:** a worker never waits for the disk; what does not fit is counted as lost, and accepted connections = rows + counted losses.

mod addition;
mod batch;
mod columns;
mod error;
mod facts;
mod figures;
mod handle;
mod losses;
mod reader;
mod recorder;
mod schema;
mod second;
mod sparing;
mod store;
#[cfg(test)]
pub(crate) mod tests;
mod traffic;
mod watcher;
mod writer;

pub use addition::add_node;
pub use batch::{Batch, TunnelWatch};
pub use error::RecordingError;
pub use facts::{FinalFacts, Options, Summary};
pub use figures::{Figures, Latency, RouteFigures};
pub use handle::{Closing, RecordingHandle, create};
pub use losses::{LossKind, Losses};
pub use reader::{CutOff, NoSuchPath, Recording};
pub use recorder::Recorder;
pub use second::{Buckets, Cell, PHASE_BOUNDS_US, PhaseCounts, Second};
pub use sparing::LEAST_BYTES;
pub use watcher::Watcher;
