//! The wild set: plays with real programs, each with its mirror image, each without and with hopscope; every verdict and
//! every count is held against the truth. `cargo xtask scorecard --wild` runs it, as root, with the real parts installed.
//!
//! [`play`] says what a play is and [`plays`] holds them; [`ground`], [`parts`], [`stage`] and [`load`] set one up, [`run`] plays it,
//! [`fit`] and [`score`] hold it against what was expected, [`page`] tells it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;

mod balancer;
mod fit;
mod freezer;
mod ground;
mod load;
mod page;
mod parts;
mod play;
mod plays;
mod run;
mod score;
mod scripts;
mod stage;

use play::{Play, Vantage};
use score::Card;

/// Plays the wild set.
#[derive(Debug, clap::Parser)]
struct Args {
    /// Only these families and plays, or plays with one of these in their names
    filter: Vec<String>,
    /// One play of each kind: what CI plays
    #[arg(long)]
    sample: bool,
    /// Print the catalogue and play nothing
    #[arg(long)]
    list: bool,
    /// Only from this vantage
    #[arg(long, value_enum)]
    vantage: Option<Where>,
    /// Do not play without hopscope
    #[arg(long)]
    without_comparison: bool,
    /// Write all results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Put the results into this page, between its `wild` marks
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Keep recordings and reports in this folder
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Where {
    Alone,
    Agents,
    TwoPaths,
}

fn say(text: &str) {
    // A reader who is gone is no reason to stop.
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let done = execute(&args);
    scripts::clear();
    done
}

fn execute(args: &Args) -> Result<ExitCode> {
    let chosen = chosen(args);
    ensure!(!chosen.is_empty(), "no play has that in its name");
    if args.list {
        say(&page::catalogue(&chosen));
        return Ok(ExitCode::SUCCESS);
    }
    let began = Instant::now();
    let mut cards = Vec::new();
    let mut broken = Vec::new();
    for (family, play) in chosen {
        for (nth, vantage) in vantages(args, play).into_iter().enumerate() {
            let compare = nth == 0 && !args.without_comparison;
            match run::play(play, vantage, compare, args.keep.as_deref()) {
                Ok(outcome) => {
                    let card = score::card(play, vantage, outcome);
                    say(&page::line(&card));
                    cards.push((family, card));
                }
                Err(error) => {
                    say(&format!(
                        "{} ({}): NOT PLAYED: {error:#}",
                        play.name,
                        vantage.word()
                    ));
                    broken.push(play.name);
                }
            }
        }
    }
    let of_all: Vec<&Card> = cards.iter().map(|(_, card)| card).collect();
    let tally = page::Tally::of(&of_all);
    say(&format!("\n{}\n{} s", tally.told(), began.elapsed().as_secs()));
    if let Some(file) = &args.json {
        let all: Vec<_> = cards.iter().map(|(_, card)| card.to_json()).collect();
        std::fs::write(file, serde_json::to_string_pretty(&all)?)
            .with_context(|| format!("writing {}", file.display()))?;
    }
    if let Some(file) = &args.page {
        page::write(file, &page::page(&cards, &tally))?;
    }
    let below = tally.below_the_floors();
    for line in &below {
        say(line);
    }
    if !broken.is_empty() {
        say(&format!("not played: {}", broken.join(", ")));
    }
    Ok(if below.is_empty() && broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Whether this is the name of a family or of a play, and no part of one.
fn is_whole(word: &str) -> bool {
    plays::FAMILIES
        .iter()
        .any(|(family, plays)| *family == word || plays.iter().any(|play| play.name == word))
}

fn chosen(args: &Args) -> Vec<(&'static str, &'static Play)> {
    let wanted = |family: &str, play: &Play| {
        args.filter.is_empty()
            || args.filter.iter().any(|part| {
                family == part || play.name == part || !is_whole(part) && play.name.contains(part.as_str())
            })
    };
    let mut chosen = Vec::new();
    for (family, plays) in plays::FAMILIES {
        let mut sampled = 0;
        for play in *plays {
            if args.sample && sampled == 1 {
                continue;
            }
            if wanted(family, play) {
                sampled += 1;
                chosen.push((*family, play));
            }
        }
    }
    chosen
}

fn vantages(args: &Args, play: &Play) -> Vec<Vantage> {
    let only = args.vantage.map(|vantage| match vantage {
        Where::Alone => Vantage::Alone,
        Where::Agents => Vantage::Agents,
        Where::TwoPaths => Vantage::TwoPaths,
    });
    Vantage::ALL
        .into_iter()
        .filter(|vantage| !play.expected(*vantage).is_empty() && only.is_none_or(|only| only == *vantage))
        .collect()
}
