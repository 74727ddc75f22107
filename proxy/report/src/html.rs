//! The report as one HTML page that needs nothing else: no request leaves it, no script runs in it, and it reads the
//! same in a mail, an archive or on paper.
//!
//! Whatever is put into the page is escaped by `maud`; only the style sheet is not.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::front::{Front, Tone};
use super::model::Report;
use super::section::Words;
use super::sections;
use hopscope_text::figures::{confidence, counted, length, percent};

mod lanes;
mod layout;
mod strip;

const STYLE: &str = include_str!("html/style.css");

/// Routes with a row of their own, at most; the JSON has them all.
const MOST_ROUTES: usize = 50;

/// The whole page.
pub fn render(report: &Report) -> String {
    let front = Front::of(report);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="color-scheme" content="light dark";
                title { "hopscope: " (front.who) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (header(report))
                    (verdict(report, &front))
                    (lanes::markup(report))
                    (strip::markup(report))
                    @for section in sections::of(report, MOST_ROUTES) { (layout::section(&section)) }
                    footer {
                        (report.schema) " · recorded by hopscope " (Words::from(&report.run.recorded_by))
                        " · opens without a network"
                    }
                }
            }
        }
    };
    let mut text = page.into_string();
    text.push('\n');
    text
}

impl maud::Render for Words {
    fn render_to(&self, buffer: &mut String) {
        self.as_str().render_to(buffer);
    }
}

fn header(report: &Report) -> Markup {
    let run = &report.run;
    html! {
        header {
            span.mark { "hopscope" }
            span { (run.started) }
            span { (length(run.duration_seconds)) }
            @if let Some(command) = &run.command {
                code { (Words::from(command.join(" "))) }
                @if let Some(code) = run.exit_code { span { "exit code " (code) } }
            }
        }
        @if !run.complete {
            p.warning { "The recording was not closed properly: it says nothing of what came after its end." }
        }
    }
}

/// The class that says how bad it is.
const fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Doubt => "doubt",
    }
}

fn verdict(report: &Report, front: &Front) -> Markup {
    let more = report.unknowns.len().saturating_sub(1);
    html! {
        section.verdict.(class(front.tone)) {
            div.charge {
                strong { (front.who) }
                @if let Some(cause) = front.cause { span { (cause) } }
            }
            h1 { (front.headline) }
            ul.figures {
                @for fact in &front.facts {
                    li { b { (fact.count) } @if !fact.of.is_empty() { " " small { (fact.of.join(", ")) } } }
                }
                @if let Some(share) = front.share { li { b { (percent(share)) } " " small { "of all failures" } } }
                @if let Some(sure) = front.confidence { li { b { (confidence(sure)) } " " small { "confidence" } } }
            }
            @for note in &report.run.notes { p.next { b { "Note" } " " (Words::from(note)) } }
            @if let Some(advice) = report.advice.first() {
                p.next {
                    b { "Next" } " " (Words::from(&advice.action)) " " span { (Words::from(&advice.why)) }
                }
            }
            @if let Some(unknown) = report.unknowns.first() {
                p.next {
                    b { "Not known" } " " (Words::from(&unknown.question))
                    @if more > 0 {
                        " " span { "and " (counted(u64::try_from(more).unwrap_or(u64::MAX), "question")) " more below" }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
