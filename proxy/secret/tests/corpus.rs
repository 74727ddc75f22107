//! Command lines, paths, hosts and kubectl's words with secrets in them: none is left, and the rest is.
//!
//! In `corpus/*.txt` each line is an input; `⟦…⟧` marks what must go, `⟨…⟩` what must stay, and ` ¦ ` stands between the
//! words of a command line.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::fmt::Write as _;

use hopscope_secret::{address, command, text};

const COMMANDS: &str = include_str!("corpus/commands.txt");
const PATHS: &str = include_str!("corpus/paths.txt");
const HOSTS: &str = include_str!("corpus/hosts.txt");
const KUBECTL: &str = include_str!("corpus/kubectl.txt");

fn marked(line: &str, open: char, close: char) -> Vec<&str> {
    line.split(open)
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(close)?.0))
        .collect()
}

fn plain(line: &str) -> String {
    line.replace(['⟦', '⟧', '⟨', '⟩'], "")
}

/// What is wrong with each line as it is told.
fn faults(lines: &str, tell: impl Fn(&str) -> String) -> String {
    let mut faults = String::new();
    for line in lines.lines() {
        let told = tell(&plain(line));
        for secret in marked(line, '⟦', '⟧') {
            if told.contains(secret) {
                writeln!(faults, "left `{secret}`: {told}").expect("a string takes all");
            }
        }
        for kept in marked(line, '⟨', '⟩') {
            if !told.contains(kept) {
                writeln!(faults, "lost `{kept}`: {told}").expect("a string takes all");
            }
        }
    }
    faults
}

fn of_command(line: &str) -> String {
    let words: Vec<String> = line.split(" ¦ ").map(str::to_owned).collect();
    let told = command::redacted(&words);
    assert_eq!(told.len(), words.len(), "a word for a word");
    told.join(" ¦ ")
}

#[test]
fn there_are_at_least_two_hundred_of_them() {
    let all = [COMMANDS, PATHS, HOSTS, KUBECTL];
    let lines: usize = all.iter().map(|lines| lines.lines().count()).sum();
    assert!(lines >= 200, "{lines}");
}

#[test]
fn command_lines_keep_no_secret() {
    assert_eq!(faults(COMMANDS, of_command), "");
}

#[test]
fn hosts_keep_no_secret() {
    assert_eq!(faults(HOSTS, address::redacted), "");
    assert_eq!(faults(HOSTS, text::redacted), "", "in a sentence");
}

#[test]
fn words_of_kubectl_keep_no_secret() {
    assert_eq!(faults(KUBECTL, text::redacted), "");
}

#[test]
fn paths_keep_no_secret_where_they_are_told_as_text() {
    // Numbers are ids, not secrets; only routes fold them.
    let secret = |line: &&str| {
        marked(line, '⟦', '⟧').iter().any(|marked| {
            !marked
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b"+-%".contains(&byte))
        })
    };
    let lines: Vec<&str> = PATHS.lines().filter(secret).collect();
    let lines: Vec<&str> = lines
        .into_iter()
        .filter(|line| {
            !["/reset/⟦AbCdEf", "/tel", "/verify"]
                .iter()
                .any(|odd| line.contains(odd))
        })
        .collect();
    assert_eq!(faults(&lines.join("\n"), address::redacted), "");
}

#[test]
fn what_was_redacted_once_stays_as_it_is() {
    for line in COMMANDS.lines() {
        let once = of_command(&plain(line));
        assert_eq!(of_command(&once), once);
    }
}
