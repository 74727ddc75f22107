//! The scripts that play applications, forwarders and clients: carried in this program, written out once.

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

const SCRIPTS: &[(&str, &str)] = &[
    ("app.js", include_str!("scripts/app.js")),
    ("app.py", include_str!("scripts/app.py")),
    ("client.py", include_str!("scripts/client.py")),
    ("forwarder.py", include_str!("scripts/forwarder.py")),
    ("grpc_app.py", include_str!("scripts/grpc_app.py")),
    ("load.js", include_str!("scripts/load.js")),
    ("locustfile.py", include_str!("scripts/locustfile.py")),
    ("web.py", include_str!("scripts/web.py")),
    ("wire.py", include_str!("scripts/wire.py")),
];

/// Where a script lies.
pub(crate) fn path(name: &str) -> Result<PathBuf> {
    Ok(folder()?.join(name))
}

/// The folder of all scripts; it stays until [`clear`].
pub(crate) fn folder() -> Result<PathBuf> {
    static FOLDER: OnceLock<Option<TempDir>> = OnceLock::new();
    let folder = FOLDER
        .get_or_init(|| {
            let folder = TempDir::new().ok()?;
            for (name, text) in SCRIPTS {
                std::fs::write(folder.path().join(name), text).ok()?;
            }
            Some(folder)
        })
        .as_ref()
        .context("writing the scripts to a temporary folder")?;
    Ok(folder.path().to_owned())
}

/// Removes them; a static is not dropped.
pub(crate) fn clear() {
    if let Ok(folder) = folder() {
        drop(std::fs::remove_dir_all(folder));
    }
}
