//! Every gate, cheapest first, the same here and in CI.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::command::{Result, output, root, run, say};
use crate::{fresh, machine};

/// Which gates to pass.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the gates whose name contains this.
    only: Option<String>,
    /// In a new Debian root file system, with Debian's Rust: what a new machine would see. As root.
    #[arg(long)]
    fresh: bool,
}

/// One gate: commands that fail when something is wrong.
struct Gate {
    name: &'static str,
    commands: &'static [&'static [&'static str]],
}

/// Every program of the workspace, with the features that the tests' build has as well (`workspace::programs` of
/// hopscope-tasks says why): the dependencies are compiled once for all gates.
const PROGRAMS: [&str; 6] = ["cargo", "build", "--quiet", "--workspace", "--bins", "--examples"];

/// In this order.
const GATES: &[Gate] = &[
    Gate {
        name: "format",
        commands: &[&["cargo", "fmt", "--all", "--check"]],
    },
    Gate {
        name: "tidy",
        commands: &[&["tidy"]],
    },
    Gate {
        name: "figures",
        commands: &[&["bench", "--check"]],
    },
    Gate {
        name: "deploy",
        commands: &[&["deploy"]],
    },
    Gate {
        name: "clippy",
        commands: &[
            &[
                "cargo",
                "clippy",
                "--quiet",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
            // `test = false` keeps them out of what is meant by all targets.
            &[
                "cargo",
                "clippy",
                "--quiet",
                "--workspace",
                "--test",
                "scenarios",
                "--",
                "-D",
                "warnings",
            ],
        ],
    },
    Gate {
        name: "rustdoc",
        commands: &[&[
            "cargo",
            "doc",
            "--quiet",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ]],
    },
    Gate {
        name: "test",
        commands: &[&["cargo", "test", "--quiet", "--workspace"]],
    },
    Gate {
        name: "fuzz",
        commands: &[&["fuzz", "--seconds", "10"]],
    },
    Gate {
        name: "probes",
        commands: &[&["ebpf", "--check"]],
    },
    Gate {
        name: "kernels",
        commands: &[&["kernels", "--kernel", "6.1"]],
    },
    Gate {
        name: "scorecard",
        commands: &[&["scorecard", "--extent", "smoke"]],
    },
    Gate {
        name: "scenarios",
        commands: &[&["scenarios"]],
    },
];

/// Sets the machine up and passes every gate, or says which one did not hold.
pub(crate) fn execute(args: &Args) -> Result<()> {
    if args.fresh {
        return fresh::play(args.only.as_deref());
    }
    machine::set_up()?;
    let wanted = |gate: &&Gate| {
        args.only
            .as_ref()
            .is_none_or(|only| gate.name.contains(only.as_str()))
    };
    let mut passed = Vec::new();
    for gate in GATES.iter().filter(wanted) {
        passed.push((gate.name, gate.pass()?));
    }
    if passed.is_empty() {
        let names: Vec<_> = GATES.iter().map(|gate| gate.name).collect();
        return Err(format!("no gate is called that; there are {}", names.join(", ")));
    }
    for (name, took) in passed {
        say(&format!("{name:>12}  {:>5} s", took.as_secs()));
    }
    Ok(())
}

impl Gate {
    fn pass(&self) -> Result<Duration> {
        say(&format!("== {}", self.name));
        let began = Instant::now();
        for command in self.commands {
            let done = match command {
                ["cargo", ..] => step(command),
                task => step(&PROGRAMS).and_then(|()| step(&[&[&*tasks()], *task].concat())),
            };
            done.map_err(|error| format!("gate `{}` does not hold: {error}", self.name))?;
        }
        Ok(began.elapsed())
    }
}

/// Where [`PROGRAMS`] leaves the program that has every other task.
fn tasks() -> String {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("debug/hopscope-tasks").to_string_lossy().into_owned()
}

fn step(command: &[&str]) -> Result<()> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(());
    };
    let mut environment = machine::environment();
    // A warning of rustdoc is a link that leads nowhere. Private items are documented as well.
    let rustdoc = "-D warnings -A rustdoc::private_intra_doc_links";
    environment.push(("RUSTDOCFLAGS", OsString::from(rustdoc)));
    run(&root(), program, arguments, &environment)
}

/// What an edit calls for: the format, and lints and unit tests of the crates that changed.
pub(crate) fn quick() -> Result<()> {
    step(&["cargo", "fmt", "--all", "--check"])?;
    let changed = changed_packages();
    if changed.is_empty() {
        say("nothing changed since HEAD");
        return Ok(());
    }
    say(&format!("== {}", changed.join(", ")));
    let packages: Vec<&str> = changed
        .iter()
        .flat_map(|name| ["--package", name.as_str()])
        .collect();
    let clippy = ["cargo", "clippy", "--quiet", "--all-targets"];
    step(&[&clippy[..], &packages, &["--", "-D", "warnings"]].concat())?;
    // The scenarios need root and minutes; they are compiled above and played by `cargo xtask scenarios`.
    let testable: Vec<&str> = changed
        .iter()
        .filter(|name| *name != "hopscope-tests")
        .flat_map(|name| ["--package", name.as_str()])
        .collect();
    if testable.is_empty() {
        return Ok(());
    }
    step(&[&["cargo", "test", "--quiet", "--lib", "--bins"][..], &testable].concat())
}

/// The packages with a file that differs from HEAD or is new: the nearest manifest above the file names each.
fn changed_packages() -> Vec<String> {
    let tracked = output("git", &["diff", "--name-only", "HEAD"]).unwrap_or_default();
    let new = output("git", &["ls-files", "--others", "--exclude-standard"]).unwrap_or_default();
    let mut packages: Vec<String> = tracked
        .lines()
        .chain(new.lines())
        .filter(|file| !file.starts_with("docs/"))
        .filter_map(package_of)
        .collect();
    packages.sort();
    packages.dedup();
    packages
}

fn package_of(file: &str) -> Option<String> {
    let workspace = root();
    let manifest = std::path::Path::new(file)
        .ancestors()
        .skip(1)
        .map(|folder| workspace.join(folder).join("Cargo.toml"))
        .find(|manifest| manifest.exists() && *manifest != workspace.join("Cargo.toml"))?;
    if manifest.starts_with(workspace.join("fuzz")) {
        return None; // a workspace of its own
    }
    let text = std::fs::read_to_string(manifest).ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("name = \""))?;
    Some(name.trim_end_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_the_package_whose_manifest_is_nearest() {
        assert_eq!(
            package_of("proxy/http/src/head/fields.rs").as_deref(),
            Some("hopscope-http")
        );
        assert_eq!(package_of("proxy/src/cli.rs").as_deref(), Some("hopscope"));
        assert_eq!(package_of("docs/agent.md"), None);
        assert_eq!(package_of("fuzz/fuzz_targets/lines.rs"), None);
    }
}
