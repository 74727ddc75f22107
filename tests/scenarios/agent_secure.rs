//! Agents and metrics behind TLS and a bearer token.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use hopscope_tests::cast::PATIENCE;
use hopscope_tests::client::{self, Outcome};
use hopscope_tests::hopscope::Hopscope;
use hopscope_tests::process::Process;
use hopscope_tests::prometheus::Prometheus;
use hopscope_tests::report::Report;
use hopscope_tests::scrape::eventually;
use hopscope_tests::server::{certificate, free_address};

use crate::agent_stage::{ACTOR, Agent, ready};

const TOKEN: &str = "a-secret-of-the-scenario";

/// A certificate, its key and a token, in files of this folder.
fn guards(folder: &Path) -> Result<[String; 3]> {
    certificate(folder)?;
    fs::write(folder.join("token"), TOKEN)?;
    let file =
        |name: &str| -> Result<String> { Ok(folder.join(name).to_str().context("a path")?.to_owned()) };
    Ok([file("cert.pem")?, file("key.pem")?, file("token")?])
}

/// An application on this host that treats every connection like this.
fn application(how: &str) -> Result<(Process, SocketAddr)> {
    let address = free_address()?;
    let mut process = Process::start(Command::new(ACTOR).args(["listen", &address.to_string(), "16", how]))?;
    ready(&mut process, "listening")?;
    Ok((process, address))
}

#[test]
fn an_agent_behind_tls_and_a_token_is_asked_twice_beside_the_runs_probes_and_counts_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [cert, key, token] = guards(folder.path())?;
    let (_application, address) = application("unread")?;
    let port = address.port().to_string();
    let mut words = vec!["--tls-cert", &cert, "--tls-key", &key, "--token-file", &token];
    words.extend(["--workload-port", &port]);
    let agent = Agent::start(&words)?;
    let url = format!("https://{}", agent.address);

    let run = Hopscope::proxy(&format!("direct={address}"), folder.path(), &["--probes=require"])?;
    let outcome = client::get(run.address(), "/products/17", PATIENCE);
    ensure!(
        matches!(outcome, Outcome::Reset | Outcome::Refused),
        "{outcome:?}"
    );
    let alone = run.finish()?;
    assert_eq!(alone.charged("backend-reset").failures, 1, "{}", alone.shown());

    let recording = folder.path().join("run.hopscope");
    let asked = ["--agent", &url, "--agent-ca", &cert, "--agent-token-file", &token];
    let once = eventually("the agent's account", || {
        let once = Report::again(&recording, &asked)?;
        Ok(if once.said().contains(" 0 of them of its connections") {
            Err(once.said().to_owned())
        } else {
            Ok(once)
        })
    })?;
    let twice = Report::again(&recording, &[&asked[..], &["--agent", &url]].concat())?;
    for told in [&once, &twice] {
        assert_eq!(told.verdict(), alone.verdict(), "{}", told.shown());
        assert_eq!(told.charged("backend-reset"), alone.charged("backend-reset"));
    }

    let refused = |words: &[&str]| {
        let refused = Report::again(&recording, words).map(|report| report.shown());
        refused.map_or_else(|error| format!("{error:#}"), |shown| format!("no error: {shown}"))
    };
    let untrusted = refused(&["--agent", &url, "--agent-token-file", &token]);
    assert!(untrusted.contains("--agent-ca"), "{untrusted}");
    let unnamed = refused(&["--agent", &url, "--agent-ca", &cert]);
    assert!(unnamed.contains("requires its bearer token"), "{unnamed}");
    let plain = refused(&[
        "--agent",
        &url.replace("https", "http"),
        "--agent-token-file",
        &token,
    ]);
    assert!(!plain.starts_with("no error"), "{plain}");
    Ok(())
}

#[test]
fn prometheus_scrapes_the_proxy_over_tls_with_its_token_and_nobody_without() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [cert, key, token] = guards(folder.path())?;
    let (_application, address) = application("unread")?;
    let metrics = free_address()?;
    let guard = [
        format!("--metrics={metrics}"),
        format!("--metrics-tls-cert={cert}"),
        format!("--metrics-tls-key={key}"),
        format!("--metrics-token-file={token}"),
        "--probes=off".to_owned(),
    ];
    let guard: Vec<&str> = guard.iter().map(String::as_str).collect();
    let run = Hopscope::proxy(&format!("direct={address}"), folder.path(), &guard)?;
    client::get(run.address(), "/products/17", PATIENCE);

    // One job knows the token, the other does not; both know whom to trust.
    let job = |name: &str, authorization: &str| {
        format!(
            "- job_name: {name}\n  scheme: https\n  tls_config: {{ca_file: {cert}}}\n{authorization}  \
             static_configs:\n  - targets: ['{metrics}']\n"
        )
    };
    let known = format!("  authorization: {{credentials_file: {token}}}\n");
    let jobs = format!("{}{}", job("known", &known), job("unknown", ""));
    let prometheus = Prometheus::scraping(folder.path(), &jobs)?;
    let asked = |query: &str| Ok::<_, anyhow::Error>(prometheus.first(query)?["value"][1].clone());
    assert_eq!(asked("up%7Bjob=%22known%22%7D")?, "1");
    assert_eq!(asked("up%7Bjob=%22unknown%22%7D")?, "0");
    assert_eq!(asked("sum(hopscope_requests_total%7Bjob=%22known%22%7D)")?, "1");
    run.finish()?;
    Ok(())
}
