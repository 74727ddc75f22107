//! Dependencies: under a licence that deny.toml allows, from a registry, and used by the crate that names them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use spdx::{Expression, LicenseReq, ParseMode};

use super::metadata::{list, text};

/// Every dependency that is not as it should be.
///
/// # Errors
/// When deny.toml cannot be read, or a source file.
pub(super) fn check(root: &Path, metadata: &Value) -> Result<Vec<String>> {
    let file = root.join("deny.toml");
    let deny = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let allowed = allowed(&deny)?;
    let mut broken = Vec::new();
    for package in list(&metadata["packages"]) {
        let name = text(&package["name"]);
        if package["source"].is_null() {
            broken.extend(unused(package)?);
            continue;
        }
        let source = text(&package["source"]);
        if !source.starts_with("registry+") {
            broken.push(format!("{name} comes from {source}, which is no registry"));
        }
        let licence = text(&package["license"]);
        if !is_allowed(licence, &allowed) {
            broken.push(format!(
                "{name} is under '{licence}', which deny.toml does not allow"
            ));
        }
    }
    Ok(broken)
}

/// The list `licenses.allow`.
fn allowed(deny: &str) -> Result<BTreeSet<String>> {
    let deny: toml::Table = deny.parse().context("deny.toml")?;
    let list = deny
        .get("licenses")
        .and_then(|licenses| licenses.get("allow"))
        .and_then(toml::Value::as_array)
        .context("deny.toml has no list licenses.allow")?;
    Ok(list
        .iter()
        .filter_map(toml::Value::as_str)
        .map(str::to_owned)
        .collect())
}

/// Whether what is allowed satisfies a crate's SPDX expression, in the old form with `/` as well.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let holds = |wanted: &LicenseReq| {
        // `WITH` grants more than the licence alone.
        wanted.license.id().is_some_and(|id| allowed.contains(id.name))
    };
    Expression::parse_mode(expression, ParseMode::LAX).is_ok_and(|expression| expression.evaluate(holds))
}

/// The dependencies of a workspace member whose name stands in none of its sources.
fn unused(package: &Value) -> Result<Vec<String>> {
    let manifest = Path::new(text(&package["manifest_path"]));
    let folder = manifest.parent().unwrap_or(manifest);
    let sources = sources(folder)?;
    let unused = list(&package["dependencies"]).filter(|dependency| {
        let name = dependency["rename"].as_str().unwrap_or(text(&dependency["name"]));
        let word = name.replace('-', "_");
        !sources.iter().any(|source| source.contains(&word))
    });
    Ok(unused
        .map(|dependency| {
            format!(
                "{} names {} and does not use it",
                text(&package["name"]),
                text(&dependency["name"])
            )
        })
        .collect())
}

/// The Rust sources of one crate; those of crates in folders below it are not its own.
fn sources(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let mut ahead: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(next) = ahead.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("reading {}", next.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                if !path.join("Cargo.toml").exists() && !path.ends_with("target") {
                    ahead.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                texts.push(fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?);
            }
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_is_allowed_by_one_of_its_alternatives_or_by_all_of_its_parts() {
        let allowed = ["MIT", "Apache-2.0"].map(str::to_owned).into();
        for good in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "MIT/Apache-2.0",
            "Apache-2.0 WITH LLVM-exception",
            "(MIT OR BSD-3-Clause) AND Apache-2.0",
        ] {
            assert!(is_allowed(good, &allowed), "{good}");
        }
        for bad in ["", "GPL-3.0-only", "MIT AND BSD-3-Clause", "nonsense"] {
            assert!(!is_allowed(bad, &allowed), "{bad}");
        }
    }
}
