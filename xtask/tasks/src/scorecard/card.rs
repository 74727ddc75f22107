//! What one play says of itself, and many of them added up.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

/// One play's score.
#[derive(Clone, Debug)]
pub(super) struct Card {
    pub(super) scenario: String,
    pub(super) seed: u64,
    /// The cause that was injected, or `healthy`.
    pub(super) answer: String,
    /// Its hop, or `none`.
    pub(super) hop: String,
    /// The best charge that can be made from where hopscope stands, and why no better one, where it is not the truth.
    pub(super) knowable: Option<(String, String)>,
    /// Whether hopscope says that it could not keep up: then it convicts nobody, and the play says little.
    pub(super) saturated: bool,
    /// Whether every connection was accounted for.
    pub(super) balanced: bool,
    /// With all of the evidence.
    pub(super) full: Part,
    /// With half of it gone.
    pub(super) half: Part,
}

/// How right one diagnosis is, or many added up.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    pub(super) verdict: String,
    pub(super) named: Option<String>,
    pub(super) charged: u64,
    pub(super) right_hop: u64,
    pub(super) right_cause: u64,
    pub(super) unknown: u64,
    pub(super) wrong_hop: u64,
    /// True cause, charged cause, failures.
    pub(super) matrix: BTreeMap<(String, String), u64>,
}

/// Many cards added up.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) plays: usize,
    pub(super) full: Part,
    pub(super) half: Part,
    /// Verdicts by their word.
    pub(super) verdicts: BTreeMap<String, usize>,
    /// Failures charged to a tunnel where no tunnel was broken.
    pub(super) false_tunnel: u64,
    /// Healthy runs in which a hop was named.
    pub(super) healthy_convicted: u64,
}

impl Card {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let word = |name: &str| {
            value[name]
                .as_str()
                .map(str::to_owned)
                .with_context(|| format!("no {name}"))
        };
        Ok(Self {
            scenario: word("scenario")?,
            seed: value["seed"].as_u64().context("no seed")?,
            answer: word("answer")?,
            hop: word("hop")?,
            knowable: match (value["knowable"].as_str(), value["why"].as_str()) {
                (Some(charge), Some(why)) => Some((charge.to_owned(), why.to_owned())),
                _ => None,
            },
            saturated: value["saturated"].as_bool().context("no saturated")?,
            balanced: value["balanced"].as_bool().context("no balanced")?,
            full: Part::parse(&value["full"])?,
            half: Part::parse(&value["half"])?,
        })
    }
}

impl Part {
    fn parse(value: &Value) -> Result<Self> {
        let count = |name: &str| value[name].as_u64().with_context(|| format!("no {name}"));
        let mut matrix = BTreeMap::new();
        for cell in value["matrix"].as_array().context("no matrix")? {
            let (Some(due), Some(given), Some(failures)) =
                (cell[0].as_str(), cell[1].as_str(), cell[2].as_u64())
            else {
                anyhow::bail!("a cell of the matrix is malformed");
            };
            matrix.insert((due.to_owned(), given.to_owned()), failures);
        }
        Ok(Self {
            verdict: value["verdict"].as_str().context("no verdict")?.to_owned(),
            named: value["named"].as_str().map(str::to_owned),
            charged: count("charged")?,
            right_hop: count("right_hop")?,
            right_cause: count("right_cause")?,
            unknown: count("unknown")?,
            wrong_hop: count("wrong_hop")?,
            matrix,
        })
    }

    fn add(&mut self, other: &Self) {
        self.charged += other.charged;
        self.right_hop += other.right_hop;
        self.right_cause += other.right_cause;
        self.unknown += other.unknown;
        self.wrong_hop += other.wrong_hop;
        for (cell, failures) in &other.matrix {
            *self.matrix.entry(cell.clone()).or_default() += failures;
        }
    }

    /// Of the failures that are charged to a hop, those charged to the right one.
    pub(super) fn hop_share(&self) -> f64 {
        share(self.right_hop, self.charged - self.unknown)
    }

    /// Of the failures that are charged to a hop, those charged to the right cause.
    pub(super) fn cause_share(&self) -> f64 {
        share(self.right_cause, self.charged - self.unknown)
    }

    /// Failures of which the diagnosis says that it does not know.
    pub(super) fn unknown_share(&self) -> f64 {
        if self.charged == 0 {
            0.0
        } else {
            share(self.unknown, self.charged)
        }
    }

    /// Failures that are charged to the wrong hop.
    pub(super) fn wrong_share(&self) -> f64 {
        if self.charged == 0 {
            0.0
        } else {
            share(self.wrong_hop, self.charged)
        }
    }
}

impl Tally {
    pub(super) fn of(cards: &[&Card]) -> Self {
        let mut tally = Self::default();
        for card in cards {
            tally.plays += 1;
            tally.full.add(&card.full);
            tally.half.add(&card.half);
            *tally.verdicts.entry(card.full.verdict.clone()).or_default() += 1;
            if card.hop != "tunnel" {
                let cells = card
                    .full
                    .matrix
                    .iter()
                    .filter(|((_, given), _)| given.starts_with("tunnel-"));
                tally.false_tunnel += cells.map(|(_, failures)| failures).sum::<u64>();
            }
            if card.answer == "healthy" && card.full.verdict == "wrong" {
                tally.healthy_convicted += 1;
            }
        }
        tally
    }
}

/// All of nothing is right.
#[expect(clippy::cast_precision_loss, reason = "counts of some thousands")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}
