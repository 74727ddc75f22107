//! What is known only after the run: added to a recording that has been closed, in one transaction.

use std::path::Path as FilePath;

use hopscope_attribution::evidence::{NodeEvidence, Observation};

use super::batch::NodeWatch;
use super::error::RecordingError;
use super::reader;
use super::schema::{KERNEL_SOCKET, KERNEL_WINDOW, NODE};
use super::store::Store;

/// Adds what kernels on the path saw, and the boot id of the one that the probes of the run watched.
///
/// # Errors
/// When the file is no recording of this version, or cannot be written; then nothing was added.
pub fn add_node(
    path: &FilePath,
    node: &Observation<NodeEvidence>,
    kernel: Option<&str>,
) -> Result<(), RecordingError> {
    reader::check(path)?;
    let failed = |error: rusqlite::Error| RecordingError::Add {
        path: path.to_path_buf(),
        reason: error.to_string(),
    };
    let mut store = Store::reopen(path).map_err(failed)?;
    match insert(&mut store, node, kernel) {
        Ok(()) => store.close().map_err(failed),
        Err(error) => {
            store.roll_back();
            Err(failed(error))
        }
    }
}

fn insert(store: &mut Store, node: &Observation<NodeEvidence>, kernel: Option<&str>) -> rusqlite::Result<()> {
    let clock_error = match node {
        Observation::Seen(node) => Observation::Seen(node.clock_error),
        Observation::Unseen(why) => Observation::Unseen(*why),
    };
    store.begin()?;
    store.insert(NODE, std::iter::once(&NodeWatch { clock_error }))?;
    if let Some(kernel) = kernel {
        store.set_text("kernel", kernel)?;
    }
    if let Observation::Seen(node) = node {
        store.insert(KERNEL_SOCKET, node.sockets.iter())?;
        store.insert(KERNEL_WINDOW, node.windows.iter())?;
    }
    store.commit()
}
