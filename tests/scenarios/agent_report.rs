//! What the kernel saw, in the report: by probes for the length of a run, and asked of an agent after it.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hopscope_tests::client::{self, Outcome};
use hopscope_tests::hopscope::Hopscope;
use hopscope_tests::process::Process;
use hopscope_tests::program::hopscope;
use hopscope_tests::report::Report;
use hopscope_tests::scrape::{ends, eventually};
use hopscope_tests::server::free_address;

use crate::agent_stage::{ACTOR, Agent, ready};

const LIMIT: Duration = Duration::from_secs(20);
const TIMES: u64 = 4;

/// An application on this host that treats every connection like this.
fn application(how: &str) -> Result<(Process, SocketAddr)> {
    let address = free_address()?;
    let mut process = Process::start(Command::new(ACTOR).args(["listen", &address.to_string(), "16", how]))?;
    ready(&mut process, "listening")?;
    Ok((process, address))
}

/// Requests that all end in a reset.
fn be_reset(address: SocketAddr) {
    for _ in 0..TIMES {
        let outcome = client::get(address, "/products/17", LIMIT);
        assert!(
            matches!(outcome, Outcome::Reset | Outcome::Refused),
            "{outcome:?}"
        );
    }
}

/// The kernel's witness is named for the charge, and nothing says that no kernel was asked.
fn assert_cites_the_kernel(report: &Report) {
    assert!(report.mentions("kernel-witness"), "{}", report.shown());
    assert!(!report.mentions("were not asked"), "{}", report.shown());
}

#[test]
fn the_probes_are_the_witness_of_who_reset_and_the_recording_keeps_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (_application, address) = application("unread")?;
    let hopscope = Hopscope::proxy(&format!("direct={address}"), folder.path(), &["--probes=require"])?;
    be_reset(hopscope.address());
    let first = hopscope.finish()?;
    assert!(
        first.said().contains("this host's kernel is watched by"),
        "{}",
        first.said()
    );
    assert_eq!(
        first.charged("backend-reset").failures,
        TIMES,
        "{}",
        first.shown()
    );
    assert_cites_the_kernel(&first);
    let again = Report::again(&folder.path().join("run.hopscope"), &[])?;
    assert_eq!(again.charged("backend-reset").failures, TIMES);
    Ok(())
}

/// A run without any privilege, with these words: how it ended, and what it said.
fn unprivileged(words: &[&str]) -> Result<(Option<i32>, String)> {
    let folder = tempfile::tempdir()?;
    let (_application, address) = application("unread")?;
    let output = Command::new("setpriv")
        .args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--"])
        .arg(hopscope()?)
        .args([
            "run",
            "--grace=1",
            "--via",
            &format!("direct={address}"),
            "--record",
        ])
        .arg(folder.path().join("run.hopscope"))
        .args(words)
        .args(["--", "true"])
        .output()
        .context("setpriv (util-linux) drops the privilege")?;
    Ok((
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}

#[test]
fn without_the_privilege_a_run_says_so_in_one_line_and_goes_on_unless_it_is_required() -> Result<()> {
    let told = |said: &str| -> Vec<String> {
        let lines = said.lines().filter(|line| line.contains("kernel is not watched"));
        lines.map(ToOwned::to_owned).collect()
    };
    let (code, said) = unprivileged(&[])?;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(told(&said).len(), 1, "{said}");
    assert!(said.contains("CAP_BPF and CAP_PERFMON"), "{said}");
    let (code, said) = unprivileged(&["--probes=off"])?;
    assert_eq!((code, told(&said).len()), (Some(0), 0), "{said}");
    let (code, said) = unprivileged(&["--probes=require"])?;
    assert_eq!((code, told(&said).len()), (Some(3), 1), "{said}");
    Ok(())
}

#[test]
fn an_agent_that_is_asked_after_the_run_gives_the_witness_and_its_answer_can_be_kept() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (_application, address) = application("unread")?;
    let port = address.port().to_string();
    let token = folder.path().join("token");
    std::fs::write(&token, "a secret\n")?;
    let token = token.to_str().context("a path")?;
    let open = Agent::start(&["--workload-port", &port])?;
    let guarded = Agent::start(&["--workload-port", &port, "--token-file", token])?;
    let hopscope = Hopscope::proxy(&format!("direct={address}"), folder.path(), &["--probes=off"])?;
    be_reset(hopscope.address());
    let alone = hopscope.finish()?;
    assert_eq!(
        alone.charged("backend-reset").failures,
        TIMES,
        "{}",
        alone.shown()
    );
    eventually("every reset", || {
        let all = ends(open.address, "127.0.0.1")?;
        let ours = all
            .iter()
            .filter(|end| end["local"] == address.to_string() && end["end"] == "reset-sent-unread");
        let count = ours.count() as u64;
        Ok(if count >= TIMES {
            Ok(())
        } else {
            Err(format!("{all:?}"))
        })
    })?;

    let recording = folder.path().join("run.hopscope");
    let before = std::fs::read(&recording)?;
    let url = format!("http://{}", open.address);
    let kept = folder.path().join("evidence.jsonl");
    let kept = kept.to_str().context("a path")?;
    let asked = Report::again(&recording, &["--agent", &url, "--save-evidence", kept])?;
    assert_eq!(
        asked.charged("backend-reset").failures,
        TIMES,
        "{}",
        asked.shown()
    );
    assert_cites_the_kernel(&asked);
    let repeated = Report::again(&recording, &["--agent-evidence", kept])?;
    assert_eq!(
        asked.text(),
        repeated.text(),
        "the same recording and the same evidence"
    );
    assert!(before == std::fs::read(&recording)?, "the recording has changed");

    let url = format!("http://{}", guarded.address);
    let refused = Report::again(&recording, &["--agent", &url]).map(|report| report.shown());
    let told = format!("{:#}", refused.expect_err("no token was given"));
    assert!(told.contains("requires its bearer token"), "{told}");
    let asked = Report::again(&recording, &["--agent", &url, "--agent-token-file", token])?;
    assert!(asked.said().contains("ends of sockets"), "{}", asked.said());
    Ok(())
}
