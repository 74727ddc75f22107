//! One play from one vantage: without hopscope, then through it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hopscope_tests::process::Process;
use hopscope_tests::report::Report;
use hopscope_tests::{kubectl, program};
use tempfile::TempDir;

use crate::load::{self, Call, Saw};
use crate::play::{Part, Play, Vantage};
use crate::stage::Stage;

/// How long a program may take to be there, on a loaded machine.
const START: Duration = Duration::from_mins(1);
/// How long a generator may take beyond the deeds of its play; then it hangs.
const LIMIT: Duration = Duration::from_mins(2);
/// Between two bursts.
const PAUSE: Duration = Duration::from_millis(1_200);

/// What came of a play.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) report: Report,
    /// What the generator saw through hopscope.
    pub(crate) saw: Saw,
    /// What it saw without; only from the first vantage that a play is played from.
    pub(crate) without: Option<Saw>,
    pub(crate) seconds: u64,
}

/// Plays it.
pub(crate) fn play(play: &Play, vantage: Vantage, compare: bool, keep: Option<&Path>) -> Result<Outcome> {
    let began = Instant::now();
    let without = compare
        .then(|| without(play).context("without hopscope"))
        .transpose()?;
    let folder = TempDir::new().context("a folder for the play")?;
    let mut stage = Stage::set(play, folder.path(), true)?;
    let agent = (vantage == Vantage::Agents)
        .then(|| Agent::start(&stage))
        .transpose()?;
    let calls = if play.bursts == 0 {
        vec![run(play, vantage, &mut stage, folder.path())?]
    } else {
        bursts(play, vantage, &mut stage, folder.path())?
    };
    let saw = load::sum(&calls).context("through hopscope")?;
    let report = report(play, agent.as_ref(), &calls, folder.path())?;
    if let Some(keep) = keep {
        for file in ["run.sqlite", "report.json", "said.txt"] {
            let to = keep.join(format!(
                "{}-{}-{file}",
                play.name,
                vantage.word().replace(' ', "-")
            ));
            std::fs::copy(folder.path().join(file), &to)
                .with_context(|| format!("keeping {}", to.display()))?;
        }
    }
    Ok(Outcome {
        report,
        saw,
        without,
        seconds: began.elapsed().as_secs(),
    })
}

/// The generator straight at what hopscope would be told of.
fn without(play: &Play) -> Result<Saw> {
    let folder = TempDir::new().context("a folder for the play")?;
    let mut stage = Stage::set(play, folder.path(), false)?;
    let front = stage.front()?;
    let host = match play.hosts {
        Some((name, _)) => format!("{name}:{}", front.port()),
        None => front.to_string(),
    };
    let url = format!("{}://{host}", play.url);
    let mut calls = Vec::new();
    let zero = Instant::now();
    for number in 0..play.bursts.max(1) {
        let call = Call::new(play, &url, folder.path(), number)?;
        let mut generator = generate(&stage, &call)?;
        if number == 0 {
            deeds(play, &mut stage, zero, None)?;
        }
        generator.wait(LIMIT)?;
        calls.push(call);
        if play.bursts > 1 {
            wait_until(Instant::now() + PAUSE);
        }
    }
    load::sum(&calls)
}

fn generate(stage: &Stage, call: &Call) -> Result<Process> {
    let words = [stage.ground().near_words(), call.words.clone()].concat();
    let (first, rest) = words.split_first().context("no generator")?;
    let mut command = Command::new(first);
    command
        .args(rest)
        .envs(call.environment.iter().map(|(name, value)| (name, value)));
    plain(&mut command);
    Process::start(&mut command)
}

/// Nobody's proxy is in the way.
fn plain(command: &mut Command) {
    for name in [
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ] {
        command.env_remove(name);
    }
}

fn deeds(play: &Play, stage: &mut Stage, zero: Instant, hopscope: Option<u32>) -> Result<()> {
    for (after, deed) in play.deeds {
        wait_until(zero + Duration::from_secs_f64(*after));
        stage.does(*deed, hopscope).with_context(|| format!("{deed:?}"))?;
    }
    Ok(())
}

/// A deed has its time in the play: there is no condition to wait for.
fn wait_until(moment: Instant) {
    let mut left = moment.saturating_duration_since(Instant::now());
    while !left.is_zero() {
        std::thread::park_timeout(left);
        left = moment.saturating_duration_since(Instant::now());
    }
}

