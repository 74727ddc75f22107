//! What is not known: the evidence that was missing, and the one cheapest experiment that would decide.

use std::collections::BTreeMap;

use crate::case::Case;
use crate::cause::Cause;
use crate::charge::Tally;
use crate::evidence::{PathId, PathKind};
use crate::figures::counted;
use crate::verdict::{Charge, Finding};

/// Missing evidence that could have told against a charge, or decided what is open.
pub(crate) fn against(case: &Case<'_>, cause: Cause, tally: &Tally) -> Vec<Finding> {
    let _ = (cause, tally);
    let mut against = Vec::new();
    if let crate::evidence::Observation::Unseen(why) = &case.evidence.node {
        against.push(Finding {
            rule: "kernel-witness",
            statement: format!("No kernel evidence of the other hosts: {why}."),
            numbers: Vec::new(),
        });
    }
    against
}

/// Asks what the undetermined failures leave open, path by path.
pub(crate) fn ask(case: &mut Case<'_>, charges: &BTreeMap<(PathId, Cause), Charge>) {
    for ((path, cause), charge) in charges {
        if *cause != Cause::Undetermined {
            continue;
        }
        let name = case.path_name(*path);
        let target = case.path_target(*path);
        let failures = counted(charge.failures, "failure", "failures");
        let (question, experiment) = match case.kind(*path) {
            PathKind::Tunnel => (
                format!("Did the forward or the pod behind it end {failures} on path {name}?"),
                "hopscope run --via tunnel=kubectl:svc/NAME:PORT -- COMMAND".to_owned(),
            ),
            PathKind::Lb => (
                format!(
                    "Did the load balancer or the application behind it cause {failures} on path {name}?"
                ),
                format!("hopscope run --via {name}={target} --via direct=POD-IP:PORT -- COMMAND"),
            ),
            PathKind::Direct => (
                format!("What ended {failures} on path {name}?"),
                "hopscope agent (on the application's node), then the same run again".to_owned(),
            ),
            PathKind::Unstated => (
                format!("What stands between hopscope and the application on path {name} ({failures})?"),
                format!("hopscope run --via tunnel={target} (or lb={target}, direct={target}) -- COMMAND"),
            ),
        };
        case.ask(question, experiment);
    }
}
