//! Heads: where one ends, and the little of it that evidence and framing need.
//!
//! Read leniently, as a bystander must: bare line feeds, folded lines, fields without a colon and spaces in the target
//! are passed over, because what matters is what the two ends make of them. A head ends at its first empty line, so
//! that it is found the same way whether it comes in one read or in many.
//!
//! Own code rather than `httparse` on the path: that one refuses what servers answer (a space in a target is a 400 of
//! theirs, not noise) and starts over when a head comes in pieces. The tests hold both against each other on every
//! head that `httparse` accepts; the bench beside this crate shows what each costs.

mod fields;
#[cfg(test)]
mod tests;

use hopscope_attribution::evidence::{Method, Opaque};

pub(super) use fields::{Framing, Marks, Scan, ServerMark, is_event_stream, scan};

/// A request line, as far as a bystander must understand it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: Method,
    pub(super) target: &'a [u8],
}

/// The longest method that is believed; the longest registered one (`UPDATEREDIRECTREF`, RFC 4437) has 17 letters.
const METHOD_LIMIT: usize = 32;

/// Length of the head that `bytes` start with, its empty line included, if all of it is there.
/// `searched` bytes, less the last three, are known to hold no end.
pub(super) fn length(bytes: &[u8], searched: usize) -> Option<usize> {
    let mut from = searched.saturating_sub(3);
    while let Some(feed) = bytes.get(from..).and_then(|rest| memchr::memchr(b'\n', rest)) {
        let next = from + feed + 1;
        match (bytes.get(next), bytes.get(next + 1)) {
            (Some(b'\n'), _) => return Some(next + 1),
            (Some(b'\r'), Some(b'\n')) => return Some(next + 2),
            _ => from = next,
        }
    }
    None
}

/// Whether what has come of a first request line can still be one, and if not, what it is.
pub(super) fn refuse_request(bytes: &[u8]) -> Option<Opaque> {
    // A TLS record of type handshake (RFC 8446, section 5.1). 0x16 begins nothing in HTTP.
    if bytes.first() == Some(&0x16) {
        return Some(Opaque::Tls);
    }
    for byte in bytes.iter().take(METHOD_LIMIT) {
        match byte {
            b' ' => return None,
            byte if is_token(*byte) => {}
            _ => return Some(Opaque::NotHttp),
        }
    }
    (bytes.len() >= METHOD_LIMIT).then_some(Opaque::NotHttp)
}

/// Whether what has come can still be the start of a response.
pub(super) fn may_be_response(bytes: &[u8]) -> bool {
    bytes.iter().zip(b"HTTP/1.").all(|(is, should)| is == should)
}

/// The status of a response head of which perhaps only the start is there.
pub(super) fn status(bytes: &[u8]) -> Option<u16> {
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor, b' ', a, b, c, ..] = bytes else {
        return None;
    };
    let digits = [a, b, c];
    (minor.is_ascii_digit() && (b'1'..=b'9').contains(a) && digits.iter().all(|digit| digit.is_ascii_digit()))
        .then(|| {
            digits
                .iter()
                .fold(0, |status, digit| status * 10 + u16::from(**digit - b'0'))
        })
}

/// The request line that `bytes` start with, whatever follows it.
///
/// # Errors
///
/// What the connection carries instead.
pub(super) fn request_line(bytes: &[u8]) -> Result<RequestLine<'_>, Opaque> {
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    let line = bytes.get(..end).unwrap_or_default().trim_ascii_end();
    if line == b"PRI * HTTP/2.0" {
        return Err(Opaque::Http2);
    }
    // From both ends: a target with spaces in it is wrong, and is answered with 400 by most.
    let [
        rest @ ..,
        b' ',
        b'H',
        b'T',
        b'T',
        b'P',
        b'/',
        b'1',
        b'.',
        b'0'..=b'9',
    ] = line
    else {
        return Err(Opaque::NotHttp);
    };
    let method = memchr::memchr(b' ', rest).ok_or(Opaque::NotHttp)?;
    let (method, target) = rest.split_at(method);
    let target = target.trim_ascii();
    if method.is_empty() || method.len() > METHOD_LIMIT || target.is_empty() {
        return Err(Opaque::NotHttp);
    }
    Ok(RequestLine {
        method: method_of(method),
        target,
    })
}

/// Whether a whole head of a request says that its body waits for a `100 Continue` (RFC 9110, section 10.1.1).
pub(super) fn asks_to_continue(head: &[u8]) -> bool {
    has_field(head, b"expect", b"100-continue")
}

/// Whether a whole head of an answer says that HTTP/2 follows (RFC 7540, section 3.2).
pub(super) fn is_http2(head: &[u8]) -> bool {
    has_field(head, b"upgrade", b"h2c")
}

/// Whether a whole head of an answer says that WebSocket follows (RFC 6455, section 4.2.2).
pub(super) fn is_websocket(head: &[u8]) -> bool {
    has_field(head, b"upgrade", b"websocket")
}

/// Whether a whole head has a field of this name with this value, whatever their case.
fn has_field(head: &[u8], wanted: &[u8], with: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').skip(1).any(|line| {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        name.trim_ascii().eq_ignore_ascii_case(wanted) && value.eq_ignore_ascii_case(with)
    })
}

/// What in a whole head of a failure hints at its author.
pub(super) fn marks(head: &[u8]) -> Marks {
    fields::marks(head)
}

pub(super) const fn method_of(token: &[u8]) -> Method {
    match token {
        b"GET" => Method::Get,
        b"HEAD" => Method::Head,
        b"POST" => Method::Post,
        b"PUT" => Method::Put,
        b"DELETE" => Method::Delete,
        b"CONNECT" => Method::Connect,
        b"OPTIONS" => Method::Options,
        b"TRACE" => Method::Trace,
        b"PATCH" => Method::Patch,
        _ => Method::Other,
    }
}

/// `tchar` of RFC 9110, section 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}