/// hopscope with everything but its last words.
fn hopscope(play: &Play, vantage: Vantage, stage: &Stage, folder: &Path, verb: &str) -> Result<Command> {
    let application = stage.application()?;
    let (host, port) = (application.ip().to_string(), application.port().to_string());
    let behind = play
        .hopscope_behind
        .iter()
        .map(|word| word.replace("APP_HOST", &host).replace("APP_PORT", &port))
        .collect();
    let words = [stage.ground().near_words(), behind].concat();
    let program = program::hopscope()?;
    let mut command = match words.split_first() {
        None => Command::new(program),
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    };
    command.args([verb, "--grace=1", "--probes=off", "--via", &stage.via(play)?]);
    if vantage == Vantage::TwoPaths {
        command.args([
            "--via",
            &format!("direct={}{}", play.scheme, stage.application()?),
        ]);
    }
    command
        .arg("--record")
        .arg(folder.join("run.sqlite"))
        .arg("--json")
        .arg(folder.join("report.json"))
        .args(play.words);
    plain(&mut command);
    if matches!(play.path.last(), Some(Part::Kubectl)) {
        let kubectl = kubectl::youngest()?.path;
        let place = kubectl.parent().context("kubectl lies in a folder")?.to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(place).chain(std::env::split_paths(&path));
        command
            .env("PATH", std::env::join_paths(folders)?)
            .env("HOME", folder);
    }
    Ok(command)
}

fn address(line: &str) -> Option<SocketAddr> {
    let address = line.split("hopscope listens on http://").nth(1)?;
    address.split_whitespace().next()?.parse().ok()
}

fn run(play: &Play, vantage: Vantage, stage: &mut Stage, folder: &Path) -> Result<Call> {
    let url = if play.url == "http" {
        "{url}".to_owned()
    } else {
        format!("{}://{{addr}}", play.url)
    };
    let call = Call::new(play, &url, folder, 0)?;
    let mut command = hopscope(play, vantage, stage, folder, "run")?;
    command.arg("--").args(&call.words);
    command.envs(call.environment.iter().map(|(name, value)| (name, value)));
    let mut process = Process::start(&mut command)?;
    process.wait_for(START, "address", address)?;
    deeds(play, stage, Instant::now(), Some(process.id()))?;
    let status = process.wait(LIMIT)?;
    keep_words(folder, &process.heard())?;
    ensure!(
        folder.join("report.json").exists(),
        "no report ({status}); it said:\n{}",
        process.heard()
    );
    Ok(call)
}

fn bursts(play: &Play, vantage: Vantage, stage: &mut Stage, folder: &Path) -> Result<Vec<Call>> {
    let mut command = hopscope(play, vantage, stage, folder, "proxy")?;
    command.args(["--listen", "127.0.0.1:0"]);
    let mut process = Process::start(&mut command)?;
    let address = process.wait_for(START, "address", address)?;
    let zero = Instant::now();
    let mut calls = Vec::new();
    for number in 0..play.bursts {
        let url = format!("{}://{address}", play.url);
        let call = Call::new(play, &url, folder, number)?;
        let mut generator = generate(stage, &call)?;
        if number == 0 {
            deeds(play, stage, zero, Some(process.id()))?;
        }
        generator.wait(LIMIT)?;
        calls.push(call);
        wait_until(Instant::now() + PAUSE);
    }
    process.signal("INT")?;
    process.wait(START)?;
    keep_words(folder, &process.heard())?;
    Ok(calls)
}

fn keep_words(folder: &Path, said: &str) -> Result<()> {
    std::fs::write(folder.join("said.txt"), said).context("keeping what hopscope said")
}

/// The report of the run, joined with what the play says that is known.
fn report(play: &Play, agent: Option<&Agent>, calls: &[Call], folder: &Path) -> Result<Report> {
    let said = std::fs::read_to_string(folder.join("said.txt"))?;
    let mut words: Vec<String> = Vec::new();
    if let Some(agent) = agent {
        words.extend(["--agent".to_owned(), format!("http://{}", agent.address)]);
    }
    if play.join {
        let result = calls.first().context("no generator")?.points();
        words.extend(["--result".to_owned(), result.display().to_string()]);
    }
    if words.is_empty() {
        let text = std::fs::read_to_string(folder.join("report.json")).context("reading the report")?;
        return Report::parse(&text, said);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let report = Report::again(&folder.join("run.sqlite"), &words)?;
    std::fs::write(folder.join("report.json"), report.text())?;
    keep_words(folder, report.said())?;
    Ok(report)
}

/// A node agent on this host, which sees the kernel of every namespace.
#[derive(Debug)]
struct Agent {
    _process: Process,
    address: SocketAddr,
}

impl Agent {
    fn start(stage: &Stage) -> Result<Self> {
        let port = stage.application()?.port().to_string();
        let mut command = Command::new(program::hopscope()?);
        command.args([
            "agent",
            "--listen",
            "127.0.0.1:0",
            "--without-kubernetes",
            "--every-close",
        ]);
        command.args(["--workload-port", &port]);
        let mut process = Process::start(&mut command)?;
        let address = process.wait_for(START, "its address", |line| {
            line.split_once("listening on ")?.1.parse().ok()
        })?;
        Ok(Self {
            _process: process,
            address,
        })
    }
}
