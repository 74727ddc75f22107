//! Conversations generated from what should be read out of them.

use std::fmt::Write as _;

use hopscope_attribution::evidence::Method;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// One exchange as it should be read.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) method: Method,
    pub(super) route: &'static str,
    target: &'static str,
    request: Body,
    interim: usize,
    pub(super) status: u16,
    response: Body,
    /// Sent together with the request before it.
    pub(super) pipelined: bool,
}

#[derive(Clone, Debug)]
enum Body {
    Unstated,
    Length(usize),
    Chunked(Vec<usize>, bool),
}

impl Body {
    fn render(&self, message: &mut String, with_content: bool) {
        match self {
            Self::Unstated => message.push_str("\r\n"),
            Self::Length(length) => {
                write!(message, "content-length: {length}\r\n\r\n").unwrap();
                if with_content {
                    message.push_str(&"b".repeat(*length));
                }
            }
            Self::Chunked(sizes, trailer) => {
                message.push_str("Transfer-Encoding: chunked\r\n\r\n");
                if with_content {
                    for size in sizes {
                        write!(message, "{size:x}\r\n{}\r\n", "c".repeat(*size)).unwrap();
                    }
                    message.push_str(if *trailer {
                        "0\r\nX-Sum: 1\r\n\r\n"
                    } else {
                        "0\r\n\r\n"
                    });
                }
            }
        }
    }
}

impl Planned {
    pub(super) fn request(&self) -> String {
        let method = match self.method {
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Get
            | Method::Put
            | Method::Delete
            | Method::Connect
            | Method::Options
            | Method::Trace
            | Method::Patch
            | Method::Other => "GET",
        };
        let mut message = format!("{method} {} HTTP/1.1\r\nHost: shop\r\n", self.target);
        self.request.render(&mut message, true);
        message
    }

    pub(super) fn response(&self) -> String {
        let mut message = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(self.interim);
        write!(message, "HTTP/1.1 {} Reason\r\n", self.status).unwrap();
        let with_content = self.method != Method::Head && !matches!(self.status, 204 | 304);
        self.response.render(&mut message, with_content);
        message
    }
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        (0..300_usize).prop_map(Body::Length),
        (vec(1..40_usize, 0..4), any::<bool>()).prop_map(|(sizes, trailer)| Body::Chunked(sizes, trailer)),
    ]
}

pub(super) fn exchange() -> impl Strategy<Value = Planned> {
    let targets = [
        ("/", "/"),
        ("/products/17?sort=price", "/products/:id"),
        ("http://shop/banners", "/banners"),
        ("/users/6f1ed002-ab95-4df4-9f3e-0123456789ab", "/users/:uuid"),
    ];
    (
        prop::sample::select(&[Method::Get, Method::Head, Method::Post][..]),
        prop::sample::select(targets.to_vec()),
        option::of(body()),
        0..3_usize,
        prop::sample::select(&[200_u16, 201, 204, 304, 404, 429, 500, 503][..]),
        body(),
        any::<bool>(),
    )
        .prop_map(
            |(method, (target, route), request, interim, status, response, pipelined)| Planned {
                method,
                route,
                target,
                request: request.unwrap_or(Body::Unstated),
                interim,
                status,
                response,
                pipelined,
            },
        )
}

/// Bytes that look enough like HTTP to go deep, and are wrong somewhere.
pub(super) fn nearly_http() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static [u8]> = vec![
        b"GET / HTTP/1.1\r\n",
        b"HEAD /a/1 HTTP/1.0\r\n",
        b"POST /b HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
        b"CONNECT a:1 HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 204 None\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nServer: envoy\r\ncontent-type: text/plain\r\n",
        b"HTTP/1.0 502 Bad\r\nCache-Control: no-cache\r\nContent-Type: text/html\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: 0\r\n\r\n",
        b"Content-Length: 18446744073709551615\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"fffffffffffffff0\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b":",
        b"\x16\x03\x01",
        b"\0",
    ];
    let piece = prop_oneof![
        12 => prop::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..40),
        1 => (0..6_000_usize).prop_map(|length| vec![b'x'; length]),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}
