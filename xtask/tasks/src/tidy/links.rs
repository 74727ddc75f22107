//! Links in the documents: each relative one leads to a file, and each anchor to a heading.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// Every link that leads nowhere.
///
/// # Errors
/// When a document cannot be read.
pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"])
        .current_dir(root)
        .output()
        .context("asking git for the documents")?;
    let mut broken = Vec::new();
    for document in String::from_utf8_lossy(&listed.stdout).lines() {
        let path = root.join(document);
        if !path.exists() {
            continue;
        }
        let text = read(&path)?;
        for link in links(&text) {
            if !leads_somewhere(&path, &link)? {
                broken.push(format!("{document}: the link to {link} leads nowhere"));
            }
        }
    }
    Ok(broken)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn leads_somewhere(from: &Path, link: &str) -> Result<bool> {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(true); // of another place, which nobody can look at from here
    }
    let (file, anchor) = link
        .split_once('#')
        .map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let target: PathBuf = if file.is_empty() {
        from.to_owned()
    } else {
        from.parent().unwrap_or(from).join(file)
    };
    if !target.exists() {
        return Ok(false);
    }
    match anchor {
        Some(anchor) if target.extension().is_some_and(|extension| extension == "md") => {
            Ok(anchors(&read(&target)?).contains(anchor))
        }
        Some(_) | None => Ok(true),
    }
}

/// The targets of `[text](target)`, outside code.
fn links(markdown: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut fenced = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // What stands between backquotes is shown, not linked.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("");
        for part in prose.split("](").skip(1) {
            if let Some((target, _)) = part.split_once(')') {
                links.push(target.trim_matches(['<', '>']).to_owned());
            }
        }
    }
    links
}

/// The anchors of a document's headings, as GitHub makes them: lower case, words joined by hyphens, no punctuation.
fn anchors(markdown: &str) -> BTreeSet<String> {
    markdown
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter_map(|letter| match letter {
                    ' ' => Some('-'),
                    '-' | '_' => Some(letter),
                    _ if letter.is_alphanumeric() => Some(letter),
                    _ => None,
                })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_in_prose_and_not_in_code() {
        let text = "see [a](one.md#x) and `[b](two.md)`\n```\n[c](three.md)\n```\n[`d`](four.md)";
        assert_eq!(links(text), ["one.md#x", "four.md"]);
    }

    #[test]
    fn an_anchor_is_a_heading_as_a_browser_would_find_it() {
        let anchors = anchors("# Add a cause, with its rule\n## `backend-reset`\n");
        assert!(anchors.contains("add-a-cause-with-its-rule"));
        assert!(anchors.contains("backend-reset"));
    }
}
