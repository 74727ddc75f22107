//! What follows from a generator's figures alone, what does not, and the next test.
//!
//! Every rule is a function that adds what it found, or nothing. None of them charges a hop: the generator saw its own
//! socket only.

use serde::Serialize;

use super::summary::{GroupsFrom, Summary};
use hopscope_text::figures::{counted, grouped};

mod contrast;
mod latency;
mod outcomes;

use contrast::Contrast;
pub(super) use contrast::is_clean;

/// What a result says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reading {
    /// One sentence.
    pub headline: String,
    /// What it says of the tunnel.
    pub tunnel: TunnelReading,
    /// What follows from the figures, the weightiest first.
    pub says: Vec<Said>,
    /// What does not.
    pub cannot: Vec<Cannot>,
    /// The one test that would settle it.
    pub next: Option<Next>,
}

/// What a result says of a tunnel, or of anything else that carries bytes without knowing routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TunnelReading {
    /// Nothing failed.
    NothingFailed,
    /// It is not the likely cause.
    NotLikely,
    /// The figures neither clear nor charge it.
    Open,
}

/// One thing that follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// The rule, a kebab-case word.
    pub rule: &'static str,
    /// What follows, as a sentence with its figures.
    pub statement: String,
    /// Under which assumption, or what weakens it.
    pub caveat: Option<String>,
}

/// One thing that does not follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cannot {
    /// What one would like to know.
    pub question: String,
    /// What would have to be known for it.
    pub needs: String,
}

/// The next test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Next {
    /// A command line; words in capitals are to be filled in.
    pub command: String,
    /// What it settles.
    pub why: String,
}

impl Reading {
    /// Reads the figures.
    pub fn of(summary: &Summary) -> Self {
        let mut says = Vec::new();
        let delivered = outcomes::delivered(summary, &mut says);
        let contrast = contrast::by_group(summary, &mut says);
        outcomes::nothing_received(summary, &mut says);
        outcomes::breaks(summary, &mut says);
        outcomes::late(summary, &mut says);
        outcomes::in_flight(summary, &mut says);
        outcomes::not_counted(summary, &mut says);
        latency::fast_failures(summary, &mut says);
        latency::longest(summary, &mut says);
        latency::lattice(summary, &mut says);
        outcomes::parts_and_total(summary, &mut says);
        let hidden = summary.gaps.iter().any(|gap| gap.hides_failures);
        let known = summary.known_failures();
        let unwell = hidden || summary.late.is_some_and(|late| late > 0) || failed_checks(summary) > 0;
        let decisive =
            (delivered || contrast == Contrast::Decisive) && !hidden && summary.bytes_received != Some(0);
        let tunnel = if summary.failed == Some(0) && !unwell && summary.requests != Some(0) {
            TunnelReading::NothingFailed
        } else if known > 0 && decisive {
            TunnelReading::NotLikely
        } else {
            TunnelReading::Open
        };
        let headline = headline(summary, tunnel, delivered);
        Self {
            headline,
            tunnel,
            says,
            cannot: if tunnel == TunnelReading::NothingFailed {
                Vec::new()
            } else {
                cannot(summary, contrast)
            },
            next: (tunnel != TunnelReading::NothingFailed).then(|| next(summary)),
        }
    }
}

/// Failed evaluations of checks.
fn failed_checks(summary: &Summary) -> u64 {
    summary
        .checks
        .iter()
        .fold(0, |sum, check| sum.saturating_add(check.failed))
}

fn headline(summary: &Summary, tunnel: TunnelReading, delivered: bool) -> String {
    let known = summary.known_failures();
    match tunnel {
        TunnelReading::NothingFailed => "Nothing failed, as far as the generator counted.".to_owned(),
        TunnelReading::NotLikely if delivered => {
            "A tunnel is not the likely cause: the failures are answers that it delivered.".to_owned()
        }
        TunnelReading::NotLikely => {
            "A tunnel is not the likely cause: whether a request failed hung on its route, which a tunnel does not see."
                .to_owned()
        }
        TunnelReading::Open => open_headline(summary, known),
    }
}

