//! What is not known: the evidence that was missing, and the one cheapest experiment that would decide.

use std::collections::BTreeMap;

use crate::between::Between;
use crate::case::Case;
use crate::cause::Cause;
use crate::evidence::{Observation, PathId, PathKind, WhyUnseen};
use crate::failed::Failed;
use crate::failure::{Failure, What};
use crate::figures::{count, counted, real};
use crate::hop::Hop;
use crate::tally::Tally;
use crate::verdict::{Charge, Finding};

/// What speaks against a charge: evidence that was missing, with the reason, and evidence that was lost.
pub(crate) fn against(case: &Case<'_>, cause: Cause, tally: &Tally) -> Vec<Finding> {
    let mut against = Vec::new();
    let mut say = |rule: &'static str, statement: String, numbers: Vec<(&'static str, f64)>| {
        against.push(Finding {
            rule,
            statement,
            numbers,
        });
    };
    if tally.contradicted.all() > 0 {
        say(
            "kernel-witness",
            format!(
                "A witness contradicts what {} would otherwise show, so nobody is charged with them.",
                tally.contradicted.described()
            ),
            vec![("contradicted", real(tally.contradicted.all()))],
        );
    }
    let delivered = tally.undelivered == 0;
    if !delivered && matches!(cause.hop(), Hop::Backend | Hop::Tunnel | Hop::Lb | Hop::Unknown) {
        if let Observation::Unseen(why) = &case.evidence.node {
            say(
                "kernel-witness",
                format!("The other hosts' kernels were not asked: {why}."),
                Vec::new(),
            );
        }
        for path in &tally.paths {
            unwatched_tunnel(case, *path, &mut say);
        }
    }
    if matches!(cause.hop(), Hop::Backend | Hop::Lb | Hop::Unknown) {
        unasked_api(case, cause, &mut say);
    }
    if case.rows_lost > 0 && cause.hop() != Hop::Observer {
        say(
            "observer-first",
            format!(
                "{} missing; each could have told another story.",
                counted(case.rows_lost, "row of evidence is", "rows of evidence are")
            ),
            vec![("rows_lost", real(case.rows_lost))],
        );
    }
    if case.trust < 1.0 && cause.hop() != Hop::Observer {
        say(
            "observer-first",
            "hopscope's own state is not known for the whole run, or the recording breaks off.".to_owned(),
            vec![("trust", case.trust)],
        );
    }
    against
}

/// That nobody tells of pods is worth a word where pods could explain it, and that the API does not answer always.
fn unasked_api(
    case: &Case<'_>,
    cause: Cause,
    say: &mut impl FnMut(&'static str, String, Vec<(&'static str, f64)>),
) {
    let Some(Observation::Unseen(why)) = case.evidence.node.seen().map(|node| &node.pods) else {
        return;
    };
    if *why == WhyUnseen::NoAnswer || matches!(cause, Cause::BackendNotReady | Cause::LbNoTarget) {
        say(
            "pod-state",
            format!("The Kubernetes API told nothing of the pods: {why}."),
            Vec::new(),
        );
    }
}

fn unwatched_tunnel(
    case: &Case<'_>,
    path: PathId,
    say: &mut impl FnMut(&'static str, String, Vec<(&'static str, f64)>),
) {
    if case.kind(path) != PathKind::Tunnel {
        return;
    }
    let (name, forwarder) = (case.path_name(path), case.forwarder_name(path));
    let (lines, gauges): (Option<WhyUnseen>, Option<WhyUnseen>) = match case.tunnel(path) {
        Observation::Unseen(why) => (Some(why), Some(why)),
        Observation::Seen(tunnel) => (unseen(&tunnel.lines), unseen(&tunnel.gauges)),
    };
    if let Some(why) = lines {
        say(
            "forward-ended",
            format!("What {forwarder} wrote on path {name} was not read: {why}."),
            Vec::new(),
        );
    }
    if let Some(why) = gauges {
        say(
            "forward-stalled",
            format!("The sockets of {forwarder} on path {name} were not sampled: {why}."),
            Vec::new(),
        );
    }
}

const fn unseen<T>(observation: &Observation<T>) -> Option<WhyUnseen> {
    match observation {
        Observation::Seen(_) => None,
        Observation::Unseen(why) => Some(*why),
    }
}

/// How an undetermined failure looked, as far as the experiment depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Open {
    Answered,
    Cut,
    Silent,
    NotConnected,
    Contradicted,
}

