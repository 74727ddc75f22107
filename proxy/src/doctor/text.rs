//! An examination for a terminal: a line each, remedies under those that need one.

use super::examination::{Examination, Finding, State};
use hopscope_text::paint::{Ink, Screen, columns, harmless, wrap};

/// Columns of the state.
const STATE: usize = 9;

/// The text, each line ended.
pub fn render(examination: &Examination, screen: Screen) -> String {
    let mut out = String::new();
    let subjects = examination
        .findings
        .iter()
        .map(|finding| columns(finding.subject))
        .max()
        .unwrap_or(0);
    let mut needed_for = "";
    for finding in &examination.findings {
        if finding.needed_for != needed_for {
            if !needed_for.is_empty() {
                out.push('\n');
            }
            needed_for = finding.needed_for;
            out.push_str(&screen.paint(Ink::Heading, &format!("for {needed_for}")));
            out.push('\n');
        }
        line(&mut out, finding, subjects, screen);
    }
    let (ink, conclusion) = if examination.main_job {
        (
            Ink::Good,
            "The main job works here: demo, proxy, run, report and explain.",
        )
    } else {
        (
            Ink::Bad,
            "The main job does not work here: see what is missing for proxy and run.",
        )
    };
    out.push('\n');
    out.push_str(&screen.paint(ink, conclusion));
    out.push('\n');
    out
}

fn line(out: &mut String, finding: &Finding, subjects: usize, screen: Screen) {
    let (word, ink) = match finding.state {
        State::Ok => ("ok", Ink::Good),
        State::Limited => ("limited", Ink::Doubt),
        State::Missing => ("missing", Ink::Bad),
    };
    let indent = 2 + STATE + subjects + 2;
    let room = screen.width.saturating_sub(indent);
    out.push_str("  ");
    out.push_str(&screen.paint(ink, word));
    out.push_str(&" ".repeat(STATE - word.len()));
    out.push_str(finding.subject);
    out.push_str(&" ".repeat(subjects - columns(finding.subject) + 2));
    let mut first = true;
    let remedy = finding
        .remedy
        .iter()
        .flat_map(|remedy| wrap(&format!("→ {}", harmless(remedy)), room));
    for text in wrap(&harmless(&finding.seen), room).into_iter().chain(remedy) {
        if !first {
            out.push_str(&" ".repeat(indent));
        }
        first = false;
        out.push_str(&text);
        out.push('\n');
    }
}
