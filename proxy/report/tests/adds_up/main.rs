//! Every number of a rendered report can be found again by adding others: read back from terminal, Markdown and HTML,
//! over every golden case of the attribution and over generated runs.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::map_err_ignore,
    reason = "a report that cannot be read back is a failed test"
)]

mod page;

#[path = "../../../attribution/tests/laws"]
mod laws {
    #[expect(dead_code, reason = "the laws draw more than is needed here")]
    pub(crate) mod arbitrary;
}
#[path = "../../../attribution/tests/stories"]
mod stories {
    pub(crate) mod tell;
    pub(crate) mod words;
}

use laws::arbitrary;
use stories::{tell, words};

use hopscope_attribution::attribute;
use hopscope_attribution::evidence::{Evidence, Path, PathId, PathKind, RunFacts};
use hopscope_attribution::hop::Hop;
use hopscope_report::terminal::Screen;
use hopscope_report::{Report, html, markdown, terminal};
use page::Page;
use proptest::prelude::*;

/// The truth of a story, which is no matter here.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) hop: Option<Hop>,
    pub(crate) cause: Option<String>,
    pub(crate) never: Vec<Hop>,
    pub(crate) open: Option<Vec<Hop>>,
}

const WIDE: Screen = Screen {
    width: 4_000,
    colour: false,
};

/// A form's text, and how it is read back.
type Form = (String, fn(&str) -> Page);

fn forms(evidence: &Evidence) -> [Form; 3] {
    let report = Report::new(&RunFacts::default(), None, &[], evidence, &attribute(evidence));
    [
        (terminal::render(&report, WIDE), page::terminal),
        (markdown::render(&report), page::markdown),
        (html::render(&report), page::html),
    ]
}

/// What does not add up, in every form.
fn contradictions(evidence: &Evidence) -> Vec<String> {
    let forms = forms(evidence);
    forms
        .iter()
        .flat_map(|(text, read)| of_page(&read(text)))
        .collect()
}

fn of_page(page: &Page) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    sums(page, &mut check);
    tables(page, &mut check);
    charges(page, &mut check);
    sentences(page, &mut check);
    wrong
}

/// The number that a text begins with.
fn number(text: &str) -> Option<u64> {
    let digits: String = text
        .trim_start()
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == ',')
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

fn sum_of(parts: impl Iterator<Item = u64>) -> u64 {
    parts.fold(0, u64::saturating_add)
}

fn sums(page: &Page, check: &mut impl FnMut(bool, String)) {
    for sum in page.sums.iter().filter(|sum| !sum.contains("DOES NOT BALANCE")) {
        let (total, parts) = sum.split_once(" = ").expect("a sum");
        let parts = sum_of(parts.split(" + ").filter_map(number));
        check(number(total) == Some(parts), sum.clone());
    }
}

/// A part of the sums of the section Counts, by its name; 0 where it is not there.
fn part(page: &Page, name: &str) -> u64 {
    page.sums
        .iter()
        .flat_map(|sum| sum.split(" = ").flat_map(|side| side.split(" + ")))
        .find(|term| {
            term.trim_start_matches(|c: char| c.is_ascii_digit() || c == ',')
                .trim()
                == name
        })
        .and_then(number)
        .unwrap_or(0)
}

fn column(table: &[Vec<String>], name: &str) -> Option<u64> {
    let at = table.first()?.iter().position(|head| head == name)?;
    Some(sum_of(
        table
            .iter()
            .skip(1)
            .filter_map(|row| row.get(at).and_then(|cell| number(cell))),
    ))
}

fn tables(page: &Page, check: &mut impl FnMut(bool, String)) {
    for table in page
        .tables
        .iter()
        .filter(|table| column(table, "requests").is_some())
    {
        for (name, total) in [
            ("requests", part(page, "requests")),
            (
                "failed",
                part(page, "answered with an error") + part(page, "undelivered"),
            ),
            ("undelivered", part(page, "undelivered")),
        ] {
            check(
                column(table, name) == Some(total),
                format!("{name} are {total}, and in a table {table:?}"),
            );
        }
    }
}

/// `180 failures (100 requests, 80 connections)`: the kinds add up.
fn kinds(said: &str) -> Option<(u64, u64)> {
    let (_, inside) = said.split_once(" (")?;
    let inside = inside.split([';', ')']).next()?;
    (inside.contains(" request") || inside.contains(" connection"))
        .then(|| Some((number(said)?, sum_of(inside.split(", ").filter_map(number)))))
        .flatten()
}

