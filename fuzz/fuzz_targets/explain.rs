//! `explain` on any bytes: whatever it takes for a generator's result adds up, is read the same in small reads, is told in
//! lines that cannot command a terminal, and clears nobody where failures may hide.
#![no_main]

use std::io::BufReader;

use hopscope_explain::{Keep, Summary, TunnelReading, explain, render};
use hopscope_text::paint::Screen;
use libfuzzer_sys::fuzz_target;

fn adds_up(summary: &Summary) {
    if let (Some(requests), Some(failed)) = (summary.requests, summary.failed) {
        assert!(failed <= requests, "{failed} of {requests} failed");
    }
    if let (Some(failed), Some(delivered), Some(undelivered)) =
        (summary.failed, summary.delivered_errors, summary.undelivered)
    {
        assert_eq!(delivered.saturating_add(undelivered), failed);
    }
    let quantiles = [&summary.latency, &summary.latency_ok];
    for quantiles in quantiles {
        for value in [
            quantiles.p50,
            quantiles.p90,
            quantiles.p95,
            quantiles.p99,
            quantiles.max,
            quantiles.mean,
        ]
        .into_iter()
        .flatten()
        {
            assert!(value.is_finite() && value >= 0.0, "{value} is no time");
        }
    }
    assert!(summary.duration_seconds.is_none_or(|seconds| seconds.is_finite() && seconds >= 0.0));
}

fuzz_target!(|input: &[u8]| {
    let whole = explain(input, Keep::Failures);
    let in_pieces = explain(BufReader::with_capacity(7, input), Keep::Failures);
    let explained = match (whole, in_pieces) {
        (Ok(whole), Ok(in_pieces)) => {
            assert_eq!(whole, in_pieces);
            whole
        }
        (Err(whole), Err(in_pieces)) => {
            assert_eq!(whole.to_string(), in_pieces.to_string());
            assert!(!whole.to_string().contains('\n'));
            return;
        }
        (whole, in_pieces) => panic!("{whole:?}, but in pieces {in_pieces:?}"),
    };
    assert!(explained.chief().is_some());
    for (summary, reading) in explained.runs() {
        adds_up(summary);
        assert!(serde_json::to_string(&(summary, reading)).is_ok());
        let hidden = summary.gaps.iter().any(|gap| gap.hides_failures);
        assert!(!hidden || reading.tunnel == TunnelReading::Open, "{summary:?}");
        if let Some(result) = summary.generator_result() {
            assert!(result.failed <= result.requests, "{summary:?}");
        }
    }
    let screen = Screen {
        colour: false,
        width: 80,
    };
    let told = render(&explained, screen);
    let commands = told.chars().filter(|character| *character != '\n' && character.is_control());
    assert_eq!(commands.count(), 0, "{told:?}");
});
