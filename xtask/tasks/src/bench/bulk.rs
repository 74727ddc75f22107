//! Long bodies, fetched and sent over a few connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::data::Outcome;
use super::process::loopback;
use super::upstream::BODY;
use super::workload::Workload;

/// At the same time.
const CONNECTIONS: usize = 4;

/// Moves bodies through one port for a while; those begun are brought to their end.
pub(super) fn run(workload: Workload, port: u16, lasting: Duration) -> Result<Outcome> {
    let began = Instant::now();
    let until = began + lasting;
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            thread::spawn(move || {
                if workload == Workload::Up {
                    send(port, until)
                } else {
                    fetch(port, until)
                }
            })
        })
        .collect();
    let mut bodies = 0;
    for thread in threads {
        match thread.join() {
            Ok(moved) => bodies += moved?,
            Err(_) => bail!("a thread of the generator has failed"),
        }
    }
    let micros = u64::try_from(began.elapsed().as_micros())?;
    Ok(Outcome {
        requests: bodies,
        bytes: bodies * BODY,
        micros,
        p50_us: 0,
        p99_us: 0,
        errors: 0,
    })
}

fn fetch(port: u16, until: Instant) -> Result<u64> {
    let mut stream = TcpStream::connect(loopback(port)).context("connecting")?;
    let mut buffer = vec![0; 256 << 10];
    let mut bodies = 0;
    while Instant::now() < until {
        stream.write_all(b"GET /body HTTP/1.1\r\nHost: bench\r\n\r\n")?;
        let mut left = BODY - after_head(&mut stream, &mut buffer)?;
        while left > 0 {
            let read = stream.read(&mut buffer)? as u64;
            ensure!(read > 0, "a body was cut off");
            left = left.saturating_sub(read);
        }
        bodies += 1;
    }
    Ok(bodies)
}

fn send(port: u16, until: Instant) -> Result<u64> {
    let mut stream = TcpStream::connect(loopback(port)).context("connecting")?;
    let mut buffer = vec![b'x'; 256 << 10];
    let head = format!("POST / HTTP/1.1\r\nHost: bench\r\nContent-Length: {BODY}\r\n\r\n");
    let mut bodies = 0;
    while Instant::now() < until {
        stream.write_all(head.as_bytes())?;
        for _piece in 0..BODY / (256 << 10) {
            stream.write_all(&buffer)?;
        }
        after_head(&mut stream, &mut buffer)?;
        bodies += 1;
    }
    Ok(bodies)
}

/// Reads a response's head; gives how many bytes came after it.
fn after_head(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<u64> {
    let mut head = Vec::new();
    loop {
        let read = stream.read(buffer)?;
        ensure!(read > 0, "a response was cut off");
        head.extend_from_slice(&buffer[..read]);
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            ensure!(head.starts_with(b"HTTP/1.1 200"), "a request was refused");
            return Ok((head.len() - end - 4) as u64);
        }
    }
}
