//! All that a person reads of a demo, beside the report itself: the list, the introduction, the progress, the truth.

use std::collections::BTreeMap;

use hopscope_attribution::cause::Cause;
use hopscope_attribution::hop::Hop;
use hopscope_lab::scenario::{Answer, Scenario};

use super::play::Curtain;
use super::score::{Judgement, Score};
use hopscope_text::figures::{grouped, percent};
use hopscope_text::paint::Screen;
use hopscope_text::paint::{Ink, wrap};

/// Columns that running text is broken at, at most: longer lines are hard to read.
const LINE: usize = 96;

/// The table of scenarios.
pub fn list(scenarios: &[Scenario], screen: Screen) -> String {
    let mut out = String::new();
    let mut put = |cells: [(Ink, &str); 3], broken: &str| {
        let [(name_ink, name), (verdict_ink, verdict), (length_ink, length)] = cells;
        let row = [
            screen.paint(name_ink, &format!("{name:<14}")),
            screen.paint(verdict_ink, &format!("{verdict:<24}")),
            screen.paint(length_ink, &format!("{length:>5}")),
        ];
        out += "  ";
        out += &row.join("  ");
        out.push('\n');
        for line in wrap(broken, screen.width.min(LINE).saturating_sub(18)) {
            out += "                  ";
            out += &line;
            out.push('\n');
        }
    };
    let head = Ink::Heading;
    put(
        [
            (head, "scenario"),
            (head, "the verdict should be"),
            (head, "takes"),
        ],
        "",
    );
    for scenario in scenarios.iter().filter(|scenario| scenario.shown) {
        let (verdict, ink) = match (scenario.knowable, scenario.answer) {
            (Some((known, _)), _) => (known.word(), ink_of(known.hop())),
            (None, Answer::Healthy) => ("nothing failed", Ink::Good),
            (None, Answer::Cause(cause)) => (cause.word(), ink_of(cause.hop())),
        };
        let length = format!("{} s", scenario.length.as_secs());
        let cells = [
            (Ink::Strong, &*scenario.name),
            (ink, verdict),
            (Ink::Faint, &*length),
        ];
        put(cells, &format!("broken: {}", scenario.broken));
    }
    out.push('\n');
    out.push_str(&screen.paint(
        Ink::Faint,
        "hopscope demo SCENARIO plays one; hopscope is not told what is broken.",
    ));
    out.push('\n');
    out
}

const fn ink_of(hop: Hop) -> Ink {
    match hop {
        Hop::Tunnel => Ink::Bad,
        Hop::Observer | Hop::Unknown => Ink::Doubt,
        Hop::Client | Hop::Lb | Hop::Backend => Ink::Heading,
    }
}

/// What kind of path a scenario has, for the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Tunnel,
    Balancer,
    Direct,
}

impl Shape {
    fn of(path: &str) -> Self {
        if path.starts_with("tunnel") {
            Self::Tunnel
        } else if path.starts_with("lb") {
            Self::Balancer
        } else {
            Self::Direct
        }
    }

    /// What stands on it behind hopscope, with the arrow that leads to each.
    const fn stations(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Tunnel => &[
                ("──▶", "kubectl"),
                ("══▶", "API server"),
                ("══▶", "node"),
                ("──▶", "shop"),
            ],
            Self::Balancer => &[("──▶", "load balancer"), ("──▶", "shops")],
            Self::Direct => &[("──▶", "shop")],
        }
    }

    const fn behind(self) -> &'static str {
        match self {
            Self::Tunnel => {
                "a stand-in for kubectl port-forward, an API server and a node that speak the real protocol"
            }
            Self::Balancer => "a load balancer with its targets",
            Self::Direct => "a shop",
        }
    }
}

/// One path, drawn; the second and later ones branch off below hopscope.
fn picture(shape: Shape, nth: usize, of: usize, screen: Screen) -> String {
    let mut out = if nth == 0 {
        format!(
            "users {} {}",
            screen.paint(Ink::Faint, "──▶"),
            screen.paint(Ink::Strong, "HOPSCOPE")
        )
    } else {
        " ".repeat("users ──▶ HOPSCOPE".chars().count())
    };
    for (station, (arrow, name)) in shape.stations().iter().enumerate() {
        let arrow = match (station, nth, of) {
            (0, 0, 2..) => "┬─▶",
            (0, 1.., _) if nth + 1 == of => "└─▶",
            (0, 1.., _) => "├─▶",
            _ => arrow,
        };
        out += " ";
        out += &screen.paint(Ink::Faint, arrow);
        out += " ";
        out += name;
    }
    out
}

