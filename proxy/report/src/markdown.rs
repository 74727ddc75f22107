//! The report as Markdown, to paste into a ticket or a pull request (GitHub's dialect, which GitLab and Gitea read too).

use hopscope_attribution::cause::Cause;

use super::model::{CauseReport, FindingReport, Latency, Report, either};
use super::not_read;
use super::terminal::{connections, statuses};
use hopscope_text::figures::{bytes, confidence, counted, grouped, length, percent, ratio, time, under_way};
use hopscope_text::paint::harmless;

/// Routes listed, at most; the JSON has them all.
const MOST_ROUTES: usize = 25;

/// The whole report, each line ended.
pub fn render(report: &Report) -> String {
    let mut page = Page::default();
    verdict(&mut page, report);
    hops(&mut page, report);
    paths(&mut page, report);
    routes(&mut page, report);
    latency(&mut page, report);
    if !report.unknowns.is_empty() {
        page.heading("Not known");
        for unknown in &report.unknowns {
            page.line(&format!("- {}", escaped(&unknown.question)));
            page.line(&format!("  Would tell: {}", escaped(&unknown.experiment)));
        }
    }
    if !report.advice.is_empty() {
        page.heading("Next");
        for (at, advice) in report.advice.iter().enumerate() {
            page.line(&format!(
                "{}. **{}** {}",
                at + 1,
                escaped(&advice.action),
                escaped(&advice.why)
            ));
        }
    }
    if let Some(generator) = &report.generator {
        page.heading(&format!("What {} counted", escaped(&generator.tool)));
        page.row(&["charged to", "failures"]);
        page.row(&["---", "---:"]);
        for (hop, failures) in &generator.failures_by_hop {
            page.row(&[hop, &grouped(*failures)]);
        }
        page.line("");
        for remark in &generator.remarks {
            page.line(&format!("- {}", escaped(remark)));
        }
    }
    accounting(&mut page, report);
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn heading(&mut self, heading: &str) {
        self.line("");
        self.line(&format!("### {heading}"));
        self.line("");
    }

    fn row(&mut self, cells: &[&str]) {
        self.line(&format!("| {} |", cells.join(" | ")));
    }
}

fn verdict(page: &mut Page, report: &Report) {
    let verdict = &report.verdict;
    let title = match (verdict.hop, verdict.cause) {
        (Some(_), Some(Cause::NoTraffic)) => "no traffic".to_owned(),
        (Some(_), Some(Cause::NotRead)) => "not read".to_owned(),
        (Some(hop), Some(cause)) => {
            let who = either(verdict.between).unwrap_or_else(|| hop.to_string());
            format!("{who}: {cause}")
        }
        (Some(hop), None) => hop.to_string(),
        (None, _) => "nothing failed".to_owned(),
    };
    page.line(&format!("## hopscope: {title}"));
    page.line("");
    page.line(&format!("**{}**", escaped(&verdict.headline)));
    page.line("");
    let totals = &report.totals;
    let mut facts = vec![format!("Confidence {}", confidence(verdict.confidence))];
    if !report.hops.is_empty() {
        facts.push(format!("{} of all failures", percent(verdict.share)));
    }
    if totals.requests > 0 {
        facts.push(counted(totals.requests, "request"));
        facts.push(format!(
            "{} failed ({}): {} answered with an error, {} not answered in full",
            grouped(totals.failed),
            totals.failure_ratio.map_or_else(|| "–".to_owned(), percent),
            grouped(totals.delivered_errors),
            grouped(totals.undelivered),
        ));
    }
    facts.extend(under_way(totals.cut_by_the_end, totals.connects_cut_by_the_end));
    facts.push(connections(report));
    facts.push(format!(
        "{} up, {} down",
        bytes(totals.bytes_up),
        bytes(totals.bytes_down)
    ));
    facts.push(format!(
        "started {}, took {}",
        report.run.started,
        length(report.run.duration_seconds)
    ));
    page.line(&format!("{}.", facts.join(" · ")));
    for note in &report.run.notes {
        page.line("");
        page.line(&format!("> {}", escaped(note)));
    }
    if let Some(command) = &report.run.command {
        page.line("");
        page.line(&format!("Load: {}", escaped(&command.join(" "))));
    }
    if !report.run.complete {
        page.line("");
        page.line("The recording was not closed properly: it says nothing of what came after its end.");
    }
}

fn hops(page: &mut Page, report: &Report) {
    if report.hops.is_empty() {
        return;
    }
    page.heading("Who is charged");
    page.row(&["hop", "cause", "failures", "of them victims", "confidence"]);
    page.row(&["---", "---", "---:", "---:", "---:"]);
    for hop in &report.hops {
        for cause in &hop.causes {
            page.row(&[
                hop.hop.word(),
                cause.cause.word(),
                &grouped(cause.failures),
                &grouped(cause.victims),
                &confidence(cause.confidence),
            ]);
        }
    }
    for cause in report.hops.iter().flat_map(|hop| &hop.causes) {
        evidence(page, cause);
    }
}

