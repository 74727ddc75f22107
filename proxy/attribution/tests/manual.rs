//! The manual's table of rules is the table in the code.
#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "the test reads the manual"
)]

use std::fmt::Write as _;
use std::path::PathBuf;

use hopscope_attribution::rules::RULES;

const BEGIN: &str = "<!-- rules: begin -->\n";
const END: &str = "<!-- rules: end -->";

fn manual() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/attribution.md")
}

fn table() -> String {
    let mut table = String::from(
        "| rule | symptom | evidence | verdict | what it proves | what it cannot prove |\n|---|---|---|---|---|---|\n",
    );
    for rule in RULES {
        let cells = [
            rule.symptom,
            rule.evidence,
            rule.verdict,
            rule.proves,
            rule.cannot_prove,
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|")).join(" | ");
        writeln!(table, "| `{}` | {cells} |", rule.name).expect("a string takes all");
    }
    table
}

#[test]
fn the_manual_tells_the_rules_as_they_are() {
    let text = std::fs::read_to_string(manual()).expect("docs/attribution.md is there");
    let (before, rest) = text.split_once(BEGIN).expect("the table's beginning is marked");
    let (told, after) = rest.split_once(END).expect("the table's end is marked");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let text = format!("{before}{BEGIN}{}{END}{after}", table());
        std::fs::write(manual(), text).expect("docs/attribution.md can be written");
    } else {
        assert_eq!(
            told,
            table(),
            "run again with UPDATE_EXPECT=1 and read the difference"
        );
    }
}

#[test]
fn the_page_of_causes_is_the_table_in_the_code() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/causes.md");
    let page = hopscope_attribution::catalogue::page();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(file, page).expect("docs/causes.md can be written");
    } else {
        let told = std::fs::read_to_string(file).expect("docs/causes.md is there");
        assert_eq!(
            told, page,
            "run again with UPDATE_EXPECT=1 and read the difference"
        );
    }
}

#[test]
fn every_cause_says_what_shows_it_and_every_cause_of_somebody_says_what_to_do() {
    for entry in hopscope_attribution::catalogue::entries() {
        let word = entry.cause.word();
        assert!(!entry.reason.is_empty() && !entry.evidence.is_empty(), "{word}");
        assert!(
            !entry.reason.ends_with('.') && !entry.evidence.ends_with('.'),
            "{word}: no full stop"
        );
        assert!(
            entry.cause.means().ends_with('.'),
            "{word}: {}",
            entry.cause.means()
        );
        let told = hopscope_attribution::catalogue::explain(word).expect("every word is explained");
        assert!(told.contains(word) && !told.contains("{forwarder}"), "{told}");
        for (action, why) in entry.remedies {
            assert!(
                action.ends_with('.') && why.ends_with('.'),
                "{word}: {action} {why}"
            );
        }
    }
    assert_eq!(hopscope_attribution::catalogue::explain("pod-reset"), None);
}

#[test]
fn every_rule_has_a_name_of_its_own_and_says_what_it_cannot_prove() {
    let mut names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RULES.len());
    for rule in RULES {
        assert!(
            rule.cannot_prove.len() > 20,
            "{} claims to prove everything",
            rule.name
        );
        assert!(
            !rule.proves.ends_with('.') && !rule.verdict.ends_with('.'),
            "{}: no full stop in a cell",
            rule.name
        );
    }
}
