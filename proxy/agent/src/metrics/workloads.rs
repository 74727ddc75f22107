//! The workloads that have series of their own: a bounded number, pods before processes, the most recently heard of.
//!
//! Any user of a node can start processes of any name. So a process never takes a pod's place, and whoever loses its
//! place has its series folded into the overflow's.

use std::collections::BTreeMap;

use super::super::homes::Workload;
use super::{Family, Series};

/// Who has series of his own.
#[derive(Debug, Default)]
pub(super) struct Workloads {
    known: BTreeMap<(String, String), Known>,
    most: usize,
    /// Rises with each count.
    now: u64,
}

#[derive(Debug)]
struct Known {
    in_pod: bool,
    used: u64,
    /// The series that are its own.
    series: Vec<Series>,
}

/// Where something of a workload is counted.
#[derive(Debug)]
pub(super) enum Admitted {
    /// In its own series; another lost these for it.
    Own {
        /// Those series, where somebody had to make room.
        evicted: Option<Vec<Series>>,
    },
    /// In the series without names: it is not known whose it is.
    Nobody,
    /// In the overflow's.
    Overflow,
}

fn key(of: &Workload) -> (String, String) {
    (of.namespace.clone(), of.name.clone())
}

impl Workloads {
    /// Room for so many.
    pub(super) fn of_at_most(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    /// Finds its place, or makes one.
    pub(super) fn admit(&mut self, of: &Workload) -> Admitted {
        if of.name.is_empty() && of.namespace.is_empty() {
            return Admitted::Nobody;
        }
        self.now += 1;
        let key = key(of);
        if let Some(known) = self.known.get_mut(&key) {
            known.used = self.now;
            known.in_pod |= of.in_pod;
            return Admitted::Own { evicted: None };
        }
        let mut evicted = None;
        if self.known.len() >= self.most {
            let leaves = self
                .known
                .iter()
                .filter(|(_, known)| of.in_pod || !known.in_pod)
                .min_by_key(|(_, known)| (known.in_pod, known.used))
                .map(|(key, _)| key.clone());
            let Some(leaves) = leaves else {
                return Admitted::Overflow;
            };
            evicted = self.known.remove(&leaves).map(|known| known.series);
        }
        let known = Known {
            in_pod: of.in_pod,
            used: self.now,
            series: Vec::new(),
        };
        self.known.insert(key, known);
        Admitted::Own { evicted }
    }

    /// It has this series now.
    pub(super) fn counts(&mut self, of: &Workload, family: Family, labels: &[String]) {
        if let Some(known) = self.known.get_mut(&key(of)) {
            let has = |series: &Series| series.family == family && series.labels == labels;
            if !known.series.iter().any(has) {
                known.series.push(Series {
                    family,
                    labels: labels.to_vec(),
                });
            }
        }
    }
}
