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

/// What a screen usually has. On a narrower one the same words take more lines.
const USUAL_WIDTH: usize = 80;

/// Columns between the charged hop and its cause, and before a line that goes on.
const INDENT: usize = 2;

/// At most [`VERDICT_LINES`] lines, on a narrow screen twice as many. Nothing is cut within a sentence: what does not fit
/// stands in the sections below alone.
pub(super) fn lines(report: &Report, screen: Screen) -> Vec<String> {
    let room = if screen.width < USUAL_WIDTH {
        2 * VERDICT_LINES
    } else {
        VERDICT_LINES
    };
    let front = Front::of(report);
    let mut lines = summary(&front, screen);
    lines.extend(charge(&front, screen));
    // What to do must not fall off the end.
    let next = report.advice.first();
    let next = next.and_then(|advice| labelled(screen, "next", Ink::Heading, &advice.action, room / 3));
    let last = next.as_ref().map_or(0, Vec::len);
    let left = room.saturating_sub(lines.len() + last);
    let headline = front.headline.as_str();
    let headline = sentences(headline, screen.width, left).unwrap_or_else(|| {
        let mut cut_off = wrap(headline, screen.width);
        cut_off.truncate(left.max(1));
        if let Some(last) = cut_off.last_mut() {
            last.push_str(" …");
        }
        cut_off
    });
    let headline = headline.iter().map(|line| cut(line, screen.width));
    lines.extend(headline.map(|line| screen.paint(Ink::Strong, &line)));
    for (label, ink, text) in beside(report) {
        let left = room.saturating_sub(lines.len() + last);
        lines.extend(labelled(screen, label, ink, text, left).unwrap_or_default());
    }
    lines.extend(next.unwrap_or_default());
    lines
}

/// What is said beside the headline where there is room, what matters most first.
fn beside(report: &Report) -> Vec<(&'static str, Ink, &str)> {
    let notes = report.run.notes.iter().take(MOST_NOTES);
    let mut beside: Vec<_> = notes.map(|note| ("note", Ink::Doubt, note.as_str())).collect();
    if let Some(cause) = charged(report) {
        let speaks = cause.speaks_for.first();
        beside.extend(speaks.map(|first| ("for", Ink::Good, first.statement.as_str())));
        let speaks = cause.speaks_against.first();
        beside.extend(speaks.map(|first| ("against", Ink::Doubt, first.statement.as_str())));
    }
    let unknown = report.unknowns.first();
    beside.extend(unknown.map(|unknown| ("unknown", Ink::Doubt, unknown.question.as_str())));
    beside
}

/// The text in at most so many lines, or as many of its first sentences as they hold.
fn sentences(text: &str, width: usize, lines: usize) -> Option<Vec<String>> {
    let ends = text.match_indices(". ").map(|(at, _)| at + 1);
    let ends: Vec<usize> = ends.chain([text.len()]).collect();
    ends.into_iter().rev().find_map(|end| {
        let wrapped = wrap(text.get(..end)?, width);
        let fits = wrapped.len() <= lines && wrapped.iter().all(|line| columns(line) <= width);
        fits.then_some(wrapped)
    })
}

/// The charge that the verdict names.
fn charged(report: &Report) -> Option<&CauseReport> {
    let hop = report.hops.iter().find(|of| Some(of.hop) == report.verdict.hop)?;
    hop.causes
        .iter()
        .find(|of| Some(of.cause) == report.verdict.cause && of.between == report.verdict.between)
        .or_else(|| hop.causes.first())
}

fn summary(front: &Front, screen: Screen) -> Vec<String> {
    let facts: Vec<String> = front.facts.iter().map(Fact::line).collect();
    flow(&facts, screen.width, screen.width)
        .iter()
        .map(|line| screen.paint(Ink::Faint, line))
        .collect()
}

fn charge(front: &Front, screen: Screen) -> Vec<String> {
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
        return vec![screen.paint(ink, &word)];
    }
    let rest = screen.width.saturating_sub(INDENT);
    let room = screen.width.saturating_sub(columns(&word) + INDENT);
    let mut lines = flow(&parts, room, rest).into_iter();
    let first = lines.next().unwrap_or_default();
    let first = format!("{}{}{first}", screen.paint(ink, &word), " ".repeat(INDENT));
    std::iter::once(first)
        .chain(lines.map(|line| format!("{}{line}", " ".repeat(INDENT))))
        .collect()
}

/// Parts joined by dots, with a new line where the next one does not fit: the first line has so many columns, the others
/// so many.
fn flow(parts: &[String], first: usize, others: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        let width = if lines.len() <= 1 { first } else { others };
        match lines.last_mut() {
            Some(line) if columns(line) + columns(" · ") + columns(part) <= width => {
                line.push_str(" · ");
                line.push_str(part);
            }
            Some(_) => lines.extend(wrap(part, others)),
            None => lines.push(cut(part, first)),
        }
    }
    lines
}

/// A labelled text in at most so many lines, or nothing where not one sentence of it fits.
fn labelled(screen: Screen, label: &str, ink: Ink, text: &str, lines: usize) -> Option<Vec<String>> {
    let wrapped = sentences(&harmless(text), screen.width.saturating_sub(LABEL), lines)?;
    let labelled = wrapped.iter().enumerate().map(|(at, line)| {
        let label = if at == 0 { label } else { "" };
        let space = " ".repeat(LABEL.saturating_sub(columns(label)));
        format!("{}{space}{line}", screen.paint(ink, label))
    });
    Some(labelled.collect())
}
