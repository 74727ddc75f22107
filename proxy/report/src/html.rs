//! The report as one HTML page that needs nothing else: no request leaves it, no script runs in it, and it reads the
//! same in a mail, an archive or on paper.

use super::model::Report;
use super::not_read;
use hopscope_text::figures::{confidence, counted, grouped, length, percent};
use markup::{Escaped, Page, page};

mod contrasts;
mod lanes;
mod markup;
mod sections;
mod strip;

const STYLE: &str = include_str!("html/style.css");

/// The whole page.
pub fn render(report: &Report) -> String {
    let mut out = Page::default();
    let title = match report.verdict.hop {
        Some(hop) => format!("hopscope: {}", not_read::word(report).unwrap_or(hop.word())),
        None => "hopscope: nothing failed".to_owned(),
    };
    page!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n",
        Escaped(&title)
    );
    header(&mut out, report);
    verdict(&mut out, report);
    lanes::write(&mut out, report);
    strip::write(&mut out, report);
    sections::write(&mut out, report);
    page!(
        out,
        "<footer>{} · recorded by hopscope {} · opens without a network</footer>\n</main>\n</body>\n</html>\n",
        report.schema,
        Escaped(&report.run.recorded_by)
    );
    out.text
}

fn header(out: &mut Page, report: &Report) {
    let run = &report.run;
    page!(
        out,
        "<header><span class=\"mark\">hopscope</span><span>{}</span><span>{}</span>",
        Escaped(&run.started),
        Escaped(&length(run.duration_seconds))
    );
    if let Some(command) = &run.command {
        page!(out, "<code>{}</code>", Escaped(&command.join(" ")));
        if let Some(code) = run.exit_code {
            page!(out, "<span>exit code {code}</span>");
        }
    }
    page!(out, "</header>\n");
    if !run.complete {
        page!(
            out,
            "<p class=\"warning\">The recording was not closed properly: it says nothing of what came after its \
             end.</p>\n"
        );
    }
}

fn verdict(out: &mut Page, report: &Report) {
    let verdict = &report.verdict;
    let totals = &report.totals;
    let (class, hop) = match verdict.hop {
        Some(hop) => match not_read::word(report) {
            Some(word) => ("doubt", word),
            None => (lanes::hop_class(hop), hop.word()),
        },
        None => ("good", "nothing failed"),
    };
    page!(
        out,
        "<section class=\"verdict {class}\">\n<div class=\"charge\"><strong>{hop}</strong>"
    );
    if let Some(cause) = verdict.cause {
        page!(out, "<span>{cause}</span>");
    }
    page!(out, "</div>\n<h1>{}</h1>\n", Escaped(&verdict.headline));
    page!(out, "<dl class=\"figures\">");
    let mut figure = |value: &str, of: &str| page!(out, "<div><dt>{of}</dt><dd>{value}</dd></div>");
    if verdict.hop.is_some() {
        figure(&confidence(verdict.confidence), "confidence");
    }
    if !report.hops.is_empty() {
        figure(&percent(verdict.share), "of all failures");
    }
    if totals.requests > 0 {
        figure(&grouped(totals.requests), "requests");
        figure(&grouped(totals.failed), "failed");
        figure(
            &totals.failure_ratio.map_or_else(|| "–".to_owned(), percent),
            "failure ratio",
        );
        figure(&grouped(totals.delivered_errors), "answered with an error");
        figure(&grouped(totals.undelivered), "without a full answer");
    }
    if totals.cut_by_the_end > 0 {
        figure(&grouped(totals.cut_by_the_end), "under way at the end");
    }
    if totals.connects_cut_by_the_end > 0 {
        figure(
            &grouped(totals.connects_cut_by_the_end),
            "connects under way at the end",
        );
    }
    figure(&grouped(totals.connections), "connections");
    if report.observer.connections_not_read() > 0 {
        figure(
            &grouped(report.observer.connections_not_read()),
            "of them not read",
        );
    }
    if totals.failed_connections > 0 {
        figure(&grouped(totals.failed_connections), "of them failed");
    }
    page!(out, "</dl>\n");
    for note in &report.run.notes {
        page!(out, "<p class=\"next\"><b>Note</b> {}</p>\n", Escaped(note));
    }
    if let Some(advice) = report.advice.first() {
        page!(
            out,
            "<p class=\"next\"><b>Next</b> {} <span>{}</span></p>\n",
            Escaped(&advice.action),
            Escaped(&advice.why)
        );
    }
    if let Some(unknown) = report.unknowns.first() {
        page!(
            out,
            "<p class=\"next\"><b>Not known</b> {}{}</p>\n",
            Escaped(&unknown.question),
            match report.unknowns.len() {
                1 => String::new(),
                many => format!(
                    " <span>and {} more below</span>",
                    counted(u64::try_from(many - 1).unwrap_or(u64::MAX), "question")
                ),
            }
        );
    }
    page!(out, "</section>\n");
}

#[cfg(test)]
mod tests;
