//! The `Host` of requests, replaced on their way up where it is to be another (`--host-header`).
//!
//! A whole head is held back until it is there; nothing else is, and no other byte is changed. What is not HTTP/1
//! passes as it is: HTTP/2 carries its `:authority` in a compressed head, which is not written anew.

use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::chunked::Progress;
use super::head;
use super::observer::Direction;
use super::observer::reading::{PartialHead, Reading};
use super::proxied::{Proxied, origin_lines};

/// Which requests get another `Host`, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRule {
    /// The values that are replaced.
    pub replaced: Replaced,
    /// What stands in their place.
    pub by: String,
}

/// Which values of `Host` are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// Any.
    All,
    /// Those that name the address that the generator connects to, which this listener has.
    Own(SocketAddr),
}

impl Replaced {
    fn fits(self, value: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Own(listening) => std::str::from_utf8(value).is_ok_and(|value| names(value, listening)),
        }
    }
}

/// Whether a `Host` names a listener: its port, 80 where none is given, and its address, any where it listens on all.
fn names(value: &str, listening: SocketAddr) -> bool {
    let (host, port) = match value.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        Some(_) | None => (value, Some(80)),
    };
    if port != Some(listening.port()) {
        return false;
    }
    let ours = listening.ip();
    if host.eq_ignore_ascii_case("localhost") {
        return ours.is_loopback() || ours.is_unspecified();
    }
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.parse::<IpAddr>()
        .is_ok_and(|host| host == ours || ours.is_unspecified())
}

/// Rewrites the requests of one connection.
#[derive(Debug)]
pub struct HostRewriter {
    rule: Option<Arc<HostRule>>,
    head_limit: usize,
    reading: Reading,
    /// What a proxy's connection carries beside that.
    proxy: Option<Proxy>,
}

/// A connection to hopscope as a proxy, in absolute URLs: each request may be for another host.
#[derive(Debug)]
struct Proxy {
    /// Whom the connection's upstream belongs to.
    to: Proxied,
    /// The first request for another host, and all behind it: held back for another upstream.
    foreign: Vec<u8>,
}

impl HostRewriter {
    /// For a connection that has carried nothing yet; a head above the limit passes as it is, and all behind it.
    pub fn new(rule: Arc<HostRule>, head_limit: usize) -> Self {
        Self {
            rule: Some(rule),
            head_limit,
            reading: Reading::HEAD,
            proxy: None,
        }
    }

    /// For a connection that came to a proxy, with requests for this origin: they reach it in its own form.
    pub fn of_proxy(to: Proxied, rule: Option<Arc<HostRule>>, head_limit: usize) -> Self {
        Self {
            rule,
            head_limit,
            reading: Reading::HEAD,
            proxy: Some(Proxy {
                to,
                foreign: Vec::new(),
            }),
        }
    }

    /// A request for another origin, and what came behind it; empty where there is none.
    pub fn foreign(&self) -> &[u8] {
        self.proxy.as_ref().map_or(&[], |proxy| &proxy.foreign)
    }

    /// Takes bytes read from downstream, in order, and gives those that are to be sent in their place; `None` where
    /// they are the same.
    pub fn bytes(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if matches!(self.reading, Reading::Unread(_)) {
            return None;
        }
        let mut out = Vec::with_capacity(bytes.len() + 64);
        let mut rest = bytes;
        while !rest.is_empty() {
            if let Some(proxy) = self.proxy.as_mut().filter(|proxy| !proxy.foreign.is_empty()) {
                proxy.foreign.extend_from_slice(rest);
                break;
            }
            let taken = self.step(rest, &mut out);
            rest = rest.get(taken..).unwrap_or_default();
        }
        (out != bytes).then_some(out)
    }

    /// How many of the next bytes pass unchanged, and need not be shown.
    pub fn unchanged_run(&self) -> u64 {
        self.reading.run()
    }

    /// Accounts for so many bytes that went past unseen.
    pub fn skip(&mut self, count: u64) {
        match &mut self.reading {
            Reading::Length(left) => {
                *left = left.saturating_sub(count);
                if *left == 0 {
                    self.reading = Reading::HEAD;
                }
            }
            Reading::Chunked(chunked) => chunked.skip(count),
            Reading::Head(_) | Reading::UntilEnd | Reading::Unread(_) => {}
        }
    }

