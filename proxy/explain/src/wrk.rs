//! wrk's result, which is text only.

use super::durations::seconds;
use super::summary::{Quantiles, Summary, Tool};

/// The result in a text, if it is one of wrk's.
pub(super) fn parse(text: &str) -> Option<Summary> {
    let mut summary = Summary::new(Tool::Wrk, "wrk result (text)");
    let mut answered: Option<u64> = None;
    let mut refused = 0_u64;
    for line in text.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            // Latency    43.55ms    6.42ms  48.12ms   97.88%
            ["Latency", mean, _stdev, max, _within] => {
                summary.latency.mean = seconds(mean);
                summary.latency.max = seconds(max);
            }
            [count, "requests", "in", duration, ..] => {
                answered = count.parse().ok();
                summary.duration_seconds = seconds(duration.trim_end_matches(','));
            }
            ["Non-2xx", "or", "3xx", "responses:", count] => refused = count.parse().ok()?,
            // Socket errors: connect 0, read 1635, write 0, timeout 0
            ["Socket", "errors:", kinds @ ..] => {
                for pair in kinds.chunks_exact(2) {
                    let count = pair[1].trim_end_matches(',').parse::<u64>().ok()?;
                    if count > 0 {
                        summary.errors.insert(pair[0].to_owned(), count);
                    }
                }
            }
            [share, time] if share.ends_with('%') => quantile(&mut summary.latency, share, time),
            _ => {}
        }
    }
    let answered = answered?;
    let undelivered = summary.errors.values().copied().fold(0, u64::saturating_add);
    summary.requests = Some(answered.saturating_add(undelivered));
    summary.failed = Some(refused.saturating_add(undelivered));
    summary.delivered_errors = Some(refused);
    summary.undelivered = Some(undelivered);
    if answered == 0 {
        // wrk writes zeros where it has measured nothing.
        summary.latency = Quantiles::default();
    }
    Some(summary)
}

/// `50%   43.97ms`, printed with `--latency`.
fn quantile(latency: &mut Quantiles, share: &str, time: &str) {
    let slot = match share {
        "50%" => &mut latency.p50,
        "90%" => &mut latency.p90,
        "95%" => &mut latency.p95,
        "99%" => &mut latency.p99,
        _ => return,
    };
    *slot = seconds(time);
}
