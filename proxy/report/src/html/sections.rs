//! The evidence and the tables.

use super::contrasts;
use super::lanes::{hop_class, open};
use super::markup::{Escaped, Page, page};
use crate::model::{CauseReport, FindingReport, Latency, Report};
use crate::not_read;
use crate::terminal::statuses;
use hopscope_text::figures::{confidence, counted, float, grouped, percent, ratio, time};

/// Routes listed, at most; the JSON has them all.
const MOST_ROUTES: usize = 50;

pub(super) fn write(out: &mut Page, report: &Report) {
    hops(out, report);
    unknowns(out, report);
    advice(out, report);
    contrasts::write(out, report);
    routes(out, report);
    paths(out, report);
    latency(out, report);
    generator(out, report);
    observer(out, report);
}

fn hops(out: &mut Page, report: &Report) {
    if report.hops.is_empty() {
        return;
    }
    page!(out, "<section>\n<h2>Evidence for and against</h2>\n");
    for hop in &report.hops {
        page!(
            out,
            "<h3><span class=\"chip {}\">{}</span> <small>{} · {} of all</small></h3>\n",
            hop_class(hop.hop),
            hop.hop,
            counted(hop.failures, "failure"),
            percent(hop.share)
        );
        for cause in &hop.causes {
            self::cause(out, cause);
        }
    }
    page!(out, "</section>\n");
}

fn cause(out: &mut Page, cause: &CauseReport) {
    page!(
        out,
        "<article class=\"cause\"><header><b>{}{}</b><span>{}{}</span><span class=\"meter\" \
         title=\"confidence\"><span style=\"width:{:.0}%\"></span></span><span>confidence {}</span></header>\n\
         <div class=\"sides\">\n",
        cause.cause,
        open(cause.between),
        counted(cause.failures, "failure"),
        match cause.victims {
            0 => String::new(),
            victims => format!(", {} of them victims of another", grouped(victims)),
        },
        cause.confidence * 100.0,
        confidence(cause.confidence),
    );
    for (side, title, findings) in [
        ("for", "For", &cause.speaks_for),
        ("against", "Against, or missing", &cause.speaks_against),
    ] {
        page!(out, "<div class=\"{side}\"><h4>{title}</h4>\n");
        if findings.is_empty() {
            page!(out, "<p>Nothing was found.</p>");
        } else {
            page!(out, "<ul>\n");
            for FindingReport { rule, statement, .. } in findings {
                page!(
                    out,
                    "<li>{} <code>{}</code></li>\n",
                    Escaped(statement),
                    Escaped(rule)
                );
            }
            page!(out, "</ul>");
        }
        page!(out, "</div>\n");
    }
    page!(out, "</div></article>\n");
}

fn unknowns(out: &mut Page, report: &Report) {
    if report.unknowns.is_empty() {
        return;
    }
    page!(
        out,
        "<section>\n<h2>Not known, and the experiment that would tell</h2>\n<dl class=\"unknowns\">\n"
    );
    for unknown in &report.unknowns {
        page!(
            out,
            "<dt>{}</dt><dd><code>{}</code></dd>\n",
            Escaped(&unknown.question),
            Escaped(&unknown.experiment)
        );
    }
    page!(out, "</dl>\n</section>\n");
}

fn advice(out: &mut Page, report: &Report) {
    if report.advice.is_empty() {
        return;
    }
    page!(out, "<section>\n<h2>Next</h2>\n<ol>\n");
    for advice in &report.advice {
        page!(
            out,
            "<li><b>{}</b> {}</li>\n",
            Escaped(&advice.action),
            Escaped(&advice.why)
        );
    }
    page!(out, "</ol>\n</section>\n");
}

/// Opens a table with these heads; `>` before a title marks a column of figures.
fn table(out: &mut Page, heads: &[&str]) {
    page!(out, "<div class=\"wide\"><table>\n<thead><tr>");
    for head in heads {
        if let Some(figures) = head.strip_prefix('>') {
            page!(out, "<th class=\"n\">{figures}</th>");
        } else {
            page!(out, "<th>{head}</th>");
        }
    }
    page!(out, "</tr></thead>\n<tbody>\n");
}

fn routes(out: &mut Page, report: &Report) {
    if report.routes.is_empty() {
        return;
    }
    page!(out, "<section>\n<h2>Routes</h2>\n");
    table(
        out,
        &[
            "route",
            "path",
            ">requests",
            ">failed",
            "share",
            ">no full answer",
            ">p50",
            ">p95",
            ">p99",
            "statuses",
        ],
    );
    for route in report.routes.iter().take(MOST_ROUTES) {
        let share = ratio(route.failed, route.requests).unwrap_or(0.0);
        page!(
            out,
            "<tr><td><code>{}</code></td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"share\"><span class=\"meter bad\"><span style=\"width:{:.1}%\"></span></span> {}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td>{}</td></tr>\n",
            Escaped(&route.route),
            Escaped(&route.path),
            grouped(route.requests),
            grouped(route.failed),
            share * 100.0,
            percent(share),
            grouped(route.undelivered),
            time(route.latency.p50),
            time(route.latency.p95),
            time(route.latency.p99),
            Escaped(&statuses(route)),
        );
    }
    page!(out, "</tbody></table></div>\n");
    if report.routes.len() > MOST_ROUTES {
        page!(
            out,
            "<p class=\"note\">And {} more in the JSON report.</p>\n",
            report.routes.len() - MOST_ROUTES
        );
    }
    page!(out, "</section>\n");
}

