//! The own scanner against `httparse`: what that one accepts, this one reads in the same way.

use hopscope_attribution::evidence::Method;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Whole heads and near-heads, of lines that are mostly right.
fn head_like() -> impl Strategy<Value = Vec<u8>> {
    let first = prop::sample::select(
        &[
            "GET / HTTP/1.1",
            "POST /a?b HTTP/1.0",
            "PATCH http://h/x HTTP/1.1",
            "X * HTTP/1.1",
            "HTTP/1.1 200 OK",
            "HTTP/1.0 503",
            "HTTP/1.1 404 ",
        ][..],
    );
    let line = prop_oneof![
        prop::sample::select(
            &[
                "Host: a",
                "Content-Length: 12",
                "content-length:7",
                "Transfer-Encoding: chunked",
                "X:",
                "Via: 1.1 p\t"
            ][..]
        )
        .prop_map(str::to_owned),
        "[A-Za-z-]{1,12}:[ \t]{0,2}[ -~]{0,20}",
        "[ -~]{0,12}",
    ];
    let end = prop::sample::select(&["\r\n", "\r\n", "\r\n", "\n"][..]);
    (first, vec((end.clone(), line), 0..6), end).prop_map(|(first, lines, end)| {
        let mut head = first.to_owned();
        for (end, line) in lines {
            head.push_str(end);
            head.push_str(&line);
        }
        head.push_str(end);
        head.push_str(end);
        head.push_str("body");
        head.into_bytes()
    })
}

fn framing_of(headers: &[httparse::Header<'_>]) -> Framing {
    let mut text = b"first line\r\n".to_vec();
    for header in headers {
        text.extend_from_slice(header.name.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(header.value);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    scan(&text).unwrap().framing
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn what_httparse_accepts_is_read_in_the_same_way(bytes in head_like()) {
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut reference = httparse::Request::new(&mut headers);
        if let Ok(httparse::Status::Complete(end)) = reference.parse(&bytes) {
            prop_assert_eq!(length(&bytes, 0), Some(end));
            let read = request_line(&bytes).unwrap();
            prop_assert_eq!(read.target, reference.path.unwrap().as_bytes());
            prop_assert_eq!(read.method, method_of(reference.method.unwrap().as_bytes()));
            let read = scan(&bytes).map(|scan| (scan.length, scan.framing));
            prop_assert_eq!(read, Some((end, framing_of(reference.headers))));
            prop_assert_eq!(refuse_request(&bytes), None);
        }
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut reference = httparse::Response::new(&mut headers);
        if let Ok(httparse::Status::Complete(end)) = reference.parse(&bytes) {
            prop_assert_eq!(length(&bytes, 0), Some(end));
            prop_assert_eq!(status(&bytes), reference.code);
            let read = scan(&bytes).map(|scan| (scan.length, scan.framing));
            prop_assert_eq!(read, Some((end, framing_of(reference.headers))));
            prop_assert!(may_be_response(&bytes));
        }
    }

    #[test]
    fn an_end_is_found_at_the_same_place_however_far_the_search_had_come(bytes in head_like(), searched in 0..40_usize) {
        let end = length(&bytes, 0);
        let searched = searched.min(end.unwrap_or(bytes.len()).saturating_sub(1));
        prop_assert_eq!(length(&bytes, searched), end);
        prop_assert_eq!(scan(&bytes).map(|scan| scan.length), end);
    }
}

#[test]
fn a_request_line_is_read_from_both_of_its_ends() {
    let line = request_line(b"GET /a b  HTTP/1.1\r\nHost: x").unwrap();
    assert_eq!((line.method, line.target), (Method::Get, &b"/a b"[..]));
    assert_eq!(request_line(b"GET /\r\n"), Err(Opaque::NotHttp));
    assert_eq!(request_line(b"GET HTTP/1.1\r\n"), Err(Opaque::NotHttp));
    assert_eq!(request_line(b"GET / HTTP/2.0\r\n"), Err(Opaque::NotHttp));
    assert_eq!(request_line(b"PRI * HTTP/2.0\r\n"), Err(Opaque::Http2));
}

#[test]
fn a_status_is_three_digits_after_the_version() {
    for (start, expected) in [
        ("HTTP/1.1 200 OK", Some(200)),
        ("HTTP/1.0 599", Some(599)),
        ("HTTP/1.1 99 ", None),
        ("HTTP/1.1 020", None),
        ("HTTP/2.0 200", None),
        ("HTTP/1.1 20", None),
    ] {
        assert_eq!(status(start.as_bytes()), expected, "{start}");
    }
}
