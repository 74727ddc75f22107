//! The tables of README.md and docs/performance.md, made from the newest committed figures.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::data::{self, Figures};
use super::figures::Metric;
use super::goals::{GOALS, Judged};
use super::target::Target;
use super::workload::Workload;

const BEGIN: &str = "<!-- bench -->";
const END: &str = "<!-- /bench -->";

/// A file, and what goes between its marks.
type Place = (&'static str, fn(&Figures) -> String);

const PLACES: [Place; 2] = [("README.md", short), ("docs/performance.md", full)];

/// A column: its heading, and what it shows of a target.
type Column = (&'static str, fn(&Figures, Target) -> Option<String>);

const COST: [Column; 8] = [
    ("64 conns, µs/request", |figures, target| {
        cost(figures, Workload::KeepAlive64, target)
    }),
    ("200 conns, µs/request", |figures, target| {
        cost(figures, Workload::KeepAlive200, target)
    }),
    ("4,000/s, µs/request", |figures, target| {
        cost(figures, Workload::FixedRate, target)
    }),
    ("4,000/s unpinned, µs/request", |figures, target| {
        cost(figures, Workload::FixedRateUnpinned, target)
    }),
    ("conn a request, µs", |figures, target| {
        cost(figures, Workload::ConnectionPerRequest, target)
    }),
    ("64 MiB down, ms/GB", |figures, target| {
        cost(figures, Workload::Down, target)
    }),
    ("64 MiB up, ms/GB", |figures, target| {
        cost(figures, Workload::Up, target)
    }),
    ("idle conn, bytes", |figures, target| {
        Some(format!("{:.0}", figures.idle_bytes(target)?))
    }),
];

const SPEED: [Column; 9] = [
    ("64 conns, req/s", |figures, target| {
        rate(figures, Workload::KeepAlive64, target)
    }),
    ("p50 / p99, µs", |figures, target| {
        latency(figures, Workload::KeepAlive64, target)
    }),
    ("200 conns, req/s", |figures, target| {
        rate(figures, Workload::KeepAlive200, target)
    }),
    ("p50 / p99, µs", |figures, target| {
        latency(figures, Workload::KeepAlive200, target)
    }),
    ("4,000/s: p50 / p99, µs", |figures, target| {
        latency(figures, Workload::FixedRate, target)
    }),
    ("4,000/s unpinned: p50 / p99, µs", |figures, target| {
        latency(figures, Workload::FixedRateUnpinned, target)
    }),
    ("conns/s", |figures, target| {
        rate(figures, Workload::ConnectionPerRequest, target)
    }),
    ("down, GB/s", |figures, target| {
        rate(figures, Workload::Down, target)
    }),
    ("up, GB/s", |figures, target| rate(figures, Workload::Up, target)),
];

/// Median CPU, and in brackets its ratio to HAProxy's within the rounds.
fn cost(figures: &Figures, workload: Workload, target: Target) -> Option<String> {
    if target == Target::Direct {
        return None;
    }
    let cpu = figures.median(workload, Metric::Cpu, target)?;
    let cpu = if cpu < 100.0 {
        format!("{cpu:.1}")
    } else {
        format!("{cpu:.0}")
    };
    Some(
        match figures.ratio(workload, Metric::Cpu, target, Target::Haproxy) {
            Some(ratio) if target != Target::Haproxy => format!("{cpu} ({ratio:.2})"),
            Some(_) | None => cpu,
        },
    )
}

fn rate(figures: &Figures, workload: Workload, target: Target) -> Option<String> {
    let rate = figures.median(workload, Metric::Rate, target)?;
    Some(if workload.is_bulk() {
        format!("{rate:.2}")
    } else {
        format!("{rate:.0}")
    })
}

fn latency(figures: &Figures, workload: Workload, target: Target) -> Option<String> {
    let p50 = figures.median(workload, Metric::P50, target)?;
    let p99 = figures.median(workload, Metric::P99, target)?;
    Some(format!("{p50:.0} / {p99:.0}"))
}

fn grid(figures: &Figures, columns: &[Column]) -> String {
    let mut text = String::from("| |");
    for (heading, _) in columns {
        text.extend([" ", heading, " |"]);
    }
    text += "\n|---|";
    text += &"---:|".repeat(columns.len());
    text.push('\n');
    for target in Target::ALL {
        let cells: Vec<_> = columns.iter().map(|(_, shown)| shown(figures, target)).collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        text.extend(["| ", target.title(), " |"]);
        for cell in cells {
            text.extend([" ", cell.unwrap_or_default().as_str(), " |"]);
        }
        text.push('\n');
    }
    text
}

fn origin(figures: &Figures) -> String {
    let fact = |name: &str| figures.facts.get(name).map_or("unknown", String::as_str);
    format!(
        "{date}, {machine} ({cpu}, load {load} from elsewhere), Linux {kernel}; {rounds} rounds of {seconds} s; \
         hopscope {hopscope}, HAProxy {haproxy}, nginx {nginx}, Envoy {envoy}, wrk {wrk}.\n",
        load = fact("load"),
        rounds = figures.rows.iter().map(|row| row.round).max().unwrap_or(0),
        seconds = figures
            .rows
            .iter()
            .map(|row| row.outcome.micros / 1_000_000)
            .min()
            .unwrap_or(0),
        date = fact("date"),
        machine = fact("machine"),
        cpu = fact("cpu"),
        kernel = fact("kernel"),
        hopscope = fact("hopscope"),
        haproxy = fact("haproxy"),
        nginx = fact("nginx"),
        envoy = fact("envoy"),
        wrk = fact("wrk"),
    )
}

/// CPU and memory, and how many goals hold.
pub(super) fn short(figures: &Figures) -> String {
    let judged: Vec<_> = GOALS.iter().filter_map(|goal| goal.judge(figures)).collect();
    let count = |wanted: fn(&Judged) -> bool| judged.iter().filter(|judged| wanted(judged)).count();
    format!(
        "{}\nCPU of the proxy, in brackets as a multiple of HAProxy's in the same round. \
         {hold} of {all} goals hold; {beyond} are missed by a relay as well that only moves bytes, the first line of the \
         table.\n{}",
        grid(figures, &COST),
        origin(figures),
        hold = count(|judged| judged.holds),
        all = judged.len(),
        beyond = count(Judged::is_out_of_reach),
    )
}

/// Everything.
pub(super) fn full(figures: &Figures) -> String {
    let mut text = format!(
        "{}\nCPU of the proxy, in brackets as a multiple of HAProxy's in the same round:\n\n{}\nRate and latency as the generator saw them:\n\n{}\n",
        origin(figures),
        grid(figures, &COST),
        grid(figures, &SPEED)
    );
    let failed = figures.errors().to_string();
    text.extend([
        "Requests that failed, over all loads and targets: ",
        failed.as_str(),
        ".\n\n",
    ]);
    text += "| goal | limit | measured | a relay and nothing else | |\n|---|---:|---:|---:|---|\n";
    for goal in &GOALS {
        let (measured, bare, word) = match goal.judge(figures) {
            Some(judged) => (
                goal.number(judged.measured),
                judged.bare.map(|bare| goal.number(bare.measured)),
                verdict(&judged),
            ),
            None => (String::new(), None, "not measured"),
        };
        let cells = [
            goal.text,
            &goal.limit(),
            &measured,
            &bare.unwrap_or_default(),
            word,
        ];
        for cell in cells {
            text.extend(["| ", cell, " "]);
        }
        text += "|\n";
    }
    text
}

const fn verdict(judged: &Judged) -> &'static str {
    if judged.holds {
        "holds"
    } else if judged.is_out_of_reach() {
        "**missed**, as it is by a relay that does nothing else"
    } else {
        "**missed**"
    }
}

/// Each file, and what it is to be.
fn rendered(root: &Path) -> Result<Vec<(PathBuf, String, String)>> {
    let figures = Figures::read(&data::newest(root)?)?;
    PLACES
        .iter()
        .map(|(name, render)| {
            let file = root.join(name);
            let before = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            let after = replaced(&before, &render(&figures))
                .with_context(|| format!("{name} lacks the marks {BEGIN} and {END}"))?;
            Ok((file, before, after))
        })
        .collect()
}

/// The text with something else between its marks.
fn replaced(text: &str, between: &str) -> Option<String> {
    let (head, rest) = text.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{BEGIN}\n{between}{END}{tail}"))
}

/// Writes the tables.
pub(super) fn write(root: &Path) -> Result<()> {
    for (file, before, after) in rendered(root)? {
        if before != after {
            fs::write(&file, after).with_context(|| format!("writing {}", file.display()))?;
        }
    }
    Ok(())
}

/// Checks that the tables are what the figures give.
pub(super) fn check(root: &Path) -> Result<()> {
    for (file, before, after) in rendered(root)? {
        ensure!(
            before == after,
            "the table in {} is not what the newest figures give: run `cargo xtask bench --table`",
            file.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::goals::Bare;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let text = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let expected = format!("before\n{BEGIN}\nnew\n{END}\nafter\n");
        assert_eq!(replaced(&text, "new\n"), Some(expected));
        assert_eq!(replaced("no marks", "new\n"), None);
    }

    #[test]
    fn a_goal_that_the_bare_relay_misses_as_well_is_told_from_one_that_is_only_missed() {
        let judged = |bare| {
            verdict(&Judged {
                measured: 0.9,
                holds: false,
                bare,
            })
        };
        let bare = |holds| Some(Bare { measured: 0.8, holds });
        assert!(judged(bare(false)).contains("does nothing else"));
        assert_eq!(judged(bare(true)), "**missed**");
        assert_eq!(judged(None), "**missed**");
    }

    #[test]
    fn what_was_not_measured_is_not_called_a_goal_that_holds() {
        let text = full(&Figures::default());
        assert!(text.contains("not measured"), "{text}");
        assert!(!text.contains("holds |"), "{text}");
    }
}
