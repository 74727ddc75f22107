//! The results as a person reads them: a line a play, the table, and the part of docs/accuracy.md.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::fit::Word;
use crate::play::{Play, Vantage, told};
use crate::score::{Card, ratio};

/// At least this share of the failures of which a hop is expected is charged to it.
const HOP_FLOOR: f64 = 0.97;
/// At most this share of all failures is charged to a hop that did nothing.
const WRONG_CEILING: f64 = 0.005;

/// All cards added up.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    plays: usize,
    runs: usize,
    words: [usize; 5],
    expected: u64,
    right: u64,
    failures: u64,
    wrong: u64,
    missed: u64,
    false_tunnel: u64,
    differences: usize,
    without_experiment: usize,
}

impl Tally {
    pub(crate) fn of(cards: &[&Card]) -> Self {
        let mut tally = Self::default();
        let mut names: Vec<&str> = cards.iter().map(|card| card.play.name).collect();
        names.dedup();
        tally.plays = names.len();
        for card in cards {
            tally.runs += 1;
            tally.words[card.word as usize] += 1;
            tally.failures += card.right + card.open + card.wrong;
            tally.wrong += card.wrong;
            tally.missed += card.missed;
            tally.false_tunnel += card.false_tunnel;
            tally.differences += usize::from(card.difference.is_some() && card.play.differs.is_empty());
            tally.without_experiment += usize::from(card.verdict.starts_with("unknown") && !card.experiment);
            if card.hop_expected {
                tally.expected += card.right + card.open + card.wrong + card.missed;
                tally.right += card.right;
            }
        }
        tally
    }

    pub(crate) fn told(&self) -> String {
        let words: Vec<String> = Word::ALL
            .iter()
            .map(|word| format!("{} {}", self.words[*word as usize], word.word()))
            .collect();
        format!(
            "{} plays, {} runs: {}. Of {} failures of which a hop is expected, {:.2} % are charged to it; of all {} failures \
             {:.2} % to a wrong hop; {} missed; {} false tunnel convictions; {} runs in which the generator saw other \
             figures through hopscope; {} open answers without an experiment.",
            self.plays,
            self.runs,
            words.join(", "),
            self.expected,
            self.hop_share() * 100.0,
            self.failures,
            ratio(self.wrong, self.failures) * 100.0,
            self.missed,
            self.false_tunnel,
            self.differences,
            self.without_experiment
        )
    }

    fn hop_share(&self) -> f64 {
        if self.expected == 0 {
            1.0
        } else {
            ratio(self.right, self.expected)
        }
    }

    /// Which floors do not hold.
    pub(crate) fn below_the_floors(&self) -> Vec<String> {
        let mut below = Vec::new();
        if self.hop_share() < HOP_FLOOR {
            below.push(format!(
                "the expected hop for {:.2} % of the failures, floor {:.0} %",
                self.hop_share() * 100.0,
                HOP_FLOOR * 100.0
            ));
        }
        let wrong = ratio(self.wrong, self.failures);
        if wrong > WRONG_CEILING {
            below.push(format!(
                "a wrong hop for {:.2} % of the failures, ceiling {:.1} %",
                wrong * 100.0,
                WRONG_CEILING * 100.0
            ));
        }
        if self.missed > 0 {
            below.push(format!("{} failures are in no count", self.missed));
        }
        if self.false_tunnel > 0 {
            below.push(format!(
                "{} failures are charged to an innocent tunnel",
                self.false_tunnel
            ));
        }
        below
    }
}

fn charges(card: &Card) -> String {
    let charges: Vec<String> = card
        .charges
        .iter()
        .map(|(hop, cause, failures)| {
            if cause.starts_with(hop.as_str()) {
                format!("{failures} {cause}")
            } else {
                format!("{failures} {hop} {cause}")
            }
        })
        .collect();
    charges.join(", ")
}

