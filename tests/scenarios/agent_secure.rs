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
use hopscope_tests::program::hopscope;
use hopscope_tests::report::Report;
use hopscope_tests::scrape::{eventually, get};
use hopscope_tests::server::{certificate, free_address};
use serde_json::Value;

use crate::agent_stage::{ACTOR, Agent, ready};

const TOKEN: &str = "a-secret-of-the-scenario";

fn path(of: &Path) -> Result<&str> {
    of.to_str().context("a path")
}

/// An application on this host that treats every connection like this.
fn application(how: &str) -> Result<(Process, SocketAddr)> {
    let address = free_address()?;
    let mut process = Process::start(Command::new(ACTOR).args(["listen", &address.to_string(), "16", how]))?;
    ready(&mut process, "listening")?;
    Ok((process, address))
}

/// What the report of a recording says, and what it says to people; or why there is none.
fn report(folder: &Path, words: &[&str]) -> Result<Report> {
    let json = folder.join("again.json");
    let output = Command::new(hopscope()?)
        .arg("report")
        .arg(folder.join("run.hopscope"))
        .arg("--json")
        .arg(&json)
        .args(words)
        .env_remove("HOPSCOPE_AGENT_TOKEN")
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}: {said}", output.status);
    Report::parse(&fs::read_to_string(json)?, said)
}

#[test]
fn an_agent_behind_tls_and_a_token_is_asked_twice_beside_the_runs_probes_and_counts_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    certificate(folder.path())?;
    let file = |name: &str| path(&folder.path().join(name)).map(ToOwned::to_owned);
    let (cert, key, token) = (file("cert.pem")?, file("key.pem")?, file("token")?);
    fs::write(&token, TOKEN)?;
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
    assert_eq!(
        alone.charged("backend-unread-body").failures,
        1,
        "{}",
        alone.shown()
    );

    let asked = ["--agent", &url, "--agent-ca", &cert, "--agent-token-file", &token];
    let once = eventually("the agent's account", || {
        let once = report(folder.path(), &asked)?;
        Ok(if once.said().contains(" 0 of them of its connections") {
            Err(once.said().to_owned())
        } else {
            Ok(once)
        })
    })?;
    let twice = report(folder.path(), &[&asked[..], &["--agent", &url]].concat())?;
    for told in [&once, &twice] {
        assert_eq!(told.verdict(), alone.verdict(), "{}", told.shown());
        assert_eq!(
            told.charged("backend-unread-body"),
            alone.charged("backend-unread-body")
        );
    }

    let refused = |words: &[&str]| {
        let refused = report(folder.path(), words).map(|report| report.shown());
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
    certificate(folder.path())?;
    let file = |name: &str| path(&folder.path().join(name)).map(ToOwned::to_owned);
    let (cert, key, token) = (file("cert.pem")?, file("key.pem")?, file("token")?);
    fs::write(&token, TOKEN)?;
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
    let config = folder.path().join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n{}{}",
        job(
            "known",
            &format!("  authorization: {{credentials_file: {token}}}\n")
        ),
        job("unknown", "")
    );
    fs::write(&config, text)?;
    let address = free_address()?;
    let mut prometheus = Command::new("prometheus");
    prometheus.arg(format!("--config.file={}", config.display()));
    prometheus.arg(format!(
        "--storage.tsdb.path={}",
        folder.path().join("data").display()
    ));
    prometheus.arg(format!("--web.listen-address={address}"));
    let _prometheus = Process::start(&mut prometheus)?;
    let asked = |query: &str| -> Result<Value> {
        eventually(query, || {
            let Ok(text) = get(address, &format!("/api/v1/query?query={query}")) else {
                return Ok(Err("nobody answers yet".to_owned()));
            };
            let answer: Value = serde_json::from_str(&text)?;
            let value = answer["data"]["result"][0]["value"][1].clone();
            Ok(if value.is_null() { Err(text) } else { Ok(value) })
        })
    };
    assert_eq!(asked("up%7Bjob=%22known%22%7D")?, "1");
    assert_eq!(asked("up%7Bjob=%22unknown%22%7D")?, "0");
    assert_eq!(asked("sum(hopscope_requests_total%7Bjob=%22known%22%7D)")?, "1");
    run.finish()?;
    Ok(())
}
