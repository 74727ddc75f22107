//! Who is charged, with the evidence for and against.

use std::collections::HashSet;

use super::titled;
use crate::model::{CauseReport, FindingReport, HopReport, Report, either};
use crate::section::{Block, Charge, ChargedCause, Findings, Section};

pub(super) fn section(report: &Report) -> Section {
    let charges: Vec<Charge> = report.hops.iter().map(charge).collect();
    let blocks = match charges.as_slice() {
        [] => Vec::new(),
        [..] => vec![Block::Charges(charges)],
    };
    titled("Who is charged, with the evidence for and against", blocks)
}

fn charge(hop: &HopReport) -> Charge {
    // What clears or charges the hop as a whole stands with each of its causes: it is said once.
    let mut said = HashSet::new();
    Charge {
        hop: hop.hop,
        failed: hop.failed.described().into(),
        share: hop.share,
        causes: hop.causes.iter().map(|of| cause(of, &mut said)).collect(),
    }
}

fn cause<'r>(cause: &'r CauseReport, said: &mut HashSet<&'r str>) -> ChargedCause {
    ChargedCause {
        cause: cause.cause,
        open: either(cause.between).map(Into::into),
        failed: cause.failed.described().into(),
        victims: cause.victims,
        confidence: cause.confidence,
        speaks_for: findings(&cause.speaks_for, said),
        speaks_against: findings(&cause.speaks_against, said),
    }
}

fn findings<'r>(all: &'r [FindingReport], said: &mut HashSet<&'r str>) -> Findings {
    let mut findings = Findings::default();
    for FindingReport { rule, statement, .. } in all {
        if said.insert(statement) {
            findings.new.push((statement.into(), rule.into()));
        } else {
            findings.repeated += 1;
        }
    }
    findings
}
