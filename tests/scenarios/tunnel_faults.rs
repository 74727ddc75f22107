//! Faults of a forward that show at once, each with its hop, its cause, its trigger and its victims.
//!
//! The letters group them: A is kubectl itself and its host, B the pod, C the tunnel's own connection, D streams that
//! block one another, E a forward that does not stand.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hopscope_tests::application::Application;
use hopscope_tests::client::{self, Outcome};
use hopscope_tests::cluster::{Cluster, POD_PORT};
use hopscope_tests::hopscope::Hopscope;
use hopscope_tests::kubectl;
use hopscope_tests::process::signal_to;

use crate::stage::{Expected, PATIENCE, Stage, Ways, eventually, failed, of};

#[test]
fn b1_a_closed_pod_port_is_charged_to_the_backend_with_its_victims() -> Result<()> {
    // The cheapest row that needs every part of a kubectl: played with each of them, over each way it has.
    Ways::all()?.each(|kubectl| {
        let mut stage = Stage::build(kubectl, &[], &["--tunnel-restart=never"])?;
        let victims = stage.waiting(4)?;
        stage.cluster.order(&format!("port web {POD_PORT} closed"))?;
        let outcome = client::get(stage.address(), "/ok", PATIENCE);
        failed(outcome)?;
        victims.all_fail(PATIENCE)?;
        stage.judge(&[
            Expected::Verdict("backend backend-refused"),
            Expected::Charged("backend-refused", of(5, 4)),
            Expected::Innocent("tunnel-lost"),
        ])
    })
}

#[test]
fn b5_a_reset_by_the_pod_is_charged_to_the_backend_with_its_victims() -> Result<()> {
    Ways::extremes()?.each(|kubectl| {
        let stage = Stage::build(
            kubectl,
            &["--runtime=containerd-2.1"],
            &["--tunnel-restart=never"],
        )?;
        let victims = stage.waiting(4)?;
        let outcome = client::get(stage.address(), "/reset", PATIENCE);
        failed(outcome)?;
        victims.all_fail(PATIENCE)?;
        stage.judge(&[
            Expected::Verdict("backend backend-reset"),
            Expected::Charged("backend-reset", of(5, 4)),
        ])
    })
}

#[test]
fn b5_where_the_runtime_keeps_the_forward_a_reset_by_the_pod_is_a_truncated_answer() -> Result<()> {
    Ways::extremes()?.each(|kubectl| {
        let stage = Stage::build(
            kubectl,
            &["--runtime=containerd-1.7"],
            &["--tunnel-restart=never"],
        )?;
        // One that stands before, and is answered after, shows that the forward survived.
        let other = client::open(stage.address(), "/late/3000")?;
        failed(client::get(stage.address(), "/reset", PATIENCE))?;
        ensure!(
            client::read(other, PATIENCE) == Outcome::Answered(200),
            "the forward did not survive"
        );
        stage.judge(&[
            Expected::Verdict("backend backend-truncated"),
            Expected::Charged("backend-truncated", of(1, 0)),
            Expected::Innocent("tunnel-lost"),
        ])
    })
}

#[test]
fn b7_the_drain_of_a_closing_pod_is_no_failure() -> Result<()> {
    Ways::extremes()?.each(|kubectl| {
        let stage = Stage::build(kubectl, &[], &[])?;
        for _ in 0..5 {
            let outcome = client::get(stage.address(), "/close", PATIENCE);
            ensure!(outcome == Outcome::Answered(200), "{outcome:?}");
        }
        stage.judge(&[Expected::Verdict("none")])
    })
}

#[test]
fn b10_a_pod_that_is_gone_is_charged_to_the_backend_with_its_victims() -> Result<()> {
    Ways::extremes()?.each(|kubectl| {
        let mut stage = Stage::build(kubectl, &[], &["--tunnel-restart=never"])?;
        let victims = stage.waiting(4)?;
        stage.cluster.order("phase web Gone")?;
        client::get(stage.address(), "/ok", PATIENCE);
        victims.all_fail(PATIENCE)?;
        stage.judge(&[
            Expected::Verdict("backend backend-not-ready"),
            Expected::Charged("backend-not-ready", of(5, 4)),
        ])
    })
}

#[test]
fn c1_c2_a_tunnel_that_ends_is_lost_however_it_ends() -> Result<()> {
    for fault in ["fin", "goaway", "ws-close:1000", "reset"] {
        Ways::extremes()?.each(|kubectl| {
            let mut stage = Stage::build(kubectl, &[], &["--tunnel-restart=never"])?;
            let victims = stage.waiting(4)?;
            stage.cluster.order(&format!("tunnel {fault}"))?;
            victims
                .all_fail(PATIENCE)
                .with_context(|| format!("tunnel {fault}"))?;
            eventually("connecting is refused", PATIENCE, || {
                Ok(matches!(
                    client::get(stage.address(), "/ok", PATIENCE),
                    Outcome::Refused | Outcome::Reset
                ))
            })?;
            // Its last words come when it ends.
            eventually("kubectl is gone", PATIENCE, || {
                Ok(stage.kubectl_pids()?.is_empty())
            })?;
            stage
                .judge(&[
                    Expected::Verdict("tunnel tunnel-lost"),
                    Expected::AtLeast("tunnel-lost", 5),
                    Expected::Innocent("backend-reset"),
                ])
                .with_context(|| format!("tunnel {fault}"))
        })?;
    }
    Ok(())
}