fn open(failure: &Failure) -> Open {
    match failure.what {
        _ if failure.contradicted => Open::Contradicted,
        What::Answered { .. } => Open::Answered,
        What::NotConnected(_) if !failure.victim => Open::NotConnected,
        What::Abandoned { .. } => Open::Silent,
        What::Broken { .. } if failure.is_silence() => Open::Silent,
        What::NotConnected(_) | What::Broken { .. } | What::FrontTls(_) => Open::Cut,
    }
}

/// Asks what the undetermined failures leave open, path by path and symptom by symptom, most failures first.
pub(crate) fn ask(case: &mut Case<'_>, charges: &BTreeMap<(Option<PathId>, Cause, Between), Charge>) {
    if !charges.keys().any(|(_, cause, _)| *cause == Cause::Undetermined) {
        return;
    }
    let mut questions: BTreeMap<(PathId, Open), Failed> = BTreeMap::new();
    for failure in case
        .failures
        .iter()
        .filter(|failure| failure.cause == Cause::Undetermined)
    {
        questions
            .entry((failure.path, open(failure)))
            .or_default()
            .add(failure);
    }
    let mut questions: Vec<((PathId, Open), Failed)> = questions.into_iter().collect();
    questions.sort_by(|a, b| b.1.all().cmp(&a.1.all()).then(a.0.cmp(&b.0)));
    for ((path, open), failed) in questions {
        let (question, experiment) = question(case, path, open, failed);
        case.ask(question, experiment);
    }
    let never_reached: u64 = case
        .unrowed
        .iter()
        .filter(|unrowed| unrowed.cause == Cause::Undetermined)
        .map(|unrowed| unrowed.failures)
        .sum();
    if never_reached > 0 {
        case.ask(
            format!(
                "What ended {} failed requests that the generator counted and hopscope never saw?",
                count(never_reached)
            ),
            "ss -s; ulimit -n (on the generator's host, during the run)".to_owned(),
        );
    }
}

fn question(case: &Case<'_>, path: PathId, open: Open, failed: Failed) -> (String, String) {
    let name = case.path_name(path);
    let target = case.path_target(path);
    let these = failed.described();
    let both = format!("hopscope run --via {name}={target} --via direct=POD-IP:PORT -- COMMAND");
    match (case.kind(path), open) {
        (_, Open::Contradicted) => (
            format!(
                "Who stands between the two witnesses that contradict each other on path {name} ({these})?"
            ),
            "hopscope agent (on every node of the path), then the same run again".to_owned(),
        ),
        (PathKind::Tunnel, Open::Silent) => (
            format!("Was the forward or the application silent in {these} on path {name}?"),
            watched(case, path),
        ),
        (PathKind::Tunnel, Open::Answered | Open::Cut | Open::NotConnected) => (
            format!("Did the forward or the pod behind it end {these} on path {name}?"),
            watched(case, path),
        ),
        (PathKind::Lb, Open::Answered) => (
            format!("Did the load balancer or the application write {these} on path {name}?"),
            both,
        ),
        (PathKind::Lb, Open::Silent) => (
            format!("Was the load balancer or the application silent in {these} on path {name}?"),
            both,
        ),
        (PathKind::Lb, Open::Cut | Open::NotConnected) => (
            format!("Did the load balancer or the application behind it end {these} on path {name}?"),
            both,
        ),
        (PathKind::Direct, Open::NotConnected) => (
            format!("Why could hopscope not connect on path {name} ({these})?"),
            format!("curl -v {target}"),
        ),
        (PathKind::Direct, Open::Answered | Open::Cut | Open::Silent) => (
            format!("Who ended {these} on path {name} first?"),
            "hopscope agent (on the application's node), then the same run again".to_owned(),
        ),
        (PathKind::Unstated, _) => (
            format!("What stands between hopscope and the application on path {name} ({these})?"),
            format!(
                "hopscope run --via direct={target} -- COMMAND (or tunnel={target}, lb={target}: say what it is)"
            ),
        ),
    }
}

/// The same run with hopscope running and reading kubectl itself; beside the forward where that is done already, or where
/// the forwarder is none that hopscope runs.
fn watched(case: &Case<'_>, path: PathId) -> String {
    let (name, target) = (case.path_name(path), case.path_target(path));
    let another = case
        .forwarder(path)
        .seen()
        .is_some_and(|forwarder| !forwarder.laws().client_go());
    if target.starts_with("kubectl:") || another {
        format!("hopscope run --via {name}={target} --via direct=POD-IP:PORT -- COMMAND")
    } else {
        "hopscope run --via tunnel=kubectl:svc/NAME:PORT -- COMMAND".to_owned()
    }
}
