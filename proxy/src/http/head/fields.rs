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

pub(super) fn of_request(fields: &[u8]) -> Framing {
    framing(fields, |_, _| {})
}

pub(super) fn of_response(fields: &[u8]) -> Framing {
    framing(fields, |_, _| {})
}

pub(super) fn of_failure(fields: &[u8], marks: &mut Marks) -> Framing {
    framing(fields, |name, value| marks.note(name, value))
}

#[inline]
fn framing(fields: &[u8], mut other: impl FnMut(&[u8], &[u8])) -> Framing {
    let mut length = Framing::Unstated;
    let mut coding = Framing::Unstated;
    for_each(fields, |name, value| match name.len() {
        14 if name.eq_ignore_ascii_case(b"content-length") => length = content_length(length, value),
        17 if name.eq_ignore_ascii_case(b"transfer-encoding") => coding = transfer_coding(coding, value),
        _ => other(name, value),
    });
    if coding == Framing::Unstated {
        length
    } else {
        coding
    }
}

/// Calls `visit` with the name and the value of each field; a folded line belongs to the value before it.
#[inline]
fn for_each<'a>(mut fields: &'a [u8], mut visit: impl FnMut(&'a [u8], &'a [u8])) {
    while let Some(mut end) = memchr::memchr(b'\n', fields) {
        while let Some(b' ' | b'\t') = fields.get(end + 1) {
            let Some(next) = fields.get(end + 1..).and_then(|rest| memchr::memchr(b'\n', rest)) else {
                break;
            };
            end += 1 + next;
        }
        let (line, rest) = fields.split_at(end);
        if let Some(colon) = memchr::memchr(b':', line) {
            let (name, value) = line.split_at(colon);
            visit(name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii());
        }
        fields = rest.get(1..).unwrap_or_default();
    }
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
    fn note(&mut self, name: &[u8], value: &[u8]) {
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
            assert_eq!(of_request(fields.as_bytes()), framing, "{fields:?}");
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
            assert_eq!(of_response(fields.as_bytes()), framing, "{fields:?}");
        }
    }

    #[test]
    fn a_folded_line_belongs_to_the_field_before_it() {
        let folded = b"X-Long: a\r\n Content-Length: 9\r\nContent-Length:\r\n\t7\r\n\r\n";
        assert_eq!(of_request(folded), Framing::Length(7));
        assert_eq!(of_request(b"X: a\r\n "), Framing::Unstated);
    }
}