#[test]
fn a1_a_killed_kubectl_is_the_tunnels_and_comes_back() -> Result<()> {
    Ways::extremes()?.each(|kubectl| {
        let stage = Stage::build(kubectl, &[], &[])?;
        let victims = stage.waiting(4)?;
        let killed = stage.kubectl_pid()?;
        signal_to(killed, "KILL")?;
        victims.all_fail(PATIENCE)?;
        eventually("another kubectl serves", PATIENCE, || {
            Ok(client::get(stage.address(), "/ok", PATIENCE) == Outcome::Answered(200))
        })?;
        ensure!(stage.kubectl_pid()? != killed, "it is the same kubectl");
        stage.judge(&[
            Expected::Verdict("tunnel tunnel-lost"),
            Expected::AtLeast("tunnel-lost", 4),
        ])
    })
}

#[test]
fn a2_a_forward_whose_address_belongs_to_something_else_is_noticed() -> Result<()> {
    // kubectl on ::1 only, and something else on 127.0.0.1: the load goes to the wrong process.
    let (application, other) = (Application::start()?, Application::start()?);
    let cluster = Cluster::start(application.address(), &[])?;
    let port = other.address().port();
    let kubectl = kubectl::youngest()?;
    let mut command = std::process::Command::new(&kubectl.path);
    command
        .arg(format!("--kubeconfig={}", cluster.kubeconfig().display()))
        .args(["port-forward", "pod/web", &format!("{port}:{POD_PORT}")])
        .env("HOME", cluster.folder());
    let mut forward = hopscope_tests::process::Process::start(&mut command)?;
    forward.wait_for(PATIENCE, "listener on ::1", |line| {
        line.contains("Forwarding from [::1]").then_some(())
    })?;
    let hopscope = Hopscope::proxy(&format!("tunnel=127.0.0.1:{port}"), cluster.folder(), &[])?;
    let outcome = client::get(hopscope.address(), "/ok", PATIENCE);
    ensure!(outcome == Outcome::Answered(200), "{outcome:?}");
    ensure!(
        application.asked() == 0 && other.asked() == 1,
        "the load went to the right process"
    );
    let report = hopscope.finish()?;
    let told = format!("127.0.0.1:{port} belongs to process {}", std::process::id());
    ensure!(report.mentions(&told), "no `{told}`\n{}", report.shown());
    Ok(())
}

#[test]
fn a4_a_stopped_kubectl_is_seen_to_be_stopped() -> Result<()> {
    let stage = Stage::build(&kubectl::youngest()?, &[], &["--tunnel-restart=never"])?;
    let kubectl = stage.kubectl_pid()?;
    signal_to(kubectl, "STOP")?;
    let outcomes = client::get_at_once(stage.address(), "/ok", 4, Duration::from_secs(3));
    ensure!(outcomes == [Outcome::TimedOut; 4], "{outcomes:?}");
    stage.judge(&[
        Expected::Verdict("tunnel tunnel-stopped"),
        Expected::Charged("tunnel-stopped", of(4, 0)),
    ])
}

#[test]
fn a5_a_kubectl_without_descriptors_is_seen_to_have_none() -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    // Enough to start, and for a few dozen connections.
    let limited = kubectl::youngest()?.behind(folder.path(), "ulimit -n 40")?;
    let stage = Stage::build(&limited, &[], &["--tunnel-restart=never"])?;
    let outcomes = client::get_at_once(stage.address(), "/silent", 60, Duration::from_secs(4));
    ensure!(outcomes == [Outcome::TimedOut; 60], "{outcomes:?}");
    stage.judge(&[Expected::AtLeast("tunnel-fd-limit", 15)])
}

#[test]
fn a6_thousands_of_connections_do_not_choke_kubectl_on_its_own_words() -> Result<()> {
    // kubectl would hang at some 2,180 if nobody read its output.
    let stage = Stage::build(&kubectl::youngest()?, &[], &[])?;
    let address = stage.address();
    let failed: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let asked = (0..320).map(|_| client::get(address, "/close", PATIENCE));
                    asked.filter(|outcome| *outcome != Outcome::Answered(200)).count()
                })
            })
            .collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).sum()
    });
    ensure!(failed == 0, "{failed} of 2,560 requests failed");
    stage.judge(&[Expected::Verdict("none")])
}

#[test]
fn b4_a_silent_pod_is_charged_to_the_backend_and_not_to_the_tunnel() -> Result<()> {
    let stage = Stage::build(&kubectl::youngest()?, &[], &["--tunnel-restart=never"])?;
    let outcome = client::get(stage.address(), "/silent", Duration::from_secs(5));
    ensure!(outcome == Outcome::TimedOut, "{outcome:?}");
    stage.expect_ok()?;
    stage.judge(&[
        Expected::Verdict("backend backend-timeout"),
        Expected::Innocent("tunnel-timeout"),
    ])
}

#[test]
fn c6_a_refused_stream_is_the_tunnels_and_the_forward_survives() -> Result<()> {
    for fault in ["reset-error-stream", "reset-data-stream"] {
        Ways::extremes()?.each(|kubectl| {
            let mut stage = Stage::build(kubectl, &[], &["--tunnel-restart=never"])?;
            stage.cluster.order(&format!("stream next=1 {fault}"))?;
            failed(client::get(stage.address(), "/ok", PATIENCE))?;
            stage.expect_ok()?;
            stage
                .judge(&[
                    Expected::Verdict("tunnel tunnel-stream-refused"),
                    Expected::Charged("tunnel-stream-refused", of(1, 0)),
                    Expected::Innocent("tunnel-lost"),
                ])
                .context(fault)
        })?;
    }
    Ok(())
}