/// One card in a line or two.
pub(crate) fn line(card: &Card) -> String {
    let mut text = format!(
        "{:<10} {} ({}): {}; expected {}; charged [{}]; generator {} of {} failed",
        card.word.word(),
        card.play.name,
        card.vantage.word(),
        card.verdict,
        told(card.play.expected(card.vantage)),
        charges(card),
        card.saw.failed,
        card.saw.requests
    );
    if let Some(without) = &card.without {
        add(
            &mut text,
            format_args!(" (without: {} of {})", without.failed, without.requests),
        );
    }
    if card.missed > 0 {
        add(&mut text, format_args!("; MISSED {}", card.missed));
    }
    if let Some(difference) = &card.difference {
        add(&mut text, format_args!("; DIFFERS {difference}"));
    }
    add(&mut text, format_args!("; {} s", card.seconds));
    text
}

fn add(text: &mut String, what: std::fmt::Arguments<'_>) {
    let written = text.write_fmt(what);
    debug_assert!(written.is_ok(), "writing into a string does not fail");
}

/// The catalogue as a table.
pub(crate) fn catalogue(plays: &[(&'static str, &'static Play)]) -> String {
    let mut text = String::from(
        "| family | play | truth | what is done | alone | agents | two paths | mirror |\n|---|---|---|---|---|---|---|---|\n",
    );
    for (family, play) in plays {
        let expected = |vantage| {
            let answers = play.expected(vantage);
            if answers.is_empty() {
                "-".to_owned()
            } else {
                told(answers)
            }
        };
        add(
            &mut text,
            format_args!(
                "| {family} | {} | {} | {} | {} | {} | {} | {} |\n",
                play.name,
                play.truth.word(),
                play.done,
                expected(Vantage::Alone),
                expected(Vantage::Agents),
                expected(Vantage::TwoPaths),
                play.mirror
            ),
        );
    }
    text
}

/// What docs/accuracy.md says of the wild set.
pub(crate) fn page(cards: &[(&'static str, Card)], tally: &Tally) -> String {
    let mut text = String::new();
    add(
        &mut text,
        format_args!("{}\n\nMachine: {}.\n", tally.told(), machine()),
    );
    text.push_str("\n### What a relay cannot help\n\n");
    for (_, card) in cards.iter().filter(|(_, card)| !card.play.differs.is_empty()) {
        let seen = card.difference.as_deref().unwrap_or("no difference in this run");
        add(
            &mut text,
            format_args!("- {}: {} ({seen}).\n", card.play.name, card.play.differs),
        );
    }
    text.push_str("\n### Counts that cannot be compared\n\n");
    let mut told_of = Vec::new();
    for (_, card) in cards.iter().filter(|(_, card)| !card.play.miscounts.is_empty()) {
        if !told_of.contains(&card.play.name) {
            told_of.push(card.play.name);
            add(
                &mut text,
                format_args!("- {}: {}.\n", card.play.name, card.play.miscounts),
            );
        }
    }
    text.push_str("\n### Plays\n\n| family | play | vantage | truth | expected | verdict | charged | |\n|---|---|---|---|---|---|---|---|\n");
    for (family, card) in cards {
        add(
            &mut text,
            format_args!(
                "| {family} | {} | {} | {} | {} | {} | {} | {} |\n",
                card.play.name,
                card.vantage.word(),
                card.play.truth.word(),
                told(card.play.expected(card.vantage)),
                card.verdict,
                charges(card),
                card.word.word()
            ),
        );
    }
    text
}

/// Processor, cores and kernel.
fn machine() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let model = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!(
        "{model}, {cores} cores, Linux {}",
        read("/proc/sys/kernel/osrelease").trim()
    )
}

/// Puts the text between the page's `wild` marks.
pub(crate) fn write(file: &Path, text: &str) -> Result<()> {
    let old = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let (begin, end) = ("<!-- wild: begin -->", "<!-- wild: end -->");
    let (before, rest) = old
        .split_once(begin)
        .with_context(|| format!("{} has no {begin}", file.display()))?;
    let (_, after) = rest
        .split_once(end)
        .with_context(|| format!("{} has no {end}", file.display()))?;
    std::fs::write(file, format!("{before}{begin}\n{text}{end}{after}"))
        .with_context(|| format!("writing {}", file.display()))
}
