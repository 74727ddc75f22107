//! The scorecard of real parts: the real binary, k6, kubectl, HAProxy, nginx and Envoy; the play makes the fault, so the
//! truth is known.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hopscope_tests::program;
use hopscope_tests::report::Report;
use tempfile::TempDir;

use super::card::{Card, Part};
use crate::workspace;

mod plays;
mod stage;

use plays::Play;
use stage::Stage;

/// How long hopscope may take beyond the play itself, on a loaded machine.
const LIMIT: Duration = Duration::from_mins(2);

/// Plays all whose name contains `only`, one after the other.
pub(super) fn all(only: Option<&str>) -> Result<(Vec<Card>, Joined)> {
    let wanted = |play: &&Play| only.is_none_or(|part| play.name.contains(part));
    let mut cards = Vec::new();
    let mut sum = Joined::default();
    for play in plays::PLAYS.iter().filter(wanted) {
        let began = Instant::now();
        let (card, joined) = again_if_starved(play).with_context(|| format!("real play {}", play.name))?;
        workspace::say(&format!(
            "{:<22} {:>5} failures, {} ({}); k6 counted {}, {} found; {} s",
            card.scenario,
            card.full.charged,
            card.full.verdict,
            card.full.named.as_deref().unwrap_or("none"),
            joined.failed,
            joined.found,
            began.elapsed().as_secs()
        ));
        cards.push(card);
        sum.add(joined);
    }
    ensure!(!cards.is_empty(), "no real play has that in its name");
    Ok((cards, sum))
}

/// A play of which hopscope says that the machine left it too little time is played once more.
fn again_if_starved(play: &Play) -> Result<(Card, Joined)> {
    let played = play_one(play)?;
    if played.0.saturated {
        play_one(play)
    } else {
        Ok(played)
    }
}

fn play_one(play: &Play) -> Result<(Card, Joined)> {
    let folder = TempDir::new().context("a folder for the play")?;
    let mut stage = Stage::set(play, folder.path())?;
    let mut hopscope = stage.start_hopscope(play, folder.path())?;
    let zero = Instant::now();
    for (after, deed) in play.deeds {
        wait_until(zero + Duration::from_secs_f64(*after));
        stage.does(deed, &hopscope)?;
    }
    let length = Duration::from_secs(play.seconds);
    let status = hopscope.process.wait(length + LIMIT)?;
    let said = hopscope.process.heard();
    let text = std::fs::read_to_string(folder.path().join("report.json"))
        .with_context(|| format!("no report ({status}); it said:\n{said}"))?;
    let report = Report::parse(&text, said)?;
    keep(play, folder.path());
    Ok((card(play, &report), joined(folder.path())?))
}

/// A deed has its time in the play: there is no condition to wait for.
fn wait_until(moment: Instant) {
    let mut left = moment.saturating_duration_since(Instant::now());
    while !left.is_zero() {
        std::thread::park_timeout(left);
        left = moment.saturating_duration_since(Instant::now());
    }
}

/// Keeps the recording where `HOPSCOPE_KEEP` names a folder, for a look at a play that went wrong.
fn keep(play: &Play, folder: &Path) {
    if let Some(kept) = std::env::var_os("HOPSCOPE_KEEP") {
        for file in ["run.sqlite", "report.json", "k6.json"] {
            let to = Path::new(&kept).join(format!("{}-{file}", play.name));
            if let Err(error) = std::fs::copy(folder.join(file), &to) {
                workspace::say(&format!("{} was not kept: {error}", to.display()));
            }
        }
    }
}

/// What k6 counted, joined to the recording failure by failure.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Joined {
    /// Failures that k6 counted.
    pub(super) failed: u64,
    /// Those of them that were found in the recording by time, route and status.
    pub(super) found: u64,
    /// Those of them that were charged to a hop.
    pub(super) charged: u64,
}

impl Joined {
    const fn add(&mut self, other: Self) {
        self.failed += other.failed;
        self.found += other.found;
        self.charged += other.charged;
    }
}

fn joined(folder: &Path) -> Result<Joined> {
    let output = Command::new(program::hopscope()?)
        .arg("report")
        .arg(folder.join("run.sqlite"))
        .arg("--k6")
        .arg(folder.join("k6.json"))
        .args(["--json", "-"])
        .output()
        .context("joining k6's result")?;
    let text = String::from_utf8(output.stdout).context("the joined report")?;
    let report = Report::parse(&text, String::from_utf8_lossy(&output.stderr).into_owned())?;
    let failed = report.number("/generator/failed");
    Ok(Joined {
        failed,
        found: report.number("/generator/joined/found"),
        charged: failed.saturating_sub(report.number("/generator/failures_by_hop/unknown")),
    })
}

/// All charges against the one truth of a play.
fn card(play: &Play, report: &Report) -> Card {
    let truth = play.truth.first().copied();
    let hop = |cause: &str| cause.split('-').next().unwrap_or_default().to_owned();
    let mut full = Part {
        verdict: String::new(),
        ..Part::default()
    };
    for (cause, failures) in report.causes() {
        let right = play.truth.contains(&cause.as_str());
        let open = matches!(
            cause.as_str(),
            "undetermined" | "request-rejected" | "observer-evidence-lost"
        );
        let due = truth.unwrap_or("healthy");
        full.charged += failures;
        if open {
            full.unknown += failures;
        } else if right || hop(&cause) == hop(due) {
            full.right_hop += failures;
            full.right_cause += if right { failures } else { 0 };
        } else {
            full.wrong_hop += failures;
        }
        let given = if right { due.to_owned() } else { cause };
        *full.matrix.entry((due.to_owned(), given)).or_default() += failures;
    }
    let verdict = report.verdict();
    let (charged_hop, cause) = verdict.split_once(' ').unwrap_or((&verdict, ""));
    full.named = (!cause.is_empty()).then(|| cause.to_owned());
    let word = match truth {
        None if cause.is_empty() => "right",
        Some(_) if play.truth.contains(&cause) => "right",
        Some(_) if play.knowable.is_some_and(|(known, _)| known == cause) => "knowable",
        Some(due) if charged_hop == hop(due) => "right-hop",
        _ if charged_hop == "unknown" => "open",
        _ => "wrong",
    };
    word.clone_into(&mut full.verdict);
    Card {
        scenario: play.name.to_owned(),
        seed: 0,
        answer: truth.unwrap_or("healthy").to_owned(),
        hop: truth.map_or("none".to_owned(), hop),
        knowable: play
            .knowable
            .map(|(charge, why)| (charge.to_owned(), why.to_owned())),
        saturated: report.flag("/observer/saturated"),
        balanced: report.flag("/observer/accounted"),
        half: full.clone(),
        full,
    }
}
