//! What was counted, as sums: every total with the parts that it is made of.

use super::titled;
use crate::model::Report;
use crate::section::{Block, Measure, Section, Sum};

pub(super) fn section(report: &Report) -> Section {
    let totals = &report.totals;
    let mut sums = Vec::new();
    if totals.requests > 0 {
        sums.push(Sum {
            total: (totals.requests, Measure::Requests),
            parts: vec![
                (totals.requests.saturating_sub(totals.failed), Measure::Ok),
                (totals.delivered_errors, Measure::DeliveredErrors),
                (totals.undelivered, Measure::Undelivered),
            ],
            balanced: None,
        });
    }
    if totals.failures_charged > 0 {
        let mut parts = vec![
            (totals.failed, Measure::FailedRequests),
            (totals.failed_connections, Measure::FailedConnections),
        ];
        if totals.never_reached > 0 {
            parts.push((totals.never_reached, Measure::NeverReached));
        }
        sums.push(Sum {
            total: (totals.failures_charged, Measure::Failures),
            parts,
            balanced: None,
        });
    }
    titled("Counts", sums.into_iter().map(Block::Sum).collect())
}
