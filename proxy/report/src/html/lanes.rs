//! Each path as a lane of hops from the generator to the dependencies, the charged ones marked.
//!
//! A hop without a mark is one that nothing was charged to; the lane does not say that it was cleared.

use hopscope_attribution::between::Between;
use hopscope_attribution::hop::Hop;

use super::markup::{Escaped, Page, page};
use crate::model::{PathReport, Report, either};
use hopscope_text::figures::{grouped, percent, ratio};

/// What stands on a lane: the hop, and its parts from left to right.
type Stop = (Hop, &'static [&'static str]);

const CLIENT: Stop = (Hop::Client, &["load generator"]);
const OBSERVER: Stop = (Hop::Observer, &["hopscope"]);
const TUNNEL: Stop = (Hop::Tunnel, &["forwarder", "API server", "kubelet", "runtime"]);
const LB: Stop = (Hop::Lb, &["load balancer"]);
const BACKEND: Stop = (Hop::Backend, &["application", "dependencies"]);

/// The class by which a hop is coloured when it is charged.
pub(super) const fn hop_class(hop: Hop) -> &'static str {
    match hop {
        Hop::Client | Hop::Tunnel | Hop::Lb | Hop::Backend => "bad",
        Hop::Observer | Hop::Unknown => "doubt",
    }
}

pub(super) fn write(out: &mut Page, report: &Report) {
    if report.paths.is_empty() {
        return;
    }
    page!(out, "<section>\n<h2>The path, and who is charged on it</h2>\n");
    for (path, given) in report.paths.iter().zip(&report.run.paths) {
        page!(
            out,
            "<h3>{} <small>{} · {} of {} failed{}</small></h3>\n",
            Escaped(&path.path),
            Escaped(&given.target),
            grouped(path.failed),
            grouped(path.requests),
            path.failure_ratio
                .map(|ratio| format!(" ({})", percent(ratio)))
                .unwrap_or_default(),
        );
        lane(out, path);
    }
    page!(
        out,
        "<p class=\"note\">A hop without a mark was charged with nothing on this path. That alone does not clear it: \
         what clears a hop stands with the evidence below.</p>\n</section>\n"
    );
}

fn lane(out: &mut Page, path: &PathReport) {
    let stops: &[Stop] = match path.kind {
        "tunnel" => &[CLIENT, OBSERVER, TUNNEL, BACKEND],
        "lb" => &[CLIENT, OBSERVER, LB, BACKEND],
        "direct" => &[CLIENT, OBSERVER, BACKEND],
        // Nothing may be assumed of what stands in between.
        _ => &[CLIENT, OBSERVER, (Hop::Unknown, &["not stated"]), BACKEND],
    };
    page!(out, "<ol class=\"lane\">\n");
    for (hop, parts) in stops {
        stop(out, path, *hop, parts);
    }
    // A charge on a hop that this kind of path does not show is shown all the same.
    for hop in Hop::ALL {
        if stops.iter().all(|(shown, _)| *shown != hop) && failures(path, hop) > 0 {
            stop(out, path, hop, &[]);
        }
    }
    page!(out, "</ol>\n");
}

fn stop(out: &mut Page, path: &PathReport, hop: Hop, parts: &[&str]) {
    let charged = failures(path, hop);
    let class = if charged > 0 { hop_class(hop) } else { "plain" };
    page!(
        out,
        "<li class=\"{class}\" style=\"flex-grow:{}\"><b>{hop}</b>",
        parts.len().max(1)
    );
    if !parts.is_empty() {
        page!(out, "<span class=\"parts\">");
        for part in parts {
            page!(out, "<i>{part}</i>");
        }
        page!(out, "</span>");
    }
    if charged > 0 {
        let all = path
            .charges
            .iter()
            .fold(0_u64, |sum, of| sum.saturating_add(of.failures));
        page!(
            out,
            "<em>{} · {}</em>",
            grouped(charged),
            ratio(charged, all).map_or_else(String::new, percent)
        );
        for charge in path.charges.iter().filter(|of| of.hop == hop).take(3) {
            page!(out, "<small>{}{}</small>", charge.cause, open(charge.between));
        }
    }
    page!(out, "</li>\n");
}

/// ` (lb or backend)`, where a charge is left open between hops.
pub(super) fn open(between: Between) -> String {
    either(between).map_or_else(String::new, |hops| format!(" ({hops})"))
}

fn failures(path: &PathReport, hop: Hop) -> u64 {
    path.charges
        .iter()
        .filter(|of| of.hop == hop)
        .fold(0, |sum, of| sum.saturating_add(of.failures))
}
