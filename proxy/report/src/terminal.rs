//! The report for a terminal: at most eight lines of verdict, then the tables.

use std::fmt::Write as _;

use super::model::Report;

mod sections;
mod verdict;

pub use hopscope_text::paint::Screen;

/// Lines of verdict, at most.
pub const VERDICT_LINES: usize = 8;

/// Routes with a row of their own, at most.
const MOST_ROUTES: usize = 25;

/// The whole report as text, each line ended.
pub fn render(report: &Report, screen: Screen) -> String {
    let mut out = render_verdict(report, screen);
    for section in crate::sections::of(report, MOST_ROUTES) {
        sections::write(&mut out, &section, screen);
    }
    out
}

/// The verdict alone: at most [`VERDICT_LINES`] lines, each ended.
pub fn render_verdict(report: &Report, screen: Screen) -> String {
    let mut out = String::new();
    for line in verdict::lines(report, screen) {
        put(&mut out, &line);
    }
    out
}

/// Adds a line. Writing into a string does not fail.
fn put(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

/// Adds formatted text without ending the line.
fn add(out: &mut String, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok(), "writing into a string does not fail");
}

#[cfg(test)]
mod tests;
