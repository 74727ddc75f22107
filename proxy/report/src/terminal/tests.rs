//! Tests of `terminal`.

use super::*;
use crate::sample;
use hopscope_golden as golden;
use hopscope_text::paint::columns;

#[test]
fn the_seed_reads_like_this() {
    golden::check("seed.txt", &render(&sample::report(), Screen::PLAIN));
}

#[test]
fn a_run_without_traffic_is_told_as_such() {
    golden::check("empty.txt", &render(&sample::empty(), Screen::PLAIN));
}

#[test]
fn the_verdict_takes_at_most_eight_lines_that_fit_the_screen() {
    for width in [80, 100, 160] {
        for report in [sample::report(), sample::empty(), sample::hostile()] {
            let screen = Screen { width, colour: false };
            let text = render_verdict(&report, screen);
            assert!(text.lines().count() <= VERDICT_LINES, "{text}");
            assert!(text.lines().all(|line| columns(line) <= width), "{width}\n{text}");
        }
    }
}

#[test]
fn half_a_screen_shows_the_whole_verdict_in_more_lines() {
    for width in [40, 60, 79] {
        for report in [sample::report(), sample::empty()] {
            let screen = Screen { width, colour: false };
            let text = render_verdict(&report, screen);
            assert!(text.lines().count() <= 2 * VERDICT_LINES, "{text}");
            assert!(text.lines().all(|line| columns(line) <= width), "{width}\n{text}");
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains(&report.verdict.headline), "{width}\n{text}");
        }
    }
}

#[test]
fn no_sentence_of_the_verdict_is_cut() {
    let mut report = sample::report();
    let long = "In 4,468 the answers were delivered complete, with status 503, by whoever wrote them behind the tunnel. ";
    report.verdict.headline = format!("{long}{long}{long}{long}{long}The end.");
    report.hops[0].causes[0].speaks_for[0].statement = long.repeat(4).trim_end().to_owned();
    for width in [40, 80, 100] {
        let text = render_verdict(&report, Screen { width, colour: false });
        assert!(!text.contains('…'), "{width}\n{text}");
        assert!(text.contains("next "), "{width}\n{text}");
    }
}

#[test]
fn nothing_that_comes_from_outside_reaches_the_terminal_as_a_command() {
    let screen = Screen {
        width: 80,
        colour: false,
    };
    let text = render(&sample::hostile(), screen);
    assert!(!text.contains('\x1b') && !text.contains('\u{202e}') && !text.contains('\r'));
    // With colour, the only escape sequences are ours.
    let colours = render(
        &sample::hostile(),
        Screen {
            colour: true,
            ..screen
        },
    );
    for sequence in colours.split('\x1b').skip(1) {
        assert!(
            ["[0m", "[1m", "[2m", "[1;31m", "[32m", "[33m", "[1;36m"]
                .iter()
                .any(|ours| sequence.starts_with(ours)),
            "{sequence:?}"
        );
    }
}

#[test]
fn colour_changes_no_text() {
    let plain = render(&sample::report(), Screen::PLAIN);
    let mut painted = render(
        &sample::report(),
        Screen {
            colour: true,
            ..Screen::PLAIN
        },
    );
    for code in ["0", "1", "2", "1;31", "32", "33", "1;36"] {
        painted = painted.replace(&format!("\x1b[{code}m"), "");
    }
    assert_eq!(plain, painted);
}

#[test]
fn a_finding_that_two_causes_of_a_hop_share_is_told_once() {
    let mut report = sample::report();
    let hop = report.hops.iter_mut().find(|hop| !hop.causes.is_empty()).unwrap();
    let shared = hop.causes[0].speaks_for[0].clone();
    let mut second = hop.causes[0].clone();
    second.speaks_for = vec![shared.clone()];
    second.speaks_against.clear();
    hop.causes.push(second);
    let wide = Screen {
        width: 1_000,
        colour: false,
    };
    let text = render(&report, wide);
    let told = format!("{} [{}]", shared.statement, shared.rule);
    assert_eq!(text.matches(&told).count(), 1, "{text}");
    assert!(text.contains("      + 1 finding from above"), "{text}");
}
