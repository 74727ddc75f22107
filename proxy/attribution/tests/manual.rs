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
