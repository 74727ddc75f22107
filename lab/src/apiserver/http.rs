//! HTTP/1.1 as far as the API server needs it: a head in, a JSON body out.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request's head may not be larger.
const MAX_HEAD: usize = 64 * 1024;
/// Nor have more headers.
const MAX_HEADERS: usize = 100;
/// A body larger than this ends the connection: nobody who forwards a port sends one.
const MAX_BODY: usize = 1 << 20;

/// A request, its body read and dropped.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    /// Names and values, decoded.
    pub(super) query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

impl Request {
    /// The first header of that name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(have, _)| have.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The first query parameter of that name.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Reads the next request; none when the caller is done. Bytes behind it stay in `buffer`.
pub(super) async fn read(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        if let Some((request, head)) = parse(buffer)? {
            let body = request
                .header("content-length")
                .map_or(Ok(0), str::parse::<usize>);
            let body = body.map_err(|_not_a_number| malformed("Content-Length is no number"))?;
            if body > MAX_BODY {
                return Err(malformed("body larger than a port-forward ever sends"));
            }
            while buffer.len() < head + body {
                if socket.read_buf(buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            buffer.drain(..head + body);
            return Ok(Some(request));
        }
        if buffer.len() > MAX_HEAD {
            return Err(malformed("head larger than 64 KiB"));
        }
        if socket.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
    }
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn parse(buffer: &[u8]) -> io::Result<Option<(Request, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let status = head
        .parse(buffer)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let httparse::Status::Complete(length) = status else {
        return Ok(None);
    };
    let (path, query) = head
        .path
        .unwrap_or_default()
        .split_once('?')
        .unwrap_or((head.path.unwrap_or_default(), ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decoded(name), decoded(value))
            })
            .collect(),
        headers: head
            .headers
            .iter()
            .map(|header| {
                (
                    header.name.to_owned(),
                    String::from_utf8_lossy(header.value).into_owned(),
                )
            })
            .collect(),
    };
    Ok(Some((request, length)))
}

/// Undoes percent encoding; what is no valid escape stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let escape = behind.first_chunk::<2>().filter(|_| byte == b'%');
        let value = escape.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        if let Some(value) = value {
            bytes.push(value);
            rest = behind.get(2..).unwrap_or_default();
        } else {
            bytes.push(if byte == b'+' { b' ' } else { byte });
            rest = behind;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Answers with JSON and keeps the connection.
pub(super) async fn answer(socket: &mut TcpStream, code: u16, body: &Value) -> io::Result<()> {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {code} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        phrase(code),
        body.len()
    );
    socket
        .write_all(&[head.as_bytes(), body.as_bytes()].concat())
        .await
}

/// Answers with a head alone, upon which other rules hold on the socket.
pub(super) async fn switch(socket: &mut TcpStream, headers: &[(&str, &str)]) -> io::Result<()> {
    let mut head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n".to_owned();
    for (name, value) in headers {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    socket.write_all(head.as_bytes()).await
}

/// One chunk of a watch.
pub(super) async fn chunk(socket: &mut TcpStream, text: &str) -> io::Result<()> {
    socket
        .write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
        .await
}

/// Opens a watch.
pub(super) async fn open_watch(socket: &mut TcpStream) -> io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await
}

fn phrase(code: u16) -> &'static str {
    match code {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
