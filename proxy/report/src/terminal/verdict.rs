//! The first lines: what failed, who is charged, how sure, why, and what to do.

use hopscope_attribution::cause::Cause;
use hopscope_attribution::hop::Hop;

use super::VERDICT_LINES;
use crate::model::{CauseReport, Report, either};
use hopscope_text::figures::{confidence, counted, grouped, length, percent};
use hopscope_text::paint::{Ink, Screen, columns, cut, harmless, wrap};

/// Notes among the first lines, at most; the section on the run has them all, in full.
const MOST_NOTES: usize = 2;

/// Columns before the text of a labelled line.
const LABEL: usize = 9;

/// At most [`VERDICT_LINES`] lines.
pub(super) fn lines(report: &Report, screen: Screen) -> Vec<String> {
    let mut lines = vec![summary(report, screen), charge(report, screen)];
    let headline = wrap(&harmless(&report.verdict.headline), screen.width);
    let fits = headline.len() <= 3;
    for (at, line) in headline.iter().take(3).enumerate() {
        let line = if at == 2 && !fits {
            format!("{line} …")
        } else {
            line.clone()
        };
        lines.push(screen.paint(Ink::Strong, &cut(&line, screen.width)));
    }
    for note in report.run.notes.iter().take(MOST_NOTES) {
        lines.push(labelled(screen, "note", Ink::Doubt, note));
    }
    if let Some(cause) = charged(report) {
        if let Some(first) = cause.speaks_for.first() {
            lines.push(labelled(screen, "for", Ink::Good, &first.statement));
        }
        if let Some(first) = cause.speaks_against.first() {
            lines.push(labelled(screen, "against", Ink::Doubt, &first.statement));
        }
    }
    if let Some(unknown) = report.unknowns.first() {
        lines.push(labelled(screen, "unknown", Ink::Doubt, &unknown.question));
    }
    // What to do must not fall off the end.
    lines.truncate(VERDICT_LINES - usize::from(!report.advice.is_empty()));
    if let Some(advice) = report.advice.first() {
        lines.push(labelled(screen, "next", Ink::Heading, &advice.action));
    }
    lines
}

/// The charge that the verdict names.
fn charged(report: &Report) -> Option<&CauseReport> {
    let hop = report.hops.iter().find(|of| Some(of.hop) == report.verdict.hop)?;
    hop.causes
        .iter()
        .find(|of| Some(of.cause) == report.verdict.cause && of.between == report.verdict.between)
        .or_else(|| hop.causes.first())
}

fn summary(report: &Report, screen: Screen) -> String {
    let totals = &report.totals;
    let mut parts = vec![connections(report)];
    if totals.requests > 0 {
        parts.insert(0, counted(totals.requests, "request"));
        parts.push(match totals.failure_ratio {
            Some(ratio) if totals.failed > 0 => {
                format!("{} failed ({})", grouped(totals.failed), percent(ratio))
            }
            Some(_) | None if report.observer.connections_not_read() > 0 => "none of them failed".to_owned(),
            Some(_) | None => "none failed".to_owned(),
        });
        if let Some(generator) = report.generator.as_ref().filter(|of| of.attempts_repeated > 0) {
            parts.push(format!(
                "{} saw {} failed, {} repeated",
                harmless(&generator.tool),
                grouped(generator.failed),
                counted(generator.attempts_repeated, "attempt")
            ));
        }
    }
    parts.push(length(report.run.duration_seconds));
    if !report.run.complete {
        parts.push("recording cut off".to_owned());
    }
    screen.paint(Ink::Faint, &cut(&parts.join(" · "), screen.width))
}

/// `421 connections (131 failed, 12 not read)`
pub(crate) fn connections(report: &Report) -> String {
    let (totals, not_read) = (&report.totals, report.observer.connections_not_read());
    let all = counted(totals.connections, "connection");
    let mut told = Vec::new();
    if totals.failed_connections > 0 {
        told.push(format!("{} failed", grouped(totals.failed_connections)));
    }
    if not_read > 0 {
        told.push(format!("{} not read", grouped(not_read)));
    }
    match told.as_slice() {
        [] => all,
        told => format!("{all} ({})", told.join(", ")),
    }
}

fn charge(report: &Report, screen: Screen) -> String {
    let verdict = &report.verdict;
    let (word, ink) = match verdict.hop {
        _ if verdict.cause == Some(Cause::NoTraffic) => ("NO TRAFFIC".to_owned(), Ink::Doubt),
        _ if verdict.cause == Some(Cause::NotRead) => ("NOT READ".to_owned(), Ink::Doubt),
        None => ("NOTHING FAILED".to_owned(), Ink::Good),
        Some(Hop::Unknown) => {
            let open = either(verdict.between).unwrap_or_else(|| Hop::Unknown.word().to_owned());
            (open.to_uppercase(), Ink::Doubt)
        }
        Some(Hop::Observer) => ("OBSERVER".to_owned(), Ink::Doubt),
        Some(hop @ (Hop::Client | Hop::Tunnel | Hop::Lb | Hop::Backend)) => {
            (hop.word().to_uppercase(), Ink::Bad)
        }
    };
    let mut parts = Vec::new();
    if let (Some(hop), Some(cause)) = (verdict.hop, verdict.cause) {
        if report.hops.is_empty() {
            parts.push(hop.word().to_owned());
        } else {
            parts.push(cause.word().to_owned());
            parts.push(format!("{} of all failures", percent(verdict.share)));
        }
    }
    if verdict.confidence > 0.0 || verdict.hop.is_some() {
        parts.push(format!("confidence {}", confidence(verdict.confidence)));
    }
    if parts.is_empty() {
        return screen.paint(ink, &word);
    }
    let room = screen.width.saturating_sub(columns(&word) + 2);
    format!("{}  {}", screen.paint(ink, &word), cut(&parts.join(" · "), room))
}

fn labelled(screen: Screen, label: &str, ink: Ink, text: &str) -> String {
    let room = screen.width.saturating_sub(LABEL);
    format!(
        "{}{}{}",
        screen.paint(ink, label),
        " ".repeat(LABEL.saturating_sub(columns(label))),
        cut(&harmless(text), room)
    )
}
