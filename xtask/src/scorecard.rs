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

use crate::ci;

mod card;
mod page;

use card::{Card, Tally};

/// What to play.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One tuned and one held-out seed at one load level: a few minutes
    #[arg(long)]
    quick: bool,
    /// Write docs/accuracy.md after a quick run as well
    #[arg(long)]
    write: bool,
    /// Only scenarios whose name contains this; the floors are not held then, and nothing is written
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Plays at a time: more than cores, and hopscope's verdict is rightly that it was starved
    #[arg(long, value_name = "N", default_value_t = 2)]
    jobs: usize,
}

/// Seeds on which rules may be tuned.
const TUNED: [u64; 2] = [1, 2];
/// Seeds that no rule was tuned on.
const HELD_OUT: [u64; 2] = [7_001, 7_002];
/// Shares of each scenario's own load, one for each seed of a set: all of them with all seeds take twenty minutes.
const LEVELS: [f64; 2] = [1.0, 0.5];
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
}

/// Plays, counts, writes, and fails below the floors.
pub(crate) fn execute(args: &Args) -> Result<()> {
    let root = ci::root()?;
    let built = Command::new("cargo")
        .args(["build", "--package", "hopscope"])
        .current_dir(&root)
        .status()
        .context("running cargo")?;
    ensure!(built.success(), "hopscope does not build");
    let binary = ci::target(&root).join("debug/hopscope");
    let plays = plays(&binary, args)?;
    ensure!(!plays.is_empty(), "no scenario has that in its name");
    let began = Instant::now();
    let cards = all(&binary, &plays, args.jobs.max(1))?;
    let (tuned, held_out): (Vec<&Card>, Vec<&Card>) =
        cards.iter().partition(|card| TUNED.contains(&card.seed));
    let (tuned, held_out) = (Tally::of(&tuned), Tally::of(&held_out));
    let page = page::page(&cards, &tuned, &held_out);
    ci::say(&page);
    ci::say(&format!(
        "{} plays took {} s",
        cards.len(),
        began.elapsed().as_secs()
    ));
    if args.only.is_some() {
        return Ok(());
    }
    if !args.quick || args.write {
        std::fs::write(root.join("docs/accuracy.md"), &page).context("writing docs/accuracy.md")?;
    }
    hold(&cards, &[("tuned", &tuned), ("held-out", &held_out)])
}

/// Fails when a floor does not hold.
fn hold(cards: &[Card], tallies: &[(&str, &Tally)]) -> Result<()> {
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
    let each = if args.quick { 1 } else { LEVELS.len() };
    let mut plays = Vec::new();
    for scenario in names
        .lines()
        .filter(|name| args.only.as_ref().is_none_or(|part| name.contains(part.as_str())))
    {
        for seeds in [TUNED, HELD_OUT] {
            for (seed, level) in seeds.into_iter().zip(LEVELS).take(each) {
                plays.push(Play {
                    scenario: scenario.to_owned(),
                    seed,
                    level,
                });
            }
        }
    }
    Ok(plays)
}

/// Plays all, a few at a time; the cards come in the order of the plays. Starved plays have the machine to themselves.
fn all(binary: &Path, plays: &[Play], jobs: usize) -> Result<Vec<Card>> {
    let folder = std::env::temp_dir().join(format!("hopscope-scorecard-{}", std::process::id()));
    std::fs::create_dir_all(&folder).context("making a folder for the recordings")?;
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
    std::fs::remove_dir_all(&folder).context("removing the recordings")?;
    let done = done.into_inner().ok().context("a player has failed")?;
    done.into_values().collect()
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