fn paths(out: &mut Page, report: &Report) {
    if report.paths.is_empty() {
        return;
    }
    page!(out, "<section>\n<h2>Paths</h2>\n");
    table(
        out,
        &[
            "path",
            "kind",
            "target",
            ">connections",
            ">requests",
            ">failed",
            ">share",
            ">no full answer",
            ">p50",
            ">p95",
            ">p99",
        ],
    );
    for (path, given) in report.paths.iter().zip(&report.run.paths) {
        page!(
            out,
            "<tr><td>{}</td><td>{}</td><td><code>{}</code></td>",
            Escaped(&path.path),
            path.kind,
            Escaped(&given.target)
        );
        for cell in [
            grouped(path.connections),
            grouped(path.requests),
            grouped(path.failed),
            path.failure_ratio.map_or_else(|| "–".to_owned(), percent),
            grouped(path.undelivered),
            time(path.latency.p50),
            time(path.latency.p95),
            time(path.latency.p99),
        ] {
            page!(out, "<td class=\"n\">{cell}</td>");
        }
        page!(out, "</tr>\n");
    }
    page!(out, "</tbody></table></div>\n</section>\n");
}

fn latency(out: &mut Page, report: &Report) {
    if report.totals.requests == 0 {
        return;
    }
    page!(out, "<section>\n<h2>Latency</h2>\n");
    table(
        out,
        &["of", ">p50", ">p90", ">p95", ">p99", ">max", ">mean", ">count"],
    );
    let mut row = |of: &str, latency: &Latency| {
        page!(out, "<tr><td>{of}</td>");
        for cell in [
            latency.p50,
            latency.p90,
            latency.p95,
            latency.p99,
            latency.max,
            latency.mean,
        ] {
            page!(out, "<td class=\"n\">{}</td>", time(cell));
        }
        page!(
            out,
            "<td class=\"n\">{}</td></tr>\n",
            latency.count.map_or_else(|| "–".to_owned(), grouped)
        );
    };
    row("all", &report.latency.all);
    row("ok", &report.latency.ok);
    row("added by hopscope", &report.latency.added_by_hopscope);
    page!(out, "</tbody></table></div>\n");
    if let Some(why) = &report.latency.added_by_hopscope_unseen {
        page!(
            out,
            "<p class=\"note\">What hopscope itself added was not measured: {}.</p>\n",
            Escaped(why)
        );
    }
    page!(out, "</section>\n");
}

fn generator(out: &mut Page, report: &Report) {
    let Some(generator) = &report.generator else {
        return;
    };
    page!(
        out,
        "<section>\n<h2>What {} counted</h2>\n<p>{}, {}.</p>\n",
        Escaped(&generator.tool),
        counted(generator.requests, "request"),
        counted(generator.failed, "failure")
    );
    table(out, &["charged to", ">failures", ">share"]);
    for (hop, failures) in &generator.failures_by_hop {
        page!(
            out,
            "<tr><td>{hop}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
            grouped(*failures),
            percent(float(*failures) / float(generator.failed.max(1)))
        );
    }
    page!(out, "</tbody></table></div>\n<ul>\n");
    for remark in &generator.remarks {
        page!(out, "<li>{}</li>\n", Escaped(remark));
    }
    page!(out, "</ul>\n</section>\n");
}

fn observer(out: &mut Page, report: &Report) {
    let observer = &report.observer;
    page!(
        out,
        "<section>\n<h2>hopscope itself</h2>\n<p>accepts {} = {} connection rows + {} counted losses: \
         <b class=\"{}\">{}</b></p>\n",
        grouped(observer.accepts),
        grouped(observer.connection_rows),
        grouped(observer.connections_lost),
        if observer.accounted { "good" } else { "bad" },
        if observer.accounted {
            "balanced"
        } else {
            "does not balance, evidence is missing that nobody counted"
        },
    );
    if observer.exchanges_lost > 0 || observer.kernel_events_lost > 0 {
        page!(
            out,
            "<p>Lost and counted: {}, {}.</p>\n",
            counted(observer.exchanges_lost, "exchange row"),
            counted(observer.kernel_events_lost, "kernel event")
        );
    }
    let not_read = not_read::lines(report);
    if !observer.reasons.is_empty() || !not_read.is_empty() {
        page!(out, "<ul>\n");
        for reason in not_read.iter().chain(&observer.reasons) {
            page!(out, "<li>{}</li>\n", Escaped(reason));
        }
        page!(out, "</ul>\n");
    }
    page!(out, "</section>\n");
}
