//! From kubectl to a tunnel: ask for the pod, then upgrade.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{StartError, Transport, Version};
use crate::apiserver::{SPDY_PROTOCOL, WEBSOCKET_PROTOCOL};
use crate::spdy::connection::Framing;
use crate::websocket::{self, Role};

/// An answer's head and body may not be larger.
const MAX_ANSWER: usize = 1 << 20;

/// An answer's head, and what was read behind it.
struct Answer {
    code: u16,
    headers: Vec<(String, String)>,
    behind: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let found = self
            .headers
            .iter()
            .find(|(have, _)| have.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// Asks for the pod; it must run.
pub(super) async fn require_running(
    server: SocketAddr,
    namespace: &str,
    pod: &str,
) -> Result<(), StartError> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}");
    let (mut socket, answer) = ask(server, &format!("GET {path}"), &[("Accept", "application/json")]).await?;
    let object = body(&mut socket, &answer).await?;
    let field = |name: &str| {
        object
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    if answer.code != 200 {
        return Err(StartError::Object {
            reason: field("reason"),
            message: field("message"),
        });
    }
    let phase = object
        .pointer("/status/phase")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if phase == "Running" {
        Ok(())
    } else {
        Err(StartError::NotRunning(phase.to_owned()))
    }
}

/// Opens the tunnel.
pub(super) async fn tunnel(
    server: SocketAddr,
    namespace: &str,
    pod: &str,
    preferred: Transport,
    version: Version,
) -> Result<(TcpStream, Framing, Vec<u8>), StartError> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/portforward");
    if preferred == Transport::WebSocket {
        let key = websocket::random_key();
        let headers = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", key.as_str()),
            ("Sec-WebSocket-Protocol", WEBSOCKET_PROTOCOL),
        ];
        let (socket, answer) = ask(server, &format!("GET {path}"), &headers).await?;
        let agreed = answer.code == 101
            && answer.header("sec-websocket-accept") == websocket::accept_key(&key)
            && answer.header("sec-websocket-protocol") == WEBSOCKET_PROTOCOL;
        if agreed {
            return Ok((socket, Framing::WebSocket(Role::Client), answer.behind));
        }
        // A bad handshake is no error: kubectl tries SPDY on a new connection.
    }
    let headers = [
        ("Content-Length", "0"),
        ("Connection", "Upgrade"),
        ("Upgrade", "SPDY/3.1"),
        ("X-Stream-Protocol-Version", SPDY_PROTOCOL),
    ];
    let (mut socket, answer) = ask(server, &format!("POST {path}"), &headers).await?;
    if answer.code != 101 {
        let status = body(&mut socket, &answer).await?;
        let message = status.get("message").and_then(Value::as_str).unwrap_or("unknown");
        let opening = if version.opens_a_refusal() {
            "unable to upgrade connection: "
        } else {
            ""
        };
        return Err(StartError::Upgrade(format!("{opening}{message}")));
    }
    let protocol = answer.header("x-stream-protocol-version");
    if protocol != SPDY_PROTOCOL {
        return Err(StartError::Protocol(protocol.to_owned()));
    }
    Ok((socket, Framing::Raw, answer.behind))
}

async fn ask(
    server: SocketAddr,
    line: &str,
    headers: &[(&str, &str)],
) -> Result<(TcpStream, Answer), StartError> {
    let asked = async {
        let mut socket = TcpStream::connect(server).await?;
        socket.set_nodelay(true)?;
        let mut head = format!("{line} HTTP/1.1\r\nHost: {server}\r\nUser-Agent: kubectl/lab\r\n");
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        socket.write_all(head.as_bytes()).await?;
        let answer = read_head(&mut socket).await?;
        Ok((socket, answer))
    };
    asked.await.map_err(StartError::Connection)
}

async fn read_head(socket: &mut TcpStream) -> io::Result<Answer> {
    let mut behind = Vec::new();
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let parsed = head
            .parse(&behind)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if let httparse::Status::Complete(length) = parsed {
            let code = head.code.unwrap_or_default();
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let headers = head
                .headers
                .iter()
                .map(|have| (have.name.to_owned(), text(have.value)))
                .collect();
            behind.drain(..length);
            return Ok(Answer {
                code,
                headers,
                behind,
            });
        }
        if behind.len() > MAX_ANSWER || socket.read_buf(&mut behind).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn body(socket: &mut TcpStream, answer: &Answer) -> Result<Value, StartError> {
    let read = async {
        let length: usize = answer.header("content-length").parse().unwrap_or_default();
        let mut body = answer.behind.clone();
        while body.len() < length.min(MAX_ANSWER) {
            if socket.read_buf(&mut body).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        serde_json::from_slice(&body).map_err(io::Error::from)
    };
    read.await.map_err(StartError::Connection)
}
