//! The generator's own time-out, and what its own result says of failures that never reached hopscope.

use super::Rule;
use crate::case::{About, Case, Speaks, Unrowed};
use crate::cause::Cause;
use crate::confidence::{GOOD, Ruling, STRONG};
use crate::evidence::node::KernelEnd;
use crate::evidence::{Cut, Moment, Observation, PathId, Span};
use crate::failure::{Failure, What};
use crate::figures::{count, counted, length, real};
use crate::hop::Hop;
use crate::lattice::{self, Spike};
use crate::verdict::Finding;

pub(super) const TIMEOUT: Rule = Rule {
    name: "generator-time-out",
    symptom: "many requests are given up by the generator at the same, round age",
    evidence: "the ages at which the generator left, at moments of their own; its own time-out where its result states it; how long successful answers take",
    verdict: "client-timeout, when answers on that path usually take about as long as it waited; otherwise it leaves open who was silent",
    proves: "a timer of the generator's ended these, and how long it runs",
    cannot_prove: "who was silent until it fired, when an answer was long overdue; anything where all were left in one moment, unless the generator states its time-out",
    apply: apply_timeout,
};

pub(super) const RESULT: Rule = Rule {
    name: "generator-result",
    symptom: "the generator counted more failures than reached hopscope",
    evidence: "the generator's own result and its words for its errors; its host's kernel",
    verdict: "client-ports-exhausted or client-fd-limit by its own words; otherwise undetermined",
    proves: "these failures happened before hopscope: no hop behind it saw them",
    cannot_prove: "anything when no result was given; that two counts of different things agree",
    apply: apply_result,
};

/// A generator's end is over sooner; a load whose requests begin one after the other runs into a timer for longer.
const ONE_ACT: Span = Span::from_micros(250_000);

const fn left(failure: &Failure) -> bool {
    matches!(
        failure.what,
        What::Broken {
            by: Cut::DownstreamFin | Cut::DownstreamReset,
            ..
        }
    )
}

fn apply_timeout(case: &mut Case<'_>) {
    let stated = case.evidence.generator.seen().and_then(|result| result.timeout);
    for index in 0..case.evidence.paths.len() {
        let Ok(path) = u8::try_from(index).map(PathId) else {
            continue;
        };
        let here = |failure: &&Failure| failure.path == path && left(failure);
        let mut ages: Vec<Span> = case.failures.iter().filter(here).map(Failure::age).collect();
        ages.sort_unstable();
        let Some(spike) = lattice::spike(&ages, 5).filter(|spike| is_timer(*spike, stated)) else {
            continue;
        };
        let members = || {
            case.failures
                .iter()
                .filter(here)
                .filter(|failure| spike.contains(failure.age()))
        };
        if !is_stated(spike, stated) && in_one_moment(members().map(|failure| failure.at)) {
            continue;
        }
        let usual = case.baseline(path).p99;
        // A timer about as long as answers usually take cuts off the slowest of them. The slowest tenth of those that
        // came may have been held up by the very fault that these were left to.
        let most = case.baseline(path).p90;
        let impatient = most > Span::ZERO
            && spike.at.as_micros() <= most.as_micros().saturating_mul(2)
            && spike.at <= Span::from_micros(2_000_000);
        if impatient {
            case.judge_where(
                TIMEOUT.name,
                |failure| failure.path == path && (failure.is_open() || failure.cause == Cause::ClientAbort),
                |_, failure| {
                    (left(failure) && spike.contains(failure.age()))
                        .then_some(Ruling::charge(Cause::ClientTimeout, GOOD))
                },
            );
        }
        tell(case, path, spike, usual);
    }
}

/// Whether all of these are one act: who leaves altogether ends what began together at the same age, by no timer.
fn in_one_moment(ends: impl Iterator<Item = Moment> + Clone) -> bool {
    let (first, last) = (ends.clone().min(), ends.max());
    first
        .zip(last)
        .is_some_and(|(first, last)| last.since(first) < ONE_ACT)
}

fn is_timer(spike: Spike, stated: Option<Span>) -> bool {
    is_stated(spike, stated) || lattice::round(spike.at)
}

fn is_stated(spike: Spike, stated: Option<Span>) -> bool {
    stated.is_some_and(|timeout| {
        spike.at.as_micros().saturating_add(5_000) >= timeout.as_micros()
            && spike.at.as_micros()
                <= timeout
                    .as_micros()
                    .saturating_add(timeout.as_micros() / 50 + 50_000)
    })
}

fn tell(case: &mut Case<'_>, path: PathId, spike: Spike, usual: Span) {
    let statement = format!(
        "The generator gave up {} on path {} at {}: its own time-out; 99 % of the answered ones took {usual} or less.",
        counted(u64::try_from(spike.count).unwrap_or(0), "request", "requests"),
        case.path_name(path),
        spike.at
    );
    let numbers = vec![
        ("at_seconds", spike.at.as_secs_f64()),
        ("count", length(spike.count)),
    ];
    let finding = Finding {
        rule: TIMEOUT.name,
        statement,
        numbers,
    };
    for cause in [Cause::ClientTimeout, Cause::BackendTimeout, Cause::Undetermined] {
        case.note(About::Cause(cause), Speaks::For, finding.clone());
    }
}

fn apply_result(case: &mut Case<'_>) {
    let Observation::Seen(result) = &case.evidence.generator else {
        return;
    };
    let on_record = u64::try_from(case.failures.len()).unwrap_or(u64::MAX);
    let unrowed = case
        .unrowed
        .iter()
        .fold(0_u64, |sum, unrowed| sum.saturating_add(unrowed.failures));
    let mut unseen = result.failed.saturating_sub(on_record.saturating_add(unrowed));
    if unseen == 0 {
        return;
    }
    let kernel_says_ports = case.evidence.node.seen().is_some_and(|node| {
        node.sockets
            .iter()
            .any(|socket| socket.end == KernelEnd::NoLocalPort && socket.owner.seen() == Some(&Hop::Client))
    });
    let words = |wanted: &[&str]| {
        result.errors.iter().fold(0_u64, |sum, (word, number)| {
            let word = word.to_ascii_lowercase();
            let matches = wanted.iter().any(|wanted| word.contains(wanted));
            if matches { sum.saturating_add(*number) } else { sum }
        })
    };
    let ports = words(&[
        "assign requested address",
        "eaddrnotavail",
        "address not available",
    ]);
    let descriptors = words(&["too many open files", "emfile", "enfile", "file descriptor"]);
    let told = [
        (
            Cause::ClientPortsExhausted,
            ports,
            "ran out of local ports",
            if kernel_says_ports { STRONG + 0.05 } else { STRONG },
        ),
        (
            Cause::ClientFdLimit,
            descriptors,
            "ran out of descriptors",
            STRONG,
        ),
        (
            Cause::Undetermined,
            unseen,
            "did not say what happened in words that are known here",
            0.0,
        ),
    ];
    for (cause, number, words, confidence) in told {
        let failures = number.min(unseen);
        unseen -= failures;
        if failures == 0 {
            continue;
        }
        case.unrowed.push(Unrowed {
            path: None,
            cause,
            failures,
            confidence,
            rule: RESULT.name,
        });
        let statement = format!(
            "{} counted {}, {} of which never reached hopscope: it {words}.",
            result.tool,
            counted(result.failed, "failed request", "failed requests"),
            count(failures)
        );
        let numbers = vec![("failed", real(result.failed)), ("never_reached", real(failures))];
        case.note(
            About::Cause(cause),
            Speaks::For,
            Finding {
                rule: RESULT.name,
                statement,
                numbers,
            },
        );
    }
}