    /// Passes one stretch of bytes on, or holds it back; gives how many it was, at least one.
    fn step(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        match &mut self.reading {
            Reading::Head(_) => self.head(bytes, out),
            Reading::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= here as u64;
                if *left == 0 {
                    self.reading = Reading::HEAD;
                }
                out.extend_from_slice(bytes.get(..here).unwrap_or_default());
                here
            }
            Reading::Chunked(chunked) => {
                let here = match chunked.advance(bytes, |_| {}) {
                    Progress::More => bytes.len(),
                    Progress::Ended(here) => {
                        self.reading = Reading::HEAD;
                        here
                    }
                    Progress::Broken(_) => {
                        self.reading = Reading::Unread(None);
                        bytes.len()
                    }
                };
                out.extend_from_slice(bytes.get(..here).unwrap_or_default());
                here
            }
            Reading::UntilEnd | Reading::Unread(_) => {
                out.extend_from_slice(bytes);
                bytes.len()
            }
        }
    }

    fn head(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let Reading::Head(partial) = mem::replace(&mut self.reading, Reading::HEAD) else {
            return bytes.len();
        };
        if partial.is_none() {
            // RFC 9112, section 2.2: empty lines before a request line.
            let empty = bytes
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count();
            if empty > 0 {
                out.extend_from_slice(bytes.get(..empty).unwrap_or_default());
                return empty;
            }
        }
        let mut partial: Box<PartialHead> = partial.unwrap_or_default();
        let (taken, whole) = partial.take(bytes, self.head_limit);
        let refused = head::refuse_request(&partial.bytes).is_some();
        let scan = head::scan(&partial.bytes).filter(|_| whole && !refused);
        match scan {
            Some(scan) if head::request_line(&partial.bytes).is_ok() => {
                if self.is_foreign(&partial.bytes) {
                    return taken;
                }
                self.rewrite(&partial.bytes, out);
                match Reading::body(scan.framing, Direction::Up) {
                    None => {}
                    Some(Ok(body)) => self.reading = body,
                    Some(Err(reason)) => self.reading = Reading::Unread(Some(reason)),
                }
            }
            None if !refused && partial.bytes.len() <= self.head_limit => {
                self.reading = Reading::Head(Some(partial));
            }
            Some(_) | None => {
                out.extend_from_slice(&partial.bytes);
                self.reading = Reading::Unread(None);
            }
        }
        taken
    }

    /// Holds a head back that is for another origin than the connection's upstream.
    fn is_foreign(&mut self, head: &[u8]) -> bool {
        let Some(proxy) = &mut self.proxy else {
            return false;
        };
        let foreign = Proxied::of(head).is_some_and(|other| other != proxy.to);
        if foreign {
            proxy.foreign = head.to_vec();
        }
        foreign
    }

    /// Writes a whole head, with another `Host` where the rule says so.
    fn rewrite(&self, head: &[u8], out: &mut Vec<u8>) {
        if self.proxy.is_some() {
            for line in origin_lines(head) {
                self.rewrite_line(&line, out);
            }
        } else {
            for line in head.split_inclusive(|byte| *byte == b'\n') {
                self.rewrite_line(line, out);
            }
        }
    }

    fn rewrite_line(&self, line: &[u8], out: &mut Vec<u8>) {
        match (host(line), &self.rule) {
            (Some((before, value, after)), Some(rule)) if rule.replaced.fits(value) => {
                out.extend_from_slice(before);
                out.extend_from_slice(rule.by.as_bytes());
                out.extend_from_slice(after);
            }
            (Some(_) | None, _) => out.extend_from_slice(line),
        }
    }
}