fn evidence(page: &mut Page, cause: &CauseReport) {
    page.line("");
    page.line(&format!("**{}**", cause.cause));
    page.line("");
    for (word, findings) in [("for", &cause.speaks_for), ("against", &cause.speaks_against)] {
        for FindingReport { rule, statement, .. } in findings {
            page.line(&format!("- {word}: {} (`{rule}`)", escaped(statement)));
        }
    }
}

fn paths(page: &mut Page, report: &Report) {
    page.heading("Paths");
    page.row(&[
        "path",
        "kind",
        "target",
        "connections",
        "requests",
        "failed",
        "share",
        "p50",
        "p95",
        "p99",
    ]);
    page.row(&[
        "---", "---", "---", "---:", "---:", "---:", "---:", "---:", "---:", "---:",
    ]);
    for (path, given) in report.paths.iter().zip(&report.run.paths) {
        page.row(&[
            &escaped(&path.path),
            path.kind,
            &escaped(&given.target),
            &grouped(path.connections),
            &grouped(path.requests),
            &grouped(path.failed),
            &path.failure_ratio.map_or_else(|| "–".to_owned(), percent),
            &time(path.latency.p50),
            &time(path.latency.p95),
            &time(path.latency.p99),
        ]);
    }
    if !report.contrasts.is_empty() {
        page.line("");
    }
    for contrast in &report.contrasts {
        page.line(&format!("- {}", escaped(&contrast.statement)));
    }
}

fn routes(page: &mut Page, report: &Report) {
    if report.routes.is_empty() {
        return;
    }
    page.heading("Routes");
    page.row(&[
        "route",
        "path",
        "requests",
        "failed",
        "share",
        "undelivered",
        "p50",
        "p95",
        "statuses",
    ]);
    page.row(&[
        "---", "---", "---:", "---:", "---:", "---:", "---:", "---:", "---",
    ]);
    for route in report.routes.iter().take(MOST_ROUTES) {
        page.row(&[
            &escaped(&route.route),
            &escaped(&route.path),
            &grouped(route.requests),
            &grouped(route.failed),
            &ratio(route.failed, route.requests).map_or_else(|| "–".to_owned(), percent),
            &grouped(route.undelivered),
            &time(route.latency.p50),
            &time(route.latency.p95),
            &statuses(route),
        ]);
    }
    if report.routes.len() > MOST_ROUTES {
        page.line("");
        page.line(&format!(
            "And {} more in the JSON report.",
            report.routes.len() - MOST_ROUTES
        ));
    }
}

fn latency(page: &mut Page, report: &Report) {
    if report.totals.requests == 0 {
        return;
    }
    page.heading("Latency");
    page.row(&["of", "p50", "p90", "p95", "p99", "max"]);
    page.row(&["---", "---:", "---:", "---:", "---:", "---:"]);
    let mut row = |of: &str, latency: &Latency| {
        page.row(&[
            of,
            &time(latency.p50),
            &time(latency.p90),
            &time(latency.p95),
            &time(latency.p99),
            &time(latency.max),
        ]);
    };
    row("all", &report.latency.all);
    row("ok", &report.latency.ok);
    match &report.latency.added_by_hopscope_unseen {
        None => row("added by hopscope", &report.latency.added_by_hopscope),
        Some(why) => {
            page.line("");
            page.line(&format!(
                "What hopscope itself added was not measured: {}.",
                escaped(why)
            ));
        }
    }
}

fn accounting(page: &mut Page, report: &Report) {
    let observer = &report.observer;
    page.heading("hopscope itself");
    page.line(&format!(
        "- accepts {} = {} connection rows + {} counted losses: {}",
        grouped(observer.accepts),
        grouped(observer.connection_rows),
        grouped(observer.connections_lost),
        if observer.accounted {
            "balanced"
        } else {
            "**does not balance**"
        },
    ));
    for line in not_read::lines(report) {
        page.line(&format!("- {}", escaped(&line)));
    }
    for reason in &observer.reasons {
        page.line(&format!("- {}", escaped(reason)));
    }
}

/// The text as it is, in Markdown: nothing in it is markup, a link, a mention or a new cell.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in harmless(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '!' | '~' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_becomes_markup() {
        assert_eq!(
            escaped("/a|b<img src=x>`c`[d](e) @team *x*\n#1"),
            "/a\\|b&lt;img src=x&gt;\\`c\\`\\[d\\](e) &#64;team \\*x\\*\u{fffd}\\#1"
        );
    }
}
