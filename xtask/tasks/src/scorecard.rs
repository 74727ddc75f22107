//! The scorecard: every scenario of the lab through the real binary, each verdict held against what was injected.
//!
//! `hopscope demo NAME --score FILE` plays one scenario in a process of its own and writes how right the diagnosis is;
//! here the plays are chosen, counted and held against the floors. Seeds are of two sets: rules may be tuned on the
//! first; nobody looks at single plays of the second.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::workspace;

mod card;
mod page;
mod real;
mod wild;

use card::{Card, Tally};

/// What to play.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many plays: each scenario four times, twice or once
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "EXTENT",
        conflicts_with_all = ["real", "wild"]
    )]
    extent: Extent,
    /// Real parts instead of the lab's: k6, kubectl, HAProxy, nginx and Envoy, which must be on PATH
    #[arg(long)]
    real: bool,
    #[command(flatten)]
    wild: wild::Args,
    /// Write docs/accuracy.md after less than the full set as well
    #[arg(long)]
    write: bool,
    /// Only scenarios whose name contains this; the floors are not held then, and nothing is written
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Plays at a time: more than cores, and hopscope's verdict is rightly that it was starved
    #[arg(long, value_name = "N", default_value_t = 2)]
    jobs: usize,
}

/// How many plays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Extent {
    /// Every seed of both sets: what docs/accuracy.md shows
    #[default]
    Full,
    /// One tuned and one held-out seed for every scenario
    Quick,
    /// Every scenario once, tuned and held-out in turn: what CI plays
    Smoke,
}

impl Extent {
    const fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Quick => "quick",
            Self::Smoke => "smoke",
        }
    }
}

/// A set of plays of every scenario.
#[derive(Debug)]
struct Set {
    name: &'static str,
    /// Seeds, each with the share of the scenario's own load that it is played at.
    plays: &'static [(u64, f64)],
    /// Whether the scenarios' figures are replaced by others, drawn from the seed.
    other_figures: bool,
}

/// The set that rules may be tuned on, and the one whose seeds and figures no rule was made on.
const SETS: [Set; 2] = [
    Set {
        name: "tuned",
        plays: &[(1, 1.0), (2, 0.5)],
        other_figures: false,
    },
    Set {
        name: "held out",
        plays: &[(7_001, 0.8), (7_002, 0.4)],
        other_figures: true,
    },
];
/// How often a play is repeated of which hopscope says that it could not keep up: the machine was busy.
const REPEATS: usize = 2;
/// How many times faster than in a demo.
const SPEED: f64 = 4.0;

/// At least these shares of the failures that are charged to a hop must be right.
const HOP_FLOOR: f64 = 0.97;
const CAUSE_FLOOR: f64 = 0.92;

/// One play.
#[derive(Clone, Debug)]
struct Play {
    scenario: String,
    seed: u64,
    level: f64,
    other_figures: bool,
}

/// What was played.
struct Played {
    cards: Vec<Card>,
    /// Plays that were repeated because hopscope had said that it could not keep up.
    repeated: usize,
}

/// Plays, counts, writes, and fails below the floors.
pub(crate) fn execute(args: &Args) -> Result<()> {
    let root = workspace::root()?;
    if args.wild.wild {
        return wild::execute(&root, &args.wild);
    }
    if args.real {
        return score_real(&root, args);
    }
    let binary = binary(&root)?;
    let plays = plays(&binary, args)?;
    ensure!(!plays.is_empty(), "no scenario has that in its name");
    let began = Instant::now();
    let played = all(&binary, &plays, args.jobs.max(1))?;
    let cards = &played.cards;
    let tallies: Vec<(&Set, Tally)> = SETS
        .iter()
        .map(|set| {
            let of_it = |card: &&Card| set.plays.iter().any(|(seed, _)| *seed == card.seed);
            (set, Tally::of(&cards.iter().filter(of_it).collect::<Vec<_>>()))
        })
        .collect();
    let page = page::page(args.extent.word(), &played, &tallies);
    workspace::say(&page);
    workspace::say(&format!(
        "{} plays took {} s",
        cards.len(),
        began.elapsed().as_secs()
    ));
    if args.only.is_some() {
        return Ok(());
    }
    if args.extent == Extent::Full || args.write {
        page::write(&root, page::LAB, &page)?;
    }
    let tallies: Vec<(&str, Tally)> = tallies
        .into_iter()
        .map(|(set, tally)| (set.name, tally))
        .collect();
    hold(cards, &tallies)
}

/// The program that is scored: the one that `HOPSCOPE_BIN` names, else built now.
fn binary(root: &Path) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("HOPSCOPE_BIN") {
        return Ok(named.into());
    }
    Ok(workspace::programs(root)?.join("hopscope"))
}

/// Plays with real parts, counts, writes, and fails below the same floors.
fn score_real(root: &Path, args: &Args) -> Result<()> {
    let began = Instant::now();
    let (cards, joined) = real::all(args.only.as_deref())?;
    let tally = Tally::of(&cards.iter().collect::<Vec<_>>());
    let page = page::real(&cards, &tally, joined);
    workspace::say(&page);
    workspace::say(&format!(
        "{} real plays took {} s",
        cards.len(),
        began.elapsed().as_secs()
    ));
    if args.only.is_some() {
        return Ok(());
    }
    page::write(root, page::REAL, &page)?;
    hold(&cards, &[("real", tally)])
}

