//! Asking the agent, and waiting until it answers what a scenario expects.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cast::PATIENCE;

/// One question over HTTP/1.0, whose answer ends with its connection, and the body of the answer.
///
/// # Errors
/// When nobody answers, or with another status than 200.
pub fn get(from: SocketAddr, path: &str) -> Result<String> {
    let (status, body) = ask(from, path, "")?;
    if status != 200 {
        bail!("{path}: status {status}: {body}");
    }
    Ok(body)
}

/// One question with more header lines, each ended by CRLF; the status and the body of its answer.
///
/// # Errors
/// When nobody answers.
pub fn ask(from: SocketAddr, path: &str, headers: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&from, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: agent\r\n{headers}\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("no head")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((status, body.to_owned()))
}

/// Sum of the series of a family that carry all of these labels.
pub fn sum(metrics: &str, family: &str, labels: &[(&str, &str)]) -> f64 {
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    let ours = lines.filter(|line| {
        line.strip_prefix(family)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
    });
    let labelled = ours.filter(|line| {
        labels
            .iter()
            .all(|(name, value)| line.contains(&format!("{name}=\"{value}\"")))
    });
    labelled
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// The ends of sockets with this address on either side, in the order in which they were judged.
///
/// # Errors
/// When nobody answers, or not with evidence.
pub fn ends(from: SocketAddr, address: &str) -> Result<Vec<Value>> {
    let text = get(from, "/v1/evidence?since=0")?;
    let mut found = Vec::new();
    for line in text.lines().skip(1) {
        let line: Value = serde_json::from_str(line)?;
        let side = |name: &str| {
            line[name]
                .as_str()
                .is_some_and(|end| end.starts_with(&format!("{address}:")))
        };
        if line["kind"] == "socket" && (side("local") || side("remote")) {
            found.push(line);
        }
    }
    Ok(found)
}

/// Looks again and again until there is something, and gives it; what was seen last is in the error.
///
/// # Errors
/// When looking fails, or the patience ends.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<Result<T, String>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        let seen = match look()? {
            Ok(found) => return Ok(found),
            Err(seen) => seen,
        };
        if Instant::now() > end {
            bail!("{what}: not within {PATIENCE:?}; seen last: {seen}");
        }
        pause();
    }
}

/// Between two looks.
fn pause() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that waits: between looks at the condition itself"
    )]
    std::thread::sleep(Duration::from_millis(50));
}
