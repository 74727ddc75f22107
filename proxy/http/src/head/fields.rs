//! The fields of a head that say how long its body is, and those that betray who wrote it.

/// How a message's body ends, as its head says (RFC 9112, section 6). A transfer coding overrides a content length,
/// as section 6.3 has it: both ends that understand the message at all will do the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Framing {
    /// The head says nothing: no body in a request, all until the end of the connection in a response.
    #[default]
    Unstated,
    /// This many bytes.
    Length(u64),
    /// The chunked coding.
    Chunked,
    /// Another transfer coding comes last: a response ends with its connection, a request is broken.
    OtherCoding,
    /// Content lengths that contradict each other, or are no numbers.
    Broken,
}

/// What in a failure's head hints at its author.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a mark of its own, seen or not"
)]
pub(crate) struct Marks {
    /// The `Server` field.
    pub(crate) server: ServerMark,
    /// The body is declared as HTML.
    pub(crate) html: bool,
    /// The body is declared as plain text.
    pub(crate) plain: bool,
    /// `Cache-Control` is `no-cache` and nothing else.
    pub(crate) no_cache: bool,
    /// Envoy says how long its upstream took: the upstream answered, not Envoy.
    pub(crate) behind_envoy: bool,
    /// A field that application frameworks add: `X-Powered-By`, `X-AspNet-Version`, `X-Runtime`.
    pub(crate) framework: bool,
    /// The body is compressed: its text cannot be compared.
    pub(crate) encoded: bool,
}

/// The `Server` field, as far as it tells authors apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ServerMark {
    /// There is none.
    #[default]
    Absent,
    /// `awselb/2.0`.
    AwsAlb,
    /// `nginx`, with or without a version.
    Nginx,
    /// `envoy`, or `istio-envoy` as a mesh has it.
    Envoy,
    /// A server that runs applications and proxies nothing.
    ApplicationServer,
    /// Any other.
    Other,
}

/// `Server` products, before the slash, that run an application in their own process and are not used as proxies.
const APPLICATION_SERVERS: [&[u8]; 12] = [
    b"uvicorn",
    b"gunicorn",
    b"hypercorn",
    b"waitress",
    b"Werkzeug",
    b"TornadoServer",
    b"BaseHTTP",
    b"SimpleHTTP",
    b"Kestrel",
    b"Cowboy",
    b"WEBrick",
    b"Apache-Coyote",
];

/// What one pass over a head's fields brings to light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Length of the head, its first line and its empty line included.
    pub(crate) length: usize,
    /// How the body ends.
    pub(crate) framing: Framing,
    /// The body is a stream of events, which has no end of its own.
    pub(crate) events: bool,
}

/// Goes over the head that `bytes` start with; `None` while its empty line has not come. Only lines that start with
/// the first letter of a framing field are looked at any closer: this is most of what observing costs.
pub(crate) fn scan(bytes: &[u8]) -> Option<Scan> {
    let mut length = Framing::Unstated;
    let mut coding = Framing::Unstated;
    let mut events = false;
    let mut start = memchr::memchr(b'\n', bytes)? + 1;
    loop {
        let rest = bytes.get(start..)?;
        let end = match rest {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            [b'c' | b'C', ..] => {
                let (value, end) = value(rest, b"content-length")?;
                match value {
                    Some(value) => length = content_length(length, value),
                    None => events |= is_events(rest),
                }
                start += end;
                continue;
            }
            [b't' | b'T', ..] => {
                let (value, end) = value(rest, b"transfer-encoding")?;
                coding = value.map_or(coding, |value| transfer_coding(coding, value));
                start += end;
                continue;
            }
            _ => {
                start += memchr::memchr(b'\n', rest)? + 1;
                continue;
            }
        };
        let framing = if coding == Framing::Unstated {
            length
        } else {
            coding
        };
        return Some(Scan {
            length: start + end,
            framing,
            events,
        });
    }
}

/// Whether the line that `rest` starts with declares server-sent events (WHATWG HTML, section 9.2).
fn is_events(rest: &[u8]) -> bool {
    matches!(value(rest, b"content-type"), Some((Some(value), _)) if is_event_stream(value))
}

/// Whether a `Content-Type` is that of server-sent events.
pub(crate) fn is_event_stream(value: &[u8]) -> bool {
    starts_with_ignoring_case(value, b"text/event-stream")
}

/// The value of the field that `rest` starts with, if it has that name, and where the next line starts. A folded line
/// belongs to the value before it.
fn value<'a>(rest: &'a [u8], name: &[u8]) -> Option<(Option<&'a [u8]>, usize)> {
    let mut end = memchr::memchr(b'\n', rest)?;
    let named = rest
        .get(..name.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(name));
    let after = rest
        .get(name.len()..end)
        .filter(|_| named)
        .map(<[u8]>::trim_ascii_start);
    if after.is_none_or(|after| after.first() != Some(&b':')) {
        return Some((None, end + 1));
    }
    while let b' ' | b'\t' = rest.get(end + 1)? {
        end += 1 + memchr::memchr(b'\n', rest.get(end + 1..)?)?;
    }
    let line = rest.get(name.len()..end)?.trim_ascii();
    Some((line.strip_prefix(b":").map(<[u8]>::trim_ascii), end + 1))
}

