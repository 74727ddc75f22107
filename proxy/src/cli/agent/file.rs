//! The agent's configuration file: TOML, read once, refused with one line that says where it is wrong.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use hopscope_agent::hops::HopTable;
use hopscope_agent::loader::Prefix;

/// The most workloads that may have series of their own.
const MOST_WORKLOADS: usize = 10_000;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}: {source}; --config names a TOML file, see docs/agent.md", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no TOML, or not of this form.
    #[error("{}, line {line}: {what}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// A value that means nothing.
    #[error("{}: {what}", path.display())]
    Meaningless {
        /// Which.
        path: PathBuf,
        /// Which value, and what it should be.
        what: String,
    },
}

/// The whole file. Every part may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    tunnel: Party,
    balancer: Balancer,
    backend: Backend,
    generator: Party,
    limits: Limits,
}

/// Who is a hop, beside those that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Party {
    processes: Vec<String>,
    workloads: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Balancer {
    processes: Vec<String>,
    workloads: Vec<String>,
    addresses: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Backend {
    ports: Vec<u16>,
    workloads: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    workloads: Option<usize>,
}

/// What the file says.
#[derive(Clone, Debug, Default)]
pub(super) struct FromFile {
    pub(super) table: HopTable,
    pub(super) workloads: Option<usize>,
}

/// Reads the file.
///
/// # Errors
/// When it cannot be read, or says what means nothing.
pub(super) fn read(path: &Path) -> Result<FromFile, FileError> {
    let text = fs::read_to_string(path).map_err(|source| FileError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<FromFile, FileError> {
    let written: Written = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        FileError::Malformed {
            path: path.to_owned(),
            line: before.map_or(1, |before| before.matches('\n').count() + 1),
            what: error.message().replace('\n', " "),
        }
    })?;
    let meaningless = |what: String| FileError::Meaningless {
        path: path.to_owned(),
        what,
    };
    let lists = [
        ("tunnel.processes", &written.tunnel.processes),
        ("tunnel.workloads", &written.tunnel.workloads),
        ("balancer.processes", &written.balancer.processes),
        ("balancer.workloads", &written.balancer.workloads),
        ("backend.workloads", &written.backend.workloads),
        ("generator.processes", &written.generator.processes),
        ("generator.workloads", &written.generator.workloads),
    ];
    for (list, names) in lists {
        if let Some(name) = names
            .iter()
            .find(|name| name.is_empty() || name.contains(char::is_whitespace))
        {
            return Err(meaningless(format!(
                "{list}: '{name}' is no name: write it without spaces"
            )));
        }
    }
    if written.backend.ports.contains(&0) {
        return Err(meaningless("backend.ports: 0 is no port".to_owned()));
    }
    let workloads = written.limits.workloads;
    if workloads.is_some_and(|limit| !(1..=MOST_WORKLOADS).contains(&limit)) {
        return Err(meaningless(format!(
            "limits.workloads: give a number from 1 to {MOST_WORKLOADS}"
        )));
    }
    let addresses: Result<Vec<Prefix>, String> = written
        .balancer
        .addresses
        .iter()
        .map(|text| text.parse())
        .collect();
    let addresses = addresses.map_err(|error| meaningless(format!("balancer.addresses: {error}")))?;
    Ok(FromFile {
        table: HopTable {
            tunnel: written.tunnel.processes,
            tunnel_workloads: written.tunnel.workloads,
            balancers: written.balancer.processes,
            balancer_workloads: written.balancer.workloads,
            balancer_addresses: addresses,
            generators: written.generator.processes,
            generator_workloads: written.generator.workloads,
            workload_ports: written.backend.ports,
            backend_workloads: written.backend.workloads,
            ..HopTable::default()
        },
        workloads,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let told = parse(Path::new("agent.toml"), text).unwrap_err().to_string();
        assert_eq!(told.lines().count(), 1, "{told}");
        told
    }

    #[test]
    fn the_file_of_the_cluster_is_read_and_says_nothing_that_the_defaults_do_not() {
        let text = include_str!("../../../../deploy/base/agent.toml");
        let read = parse(Path::new("agent.toml"), text).unwrap();
        assert!(read.table.balancer_addresses.is_empty());
        // What is commented out there is right, too.
        let whole: String = text
            .lines()
            .map(|line| {
                line.strip_prefix("# ")
                    .filter(|rest| rest.contains(" = ["))
                    .unwrap_or(line)
            })
            .flat_map(|line| [line, "\n"])
            .collect();
        let read = parse(Path::new("agent.toml"), &whole).unwrap();
        assert_eq!(read.table.workload_ports, [8080]);
        assert_eq!(read.table.balancer_addresses.len(), 1);
        assert_eq!(
            read.table.balancer_workloads,
            ["ingress-nginx/ingress-nginx-controller"]
        );
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        let read = parse(Path::new("agent.toml"), "").unwrap();
        assert!(read.table.tunnel.is_empty() && read.workloads.is_none());
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line_and_where() {
        let told = refused("[tunnel]\nprocesses = [1]\n");
        assert!(told.starts_with("agent.toml, line 2: "), "{told}");
        let told = refused("[tunnel]\n\nproceses = []\n");
        assert!(told.contains("line 3") && told.contains("proceses"), "{told}");
        assert!(refused("[backend]\nports = [70000]").contains("line 2"));
        assert!(refused("[backend]\nports = [0]").contains("backend.ports"));
        assert!(refused("[balancer]\naddresses = ['10.0.0.0/40']").contains("0 to 32"));
        assert!(refused("[generator]\nprocesses = ['my tool']").contains("without spaces"));
        assert!(refused("[limits]\nworkloads = 0").contains("1 to 10000"));
        assert!(refused("= what").contains("line 1"));
    }
}
