//! The walls between crates: what each may not reach, however many crates lie between, from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::metadata::{list, text};

/// What brings an event loop, a kernel's probes, a cluster's client, a database or a TLS stack into a build.
const HEAVY: [&str; 5] = ["tokio", "aya", "kube", "rusqlite", "rustls"];

/// Crates that anybody must be able to build, fuzz and test alone.
const LIGHT: [&str; 6] = [
    "hopscope-secret",
    "hopscope-text",
    "hopscope-http",
    "hopscope-attribution",
    "hopscope-explain",
    "hopscope-report",
];

/// Who may not reach whom, and why.
const APART: [(&str, &str, &str); 9] = [
    (
        "hopscope-agent",
        "hopscope-relay",
        "a node's agent and the relay do not know each other",
    ),
    (
        "hopscope-relay",
        "hopscope-agent",
        "a node's agent and the relay do not know each other",
    ),
    (
        "hopscope-report",
        "hopscope-recording",
        "a report is derived from plain values, not from a database",
    ),
    (
        "hopscope-recording",
        "hopscope-report",
        "a recording does not know what is said of it",
    ),
    (
        "hopscope-recording",
        "hopscope-http",
        "a recording does not know how its records were read",
    ),
    (
        "hopscope-tunnel",
        "hopscope-recording",
        "a forwarder is watched; who keeps what was seen is not its concern",
    ),
    (
        "hopscope-explain",
        "hopscope-report",
        "a generator's result is read before anything is reported",
    ),
    (
        "hopscope-text",
        "hopscope-report",
        "how a number looks does not depend on what it says",
    ),
    (
        "hopscope-tests",
        "hopscope",
        "scenarios see only the program, its files and its metrics",
    ),
];

/// The workspace's crates and all that each reaches in a plain build, tests and build scripts left out.
type Reach = BTreeMap<String, BTreeSet<String>>;

/// Every wall that is broken.
///
/// # Errors
/// When cargo names no member, or a wall names a crate that is gone.
pub(super) fn check(metadata: &Value) -> Result<Vec<String>> {
    broken(&reach(metadata)?)
}

/// The walls that are broken in this graph. A crate that a wall names and that is not there is an error: a wall that
/// stands nowhere holds nothing.
fn broken(reach: &Reach) -> Result<Vec<String>> {
    let light = LIGHT.iter().flat_map(|from| {
        HEAVY.map(|to| {
            (
                *from,
                to,
                "it must build alone, in seconds, without what does I/O",
            )
        })
    });
    let mut broken = Vec::new();
    for (from, to, why) in light.chain(APART) {
        let reached = reach
            .get(from)
            .with_context(|| format!("no crate is called {from}"))?;
        if reached.contains(to) {
            broken.push(format!("{from} depends on {to}: {why}"));
        }
    }
    Ok(broken)
}

fn reach(metadata: &Value) -> Result<Reach> {
    let names: BTreeMap<&str, &str> = list(&metadata["packages"])
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let edges: BTreeMap<&str, Vec<&str>> = list(&metadata["resolve"]["nodes"])
        .map(|node| {
            let normal = list(&node["deps"])
                .filter(|dependency| list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null()));
            (
                text(&node["id"]),
                normal.map(|dependency| text(&dependency["pkg"])).collect(),
            )
        })
        .collect();
    let name = |id: &&str| names.get(id).copied().unwrap_or_default().to_owned();
    let mut reach = Reach::new();
    for member in list(&metadata["workspace_members"]).map(text) {
        let mut reached = BTreeSet::new();
        let mut ahead = vec![member];
        while let Some(id) = ahead.pop() {
            for to in edges.get(id).into_iter().flatten() {
                if reached.insert(*to) {
                    ahead.push(to);
                }
            }
        }
        reach.insert(name(&member), reached.iter().map(name).collect());
    }
    ensure!(!reach.is_empty(), "cargo names no member of the workspace");
    Ok(reach)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(extra: &[(&str, &str)]) -> Reach {
        let mut graph: Reach = LIGHT
            .into_iter()
            .chain(APART.into_iter().map(|(from, _, _)| from))
            .map(|name| (name.to_owned(), BTreeSet::new()))
            .collect();
        for (from, to) in extra {
            graph
                .entry((*from).to_owned())
                .or_default()
                .insert((*to).to_owned());
        }
        graph
    }

    #[test]
    fn a_graph_that_keeps_apart_what_must_be_breaks_no_wall() {
        assert_eq!(broken(&graph(&[])).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn every_wall_can_be_broken() {
        for (from, to) in [
            ("hopscope-http", "tokio"),
            ("hopscope-report", "rusqlite"),
            ("hopscope-agent", "hopscope-relay"),
            ("hopscope-tests", "hopscope"),
        ] {
            let broken = broken(&graph(&[(from, to)])).unwrap();
            assert!(
                broken[0].starts_with(&format!("{from} depends on {to}: ")),
                "{broken:?}"
            );
        }
    }

    #[test]
    fn a_wall_whose_crate_is_gone_is_an_error() {
        let mut graph = graph(&[]);
        graph.remove("hopscope-http");
        assert!(broken(&graph).unwrap_err().to_string().contains("hopscope-http"));
    }
}
