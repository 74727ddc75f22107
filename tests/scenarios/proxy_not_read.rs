//! What hopscope cannot read: it passes unchanged, nobody is called healthy for it, and no gate passes on it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use hopscope_tests::client::{Outcome, get};
use hopscope_tests::hopscope::Hopscope;
use hopscope_tests::program;
use hopscope_tests::report::Report;
use hopscope_tests::server::{Server, certificate};

const LIMIT: Duration = Duration::from_secs(20);

/// `hopscope run` with one path: its exit code, its report and what it printed.
fn run(folder: &Path, via: &str, gate: &str, command: &[&str]) -> Result<(Option<i32>, Report)> {
    let json = folder.join("report.json");
    let run = Command::new(program::hopscope()?)
        .args(["run", "--via", via, "--fail-on", gate, "--record"])
        .arg(folder.join("run.hopscope"))
        .arg("--json")
        .arg(&json)
        .arg("--")
        .args(command)
        .output()?;
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    let report = Report::parse(&std::fs::read_to_string(&json)?, said)?;
    Ok((run.status.code(), report))
}

#[test]
fn tls_end_to_end_is_not_read_and_no_gate_passes_on_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    certificate(folder.path())?;
    let files = folder.path().display();
    let nginx = Server::nginx(
        folder.path(),
        &format!(
            "ssl_certificate {files}/cert.pem; ssl_certificate_key {files}/key.pem; location / {{ return 503 no; }}"
        ),
    )?;
    let via = format!("lb={}", nginx.address());
    let script = "for i in 1 2 3; do curl -sk -o answer https://{addr}/products; done; cat answer";
    let (code, report) = run(folder.path(), &via, "any>1%", &["sh", "-c", script])?;
    assert_eq!(code, Some(4), "{}", report.shown());
    assert_eq!(report.verdict(), "unknown not-read", "{}", report.shown());
    assert_eq!(report.seconds("/verdict/confidence"), Some(0.0));
    assert_eq!(report.field("/observer/not_read/0/reason"), "tls");
    assert_eq!(report.number("/observer/not_read/0/connections"), 3);
    let bytes = report.number("/totals/bytes_up") + report.number("/totals/bytes_down");
    assert_eq!(report.number("/observer/not_read/0/bytes"), bytes, "all of them");
    for words in [
        "NOT READ",
        "3 not read",
        "cannot be judged",
        "--via NAME=https://HOST",
    ] {
        assert!(report.said().contains(words), "{words}: {}", report.shown());
    }
    ensure!(!report.said().contains("NOTHING FAILED"), "{}", report.shown());
    Ok(())
}

/// A server that greets like this, reads a line, and then answers like this, or resets.
fn speaker(greeting: &'static [u8], answer: Option<&'static [u8]>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            drop(connection.write_all(greeting));
            match answer {
                Some(answer) => {
                    drop(connection.read(&mut [0; 1_024]));
                    drop(connection.write_all(answer));
                }
                // It is closed with a byte unread, which its kernel answers with a reset.
                None => drop(connection.peek(&mut [0; 1])),
            }
        }
    });
    Ok(address)
}

/// Says something and reads to the end, whatever that is.
fn talk(address: SocketAddr, words: &[u8]) -> Result<Vec<u8>> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(LIMIT))?;
    connection.write_all(words)?;
    let mut heard = Vec::new();
    drop(connection.read_to_end(&mut heard));
    Ok(heard)
}

#[test]
fn ssh_passes_unchanged_and_is_not_read() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = speaker(b"SSH-2.0-server\r\n", Some(b"keys"))?;
    let hopscope = Hopscope::proxy(&format!("direct={server}"), folder.path(), &[])?;
    for _ in 0..4 {
        assert_eq!(
            talk(hopscope.address(), b"SSH-2.0-client\r\n")?,
            b"SSH-2.0-server\r\nkeys"
        );
    }
    let report = hopscope.finish()?;
    assert_eq!(report.verdict(), "unknown not-read", "{}", report.shown());
    assert_eq!(report.field("/observer/not_read/0/reason"), "not-http");
    assert_eq!(report.number("/observer/not_read/0/bytes"), 4 * (16 + 16 + 4));
    Ok(())
}

#[test]
fn an_unread_connection_that_is_reset_has_failed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = speaker(b"\0\x01binary", None)?;
    let hopscope = Hopscope::proxy(
        &format!("direct={server}"),
        folder.path(),
        &["--fail-on=backend>0"],
    )?;
    for _ in 0..4 {
        talk(hopscope.address(), b"\x02hello")?;
    }
    let report = hopscope.finish()?;
    // Bytes were left unread, but nobody knows whether they were the body of a request.
    assert_eq!(report.verdict(), "backend backend-reset", "{}", report.shown());
    assert_eq!(
        report.number("/observer/not_read/0/failed"),
        4,
        "{}",
        report.shown()
    );
    Ok(())
}

#[test]
fn a_connection_on_which_the_generator_says_nothing_is_unused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nginx = Server::nginx(folder.path(), "location / { return 200 hello; }")?;
    let hopscope = Hopscope::proxy(&format!("direct={}", nginx.address()), folder.path(), &[])?;
    drop(TcpStream::connect(hopscope.address())?);
    assert_eq!(get(hopscope.address(), "/ok", LIMIT), Outcome::Answered(200));
    let report = hopscope.finish()?;
    assert_eq!(report.verdict(), "none", "{}", report.shown());
    assert_eq!(report.field("/observer/not_read"), serde_json::json!([]));
    Ok(())
}

#[test]
fn no_traffic_is_no_success_and_the_report_asks_for_the_address() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nginx = Server::nginx(folder.path(), "location / { return 200 hello; }")?;
    let via = format!("direct={}", nginx.address());
    // The generator goes past hopscope.
    let around = format!("http://{}/", nginx.address());
    let (code, report) = run(folder.path(), &via, "any>1%", &["curl", "-s", &around])?;
    assert_eq!(code, Some(4), "{}", report.shown());
    assert_eq!(report.verdict(), "unknown no-traffic", "{}", report.shown());
    for words in ["NO TRAFFIC", "{url}", "HOPSCOPE_URL", "cannot be judged"] {
        assert!(report.said().contains(words), "{words}: {}", report.shown());
    }
    Ok(())
}

#[test]
fn an_answer_that_is_no_http_is_said_to_be_none() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = speaker(b"", Some(b"SSH-2.0-server\r\n"))?;
    let hopscope = Hopscope::proxy(&format!("direct={server}"), folder.path(), &[])?;
    for _ in 0..3 {
        talk(hopscope.address(), b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n")?;
    }
    let report = hopscope.finish()?;
    assert_eq!(report.verdict(), "backend backend-not-http", "{}", report.shown());
    ensure!(
        !report.said().contains("delivered complete"),
        "{}",
        report.shown()
    );
    Ok(())
}
