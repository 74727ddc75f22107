//! One request on a connection of its own, and what became of it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// What a client saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A complete answer with this status.
    Answered(u16),
    /// The connection was ended cleanly before the answer was complete, after so many bytes.
    Ended(usize),
    /// The connection was reset before the answer was complete.
    Reset,
    /// No complete answer in the given time; the client then closed.
    TimedOut,
    /// No connection stood.
    Refused,
}

/// Asks for a path and waits for the complete answer.
pub fn get(address: SocketAddr, path: &str, limit: Duration) -> Outcome {
    match open(address, path) {
        Ok(connection) => read(connection, limit),
        Err(_) => Outcome::Refused,
    }
}

/// Asks for a path so many times at once.
pub fn get_at_once(address: SocketAddr, path: &str, count: usize, limit: Duration) -> Vec<Outcome> {
    thread::scope(|scope| {
        let asked: Vec<_> = (0..count)
            .map(|_| scope.spawn(|| get(address, path, limit)))
            .collect();
        asked.into_iter().filter_map(|asked| asked.join().ok()).collect()
    })
}

/// Asks for a path and does not read the answer: the connection is given back.
///
/// # Errors
/// Where no connection stands.
pub fn open(address: SocketAddr, path: &str) -> Result<TcpStream> {
    let mut connection = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    Ok(connection)
}

/// Reads an answer to its end.
pub fn read(mut connection: TcpStream, limit: Duration) -> Outcome {
    let deadline = Instant::now() + limit;
    let mut answer = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        if let Some(status) = complete(&answer) {
            return Outcome::Answered(status);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || connection.set_read_timeout(Some(left)).is_err() {
            return Outcome::TimedOut;
        }
        match connection.read(&mut buffer) {
            Ok(0) => return Outcome::Ended(answer.len()),
            Ok(length) => answer.extend(buffer.iter().take(length)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Outcome::TimedOut;
            }
            Err(_) => return Outcome::Reset,
        }
    }
}

/// The status, once the whole body that the head announces is there.
fn complete(answer: &[u8]) -> Option<u16> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    })?;
    (answer.len() >= end + 4 + length).then_some(status)
}
