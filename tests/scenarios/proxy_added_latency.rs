//! What hopscope says that it adds itself, against what a generator measures with its own clock.
//!
//! A relay that is frozen for a while adds that while: far more than a loaded machine does by itself.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::park_timeout;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hopscope_tests::application::Application;
use hopscope_tests::hopscope::Hopscope;
use hopscope_tests::process;

const LIMIT: Duration = Duration::from_secs(20);
/// For so long the relay is frozen, at least.
const FROZEN: Duration = Duration::from_millis(200);
/// How long the application thinks where the relay is frozen on the way back; time enough to freeze it.
const THOUGHT: Duration = Duration::from_millis(300);
/// The two measurements may differ by so much: the generator's own wait for its core is in its figure only.
const APART: f64 = 0.060;
/// Exchanges frozen on the way up, and as many on the way down.
const EACH: u64 = 5;

/// Asks on a connection that is kept.
fn ask(mut connection: &TcpStream, path: &str) -> Result<Instant> {
    let began = Instant::now();
    connection.write_all(format!("GET {path} HTTP/1.1\r\nhost: web\r\n\r\n").as_bytes())?;
    Ok(began)
}

/// Reads the answer of an `ok`, and says how long it took since it was asked for.
fn answered(mut connection: &TcpStream, since: Instant) -> Result<Duration> {
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while !answer.ends_with(b"\r\n\r\nok") {
        let read = connection.read(&mut buffer)?;
        ensure!(read > 0, "it ended after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..read]);
    }
    Ok(since.elapsed())
}

fn connect(to: SocketAddr) -> Result<TcpStream> {
    let connection = TcpStream::connect(to)?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(LIMIT))?;
    Ok(connection)
}

/// Freezes a process, and waits until it stands still.
fn freeze(pid: u32) -> Result<()> {
    process::signal_to(pid, "STOP")?;
    let deadline = Instant::now() + LIMIT;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        if status.lines().any(|line| line.starts_with("State:\tT")) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "it does not stop");
        park_timeout(Duration::from_millis(1));
    }
}

/// Lets the time pass for which something is to be frozen.
fn hold(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until
        .checked_duration_since(Instant::now())
        .filter(|left| !left.is_zero())
    {
        park_timeout(left);
    }
}

#[test]
fn the_latency_that_hopscope_says_it_adds_is_what_a_generator_finds_it_to_add() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let application = Application::start()?;
    let via = format!("direct={}", application.address());
    // The first connection is one of those whose packets are stamped.
    let hopscope = Hopscope::proxy(&via, folder.path(), &["--workers=1"])?;
    let (through, direct) = (connect(hopscope.address())?, connect(application.address())?);
    let mut found = Vec::new();
    for _ in 0..EACH {
        freeze(hopscope.id())?;
        let began = ask(&through, "/ok")?;
        hold(FROZEN);
        process::signal_to(hopscope.id(), "CONT")?;
        let through = answered(&through, began)?;
        found.push(through.saturating_sub(answered(&direct, ask(&direct, "/ok")?)?));
    }
    let late = format!("/late/{}", THOUGHT.as_millis());
    for round in 0..EACH {
        // Every question is answered, and there were two a round.
        let before = (EACH + round) * 2;
        let began = ask(&through, &late)?;
        application.wait_until_asked(before + 1, LIMIT)?;
        freeze(hopscope.id())?;
        application.wait_until_answered(before + 1, LIMIT)?;
        hold(FROZEN);
        process::signal_to(hopscope.id(), "CONT")?;
        let through = answered(&through, began)?;
        found.push(through.saturating_sub(answered(&direct, ask(&direct, &late)?)?));
    }
    drop((through, direct));
    let report = hopscope.finish()?;
    let added = report
        .seconds("/latency/added_by_hopscope/p50")
        .context("what hopscope added")?;
    found.sort_unstable();
    let middle = found.get(found.len() / 2).context("exchanges")?.as_secs_f64();
    assert!(
        added >= FROZEN.as_secs_f64() * 0.99,
        "hopscope says {added} s, and the generator found {found:?}"
    );
    assert!(
        (added - middle).abs() < APART,
        "hopscope says that it added {added} s to most exchanges, and the generator found {middle} s"
    );
    Ok(())
}
