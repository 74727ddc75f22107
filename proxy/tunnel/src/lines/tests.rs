//! The golden corpus: lines as kubectl wrote them, and what each says.
//!
//! A line of the corpus is `meaning local remote | line`, with `-` for a port that the line does not state. What begins
//! with a tab or with ` >` belongs to the line before it, as klog writes a value of several lines; everything goes
//! through the splitter first, as it does from a pipe.

use proptest::prelude::*;

use super::*;

fn port(port: Option<u16>) -> String {
    port.map_or_else(|| "-".to_owned(), |port| port.to_string())
}

/// What each entry means, and how it was written.
fn entries(corpus: &str) -> Vec<(String, String)> {
    let mut entries: Vec<(String, String)> = Vec::new();
    for line in corpus
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if line.starts_with(['\t', ' ']) {
            let (_, written) = entries.last_mut().expect("a line that it belongs to");
            written.push('\n');
            written.push_str(line);
        } else {
            let (expected, written) = line.split_once(" | ").expect("`meaning local remote | line`");
            entries.push((expected.to_owned(), written.to_owned()));
        }
    }
    entries
}

fn check(corpus: &str) {
    let mut wrong = Vec::new();
    for (expected, written) in entries(corpus) {
        let mut lines = Vec::new();
        let mut splitter = splitter::Splitter::default();
        splitter.push(written.as_bytes(), |line| lines.push(line.to_owned()));
        splitter.finish(|line| lines.push(line.to_owned()));
        let [line] = lines.as_slice() else {
            wrong.push(format!("{written}\n  is taken for {} lines", lines.len()));
            continue;
        };
        let reading = read(line);
        let found = format!(
            "{} {} {}",
            reading.meaning.word(),
            port(reading.local_port),
            port(reading.remote_port)
        );
        if found != expected {
            wrong.push(format!("{line}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn plain_lines_of_kubectl_up_to_1_30_are_read() {
    check(include_str!("corpus/plain.txt"));
}

#[test]
fn unhandled_errors_of_kubectl_1_31_to_1_36_are_read() {
    check(include_str!("corpus/unhandled.txt"));
}

#[test]
fn structured_lines_of_kubectl_1_37_are_read() {
    check(include_str!("corpus/structured.txt"));
}

#[test]
fn lines_that_are_the_same_in_every_version_are_read() {
    check(include_str!("corpus/fixed.txt"));
}

#[test]
fn a_forwarding_line_gives_the_address() {
    let reading = read("Forwarding from [::1]:41893 -> 8080");
    assert_eq!(reading.listening, "[::1]:41893".parse().ok());
    assert_eq!(reading.remote_port, Some(8080));
}

#[test]
fn the_error_inside_is_kept_without_the_words_around_it() {
    for line in [
        "E0102 15:04:05.000000  77 portforward.go:351] error creating error stream for port 8080 -> 80: Timeout occurred",
        r#"E0102 15:04:05.000000  77 portforward.go:357] "Unhandled Error" err="error creating error stream for port 8080 -> 80: Timeout occurred""#,
        r#"E0102 15:04:05.000000  77 portforward.go:357] "Error creating error stream" err="Timeout occurred" localPort=8080 remotePort=80"#,
    ] {
        assert_eq!(read(line).inner.as_deref(), Some("Timeout occurred"), "{line}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_line_panics(line in r#"(E0102 [0-9:. ]{0,30}\] )?("?Unhandled Error" err=|"An error occurred forwarding" err=)?(.|["\\<>= :]){0,300}"#) {
        read(&line);
    }

    #[test]
    fn every_known_line_may_be_cut_anywhere(at in 0usize..400) {
        for line in include_str!("corpus/unhandled.txt").lines().chain(include_str!("corpus/structured.txt").lines()) {
            if let Some(cut) = line.get(..at) {
                read(cut);
            }
        }
    }
}
