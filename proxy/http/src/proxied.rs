//! Requests as a generator sends them to a proxy (RFC 9112, section 3.2): `CONNECT host:port`, and absolute URLs.

use super::head;

/// Whom a request to a proxy is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// A name or an address, in lower case and without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Whether a tunnel is asked for (`CONNECT`).
    pub tunnel: bool,
}

impl Proxied {
    /// What a whole head asks a proxy for; `None` where it asks for nothing that a proxy does.
    pub fn of(head: &[u8]) -> Option<Self> {
        let line = head::request_line(head).ok()?;
        if head.starts_with(b"CONNECT ") {
            let (host, port) = authority(line.target)?;
            return Some(Self {
                host,
                port: port?,
                tunnel: true,
            });
        }
        let (authority_of, _) = absolute(line.target)?;
        let (host, port) = authority(authority_of)?;
        Some(Self {
            host,
            port: port.unwrap_or(80),
            tunnel: false,
        })
    }
}

impl std::fmt::Display for Proxied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Writes the lines of a head as its origin is to have them: the target without scheme and host, and no fields that were
/// for the proxy.
pub fn origin_lines(head: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let lines = head.split_inclusive(|byte| *byte == b'\n').enumerate();
    lines.filter_map(|(at, line)| match at {
        0 => Some(origin_line(line)),
        _ if is_field(line, b"proxy-connection:") || is_field(line, b"proxy-authorization:") => None,
        _ => Some(line.to_vec()),
    })
}

fn is_field(line: &[u8], name: &[u8]) -> bool {
    line.get(..name.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(name))
}

fn origin_line(line: &[u8]) -> Vec<u8> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
        return line.to_vec();
    };
    let Some((_, path)) = absolute(target) else {
        return line.to_vec();
    };
    let root: &[u8] = match path.first() {
        Some(b'/') => b"",
        // Of the server as a whole (RFC 9112, section 3.2.4).
        None if method == b"OPTIONS" => b"*",
        Some(_) | None => b"/",
    };
    [method, b" ", root, path, b" ", version].concat()
}

/// The authority and what is behind it, of an `http://` URL.
fn absolute(target: &[u8]) -> Option<(&[u8], &[u8])> {
    const SCHEME: &[u8] = b"http://";
    let scheme = target.get(..SCHEME.len())?;
    let rest = target.get(SCHEME.len()..)?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let parts = rest.split_at(end.unwrap_or(rest.len()));
    scheme.eq_ignore_ascii_case(SCHEME).then_some(parts)
}

/// Host and port, where one is given.
fn authority(text: &[u8]) -> Option<(String, Option<u16>)> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.rsplit_once('@').map_or(text, |(_, host)| host);
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        Some(_) | None => (text, None),
    };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    (!host.is_empty() && host.chars().all(allowed)).then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(head: &str) -> Option<(String, bool)> {
        Proxied::of(head.as_bytes()).map(|of| (of.to_string(), of.tunnel))
    }

    fn origin(head: &str) -> String {
        String::from_utf8(origin_lines(head.as_bytes()).collect::<Vec<_>>().concat()).unwrap()
    }

    #[test]
    fn a_tunnel_and_an_absolute_url_name_whom_they_are_for() {
        let named = |to: &str, tunnel| Some((to.to_owned(), tunnel));
        assert_eq!(
            of("CONNECT Shop.test:443 HTTP/1.1\r\n\r\n"),
            named("shop.test:443", true)
        );
        assert_eq!(
            of("CONNECT [::1]:8443 HTTP/1.1\r\n\r\n"),
            named("[::1]:8443", true)
        );
        assert_eq!(
            of("GET http://shop.test/a HTTP/1.1\r\n\r\n"),
            named("shop.test:80", false)
        );
        assert_eq!(
            of("GET HTTP://alice:x@shop.test:81?a HTTP/1.1\r\n\r\n"),
            named("shop.test:81", false)
        );
        for none in [
            "GET /a HTTP/1.1\r\n\r\n",
            "CONNECT shop.test HTTP/1.1\r\n\r\n",
            "CONNECT :443 HTTP/1.1\r\n\r\n",
            "GET https://shop.test/ HTTP/1.1\r\n\r\n",
            "\u{16}\u{3}\u{1}",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn the_origin_gets_its_own_form_and_nothing_that_was_for_the_proxy() {
        assert_eq!(
            origin(
                "GET http://shop.test/a?b HTTP/1.1\r\nHost: shop.test\r\nProxy-Connection: keep-alive\r\n\r\n"
            ),
            "GET /a?b HTTP/1.1\r\nHost: shop.test\r\n\r\n"
        );
        assert_eq!(
            origin("GET http://shop.test HTTP/1.1\r\n\r\n"),
            "GET / HTTP/1.1\r\n\r\n"
        );
        assert_eq!(
            origin("GET http://shop.test?a HTTP/1.1\r\n\r\n"),
            "GET /?a HTTP/1.1\r\n\r\n"
        );
        assert_eq!(
            origin("OPTIONS http://shop.test HTTP/1.1\r\n\r\n"),
            "OPTIONS * HTTP/1.1\r\n\r\n"
        );
        assert_eq!(origin("GET /a HTTP/1.1\r\n\r\n"), "GET /a HTTP/1.1\r\n\r\n");
    }
}