fn charges(page: &Page, check: &mut impl FnMut(bool, String)) {
    let failures = part(page, "failures");
    let hops = sum_of(page.charges.iter().filter_map(|(said, _)| number(said)));
    check(
        hops == failures,
        format!("{failures} failures, the hops have {hops}: {:?}", page.sums),
    );
    for (hop, causes) in &page.charges {
        let sum = sum_of(causes.iter().filter_map(|cause| number(cause)));
        check(number(hop) == Some(sum), format!("{hop} is not {causes:?}"));
        for said in causes.iter().chain([hop]) {
            if let Some((all, parts)) = kinds(said) {
                check(all == parts, said.clone());
            }
        }
    }
    let of_kinds = part(page, "failed requests")
        + part(page, "failed connections")
        + part(page, "that never reached hopscope");
    check(of_kinds == failures, format!("{:?}", page.sums));
}

fn sentences(page: &Page, check: &mut impl FnMut(bool, String)) {
    let failures = part(page, "failures");
    let ours: Vec<u64> = page
        .charges
        .iter()
        .flat_map(|(hop, causes)| causes.iter().chain([hop]))
        .filter_map(|said| number(said))
        .collect();
    for line in &page.lines {
        // The headline: of whose failures, and how many there are.
        for verb in ["caused ", "does not decide ", "charged with ", "delivered: "] {
            let Some((_, said)) = line.split_once(verb) else {
                continue;
            };
            if let Some(all) = said.strip_prefix("all ").and_then(number) {
                check(all == failures, format!("{failures} failures: {line}"));
            } else if let Some((part, rest)) = said.split_once(" of ")
                && let (Some(some), Some(all)) = (number(part), number(rest))
                && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b',')
            {
                check(
                    all == failures && ours.contains(&some),
                    format!("{failures} failures: {line}"),
                );
            }
        }
        // `+ 12 failed requests (no answer, RST × 7, answered 503 × 5): ...`
        let said = line
            .trim_start_matches(['+', '-', ' '])
            .trim_start_matches("for: ");
        let begins = ["failed request", "failed connection", "failures ("];
        let begins = begins.iter().any(|noun| {
            said.trim_start_matches(|c: char| c.is_ascii_digit() || c == ',')
                .trim_start()
                .starts_with(noun)
        });
        if let Some(all) = number(said).filter(|_| begins && said.contains(" × ")) {
            let list = said.split("): ").next().unwrap_or_default();
            let listed = sum_of(list.split(" × ").skip(1).filter_map(number));
            check(listed == all, line.clone());
        }
    }
}

#[test]
fn the_numbers_of_every_golden_case_add_up() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../attribution/cases");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the cases are there")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|file| file.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    assert!(files.len() > 100, "{} cases", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a readable case");
        let story = text.split("\n---\n").next().unwrap_or_default();
        let case = tell::tell(story).expect("a story");
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        wrong.extend(
            contradictions(&case.evidence)
                .into_iter()
                .map(|what| format!("{name}: {what}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_number_that_does_not_add_up_is_seen_in_every_form() {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../attribution/cases/delivered_errors_under_a_late_loop.txt"
    ))
    .expect("a readable case");
    let story = text.split("\n---\n").next().unwrap_or_default();
    let evidence = tell::tell(story).expect("a story").evidence;
    for (text, read) in forms(&evidence) {
        assert_eq!(of_page(&read(&text)), Vec::<String>::new());
        // 150 failed requests are 100 and 50.
        let mut seen = 0;
        for (at, _) in text.match_indices("150") {
            let mut other = text.clone();
            other.replace_range(at..at + 3, "151");
            seen += usize::from(!of_page(&read(&other)).is_empty());
        }
        assert!(seen >= 6, "{seen} of the places are read:\n{text}");
    }
}

/// A recording names every path that its rows do.
fn with_every_path(mut evidence: Evidence) -> Evidence {
    let of_cells = evidence.traffic.iter().map(|cell| cell.path);
    let of_rows = evidence.connections.iter().map(|connection| connection.path);
    let of_exchanges = evidence.exchanges.iter().map(|exchange| exchange.path);
    let last = of_cells
        .chain(of_rows)
        .chain(of_exchanges)
        .max()
        .unwrap_or(PathId(0));
    while evidence.paths.len() <= usize::from(last.0) {
        evidence.paths.push(Path {
            name: format!("other-{}", evidence.paths.len()),
            kind: PathKind::Unstated,
            target: "127.0.0.1:3000".to_owned(),
        });
    }
    evidence
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_numbers_of_any_run_add_up(draws in proptest::collection::vec(any::<u32>(), 0..3_000)) {
        let evidence = with_every_path(arbitrary::evidence(&mut arbitrary::Draw::new(&draws)));
        let wrong = contradictions(&evidence);
        prop_assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
