//! The scenarios: the real binary against real parts.

use std::path::Path;

use anyhow::Result;

use crate::image;
use crate::workspace::{programs, run};

/// Builds the binary and plays the scenarios against it. They need root, and the programs that they name.
pub(crate) fn play(root: &Path, filter: &[String]) -> Result<()> {
    let mut environment = Vec::new();
    // First, because it leaves a binary of its own kind where the next build puts the usual one.
    if image::is_wanted(filter) {
        environment.push(("HOPSCOPE_IMAGE", image::make(root, false)?));
    }
    let built = programs(root)?;
    // One at a time: the agent sees the whole host, and a hopscope without CPU says so instead of naming a hop.
    let mut command = vec![
        "cargo",
        "test",
        "--workspace",
        "--test",
        "scenarios",
        "--",
        "--test-threads=1",
    ];
    command.extend(filter.iter().map(String::as_str));
    environment.push(("HOPSCOPE_BIN", built.join("hopscope")));
    environment.push(("HOPSCOPE_LAB_CLUSTER", built.join("examples/cluster")));
    run(root, &command, &environment)
}