/// Fails when a floor does not hold.
fn hold(cards: &[Card], tallies: &[(&str, Tally)]) -> Result<()> {
    let mut broken = Vec::new();
    for (name, tally) in tallies {
        for (what, share, floor) in [
            ("hop", tally.full.hop_share(), HOP_FLOOR),
            ("cause", tally.full.cause_share(), CAUSE_FLOOR),
        ] {
            if share < floor {
                broken.push(format!(
                    "{name}: {what} right for {:.2} %, floor {:.0} %",
                    share * 100.0,
                    floor * 100.0
                ));
            }
        }
        if tally.false_tunnel > 0 {
            broken.push(format!(
                "{name}: {} failures charged to an innocent tunnel",
                tally.false_tunnel
            ));
        }
        if tally.healthy_convicted > 0 {
            broken.push(format!(
                "{name}: {} healthy runs convicted",
                tally.healthy_convicted
            ));
        }
        if tally.half.unknown_share() < tally.full.unknown_share() {
            broken.push(format!(
                "{name}: with half of the evidence gone, less is unknown than with all of it"
            ));
        }
        if tally.half.wrong_share() > tally.full.wrong_share() + 0.01 {
            broken.push(format!(
                "{name}: with half of the evidence gone, more blame is wrong"
            ));
        }
    }
    for card in cards.iter().filter(|card| !card.balanced) {
        broken.push(format!(
            "{} seed {}: connections are unaccounted for",
            card.scenario, card.seed
        ));
    }
    if broken.is_empty() {
        return Ok(());
    }
    bail!("below the floors:\n  {}", broken.join("\n  "))
}

fn plays(binary: &Path, args: &Args) -> Result<Vec<Play>> {
    let listed = Command::new(binary)
        .args(["demo", "--names"])
        .output()
        .context("listing the scenarios")?;
    ensure!(listed.status.success(), "hopscope does not list its scenarios");
    let names = String::from_utf8(listed.stdout).context("scenario names")?;
    let wanted = |name: &&str| args.only.as_ref().is_none_or(|part| name.contains(part.as_str()));
    let mut plays = Vec::new();
    for (nth, scenario) in names.lines().filter(wanted).enumerate() {
        for (number, set) in SETS.iter().enumerate() {
            if args.extent == Extent::Smoke && nth % SETS.len() != number {
                continue;
            }
            let each = match args.extent {
                Extent::Full => set.plays.len(),
                Extent::Quick | Extent::Smoke => 1,
            };
            for (seed, level) in set.plays.iter().take(each) {
                plays.push(Play {
                    scenario: scenario.to_owned(),
                    seed: *seed,
                    level: *level,
                    other_figures: set.other_figures,
                });
            }
        }
    }
    Ok(plays)
}

/// Plays all, a few at a time; the cards come in the order of the plays. Starved plays have the machine to themselves.
fn all(binary: &Path, plays: &[Play], jobs: usize) -> Result<Played> {
    let folder = std::env::temp_dir().join(format!("hopscope-scorecard-{}", std::process::id()));
    std::fs::create_dir_all(&folder).context("making a folder for the recordings")?;
    // A build meanwhile must not change what is scored.
    let program = folder.join("hopscope");
    std::fs::copy(binary, &program).context("copying hopscope")?;
    let binary = program.as_path();
    let done: Mutex<BTreeMap<usize, Result<Card>>> = Mutex::new(BTreeMap::new());
    let (alone, together): (Vec<usize>, Vec<usize>) =
        (0..plays.len()).partition(|nth| plays[*nth].scenario == "starved");
    for (numbers, jobs) in [(together, jobs), (alone, 1)] {
        let waiting = Mutex::new(numbers.into_iter());
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    loop {
                        let next = waiting.lock().map_or(None, |mut waiting| waiting.next());
                        let Some(nth) = next else { return };
                        let card = play(binary, &plays[nth], &folder.join(nth.to_string()));
                        if let Ok(mut done) = done.lock() {
                            done.insert(nth, card);
                        }
                    }
                });
            }
        });
    }
    let done = done.into_inner().ok().context("a player has failed")?;
    let mut cards: Vec<Card> = done.into_values().collect::<Result<_>>()?;
    let mut repeated = 0;
    for _ in 0..REPEATS {
        // Alone now: of a play in which hopscope could not keep up it says so, and that is all that can be scored.
        for (nth, (card, play)) in cards.iter_mut().zip(plays).enumerate() {
            if card.saturated && card.hop != "observer" {
                repeated += 1;
                *card = self::play(binary, play, &folder.join(nth.to_string()))?;
            }
        }
    }
    std::fs::remove_dir_all(&folder).context("removing the recordings")?;
    Ok(Played { cards, repeated })
}

fn play(binary: &Path, play: &Play, stem: &Path) -> Result<Card> {
    let file = |ending: &str| -> PathBuf { stem.with_extension(ending) };
    let (recording, score) = (file("sqlite"), file("json"));
    let status = Command::new(binary)
        .args(["demo", &play.scenario])
        .args([
            "--seed",
            &play.seed.to_string(),
            "--load",
            &play.level.to_string(),
        ])
        .args(["--speed", &SPEED.to_string()])
        .args(play.other_figures.then_some("--other-figures"))
        .arg("--record")
        .arg(&recording)
        .arg("--score")
        .arg(&score)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("playing {}", play.scenario))?;
    ensure!(
        status.success(),
        "{} with seed {} ended with {status}",
        play.scenario,
        play.seed
    );
    let text =
        std::fs::read_to_string(&score).with_context(|| format!("reading the score of {}", play.scenario))?;
    let card = Card::parse(&text).with_context(|| format!("the score of {}", play.scenario))?;
    std::fs::remove_file(&recording).context("removing a recording")?;
    Ok(card)
}
