//! A reading for a terminal.

use super::Explained;
use super::reading::{Reading, TunnelReading};
use super::summary::Summary;
use hopscope_text::figures::{counted, grouped, length, percent, ratio, time};
use hopscope_text::paint::{Ink, Screen, harmless, wrap};

/// The text of every result, each line ended.
pub fn render(explained: &Explained, screen: Screen) -> String {
    let runs = explained.runs();
    let mut out = String::new();
    if runs.len() > 1 {
        let heading = format!(
            "{} results are in this input; each is read by itself.",
            grouped(u64::try_from(runs.len()).unwrap_or(u64::MAX))
        );
        screen.hang(&mut out, "", Ink::Doubt, &heading);
    }
    for (nth, (summary, reading)) in runs.iter().enumerate() {
        if runs.len() > 1 {
            out.push('\n');
            screen.hang(
                &mut out,
                "",
                Ink::Heading,
                &format!("Result {} of {}", nth + 1, runs.len()),
            );
        }
        out.push_str(&one(summary, reading, screen));
    }
    out
}

fn one(summary: &Summary, reading: &Reading, screen: Screen) -> String {
    let mut out = String::new();
    screen.hang(&mut out, "", Ink::Plain, &figures(summary));
    let (word, ink) = match reading.tunnel {
        TunnelReading::NothingFailed => ("NOTHING FAILED", Ink::Good),
        TunnelReading::NotLikely => ("NOT THE TUNNEL, LIKELY", Ink::Good),
        TunnelReading::Open => ("OPEN", Ink::Doubt),
    };
    out.push_str(&screen.paint(ink, word));
    out.push('\n');
    for line in wrap(&harmless(&reading.headline), screen.width) {
        out.push_str(&screen.paint(Ink::Strong, &line));
        out.push('\n');
    }
    sections(&mut out, reading, screen);
    out
}

fn sections(out: &mut String, reading: &Reading, screen: Screen) {
    let heading = |out: &mut String, text: &str| {
        out.push('\n');
        out.push_str(&screen.paint(Ink::Heading, text));
        out.push('\n');
    };
    if !reading.says.is_empty() {
        heading(out, "What these figures say");
        for said in &reading.says {
            screen.hang(
                out,
                "  • ",
                Ink::Strong,
                &format!("{} [{}]", said.statement, said.rule),
            );
            if let Some(caveat) = &said.caveat {
                screen.hang(out, "    but: ", Ink::Doubt, caveat);
            }
        }
    }
    if !reading.cannot.is_empty() {
        heading(out, "What they cannot say");
        for cannot in &reading.cannot {
            screen.hang(out, "  ? ", Ink::Doubt, &format!("{}.", cannot.question));
            screen.hang(out, "    needs: ", Ink::Faint, &format!("{}.", cannot.needs));
        }
    }
    if let Some(next) = &reading.next {
        heading(out, "The one test that would");
        // Not wrapped: it is there to be copied.
        out.push_str("  ");
        out.push_str(&screen.paint(Ink::Strong, &next.command));
        out.push('\n');
        screen.hang(out, "  ", Ink::Plain, &next.why);
    }
}

fn figures(summary: &Summary) -> String {
    let mut parts = vec![summary.form.to_owned()];
    if let Some(requests) = summary.requests {
        parts.push(counted(requests, "request"));
    }
    if let Some(failed) = summary.failed {
        let share = summary.requests.and_then(|requests| ratio(failed, requests));
        parts.push(match share {
            Some(share) => format!("{} failed ({})", grouped(failed), percent(share)),
            None => format!("{} failed", grouped(failed)),
        });
    } else if summary.failed_at_least > 0 {
        parts.push(format!("at least {} failed", grouped(summary.failed_at_least)));
    } else {
        parts.push("failures not stated".to_owned());
    }
    for (count, words) in [
        (summary.late, "answered late"),
        (summary.in_flight, "in flight at the end"),
        (summary.ended_reads, "closes while reading"),
    ] {
        if let Some(count) = count.filter(|count| *count > 0) {
            parts.push(format!("{} {words}", grouped(count)));
        }
    }
    if let Some(duration) = summary.duration_seconds {
        parts.push(length(duration));
    }
    let quantiles = [
        ("p50", summary.latency.p50),
        ("p95", summary.latency.p95),
        ("p99", summary.latency.p99),
    ];
    for (name, value) in quantiles {
        if value.is_some() {
            parts.push(format!("{name} {}", time(value)));
        }
    }
    parts.join(" · ")
}
