//! The rules that neither the compiler nor clippy holds. Each says what to do when it is broken.

mod licences;
mod links;
mod metadata;
mod walls;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// File names that say nothing of what is inside.
const VAGUE: [&str; 8] = [
    "util", "utils", "common", "helper", "helpers", "misc", "types", "manager",
];

/// The longest file, in lines; tests may be longer, for a story is told better in one piece.
const LONGEST: usize = 500;
const LONGEST_TEST: usize = 800;

/// What may not be used where, and why. What crates may not reach is held by [`walls`].
const LAYERS: [(&str, &str, &str); 2] = [
    (
        "proxy/attribution/src",
        "std::time::Instant",
        "the core reads no clock",
    ),
    ("proxy/attribution/src", "std::fs", "the core opens no file"),
];

/// Checks the walls between crates, their dependencies, the links of the documents, and every tracked source file.
pub(crate) fn check(root: &Path) -> Result<()> {
    let metadata = metadata::ask(root)?;
    let mut broken = walls::check(&metadata)?;
    broken.extend(licences::check(root, &metadata)?);
    broken.extend(links::check(root)?);
    for file in sources(root)? {
        let text =
            fs::read_to_string(root.join(&file)).with_context(|| format!("reading {}", file.display()))?;
        broken.extend(
            faults(&file, &text)
                .into_iter()
                .map(|fault| format!("{}: {fault}", file.display())),
        );
    }
    if broken.is_empty() {
        return Ok(());
    }
    bail!("{} broken rules:\n  {}", broken.len(), broken.join("\n  "))
}

/// What is wrong with one file.
fn faults(file: &Path, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let stem = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    if VAGUE.contains(&stem) {
        faults.push("name the file after what is in it".to_owned());
    }
    if !text
        .trim_start_matches(|c: char| c.is_whitespace())
        .starts_with("//!")
    {
        faults.push("open the file with `//!` and a sentence on what it is".to_owned());
    }
    let lines = text.lines().count();
    let is_test = stem == "tests"
        || file
            .components()
            .any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "scenarios")));
    let longest = if is_test { LONGEST_TEST } else { LONGEST };
    if lines > longest {
        faults.push(format!("{lines} lines, more than {longest}: one idea a module"));
    }
    for (below, import, why) in LAYERS {
        let used = || {
            text.lines()
                .any(|line| line.trim_start().starts_with("use ") && line.contains(import))
        };
        if file.starts_with(below) && used() {
            faults.push(format!("imports {import}: {why}"));
        }
    }
    faults
}

/// The Rust files that git knows or would add.
fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let listed = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])
        .current_dir(root)
        .output()
        .context("asking git for the source files")?;
    let names = String::from_utf8(listed.stdout).context("a file name is not UTF-8")?;
    let files: Vec<_> = names
        .lines()
        .map(PathBuf::from)
        .filter(|file| root.join(file).exists())
        .collect();
    if files.is_empty() {
        bail!("git knows no source file below {}", root.display());
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(file: &str, text: &str) -> String {
        faults(Path::new(file), text).join("; ")
    }

    #[test]
    fn the_tree_keeps_its_rules() {
        check(&crate::workspace::root().unwrap()).unwrap();
    }

    #[test]
    fn every_rule_can_be_broken() {
        assert!(faults_of("proxy/src/utils.rs", "//! x\n").contains("name the file"));
        assert!(faults_of("proxy/src/relay.rs", "fn x() {}\n").contains("open the file"));
        assert!(
            faults_of("proxy/src/relay.rs", &format!("//! x\n{}", "\n".repeat(LONGEST))).contains("one idea")
        );
        assert!(
            faults_of("proxy/attribution/src/rules.rs", "//! x\nuse std::fs;\n").contains("opens no file")
        );
        assert_eq!(faults_of("proxy/src/relay.rs", "//! x\n"), "");
    }
}
