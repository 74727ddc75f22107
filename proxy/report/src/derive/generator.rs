//! The generator's own counts beside ours: every failure that it counted gets a hop or `unknown`.

use std::collections::BTreeMap;

use hopscope_attribution::evidence::GeneratorResult;
use hopscope_attribution::hop::Hop;

use crate::join::Join;
use crate::model::{GeneratorReport, HopReport, JoinedReport, Totals};
use hopscope_text::figures::{counted, grouped};

/// Joins totals to totals: only what the two totals force is charged, and the rest is `unknown`. A result with a time for
/// each failure is joined one by one instead ([`GeneratorReport::join`]).
pub(super) fn joined(result: &GeneratorResult, totals: &Totals, hops: &[HopReport]) -> GeneratorReport {
    let mut errors = BTreeMap::new();
    for (word, times) in &result.errors {
        let entry: &mut u64 = errors.entry(word.clone()).or_default();
        *entry = entry.saturating_add(*times);
    }
    GeneratorReport {
        tool: result.tool.clone(),
        requests: result.requests,
        failed: result.failed,
        requests_beyond_ours: difference(result.requests, totals.requests),
        failed_beyond_ours: difference(result.failed, totals.failures_charged),
        attempts_repeated: repeated(result, totals),
        joined: None,
        failures_by_hop: by_hop(result.failed, hops),
        errors,
        remarks: remarks(result, totals),
    }
}

impl GeneratorReport {
    /// Puts what was found one by one in the place of what the totals force. `never_came` is how many failures the
    /// diagnosis charges to the generator's own host that never reached hopscope.
    pub fn join(&mut self, join: &Join, never_came: u64) {
        let tool = &self.tool;
        let mut by_hop: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (hop, failures) in &join.by_hop {
            by_hop.insert(hop.word(), *failures);
        }
        let missing = self.failed.saturating_sub(join.found);
        let clients = never_came.min(missing);
        for (hop, failures) in [(Hop::Client, clients), (Hop::Unknown, missing - clients)] {
            if failures > 0 {
                let sum = by_hop.entry(hop.word()).or_default();
                *sum = sum.saturating_add(failures);
            }
        }
        self.failures_by_hop = by_hop;
        let mut remarks = vec![format!(
            "{tool} states the time of {}: {} found in the recording by time, route and status, {} within 50 ms.",
            counted(join.stated, "failure"),
            grouped(join.found),
            grouped(join.close),
        )];
        if missing > 0 {
            let codes = join
                .missing
                .iter()
                .map(|(code, times)| format!("{code} × {}", grouped(*times)));
            remarks.push(format!(
                "{} not found: they never reached hopscope, or are none by its rules; {tool}'s own error codes of them: {}.",
                counted(missing, "failure"),
                codes.collect::<Vec<_>>().join(", "),
            ));
        }
        // What was said of requests still holds; what was said of failures was said of totals.
        self.remarks.retain(|remark| remark.contains("request"));
        remarks.append(&mut self.remarks);
        self.remarks = remarks;
        self.joined = Some(JoinedReport {
            stated: join.stated,
            found: join.found,
            within_50_ms: join.close,
        });
    }
}

/// Attempts that failed and were repeated within one request of the generator's: as many as are more than its requests,
/// and no more than the failures that it did not see.
fn repeated(result: &GeneratorResult, totals: &Totals) -> u64 {
    if !result.counts_every_failure() {
        return 0;
    }
    let more = totals.attempts.saturating_sub(result.requests);
    more.min(totals.failures_charged.saturating_sub(result.failed))
}

/// When the generator counted fewer failures than we charged, which of ours it left out is not known: a hop keeps only
/// those that it must have even if all that were left out were its own.
fn by_hop(failed: u64, hops: &[HopReport]) -> BTreeMap<&'static str, u64> {
    let charged = hops
        .iter()
        .fold(0_u64, |sum, hop| sum.saturating_add(hop.failures));
    let left_out = charged.saturating_sub(failed);
    let mut by_hop: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut placed = 0_u64;
    for hop in hops {
        let certain = hop.failures.saturating_sub(left_out).min(failed - placed);
        if certain > 0 {
            placed += certain;
            *by_hop.entry(hop.hop.word()).or_default() += certain;
        }
    }
    if failed > placed {
        *by_hop.entry(Hop::Unknown.word()).or_default() += failed - placed;
    }
    by_hop
}

fn remarks(result: &GeneratorResult, totals: &Totals) -> Vec<String> {
    let tool = &result.tool;
    let mut remarks = Vec::new();
    let repeated = repeated(result, totals);
    if repeated > 0 {
        remarks.push(format!(
            "{tool} saw {}; {} repeated: its HTTP library asks again on a fresh connection where a kept one ended (Go's \
             does), and both are one request to {tool}.",
            counted(result.failed, "failure"),
            attempts_were(repeated),
        ));
    }
    if result.requests > totals.requests {
        remarks.push(format!(
            "{tool} counted {} more than passed through hopscope: they failed before a byte was sent, were still \
             under way at the end, or went elsewhere.",
            counted(result.requests - totals.requests, "request"),
        ));
    }
    if totals.requests.saturating_sub(result.requests) > repeated {
        remarks.push(format!(
            "hopscope saw {} more than {tool} counted: those under way when it stopped, those that its HTTP library \
             repeated by itself after a kept-alive connection had ended (Go's does), or another client's.",
            counted(totals.requests - result.requests, "request"),
        ));
    }
    if result.failed > totals.failures_charged {
        remarks.push(format!(
            "{tool} counted {} that hopscope did not see as one: they are `unknown`. Its own rules for a failure \
             (time-outs, expected statuses, checks) are the first place to look.",
            counted(result.failed - totals.failures_charged, "failure"),
        ));
    }
    if !result.counts_every_failure() {
        remarks.push(format!(
            "{tool} does not count every failure: it states {} for certain, and hopscope charged {}.",
            counted(result.failed, "failure"),
            grouped(totals.failures_charged),
        ));
    } else if totals.failures_charged.saturating_sub(result.failed) > repeated {
        remarks.push(format!(
            "hopscope charged {} and {tool} counted {}: which of them it left out is not known, so a hop keeps only \
             what it must have in either case.",
            counted(totals.failures_charged, "failure"),
            grouped(result.failed),
        ));
    }
    if remarks.is_empty() {
        remarks.push(format!(
            "{tool} and hopscope counted the same requests and the same failures."
        ));
    }
    remarks
}

/// `900 attempts were`, `1 attempt was`.
fn attempts_were(count: u64) -> String {
    let were = if count == 1 { "was" } else { "were" };
    format!("{} {were}", counted(count, "attempt"))
}

fn difference(theirs: u64, ours: u64) -> i64 {
    let size = i64::try_from(theirs.abs_diff(ours)).unwrap_or(i64::MAX);
    if theirs < ours { -size } else { size }
}
