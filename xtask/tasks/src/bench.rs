//! What the proxy costs, beside others that do the same work: measured in a network namespace of its own.
//!
//! The method is told in docs/performance.md: one worker each, pinned, shuffled in every round, CPU from each proxy's
//! own cgroup, ratios paired within a round.

mod bulk;
mod cgroup;
mod data;
mod figures;
mod goals;
mod idle;
mod load;
mod measure;
mod place;
mod process;
mod relay;
mod table;
mod target;
mod upstream;
mod workload;

use std::path::{Path, PathBuf};

use anyhow::Result;

use self::target::Target;
use self::workload::Workload;
use crate::workspace;

const EXAMPLES: &str = "\
Needs root, nginx, haproxy and wrk; envoy where it is installed. The programs are looked for in PATH; HOPSCOPE_BIN and
HOPSCOPE_ENVOY name others.

Examples:
  cargo xtask bench --quick
      a look, in three minutes; prints the table and keeps nothing
  cargo xtask bench --keep
      the whole run; writes benches/runs/DATE-MACHINE and the tables of README.md and docs/performance.md
  cargo xtask bench --quick --workload keep-alive-64 --target hopscope --target haproxy
  cargo xtask bench --check
      fails when a table is not what the committed figures give";

/// Which part of it to do.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// Fewer and shorter rounds: a look, not figures to quote
    #[arg(long)]
    quick: bool,
    /// Only these workloads
    #[arg(long, value_enum)]
    workload: Vec<Workload>,
    /// Only these targets
    #[arg(long, value_enum)]
    target: Vec<Target>,
    /// Rounds of each workload [default: 5, or 2 when quick]
    #[arg(long)]
    rounds: Option<u32>,
    /// Write the figures below benches/runs, and the tables from them
    #[arg(long)]
    keep: bool,
    /// Only write the tables, from the newest committed figures
    #[arg(long, conflicts_with_all = ["keep", "check"])]
    table: bool,
    /// Only check that the tables are what the newest committed figures give
    #[arg(long, conflicts_with = "keep")]
    check: bool,
    /// Where the figures go; given by the bench to itself when it enters its namespace
    #[arg(long, hide = true)]
    inside: Option<PathBuf>,
    /// Be the relay that does nothing else; given by the bench to itself
    #[arg(long, hide = true, num_args = 2, value_names = ["LISTEN", "UPSTREAM"])]
    relay: Option<Vec<u16>>,
}

/// Waits for what shows itself in no other way: that a machine has come to rest.
#[expect(clippy::disallowed_methods, reason = "a measurement waits for time itself")]
fn pause(time: std::time::Duration) {
    std::thread::sleep(time);
}

/// Measures, or renders what was measured.
pub(crate) fn execute(args: &Args) -> Result<()> {
    if let Some([listen, upstream]) = args.relay.as_deref() {
        return relay::run(*listen, *upstream);
    }
    let root = workspace::root()?;
    if args.check {
        return check(&root);
    }
    if args.table {
        return table::write(&root);
    }
    if let Some(folder) = &args.inside {
        return measure::everything(args, folder);
    }
    let folder = place::enter(&root)?;
    let figures = data::Figures::read(&folder)?;
    say(&table::full(&figures));
    if args.keep {
        data::keep(&root, &folder)?;
        table::write(&root)?;
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Checks that the tables are what the newest committed figures give.
pub(crate) fn check(root: &Path) -> Result<()> {
    table::check(root)
}

#[expect(clippy::print_stdout, reason = "figures are for whoever typed the command")]
fn say(line: &str) {
    println!("{line}");
}
