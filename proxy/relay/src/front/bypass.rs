//! Hosts that the generator asked the proxy for and that no path leads to: their bytes pass unread, and they are listed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hopscope_text::figures::counted;

/// Hosts that are listed; a generator that asks for more has the rest counted together.
const MOST: usize = 32;

/// What passed by.
#[derive(Debug, Default)]
pub(crate) struct Bypass(Mutex<BTreeMap<String, Passed>>);

/// What passed to one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) connections: u64,
    /// Those for which no connection to the host stood.
    pub(crate) failed: u64,
    /// In both directions.
    pub(crate) bytes: u64,
}

impl Bypass {
    /// A connection to a host is over. Told once a connection: the lock is on no byte's way.
    pub(crate) fn add(&self, host: String, passed: Passed) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let host = if hosts.len() < MOST || hosts.contains_key(&host) {
            host
        } else {
            "other hosts".to_owned()
        };
        let sum = hosts.entry(host).or_default();
        sum.connections += passed.connections;
        sum.failed += passed.failed;
        sum.bytes += passed.bytes;
    }

    /// What the report says of them, the busiest first.
    pub(crate) fn note(&self) -> Option<String> {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hosts: Vec<_> = hosts.iter().collect();
        hosts.sort_by_key(|(_, passed)| std::cmp::Reverse((passed.connections, passed.bytes)));
        let list: Vec<_> = hosts
            .into_iter()
            .map(|(host, passed)| line(host, *passed))
            .collect();
        (!list.is_empty()).then(|| {
            format!(
                "Passed through the proxy unread, since no --via leads there, and in no figure of this report: {}.",
                list.join("; ")
            )
        })
    }
}

fn line(host: &str, passed: Passed) -> String {
    let connections = counted(passed.connections, "connection");
    let failed = match passed.failed {
        0 => String::new(),
        failed => format!(", {failed} without an answer to the connect"),
    };
    format!("{host} ({connections}, {} bytes{failed})", passed.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(bytes: u64) -> Passed {
        Passed {
            connections: 1,
            failed: 0,
            bytes,
        }
    }

    #[test]
    fn hosts_are_listed_and_their_number_is_bounded() {
        let bypass = Bypass::default();
        assert_eq!(bypass.note(), None);
        bypass.add("cdn.test:443".to_owned(), passed(10));
        bypass.add("cdn.test:443".to_owned(), passed(20));
        let note = bypass.note().unwrap();
        assert!(
            note.ends_with("cdn.test:443 (2 connections, 30 bytes)."),
            "{note}"
        );
        for n in 0..1_000 {
            bypass.add(format!("host-{n}.test:443"), passed(1));
        }
        let note = bypass.note().unwrap();
        assert!(note.contains("other hosts (969 connections"), "{note}");
        assert!(note.len() < 4_000);
    }
}