fn open_headline(summary: &Summary, known: u64) -> String {
    if summary.requests == Some(0) {
        return "Nothing was answered: that neither charges nor clears any hop.".to_owned();
    }
    if summary.bytes_received == Some(0) && known > 0 {
        return "Not one byte came back: no failure was an answer, and any hop may be the one that failed."
            .to_owned();
    }
    match summary.failed {
        None if known > 0 => format!(
            "At least {} failed; how many exactly this result does not say, nor which hop failed them.",
            counted(known, "request")
        ),
        None => "How many requests failed is not stated: nothing can be said of who failed them.".to_owned(),
        Some(0) if summary.gaps.iter().any(|gap| gap.hides_failures) => {
            "Nothing that was counted failed, but not everything was counted.".to_owned()
        }
        Some(0) if summary.late.is_some_and(|late| late > 0) => format!(
            "Every request was answered, {} of them later than the generator's time-out.",
            grouped(summary.late.unwrap_or(0))
        ),
        Some(0) => format!(
            "No request failed; {} did: answers came, and were not what the script expects.",
            counted(failed_checks(summary), "check")
        ),
        Some(failed)
            if summary
                .delivered_errors
                .is_some_and(|delivered| delivered > failed / 2) =>
        {
            "Most failures are answers that the path delivered; the others neither charge nor clear any hop."
                .to_owned()
        }
        Some(_) => "These figures neither charge nor clear any hop.".to_owned(),
    }
}

/// What is missing, for this result.
fn cannot(summary: &Summary, contrast: Contrast) -> Vec<Cannot> {
    let tool = summary.tool.word();
    let mut cannot: Vec<Cannot> = summary
        .gaps
        .iter()
        .map(|gap| Cannot {
            question: gap.what.clone(),
            needs: gap.needs.clone(),
        })
        .collect();
    if summary.failed == Some(0) {
        return cannot;
    }
    cannot.push(Cannot {
        question: "Which hop ended the failed exchanges, and whether with FIN or with RST".to_owned(),
        needs: format!("both sockets of a point on the path; {tool} has only its own"),
    });
    if summary.delivered_errors.is_none() && summary.known_failures() > 0 {
        cannot.push(Cannot {
            question:
                "Whether the failures were complete answers (a 5xx, which proves that the path delivered) or broken \
                 connections"
                    .to_owned(),
            needs: "the status of each failure; a summary counts both alike".to_owned(),
        });
    }
    let has_contrast = contrast != Contrast::None;
    if has_contrast && summary.clean_while_others_failed.is_none() {
        cannot.push(Cannot {
            question: "Whether the clean requests ran while the others failed, rather than before or after"
                .to_owned(),
            needs: "the time of each request".to_owned(),
        });
    }
    if has_contrast {
        cannot.push(Cannot {
            question: "Whether the failing routes differ in size: a tunnel that breaks under large bodies only looks \
                       as if it knew routes"
                .to_owned(),
            needs: "bytes by route".to_owned(),
        });
    }
    cannot.push(Cannot {
        question: "Whether failures came together, as when a tunnel breaks, or one by one".to_owned(),
        needs: "time and connection of each failure".to_owned(),
    });
    cannot
}

fn next(summary: &Summary) -> Next {
    Next {
        command: format!("hopscope run --via tunnel=kubectl:svc/NAME:PORT -- {}", summary.tool.load()),
        why: match summary.groups_from {
            GroupsFrom::Nothing => {
                "The same load with both sockets on record: who ended what, which failures were answers, and at which \
                 hop."
            }
            GroupsFrom::Checks
            | GroupsFrom::Requests
            | GroupsFrom::Groups
            | GroupsFrom::Scenarios
            | GroupsFrom::Tags => {
                "The same load with both sockets on record: which failures were answers, whether routes differ at the \
                 same time and size, and which hop ended the rest."
            }
        }
        .to_owned(),
    }
}