/// The path, and what is about to happen on it.
pub fn introduction(scenario: &Scenario, curtain: &Curtain, screen: Screen) -> String {
    let Curtain { length, users, paths } = curtain;
    let seconds = length.as_secs_f64();
    let heading = |text: &str| screen.paint(Ink::Heading, text);
    let mut out = format!(
        "{} {}\n\n",
        heading("hopscope demo"),
        screen.paint(Ink::Strong, &scenario.name)
    );
    let shapes: Vec<Shape> = paths.iter().map(|path| Shape::of(path)).collect();
    let several = shapes.len() > 1;
    for (nth, shape) in shapes.iter().enumerate() {
        out.push_str("  ");
        out.push_str(&picture(*shape, nth, shapes.len(), screen));
        out.push('\n');
    }
    let behind: Vec<&str> = shapes.iter().map(|shape| shape.behind()).collect();
    let behind = if several {
        format!("{} paths to the same shop: {}", shapes.len(), behind.join("; "))
    } else {
        behind.concat()
    };
    out.push('\n');
    let story = format!(
        "Everything runs in this process, on 127.0.0.1: {users} users, {behind}. Requests are real, and so is the proxy \
         in the middle. Something may be broken. hopscope is not told what: it sees only what passes, and what it \
         could see anywhere. The load lasts {seconds:.0} s; then comes the diagnosis, and after it the truth."
    );
    for line in wrap(&story, screen.width.min(LINE)) {
        out.push_str(&line);
        out.push('\n');
    }
    if let Some(scaled) = scenario.scaled {
        for line in wrap(&format!("In a hurry: {scaled}."), screen.width.min(LINE)) {
            out.push_str(&screen.paint(Ink::Doubt, &line));
            out.push('\n');
        }
    }
    out.push('\n');
    out
}

/// What had been injected, and whether the diagnosis found it.
pub fn truth(scenario: &Scenario, score: &Score, truth: &BTreeMap<Cause, u64>, screen: Screen) -> String {
    let mut out = format!("\n{}\n", screen.paint(Ink::Heading, "THE TRUTH"));
    let mut line = |head: &str, text: &str, ink: Ink| {
        for (nth, part) in wrap(text, screen.width.min(LINE).saturating_sub(12))
            .into_iter()
            .enumerate()
        {
            let head = if nth == 0 { head } else { "" };
            out += "  ";
            out += &[format!("{head:<9}"), screen.paint(ink, &part)].join(" ");
            out.push('\n');
        }
    };
    line("broken", &scenario.broken, Ink::Plain);
    let all: u64 = truth.values().sum();
    let causes: Vec<String> = truth
        .iter()
        .map(|(cause, count)| format!("{} {}", cause.word(), grouped(*count)))
        .collect();
    if all == 0 {
        line("injected", "nothing that a client saw fail", Ink::Plain);
    } else {
        line(
            "injected",
            &format!(
                "{} failures that the users saw: {}",
                grouped(all),
                causes.join(", ")
            ),
            Ink::Plain,
        );
    }
    if score.charged > 0 {
        let right = |count: u64| percent(count_share(count, score.charged));
        let text = format!(
            "{} failures; the right hop for {}, the right cause for {}",
            grouped(score.charged),
            right(score.right_hop),
            right(score.right_cause)
        );
        line("charged", &text, Ink::Plain);
    }
    let (text, ink) = match score.verdict {
        Judgement::Right => ("right: hop and cause are what was broken", Ink::Good),
        Judgement::RightHop => (
            "right hop, another cause than the one that was broken",
            Ink::Doubt,
        ),
        Judgement::Knowable => (
            "right, as far as can be known from where hopscope stands",
            Ink::Good,
        ),
        Judgement::Open => (
            "left open: the evidence did not decide, and hopscope says so",
            Ink::Doubt,
        ),
        Judgement::Wrong => (
            "WRONG: this is a fault of hopscope's; please report it with the recording",
            Ink::Bad,
        ),
    };
    line("verdict", text, ink);
    if let Some((_, why)) = scenario.knowable {
        line("because", why, Ink::Plain);
    }
    out
}

#[expect(clippy::cast_precision_loss, reason = "counts of one demo")]
fn count_share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
