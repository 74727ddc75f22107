//! The first lines: what failed, who is charged, how sure, why, and what to do.

use super::VERDICT_LINES;
use crate::front::{Fact, Front, Tone};
use crate::model::{CauseReport, Report};
use hopscope_text::figures::{confidence, percent};
use hopscope_text::paint::{Ink, Screen, columns, cut, harmless, wrap};

/// Notes among the first lines, at most; the section on the run has them all, in full.
const MOST_NOTES: usize = 2;

/// Columns before the text of a labelled line.
const LABEL: usize = 9;

/// At most [`VERDICT_LINES`] lines.
pub(super) fn lines(report: &Report, screen: Screen) -> Vec<String> {
    let front = Front::of(report);
    let mut lines = vec![summary(&front, screen), charge(&front, screen)];
    let headline = wrap(front.headline.as_str(), screen.width);
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

fn summary(front: &Front, screen: Screen) -> String {
    let facts: Vec<String> = front.facts.iter().map(Fact::line).collect();
    screen.paint(Ink::Faint, &cut(&facts.join(" · "), screen.width))
}

fn charge(front: &Front, screen: Screen) -> String {
    let ink = match front.tone {
        Tone::Good => Ink::Good,
        Tone::Bad => Ink::Bad,
        Tone::Doubt => Ink::Doubt,
    };
    let word = front.who.to_uppercase();
    let mut parts: Vec<String> = front.cause.map(str::to_owned).into_iter().collect();
    let share = front
        .share
        .map(|share| format!("{} of all failures", percent(share)));
    parts.extend(share);
    let sure = front
        .confidence
        .map(|sure| format!("confidence {}", confidence(sure)));
    parts.extend(sure);
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
