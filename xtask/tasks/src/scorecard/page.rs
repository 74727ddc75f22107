//! docs/accuracy.md: the figures, the confusion matrix of hops, and every scenario.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::card::{Card, Part, Tally};
use super::real::Joined;
use super::{Played, Set};

const HOPS: [&str; 6] = ["client", "observer", "tunnel", "lb", "backend", "unknown"];

/// The part of the page that the lab's plays write.
pub(super) const LAB: &str = "lab";
/// The part that the plays with real parts write.
pub(super) const REAL: &str = "real";

/// Puts a part into docs/accuracy.md, in place of the one that was there.
pub(super) fn write(root: &Path, part: &str, text: &str) -> Result<()> {
    let file = root.join("docs/accuracy.md");
    let old = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let (begin, end) = (format!("<!-- {part}: begin -->"), format!("<!-- {part}: end -->"));
    let (before, rest) = old
        .split_once(&begin)
        .with_context(|| format!("{} has no `{begin}`", file.display()))?;
    let (_, after) = rest
        .split_once(&end)
        .with_context(|| format!("{} has no `{end}`", file.display()))?;
    std::fs::write(&file, format!("{before}{begin}\n{text}{end}{after}"))
        .with_context(|| format!("writing {}", file.display()))
}

/// The part of the plays with real parts.
pub(super) fn real(cards: &[Card], tally: &Tally, joined: Joined) -> String {
    let mut out = String::new();
    line(
        &mut out,
        format_args!(
            "{} plays: {} failures charged, the hop right for {:.2} %, the cause for {:.2} %, {:.2} % left open, {} false tunnel convictions, {} healthy runs convicted.",
            tally.plays,
            tally.full.charged,
            tally.full.hop_share() * 100.0,
            tally.full.cause_share() * 100.0,
            tally.full.unknown_share() * 100.0,
            tally.false_tunnel,
            tally.healthy_convicted
        ),
    );
    line(
        &mut out,
        format_args!(
            "`hopscope report --k6` joined what k6 itself counted: {} failures, {} of them found in the recording by time, route and status, {} charged to a hop, the rest `unknown`.",
            joined.failed, joined.found, joined.charged
        ),
    );
    parts(&mut out, "made", cards);
    out
}

/// The lab's part of the page.
pub(super) fn page(extent: &str, played: &Played, tallies: &[(&Set, Tally)]) -> String {
    let cards = played.cards.as_slice();
    let mut out = String::new();
    let mut names: Vec<&str> = cards.iter().map(|card| card.scenario.as_str()).collect();
    names.dedup();
    let healthy = cards.iter().filter(|card| card.answer == "healthy");
    let healthy: BTreeSet<&str> = healthy.map(|card| card.scenario.as_str()).collect();
    line(
        &mut out,
        format_args!(
            "The {extent} set: {} plays of {} scenarios, {} of them healthy; {} plays were repeated because hopscope had said that the machine left it too little time.",
            cards.len(),
            names.len(),
            healthy.len(),
            played.repeated
        ),
    );
    for (set, _) in tallies {
        let plays: Vec<String> = set
            .plays
            .iter()
            .map(|(seed, level)| format!("seed {seed} at {level} of the scenario's load"))
            .collect();
        let figures = if set.other_figures {
            "shares of faults, latencies, pauses and times are other ones, drawn from the seed; no rule was made on them, and nobody looks at single plays"
        } else {
            "the scenarios' own figures; rules may be tuned on them"
        };
        line(
            &mut out,
            format_args!("- {}: {}; {figures}.", set.name, plays.join(", ")),
        );
    }
    out.push('\n');
    summary(&mut out, tallies);
    parts(&mut out, "injected", cards);
    out
}

/// What both parts have: the confusion of hops, of causes, every scenario, and what cannot be known. `deed` is what was
/// done: faults are injected into the lab, and made with real parts.
fn parts(out: &mut String, deed: &str, cards: &[Card]) {
    line(
        out,
        format_args!("\n### Hops: {deed} against charged\n\nFailures of all plays.\n"),
    );
    hops(out, cards);
    out.push_str("\n### Causes that were taken for another\n\n");
    mistakes(out, cards);
    out.push_str("\n### Scenarios\n\n");
    scenarios(out, cards);
    out.push_str("\n### Where the evidence does not suffice\n\n");
    knowable(out, cards);
}

/// A table; a head that begins with `>` is of figures.
fn table(out: &mut String, heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let named: Vec<&str> = heads.iter().map(|head| head.trim_start_matches('>')).collect();
    line(out, format_args!("| {} |", named.join(" | ")));
    let rules: Vec<&str> = heads
        .iter()
        .map(|head| if head.starts_with('>') { "--:" } else { "---" })
        .collect();
    line(out, format_args!("|{}|", rules.join("|")));
    for row in rows {
        line(out, format_args!("| {} |", row.join(" | ")));
    }
}

fn knowable(out: &mut String, cards: &[Card]) {
    let mut seen = BTreeSet::new();
    let rows = cards.iter().filter_map(|card| {
        let (charge, why) = card.knowable.as_ref()?;
        seen.insert(&card.scenario).then(|| {
            vec![
                card.scenario.clone(),
                card.answer.clone(),
                charge.clone(),
                why.clone(),
            ]
        })
    });
    table(out, &["scenario", "injected", "the best charge", "why"], rows);
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let written = writeln!(out, "{text}");
    debug_assert!(written.is_ok(), "writing into a string does not fail");
}