/// What in a failure's head hints at its author. `head` is whole.
pub(super) fn marks(head: &[u8]) -> Marks {
    let mut marks = Marks::default();
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        if let Some(colon) = memchr::memchr(b':', line) {
            let (name, value) = line.split_at(colon);
            marks.note(name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii());
        }
    }
    marks
}

/// What a `Content-Length` makes of what the ones before it said. A list of equal numbers is one number.
fn content_length(before: Framing, value: &[u8]) -> Framing {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .fold(before, |before, number| match (before, decimal(number)) {
            (Framing::Unstated, Some(length)) => Framing::Length(length),
            (Framing::Length(said), Some(length)) if said == length => before,
            (
                Framing::Unstated
                | Framing::Length(_)
                | Framing::Chunked
                | Framing::OtherCoding
                | Framing::Broken,
                _,
            ) => Framing::Broken,
        })
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        digit.is_ascii_digit().then_some(())?;
        number.checked_mul(10)?.checked_add(u64::from(*digit - b'0'))
    })
}

/// What a `Transfer-Encoding` makes of those before it: only the last coding of the last field decides.
fn transfer_coding(before: Framing, value: &[u8]) -> Framing {
    let last = value
        .rsplit(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .find(|coding| !coding.is_empty());
    match last {
        Some(coding) if coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        // Removed from HTTP (RFC 9112, appendix C.3) and still sent by a few; it means nothing.
        Some(coding) if coding.eq_ignore_ascii_case(b"identity") => before,
        Some(_) => Framing::OtherCoding,
        None => before,
    }
}

impl Marks {
    /// Notes a field, if it is a mark.
    pub(crate) fn note(&mut self, name: &[u8], value: &[u8]) {
        let is = |expected: &[u8]| name.eq_ignore_ascii_case(expected);
        match name.len() {
            6 if is(b"server") => self.server = ServerMark::of(value),
            9 if is(b"x-runtime") => self.framework = true,
            12 if is(b"content-type") => {
                self.html = starts_with_ignoring_case(value, b"text/html");
                self.plain = starts_with_ignoring_case(value, b"text/plain");
            }
            12 if is(b"x-powered-by") => self.framework = true,
            13 if is(b"cache-control") => self.no_cache = value == b"no-cache",
            16 if is(b"content-encoding") => self.encoded = true,
            16 if is(b"x-aspnet-version") => self.framework = true,
            29 if is(b"x-envoy-upstream-service-time") => self.behind_envoy = true,
            _ => {}
        }
    }
}

impl ServerMark {
    fn of(value: &[u8]) -> Self {
        let product = value
            .split(|byte| matches!(byte, b'/' | b' ' | b'('))
            .next()
            .unwrap_or_default();
        match product {
            _ if value == b"awselb/2.0" => Self::AwsAlb,
            b"nginx" => Self::Nginx,
            b"envoy" | b"istio-envoy" => Self::Envoy,
            _ if APPLICATION_SERVERS.contains(&product) => Self::ApplicationServer,
            _ => Self::Other,
        }
    }
}

fn starts_with_ignoring_case(value: &[u8], start: &[u8]) -> bool {
    value
        .get(..start.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &str) -> Framing {
        let head = format!("GET / HTTP/1.1\r\n{fields}");
        let scan = scan(head.as_bytes()).unwrap();
        assert_eq!(scan.length, head.len());
        scan.framing
    }

    #[test]
    fn a_transfer_coding_overrides_a_content_length() {
        for (fields, framing) in [
            ("Host: x\r\n\r\n", Framing::Unstated),
            ("content-LENGTH: 17\r\n\r\n", Framing::Length(17)),
            (
                "Content-Length:17\nTransfer-Encoding: gzip, Chunked\n\n",
                Framing::Chunked,
            ),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: nonsense\r\n\r\n",
                Framing::Chunked,
            ),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n",
                Framing::OtherCoding,
            ),
            (
                "Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\n",
                Framing::Length(3),
            ),
        ] {
            assert_eq!(read(fields), framing, "{fields:?}");
        }
    }

    #[test]
    fn content_lengths_must_agree_and_be_numbers() {
        for (fields, framing) in [
            (
                "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
                Framing::Length(5),
            ),
            ("Content-Length: 5, 5\r\n\r\n", Framing::Length(5)),
            ("Content-Length: 5\r\nContent-Length: 6\r\n\r\n", Framing::Broken),
            ("Content-Length: +5\r\n\r\n", Framing::Broken),
            ("Content-Length: 0x5\r\n\r\n", Framing::Broken),
            ("Content-Length: \r\n\r\n", Framing::Broken),
            ("Content-Length: 18446744073709551616\r\n\r\n", Framing::Broken),
            (
                "Content-Length: 18446744073709551615\r\n\r\n",
                Framing::Length(u64::MAX),
            ),
        ] {
            assert_eq!(read(fields), framing, "{fields:?}");
        }
    }

    #[test]
    fn a_folded_line_belongs_to_the_field_before_it() {
        assert_eq!(
            read("X-Long: a\r\n Content-Length: 9\r\nContent-Length:\r\n\t7\r\n\r\n"),
            Framing::Length(7)
        );
        assert_eq!(
            read("Content-Length : 3\r\nTransfer-Encodings: chunked\r\nC: 1\r\n\r\n"),
            Framing::Length(3)
        );
        assert_eq!(scan(b"GET / HTTP/1.1\r\nContent-Length: 7\r\n "), None);
    }
}
