//! HTTP/2 by prior knowledge through real peers: what both ends count is what is read.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use hopscope_tests::program;
use hopscope_tests::report::Report;
use hopscope_tests::server::Server;

/// `hopscope run` with one direct path: its report, and what the generator printed.
fn run(folder: &Path, server: &Server, command: &[&str]) -> Result<(Report, String)> {
    let json = folder.join("report.json");
    let run = Command::new(program::hopscope()?)
        .args([
            "run",
            "--via",
            &format!("direct={}", server.address()),
            "--record",
        ])
        .arg(folder.join("run.hopscope"))
        .arg("--json")
        .arg(&json)
        .arg("--")
        .args(command)
        .output()?;
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    let report = Report::parse(&std::fs::read_to_string(&json)?, said.clone())?;
    Ok((report, said))
}

/// A count of h2load's, such as the 990 of `requests: ..., 990 succeeded, ...`.
fn counted(said: &str, line: &str, word: &str) -> Result<u64> {
    let line = said
        .lines()
        .find(|of| of.starts_with(line))
        .with_context(|| format!("no `{line}`: {said}"))?;
    let count = line
        .split([':', ','])
        .filter_map(|part| part.trim().strip_suffix(word))
        .find_map(|number| number.trim().parse().ok());
    count.with_context(|| format!("no `{word}` in {line}"))
}

#[test]
fn the_totals_of_h2load_and_of_the_report_agree() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nginx = Server::nginx(
        folder.path(),
        "# http2\nlocation / { return 200 hello; } location /bad { return 503 no; }",
    )?;
    let load = [
        "h2load",
        "-n",
        "4000",
        "-c",
        "10",
        "-m",
        "10",
        "{url}/products/17",
        "{url}/bad",
    ];
    let (report, said) = run(folder.path(), &nginx, &load)?;
    let (fine, failed) = (
        counted(&said, "status codes", "2xx")?,
        counted(&said, "status codes", "5xx")?,
    );
    assert_eq!((fine, failed), (2_000, 2_000), "{said}");
    assert_eq!(report.number("/totals/requests"), 4_000, "{}", report.shown());
    assert_eq!(
        report.number("/totals/delivered_errors"),
        failed,
        "{}",
        report.shown()
    );
    assert_eq!(report.number("/totals/undelivered"), 0, "{}", report.shown());
    assert_eq!(report.verdict(), "backend backend-error", "{}", report.shown());
    assert!(report.said().contains("/products/:id"), "{}", report.shown());
    Ok(())
}

#[test]
fn a_server_that_ends_its_connections_after_some_requests_leaves_none_unaccounted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nginx = Server::nginx(
        folder.path(),
        "# http2\nkeepalive_requests 100; location / { return 200 hello; }",
    )?;
    let load = ["h2load", "-n", "1000", "-c", "1", "-m", "10", "{url}/a"];
    let (report, said) = run(folder.path(), &nginx, &load)?;
    let done = counted(&said, "requests", "succeeded")?;
    assert_eq!(
        report.number("/totals/requests") - report.number("/totals/failed"),
        done,
        "{said}{}",
        report.shown()
    );
    assert_eq!(report.field("/observer/not_read"), serde_json::json!([]));
    Ok(())
}
