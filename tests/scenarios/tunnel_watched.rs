//! What kubectl's own process and sockets show: starved, choked on its own words, one of several; and what is noted of it.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hopscope_tests::application::Application;
use hopscope_tests::cgroup::Quota;
use hopscope_tests::client::{self, Outcome};
use hopscope_tests::cluster::{Cluster, POD_PORT};
use hopscope_tests::hopscope::Hopscope;
use hopscope_tests::kubectl;
use hopscope_tests::process::signal_to;

use crate::stage::{Expected, PATIENCE, Stage, check, of};

const NEVER: &[&str] = &["--tunnel-restart=never"];

#[test]
fn a4_a_kubectl_without_cpu_time_is_seen_to_be_starved() -> Result<()> {
    starved(|_| Ok(()))
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the time for which hopscope is paused is the fault itself"
)]
fn a4_a_pause_of_hopscopes_own_does_not_hide_a_starved_kubectl() -> Result<()> {
    starved(|hopscope| {
        thread::sleep(Duration::from_secs(2));
        // Longer than the 100 ms that cast doubt on a second, shorter than the 250 ms that void it.
        signal_to(hopscope, "STOP")?;
        thread::sleep(Duration::from_millis(150));
        signal_to(hopscope, "CONT")
    })
}

/// Forty requests through a kubectl that gets no CPU time; `meanwhile` is given hopscope's process.
#[expect(
    clippy::disallowed_methods,
    reason = "a generator that goes on later is told from the end of a load by this pause"
)]
fn starved(meanwhile: impl FnOnce(u32) -> Result<()>) -> Result<()> {
    let stage = Stage::build(&kubectl::youngest()?, &[], NEVER)?;
    let quota = Quota::starve(stage.kubectl_pid()?)?;
    let address = stage.address();
    let requests = thread::spawn(move || client::get_at_once(address, "/ok", 40, Duration::from_secs(5)));
    meanwhile(stage.pid())?;
    let outcomes = requests.join().map_err(|_panic| anyhow::anyhow!("it panicked"))?;
    let late = outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::TimedOut)
        .count();
    ensure!(late >= 10, "{outcomes:?}");
    drop(quota);
    // Forty that are left in one moment, and nothing after it, are the end of a load: in flight, and no failures where
    // the slowest answer took nearly as long.
    thread::sleep(Duration::from_secs(1));
    let after = client::get_at_once(address, "/ok", 20, PATIENCE);
    ensure!(after == [Outcome::Answered(200); 20], "{after:?}");
    stage.judge(&[
        Expected::Verdict("tunnel tunnel-stopped"),
        Expected::Says("kubectl's threads waited for CPU time"),
        Expected::Innocent("backend-timeout"),
    ])
}

/// Somebody else's kubectl; it ends with this.
struct Foreign(Child);

