//! Connections that have served one request and wait for the next.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};

use super::process::loopback;

/// How many.
pub(super) const CONNECTIONS: usize = 5_000;

/// Opens connections, has each serve one request, and gives them open.
pub(super) fn open(port: u16, count: usize) -> Result<Vec<TcpStream>> {
    (0..count).map(|_| one(port)).collect()
}

fn one(port: u16) -> Result<TcpStream> {
    let mut stream =
        TcpStream::connect(loopback(port)).context("connecting; the limit on descriptors must be 12,000")?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")?;
    let mut response = Vec::new();
    let mut buffer = [0; 4096];
    // The upstream's page ends with its 1,024th x.
    while !response.ends_with(&[b'x'; 1024]) {
        let read = stream.read(&mut buffer)?;
        ensure!(read > 0, "a connection was closed before its response");
        response.extend_from_slice(&buffer[..read]);
    }
    Ok(stream)
}
