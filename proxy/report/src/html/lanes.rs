//! Each path as a lane of hops from the generator to the dependencies, the charged ones marked.
//!
//! A hop without a mark is one that nothing was charged to; the lane does not say that it was cleared.

use hopscope_attribution::between::Between;
use hopscope_attribution::hop::Hop;

use maud::{Markup, html};

use crate::model::{PathReport, Report, either};
use crate::section::Words;
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

pub(super) fn markup(report: &Report) -> Markup {
    if report.paths.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { "The path, and who is charged on it" }
            @for (path, given) in report.paths.iter().zip(&report.run.paths) {
                h3 {
                    (Words::from(&path.path)) " "
                    small {
                        (Words::from(&given.target)) " · " (grouped(path.failed)) " of " (grouped(path.requests))
                        " requests failed"
                        @if let Some(ratio) = path.failure_ratio { " (" (percent(ratio)) ")" }
                    }
                }
                (lane(path))
            }
            p.note {
                "A hop without a mark was charged with nothing on this path. That alone does not clear it: what clears a hop \
                 stands with the evidence below."
            }
        }
    }
}

fn lane(path: &PathReport) -> Markup {
    let stops: &[Stop] = match path.kind {
        "tunnel" => &[CLIENT, OBSERVER, TUNNEL, BACKEND],
        "lb" => &[CLIENT, OBSERVER, LB, BACKEND],
        "direct" => &[CLIENT, OBSERVER, BACKEND],
        // Nothing may be assumed of what stands in between.
        _ => &[CLIENT, OBSERVER, (Hop::Unknown, &["not stated"]), BACKEND],
    };
    // A charge on a hop that this kind of path does not show is shown all the same.
    let others = Hop::ALL
        .into_iter()
        .filter(|hop| stops.iter().all(|(shown, _)| shown != hop) && failures(path, *hop) > 0);
    html! {
        ol.lane {
            @for (hop, parts) in stops { (stop(path, *hop, parts)) }
            @for hop in others { (stop(path, hop, &[])) }
        }
    }
}

fn stop(path: &PathReport, hop: Hop, parts: &[&str]) -> Markup {
    let charged = failures(path, hop);
    let all = path
        .charges
        .iter()
        .fold(0_u64, |sum, of| sum.saturating_add(of.failures));
    let class = if charged > 0 { hop_class(hop) } else { "plain" };
    html! {
        li.(class) style={ "flex-grow:" (parts.len().max(1)) } {
            b { (hop.word()) }
            @if !parts.is_empty() { span.parts { @for part in parts { i { (part) } } } }
            @if charged > 0 {
                em { (grouped(charged)) " · " (ratio(charged, all).map_or_else(String::new, percent)) }
                @for charge in path.charges.iter().filter(|of| of.hop == hop).take(3) {
                    small { (charge.cause.word()) (open(charge.between)) }
                }
            }
        }
    }
}

/// ` (lb or backend)`, where a charge is left open between hops.
fn open(between: Between) -> String {
    either(between).map_or_else(String::new, |hops| format!(" ({hops})"))
}

fn failures(path: &PathReport, hop: Hop) -> u64 {
    path.charges
        .iter()
        .filter(|of| of.hop == hop)
        .fold(0, |sum, of| sum.saturating_add(of.failures))
}
