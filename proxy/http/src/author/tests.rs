//! Every author is found in what the real programs answered, and in nothing else.
//!
//! `corpus` was recorded from nginx 1.22.1, HAProxy 2.6 and Envoy 1.40 in front of a service that refuses, closes,
//! resets, hangs, talks nonsense or answers `no healthy upstream` by itself. No ALB could be run: its mark is tested
//! on a response written by hand.

use std::fs;
use std::path::Path;

use hopscope_attribution::evidence::{Author, EnvoyReply};

use super::BodyStart;
use crate::head;

fn author_of(response: &[u8]) -> Author {
    let length = head::length(response, 0).unwrap();
    let (start, body) = response.split_at(length);
    let status = head::status(start).unwrap();
    match BodyStart::after(status, head::marks(start)) {
        (_, Some(mut start)) => {
            for piece in body.chunks(100) {
                start.take(piece);
            }
            start.author()
        }
        (author, None) => author,
    }
}

/// The truth about a recorded response, by the name of its file.
fn truth(name: &str) -> Author {
    match name {
        // Envoy answers these with an empty body and its name, as many services behind it do.
        "envoy-404" | "envoy-missing" => Author::Unstated,
        "envoy-none" => Author::Envoy(EnvoyReply::NoHealthyUpstream),
        "envoy-refused" => Author::Envoy(EnvoyReply::ConnectFailure),
        "envoy-blackhole" => Author::Envoy(EnvoyReply::ConnectTimeout),
        "envoy-close" | "envoy-reset" => Author::Envoy(EnvoyReply::Disconnected),
        "envoy-hang" => Author::Envoy(EnvoyReply::RequestTimeout),
        "envoy-garbage" => Author::Envoy(EnvoyReply::ProtocolError),
        "envoy-overflow" => Author::Envoy(EnvoyReply::Overflow),
        "envoy-denied" | "envoy-limited" => Author::Envoy(EnvoyReply::Other),
        name if name.starts_with("nginx-") => Author::Nginx,
        name if name.starts_with("haproxy-") => Author::HaProxy,
        name if name.starts_with("application-") => Author::Unstated,
        name => panic!("nobody says who wrote {name}"),
    }
}

#[test]
fn every_recorded_response_is_given_to_its_author() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/author/corpus");
    let mut read = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert_eq!(author_of(&fs::read(&path).unwrap()), truth(&name), "{name}");
        read += 1;
    }
    assert!(read >= 40, "only {read} responses in the corpus");
}

#[test]
fn no_prefix_of_a_page_convicts_its_author() {
    let page = include_bytes!("corpus/nginx-refused.http");
    let head = head::length(page, 0).unwrap();
    for end in head..page.len() {
        assert_eq!(author_of(&page[..end]), Author::Unstated, "{end}");
    }
}

#[test]
fn pages_that_only_look_alike_are_nobodys() {
    let with = |fields: &str, body: &str| {
        author_of(format!("HTTP/1.1 503 Service Unavailable\r\n{fields}\r\n\r\n{body}").as_bytes())
    };
    let haproxy = "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n";
    assert_eq!(
        with("cache-control: no-cache\r\ncontent-type: text/html", haproxy),
        Author::HaProxy
    );
    assert_eq!(with("content-type: text/html", haproxy), Author::Unstated);
    assert_eq!(
        with(
            "server: x\r\ncache-control: no-cache\r\ncontent-type: text/html",
            haproxy
        ),
        Author::Unstated
    );
    let other_status = haproxy.replace("503", "502");
    assert_eq!(
        with(
            "cache-control: no-cache\r\ncontent-type: text/html",
            &other_status
        ),
        Author::Unstated
    );
    assert_eq!(
        with("content-type: text/plain", "no healthy upstream"),
        Author::Unstated
    );
    let compressed = "server: envoy\r\ncontent-type: text/plain\r\ncontent-encoding: gzip";
    assert_eq!(with(compressed, "no healthy upstream"), Author::Unstated);
    assert_eq!(
        with(
            "server: istio-envoy\r\ncontent-type: text/plain",
            "no healthy upstream"
        ),
        Author::Envoy(EnvoyReply::NoHealthyUpstream)
    );
}

#[test]
fn some_heads_say_it_all() {
    for (fields, author) in [
        ("Server: awselb/2.0\r\nContent-Type: text/html", Author::AwsAlb),
        ("Server: awselb/3.0", Author::Unstated),
        (
            "X-Powered-By: Express\r\nContent-Type: text/html",
            Author::Application,
        ),
        ("server: uvicorn", Author::Application),
        ("Server: Werkzeug/3.0.1 Python/3.11.7", Author::Application),
        ("Server: Apache/2.4", Author::Unstated),
    ] {
        assert_eq!(
            author_of(format!("HTTP/1.1 502 No\r\n{fields}\r\n\r\n").as_bytes()),
            author,
            "{fields}"
        );
    }
}
