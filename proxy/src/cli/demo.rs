//! `hopscope demo`: a whole path in this process, with a fault in it, and its diagnosis.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use hopscope_attribution::attribute;
use hopscope_lab::scenario::{self, Parameters};

use super::Exit;
use super::files::Named;
use super::manner;
use super::output::{OutputError, OutputOptions};
use super::{tell, warn};
use crate::demo::play::{self, PlayError};
use crate::demo::score;
use crate::demo::words;
use crate::diagnosis::of_recording;
use hopscope_recording::{Recording, RecordingError};
use hopscope_text::near::did_you_mean;

const EXAMPLES: &str = "\
No cluster, no root, no other program: generator, kubectl's stand-in, API server, load balancer and services run in
this process on 127.0.0.1, and the real proxy stands in the middle.

Examples:
  hopscope demo                    the case that hopscope was written for: port-forward blamed, backend at fault
  hopscope demo --list             every scenario, what is broken in it, and what the verdict should be
  hopscope demo tunnel-lost        the mirror image: this time it was the tunnel
  hopscope demo seed --speed 4     a quarter of the time
  hopscope demo lb-idle --html verdict.html";

/// Play a whole path with a fault in it and print the diagnosis: no cluster, no root
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which one; --list shows them all
    #[arg(value_name = "SCENARIO", default_value = "seed")]
    scenario: String,

    /// Show every scenario, what is broken in it, and what the verdict should be
    #[arg(long)]
    list: bool,

    /// Print the name of every scenario, those of the scorecard alone included, one a line
    #[arg(long, hide = true)]
    names: bool,

    /// The seed of every choice that the lab makes
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Play it so many times faster; latencies and think times stay what they are
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = positive)]
    speed: f64,

    /// Multiply the number of users by this
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = positive)]
    load: f64,

    /// Multiply the scenario's own figures (shares of faults, latencies, pauses, times) by others that are drawn from the
    /// seed: for a card of figures that no rule was made on
    #[arg(long, hide = true)]
    other_figures: bool,

    /// Write how right the diagnosis is, as one JSON object, for `cargo xtask scorecard`
    #[arg(long, value_name = "FILE", hide = true)]
    score: Option<std::path::PathBuf>,

    #[command(flatten)]
    output: OutputOptions,
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number: &f64| (0.01..=1_000.0).contains(number))
        .ok_or_else(|| format!("`{text}` is no factor: give a number from 0.01 to 1000, such as 2 or 0.5"))
}

/// Why there was no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// There is no such scenario.
    #[error("there is no scenario `{0}`{near}; hopscope demo --list shows them all", near = near(.0))]
    NoSuchScenario(String),
    /// It could not be played.
    #[error(transparent)]
    Play(#[from] PlayError),
    /// The recording could not be read again.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The report could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The score could not be written.
    #[error("cannot write the score: {0}")]
    Score(io::Error),
}

impl DemoError {
    /// How the program ends on it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoSuchScenario(_) => Exit::Usage,
            Self::Output(error) => error.exit(),
            Self::Play(_) | Self::Recording(_) | Self::Score(_) => Exit::CouldNotRun,
        }
    }
}

/// Scenarios that a name which is none may be meant to be.
fn near(name: &str) -> String {
    let scenarios = scenario::all();
    did_you_mean(name, scenarios.iter().map(|scenario| scenario.name.as_str()))
}

/// Plays a scenario, or lists them.
///
/// # Errors
/// When there is no such scenario, or it could not be played or kept.
pub fn execute(args: &Args) -> Result<Exit, DemoError> {
    if args.list {
        write(&words::list(&scenario::all(), manner::stdout()));
        return Ok(Exit::Ran);
    }
    if args.names {
        let names: Vec<String> = scenario::all()
            .into_iter()
            .map(|scenario| scenario.name + "\n")
            .collect();
        write(&names.concat());
        return Ok(Exit::Ran);
    }
    let scenario =
        scenario::find(&args.scenario).ok_or_else(|| DemoError::NoSuchScenario(args.scenario.clone()))?;
    let score = args.score.iter().map(|file| Named::write("--score", file));
    args.output.check(&score.collect::<Vec<_>>())?;
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let started = u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX);
    let options = play::Options {
        seed: args.seed,
        level: args.load,
        speed: args.speed,
        parameters: if args.other_figures {
            Parameters::drawn(args.seed)
        } else {
            Parameters::OWN
        },
        recording: args.output.recording_file(started),
        record_limit: args.output.record_limit,
        workers: 1,
        live: manner::live(),
    };
    let played = play::play(&scenario, &options, &|curtain| {
        tell(&words::introduction(&scenario, curtain, manner::stderr()));
    })?;
    let recording = Recording::open(&options.recording)?;
    let exit = args.output.report.deliver(&of_recording(&recording))?;
    let diagnosis = attribute(recording.evidence());
    let judged = score::score(
        &diagnosis,
        &played.truth,
        scenario.answer,
        scenario.knowable.map(|(cause, _)| cause),
    );
    if played.interrupted {
        warn("hopscope: the demo was ended before its time; the truth covers what had happened by then");
    }
    tell(words::truth(&scenario, &judged, &played.truth, manner::stderr()).trim_end());
    tell(&format!(
        "\nrecording: {0} (hopscope report {0} tells this again)",
        options.recording.display()
    ));
    if let Some(file) = &args.score {
        let card = score::card(&scenario, &played, recording.evidence(), &judged, args.seed);
        std::fs::write(file, card).map_err(DemoError::Score)?;
    }
    Ok(exit)
}

/// Standard output; a reader that has seen enough is no error.
fn write(text: &str) {
    drop(io::stdout().lock().write_all(text.as_bytes()));
}