fn summary(out: &mut String, tallies: &[(&Set, Tally)]) {
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let heads = [
        "seeds",
        ">plays",
        ">failures charged",
        ">hop right",
        ">cause right",
        ">left open",
        ">false tunnel convictions",
        ">healthy runs convicted",
    ];
    let rows = tallies.iter().map(|(set, tally)| {
        vec![
            set.name.to_string(),
            tally.plays.to_string(),
            tally.full.charged.to_string(),
            percent(tally.full.hop_share()),
            percent(tally.full.cause_share()),
            percent(tally.full.unknown_share()),
            tally.false_tunnel.to_string(),
            tally.healthy_convicted.to_string(),
        ]
    });
    table(out, &heads, rows);
    out.push_str("\nHalf of all records and tunnel evidence taken away at random, the same recordings:\n\n");
    let heads = [
        "seeds",
        ">left open, all",
        ">left open, half",
        ">wrong hop, all",
        ">wrong hop, half",
    ];
    let rows = tallies.iter().map(|(set, tally)| {
        let of = |share: fn(&Part) -> f64| [share(&tally.full), share(&tally.half)].map(percent);
        let figures = [of(Part::unknown_share), of(Part::wrong_share)];
        std::iter::once(set.name.to_string())
            .chain(figures.into_iter().flatten())
            .collect()
    });
    table(out, &heads, rows);
}

fn hop_of(cause: &str) -> &str {
    HOPS.into_iter()
        .find(|hop| cause.strip_prefix(hop).is_some_and(|rest| rest.starts_with('-')))
        .unwrap_or("unknown")
}

fn hops(out: &mut String, cards: &[Card]) {
    let mut matrix: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for ((due, given), failures) in cards.iter().flat_map(|card| &card.full.matrix) {
        *matrix.entry((hop_of(due), hop_of(given))).or_default() += failures;
    }
    let figures: Vec<String> = HOPS.iter().map(|hop| format!(">{hop}")).collect();
    let heads: Vec<&str> = std::iter::once("injected")
        .chain(figures.iter().map(String::as_str))
        .collect();
    let rows = HOPS.into_iter().filter(|hop| *hop != "unknown").map(|due| {
        let cells = HOPS
            .iter()
            .map(|given| matrix.get(&(due, *given)).copied().unwrap_or(0).to_string());
        std::iter::once(due.to_owned()).chain(cells).collect()
    });
    table(out, &heads, rows);
}

fn mistakes(out: &mut String, cards: &[Card]) {
    let mut sum: BTreeMap<(&str, &str), (u64, BTreeSet<&str>)> = BTreeMap::new();
    for card in cards {
        for ((due, given), failures) in card.full.matrix.iter().filter(|((due, given), _)| due != given) {
            let cell = sum.entry((due, given)).or_default();
            cell.0 += failures;
            cell.1.insert(&card.scenario);
        }
    }
    let mut rows: Vec<_> = sum.into_iter().collect();
    rows.sort_by_key(|(_, (failures, _))| std::cmp::Reverse(*failures));
    let rows = rows.into_iter().map(|((due, given), (failures, scenarios))| {
        let scenarios: Vec<&str> = scenarios.into_iter().collect();
        vec![
            due.to_owned(),
            given.to_owned(),
            failures.to_string(),
            scenarios.join(", "),
        ]
    });
    table(out, &["injected", "charged", ">failures", "in"], rows);
}

fn scenarios(out: &mut String, cards: &[Card]) {
    let heads = [
        "scenario",
        "injected",
        ">plays",
        "verdicts",
        ">failures",
        ">hop right",
        ">cause right",
        ">left open",
    ];
    let mut all: Vec<&str> = Vec::new();
    for card in cards {
        if !all.contains(&card.scenario.as_str()) {
            all.push(&card.scenario);
        }
    }
    table(out, &heads, all.into_iter().map(|name| scenario(cards, name)));
}

fn scenario(cards: &[Card], name: &str) -> Vec<String> {
    let of_it: Vec<&Card> = cards.iter().filter(|card| card.scenario == name).collect();
    let tally = Tally::of(&of_it);
    let verdicts: Vec<String> = tally
        .verdicts
        .iter()
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    let named: BTreeSet<&str> = of_it
        .iter()
        .filter_map(|card| card.full.named.as_deref())
        .collect();
    let named: Vec<&str> = named.into_iter().collect();
    let percent = |share: f64| {
        if tally.full.charged == tally.full.unknown {
            "-".to_owned()
        } else {
            format!("{:.1} %", share * 100.0)
        }
    };
    let named = if named.is_empty() {
        "none".to_owned()
    } else {
        named.join(", ")
    };
    vec![
        name.to_owned(),
        of_it.first().map_or_else(String::new, |card| card.answer.clone()),
        tally.plays.to_string(),
        format!("{} ({named})", verdicts.join(", ")),
        tally.full.charged.to_string(),
        percent(tally.full.hop_share()),
        percent(tally.full.cause_share()),
        format!("{:.1} %", tally.full.unknown_share() * 100.0),
    ]
}
