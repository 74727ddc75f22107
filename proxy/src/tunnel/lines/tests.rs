//! The golden corpus: lines as kubectl wrote them, and what each says.
//!
//! A line of the corpus is `meaning local remote | line`, with `-` for a port that the line does not state.

use proptest::prelude::*;

use super::*;

fn port(port: Option<u16>) -> String {
    port.map_or_else(|| "-".to_owned(), |port| port.to_string())
}

fn check(corpus: &str) {
    let entries = corpus
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut wrong = Vec::new();
    for entry in entries {
        let (expected, line) = entry.split_once(" | ").expect("`meaning local remote | line`");
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