/// A line that is a `Host` field: what stands before its value, the value, and what stands behind it.
fn host(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    const NAME: &[u8] = b"host:";
    line.get(..NAME.len())?.eq_ignore_ascii_case(NAME).then_some(())?;
    let value = line.get(NAME.len()..)?;
    let start = line.len() - value.trim_ascii_start().len();
    let end = start + line.get(start..)?.trim_ascii_end().len();
    Some((line.get(..start)?, line.get(start..end)?, line.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewriter(own: Option<&str>) -> HostRewriter {
        let rule = HostRule {
            replaced: own.map_or(Replaced::All, |own| Replaced::Own(own.parse().unwrap())),
            by: "shop.test".to_owned(),
        };
        HostRewriter::new(Arc::new(rule), 1_000)
    }

    fn pass(rewriter: &mut HostRewriter, bytes: &str) -> String {
        let out = rewriter.bytes(bytes.as_bytes());
        String::from_utf8(out.unwrap_or_else(|| bytes.as_bytes().to_vec())).unwrap()
    }

    const REQUEST: &str = "GET /a HTTP/1.1\r\nHost: 127.0.0.1:4000\r\nAccept: */*\r\n\r\n";

    #[test]
    fn only_the_named_host_is_replaced_and_nothing_else_changes() {
        let mut own = rewriter(Some("127.0.0.1:4000"));
        assert_eq!(
            pass(&mut own, REQUEST),
            "GET /a HTTP/1.1\r\nHost: shop.test\r\nAccept: */*\r\n\r\n"
        );
        let foreign = REQUEST.replace("127.0.0.1:4000", "other.test");
        assert_eq!(own.bytes(foreign.as_bytes()), None);
    }

    #[test]
    fn a_proxys_request_for_another_origin_is_held_back_with_all_behind_it() {
        let first = "GET http://a.test/1 HTTP/1.1\r\nHost: a.test\r\n\r\n";
        let other = "POST http://b.test/2 HTTP/1.1\r\nHost: b.test\r\nContent-Length: 3\r\n\r\n";
        for pieces in [1, 7, 1_000] {
            let to = Proxied::of(first.as_bytes()).unwrap();
            let mut rewriter = HostRewriter::of_proxy(to, None, 1_000);
            let all = [first, first, other, "abc"].concat();
            let mut sent = String::new();
            for piece in all.as_bytes().chunks(pieces) {
                sent += &pass(&mut rewriter, std::str::from_utf8(piece).unwrap());
            }
            let origin = "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n";
            assert_eq!(sent, [origin, origin].concat(), "{pieces}");
            assert_eq!(rewriter.foreign(), [other, "abc"].concat().as_bytes());
        }
    }

    #[test]
    fn the_listener_is_named_by_its_address_and_its_port() {
        let names = |value, listening: &str| names(value, listening.parse().unwrap());
        for (value, listening) in [
            ("127.0.0.1:4000", "127.0.0.1:4000"),
            ("localhost:4000", "127.0.0.1:4000"),
            ("LOCALHOST:4000", "[::1]:4000"),
            ("[::1]:4000", "[::1]:4000"),
            ("192.0.2.7:4000", "0.0.0.0:4000"),
            ("localhost", "127.0.0.1:80"),
            ("[::1]", "[::1]:80"),
        ] {
            assert!(names(value, listening), "{value} {listening}");
        }
        for (value, listening) in [
            ("127.0.0.1:4001", "127.0.0.1:4000"),
            ("127.0.0.1", "127.0.0.1:4000"),
            ("127.0.0.2:4000", "127.0.0.1:4000"),
            ("shop.test:4000", "127.0.0.1:4000"),
            ("localhost:4000", "192.0.2.7:4000"),
            ("127.0.0.1:99999", "127.0.0.1:4000"),
            ("", "127.0.0.1:80"),
        ] {
            assert!(!names(value, listening), "{value} {listening}");
        }
    }

    #[test]
    fn any_host_is_replaced_where_the_rule_says_so() {
        let foreign = REQUEST.replace("Host: 127.0.0.1:4000", "hOST:other.test  ");
        assert_eq!(
            pass(&mut rewriter(None), &foreign),
            "GET /a HTTP/1.1\r\nhOST:shop.test  \r\nAccept: */*\r\n\r\n"
        );
    }

    #[test]
    fn requests_are_rewritten_alike_however_they_are_split() {
        let body = "Host: 127.0.0.1:4000\r\n\r\n";
        let post = format!(
            "POST /b HTTP/1.1\r\nHost: 127.0.0.1:4000\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let chunked = format!(
            "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: 127.0.0.1:4000\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        );
        let all = format!("\r\n{REQUEST}{post}{REQUEST}{chunked}{REQUEST}");
        let whole = pass(&mut rewriter(Some("127.0.0.1:4000")), &all);
        assert_eq!(whole.matches("shop.test").count(), 5);
        assert_eq!(whole.matches(body).count(), 2, "bodies stay as they are");
        for pieces in 1..all.len() {
            let mut rewriter = rewriter(Some("127.0.0.1:4000"));
            let split: String = all
                .as_bytes()
                .chunks(pieces)
                .map(|piece| pass(&mut rewriter, std::str::from_utf8(piece).unwrap()))
                .collect();
            assert_eq!(split, whole, "{pieces}");
        }
    }

    #[test]
    fn long_bodies_need_not_be_shown() {
        let mut rewriter = rewriter(None);
        pass(
            &mut rewriter,
            "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123",
        );
        assert_eq!(rewriter.unchanged_run(), 7);
        rewriter.skip(7);
        assert!(pass(&mut rewriter, REQUEST).contains("shop.test"));
    }

    #[test]
    fn what_is_not_http_1_passes_as_it_is() {
        let too_long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n{REQUEST}", "a".repeat(1_200));
        for bytes in [
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "\u{16}\u{3}\u{1}",
            "SSH-2.0-x\r\nHost: a\r\n\r\n",
            &too_long,
        ] {
            let mut rewriter = rewriter(None);
            let passed: String = bytes
                .as_bytes()
                .chunks(7)
                .map(|piece| pass(&mut rewriter, std::str::from_utf8(piece).unwrap()))
                .collect();
            assert_eq!(passed, bytes);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_lost_or_added_without_a_host(
            bytes in proptest::collection::vec(0_u8.., 0..300),
            cut in 1_usize..40,
        ) {
            let mut rewriter = rewriter(Some("192.0.2.1:1"));
            let mut out = Vec::new();
            for piece in bytes.chunks(cut) {
                match rewriter.bytes(piece) {
                    Some(rewritten) => out.extend(rewritten),
                    None => out.extend_from_slice(piece),
                }
            }
            // What is missing at the end is a head that has not come in full.
            proptest::prop_assert!(bytes.starts_with(&out));
        }
    }
}