impl Drop for Foreign {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a6_a_kubectl_whose_output_nobody_reads_is_named_with_the_remedy() -> Result<()> {
    let application = Application::start()?;
    let cluster = Cluster::start(application.address(), &[])?;
    let mut foreign = Foreign(
        Command::new(kubectl::youngest()?.path)
            .arg(format!("--kubeconfig={}", cluster.kubeconfig().display()))
            .args([
                "port-forward",
                "--address=127.0.0.1",
                "pod/web",
                &format!(":{POD_PORT}"),
            ])
            .env("HOME", cluster.folder())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?,
    );
    // Its first line is read, and never another one.
    let mut pipe = foreign.0.stdout.take().context("its pipe")?;
    let mut first = Vec::new();
    while !first.ends_with(b"\n") {
        let mut byte = [0];
        pipe.read_exact(&mut byte)?;
        first.extend(byte);
    }
    let first = String::from_utf8(first)?;
    let port = first
        .split([':', ' '])
        .find_map(|word| word.parse::<u16>().ok())
        .with_context(|| format!("no port in {first:?}"))?;
    let hopscope = Hopscope::proxy(&format!("tunnel=127.0.0.1:{port}"), cluster.folder(), &[])?;
    let address = hopscope.address();
    let hangs = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..600 {
                    if hangs.load(Ordering::Relaxed) {
                        return;
                    }
                    if client::get(address, "/close", Duration::from_secs(4)) == Outcome::TimedOut {
                        hangs.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    ensure!(hangs.load(Ordering::Relaxed), "kubectl never hung");
    let outcomes = client::get_at_once(address, "/ok", 4, Duration::from_secs(4));
    ensure!(outcomes == [Outcome::TimedOut; 4], "{outcomes:?}");
    let report = hopscope.finish()?;
    drop((pipe, foreign, application));
    check(
        &report,
        &[
            Expected::Verdict("tunnel tunnel-output-blocked"),
            Expected::AtLeast("tunnel-output-blocked", 5),
            Expected::Says("waited for somebody to read its own output"),
            Expected::Says("Read what kubectl writes"),
        ],
    )
}

#[test]
fn one_stopped_kubectl_of_a_pool_is_charged_with_its_own_connections_only() -> Result<()> {
    let object = format!("pod/web:{POD_PORT}");
    let stage = Stage::build_to(&object, "&pool=2", &kubectl::youngest()?, &[], NEVER)?;
    let pids = stage.kubectl_pids()?;
    let [_, stopped] = pids.as_slice() else {
        anyhow::bail!("{} kubectls", pids.len());
    };
    signal_to(*stopped, "STOP")?;
    let outcomes = client::get_at_once(stage.address(), "/ok", 8, Duration::from_secs(4));
    let of_kind = |kind| outcomes.iter().filter(|outcome| **outcome == kind).count();
    ensure!(
        (of_kind(Outcome::TimedOut), of_kind(Outcome::Answered(200))) == (4, 4),
        "{outcomes:?}"
    );
    // And a pod that is silent behind the other one is the pod's fault, whatever the first does.
    stage.judge(&[
        Expected::Verdict("tunnel tunnel-stopped"),
        Expected::Charged("tunnel-stopped", of(4, 0)),
    ])
}

#[test]
fn what_is_known_of_kubectl_is_in_the_report() -> Result<()> {
    for kubectl in kubectl::all()? {
        let stage = Stage::build_to("svc/web:80", "", &kubectl, &["--runtime=cri-o"], &[])?;
        let pid = stage.kubectl_pid()?;
        let report = stage.finish()?;
        let told = |field: &str| report.field(&format!("/run/paths/0/forwards/0/{field}"));
        ensure!(
            told("version")
                .as_str()
                .is_some_and(|version| version.starts_with(&format!("v1.{}.", kubectl.minor))),
            "kubectl 1.{}: {}",
            kubectl.minor,
            told("version")
        );
        let command = told("command");
        for word in ["port-forward", "svc/web", "--kubeconfig"] {
            ensure!(
                command.as_str().is_some_and(|command| command.contains(word)),
                "no {word} in {command}"
            );
        }
        for (field, expected) in [
            ("pid", serde_json::json!(pid)),
            ("is_kubectl", serde_json::json!(true)),
            ("pod", serde_json::json!("web")),
            ("node", serde_json::json!("lab-node")),
            ("runtime", serde_json::json!("cri-o://1.34.1")),
            ("on_ipv4", serde_json::json!("forward")),
            ("on_ipv6", serde_json::json!("nobody")),
        ] {
            ensure!(
                told(field) == expected,
                "kubectl 1.{}: {field} is {}, not {expected}",
                kubectl.minor,
                told(field)
            );
        }
        ensure!(
            report
                .said()
                .contains(&format!("(process {pid}) to pod web on lab-node, cri-o://1.34.1")),
            "{}",
            report.said()
        );
    }
    Ok(())
}

#[test]
fn what_is_known_of_a_kubectl_that_was_found_is_in_the_report() -> Result<()> {
    let application = Application::start()?;
    let cluster = Cluster::start(application.address(), &[])?;
    let kubectl = kubectl::youngest()?;
    let mut command = Command::new(&kubectl.path);
    command
        .arg(format!("--kubeconfig={}", cluster.kubeconfig().display()))
        .args(["port-forward", "pod/web", &format!(":{POD_PORT}")])
        .env("HOME", cluster.folder());
    let mut forward = hopscope_tests::process::Process::start(&mut command)?;
    let port: u16 = forward.wait_for(PATIENCE, "listener", |line| {
        line.strip_prefix("Forwarding from 127.0.0.1:")?
            .split(' ')
            .next()?
            .parse()
            .ok()
    })?;
    let hopscope = Hopscope::proxy(&format!("tunnel=127.0.0.1:{port}"), cluster.folder(), &[])?;
    let outcome = client::get(hopscope.address(), "/ok", PATIENCE);
    ensure!(outcome == Outcome::Answered(200), "{outcome:?}");
    let report = hopscope.finish()?;
    let told = |field: &str| report.field(&format!("/run/paths/0/forwards/0/{field}"));
    ensure!(told("pid") == serde_json::json!(forward.id()), "{}", told("pid"));
    ensure!(
        told("is_kubectl") == serde_json::json!(true),
        "{}",
        told("is_kubectl")
    );
    // Its command line names the pod; the API is not asked on somebody else's behalf.
    ensure!(told("pod") == serde_json::json!("web"), "{}", told("pod"));
    ensure!(told("node").is_null(), "{}", told("node"));
    ensure!(
        (told("on_ipv4"), told("on_ipv6")) == (serde_json::json!("forward"), serde_json::json!("forward")),
        "{} {}",
        told("on_ipv4"),
        told("on_ipv6")
    );
    ensure!(
        told("version")
            .as_str()
            .is_some_and(|version| version.starts_with(&format!("v1.{}.", kubectl.minor))),
        "{}",
        told("version")
    );
    Ok(())
}
