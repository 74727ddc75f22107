//! A forward that does not stand, and what the user is told.

use anyhow::{Context as _, Result, ensure};
use hopscope_tests::application::Application;
use hopscope_tests::cluster::{Cluster, POD_PORT};
use hopscope_tests::hopscope::Hopscope;
use hopscope_tests::kubectl::{self, Kubectl};

use crate::stage::{Expected, Stage};

/// What hopscope says when the cluster is put into a state first.
fn told(kubectl: &Kubectl, orders: &[&str], words: &[&str]) -> Result<()> {
    let application = Application::start()?;
    let mut cluster = Cluster::start(application.address(), &[])?;
    for order in orders {
        cluster.order(order)?;
    }
    let via = format!(
        "tunnel=kubectl:pod/web:{POD_PORT}?kubeconfig={}&kubectl={}",
        cluster.kubeconfig().display(),
        kubectl.path.display()
    );
    let error = Hopscope::proxy(&via, cluster.folder(), &[])
        .err()
        .context("it started")?;
    let said = format!("{error:#}");
    for word in words {
        ensure!(
            said.contains(word),
            "kubectl 1.{}: no `{word}` in\n{said}",
            kubectl.minor
        );
    }
    Ok(())
}

#[test]
fn what_keeps_a_forward_from_standing_is_told_with_the_remedy() -> Result<()> {
    for kubectl in kubectl::all()? {
        told(
            &kubectl,
            &["refuse portforward 403"],
            &["RBAC", "pods/portforward"],
        )?;
        told(
            &kubectl,
            &["refuse portforward 500"],
            &["cannot reach the pod's node"],
        )?;
        told(&kubectl, &["refuse portforward runtime"], &["kubectl said"])?;
    }
    let kubectl = kubectl::youngest()?;
    told(&kubectl, &["refuse all 401"], &["log in again"])?;
    told(&kubectl, &["refuse all 404"], &["check the name"])?;
    told(&kubectl, &["phase web Pending"], &["no pod of it is running"])?;
    told(&kubectl, &["phase web Gone"], &["check the name"])?;
    Ok(())
}

#[test]
fn a_refused_websocket_falls_back_to_spdy_and_nothing_fails() -> Result<()> {
    let kubectl = kubectl::youngest()?;
    let stage = Stage::build(&kubectl, &["--command", "websocket off"], &[])?;
    for _ in 0..5 {
        stage.expect_ok()?;
    }
    stage.judge(&[Expected::Verdict("none")])
}
