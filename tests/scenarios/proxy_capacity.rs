//! As many connections at once as the limit on descriptors allows, and what is said of the next.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hopscope_tests::hopscope::Hopscope;
use hopscope_tests::server::Server;

const LIMIT: Duration = Duration::from_secs(30);
/// Descriptors with which 10,000 connections must stand.
const ENOUGH: u64 = 20_480;
/// Descriptors that hopscope keeps for itself (proxy/host/src/limits.rs).
const RESERVED: u64 = 96;
/// Connections beyond what hopscope has descriptors for.
const TOO_MANY: usize = 50;

/// The hard limit on descriptors.
fn hard_limit() -> Result<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(4));
    match hard.context("the limit on descriptors")? {
        "unlimited" => Ok(u64::MAX),
        hard => Ok(hard.parse()?),
    }
}

/// Sets this process's own limit, which what it starts inherits.
fn limit_descriptors(to: u64) -> Result<()> {
    let set = Command::new("prlimit")
        .args(["--pid", &std::process::id().to_string()])
        .arg(format!("--nofile={to}:"))
        .status()
        .context("running prlimit")?;
    ensure!(set.success(), "the limit on descriptors cannot be set to {to}");
    Ok(())
}

/// Opens a connection and asks for something, without waiting for the answer.
fn ask(address: SocketAddr) -> Result<TcpStream> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(LIMIT))?;
    connection.write_all(b"GET /held HTTP/1.1\r\nhost: web\r\n\r\n")?;
    Ok(connection)
}

/// Whether the answer comes, and the connection stays.
fn answered(mut connection: &TcpStream) -> Result<()> {
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while !answer.ends_with(b"hello") {
        let read = connection.read(&mut buffer)?;
        ensure!(read > 0, "ended after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..read]);
    }
    Ok(())
}

#[test]
fn every_connection_that_the_descriptors_allow_stands_and_the_next_is_turned_away() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let limit = hard_limit()?.min(ENOUGH);
    limit_descriptors(limit)?;
    let room = usize::try_from((limit - RESERVED) / 2)?;
    ensure!(
        limit < ENOUGH || room >= 10_000,
        "{room} connections with {limit} descriptors"
    );
    let nginx = Server::nginx(folder.path(), "location / { return 200 hello; }")?;
    let via = format!("direct={}", nginx.address());
    let limited = format!("ulimit -n {limit}; exec \"$@\"");
    let hopscope = Hopscope::launched(&["sh", "-c", &limited, "sh"], &via, folder.path(), &[])?;

    let held = (0..room)
        .map(|_| ask(hopscope.address()))
        .collect::<Result<Vec<_>>>()?;
    for (number, connection) in held.iter().enumerate() {
        answered(connection).with_context(|| format!("connection {number} of {room}"))?;
    }
    for _ in 0..TOO_MANY {
        // Turned away while it asks, or while it waits for the answer.
        let refused = ask(hopscope.address()).and_then(|connection| answered(&connection));
        ensure!(refused.is_err(), "more than {room} connections were let in");
    }
    // Those that stand are as well as before.
    for mut connection in held.iter().step_by(100) {
        connection.write_all(b"GET /again HTTP/1.1\r\nhost: web\r\n\r\n")?;
        answered(connection)?;
    }
    drop(held);
    let report = hopscope.finish()?;
    assert_eq!(
        report.number("/totals/connections"),
        (room + TOO_MANY) as u64,
        "{}",
        report.shown()
    );
    let charged = report.charged("observer-fd-limit");
    assert_eq!(charged.failures, TOO_MANY as u64, "{}", report.shown());
    assert!(report.said().contains("balanced"), "{}", report.shown());
    Ok(())
}
