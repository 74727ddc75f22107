//! The tables and lists under the verdict.

use std::collections::HashSet;

use super::{add, put};
use crate::model::{CauseReport, FindingReport, Latency, Report, RouteReport, RunPath, TurnReport, either};
use crate::not_read::lines as not_read;
use hopscope_text::figures::{bytes, confidence, counted, grouped, length, percent, ratio, time, under_way};
use hopscope_text::paint::{Ink, Screen, harmless};
use hopscope_text::table::{Cell, Column, Table};

/// Processes of a path's forward listed, at most.
const MOST_FORWARDS: usize = 4;

/// Routes listed, at most; the JSON has them all.
const MOST_ROUTES: usize = 25;

pub(super) fn write(out: &mut String, report: &Report, screen: Screen) {
    run(out, report, screen);
    hops(out, report, screen);
    paths(out, report, screen);
    routes(out, report, screen);
    latency(out, report, screen);
    unknowns(out, report, screen);
    advice(out, report, screen);
    generator(out, report, screen);
    accounting(out, report, screen);
}

fn heading(out: &mut String, screen: Screen, text: &str) {
    put(out, "");
    put(out, &screen.paint(Ink::Heading, text));
}

fn run(out: &mut String, report: &Report, screen: Screen) {
    let run = &report.run;
    heading(out, screen, "Run");
    let mut facts = format!("started {}, took {}", run.started, length(run.duration_seconds));
    if let Some(rate) = report.totals.requests_per_second
        && report.totals.requests > 0
    {
        add(&mut facts, format_args!(", {rate:.1} requests/s"));
    }
    add(
        &mut facts,
        format_args!(
            ", {} up, {} down",
            bytes(report.totals.bytes_up),
            bytes(report.totals.bytes_down)
        ),
    );
    screen.hang(out, "  ", Ink::Plain, &facts);
    if let Some(line) = under_way(
        report.totals.cut_by_the_end,
        report.totals.connects_cut_by_the_end,
    ) {
        screen.hang(out, "  ", Ink::Plain, &line);
    }
    for note in &run.notes {
        screen.hang(out, "  ! ", Ink::Doubt, note);
    }
    if let Some(command) = &run.command {
        let ended = match run.exit_code {
            Some(code) => format!(" (exit code {code})"),
            None => " (no exit code)".to_owned(),
        };
        screen.hang(out, "  ", Ink::Plain, &(command.join(" ") + &ended));
    }
    for path in &run.paths {
        for line in forwards(path) {
            screen.hang(out, "  ", Ink::Plain, &line);
        }
    }
    if !run.complete {
        screen.hang(
            out,
            "  ! ",
            Ink::Doubt,
            "The recording was not closed properly: it says nothing of what came after its end.",
        );
    }
}

/// What carried a path, a line for each process, and how often it was lost. The JSON has all of it.
fn forwards(path: &RunPath) -> Vec<String> {
    let mut lines: Vec<String> = path
        .forwards
        .iter()
        .take(MOST_FORWARDS)
        .map(|forward| {
            let mut line = format!("{} ran through ", path.name);
            match (forward.is_kubectl, &forward.version) {
                (Some(true), Some(version)) => add(&mut line, format_args!("kubectl {version}")),
                (Some(true), None) => line.push_str("kubectl"),
                (Some(false) | None, _) => line.push_str("a forwarder"),
            }
            if let Some(pid) = forward.pid {
                add(&mut line, format_args!(" (process {pid})"));
            }
            if let Some(pod) = &forward.pod {
                add(&mut line, format_args!(" to pod {pod}"));
            }
            if let Some(node) = &forward.node {
                add(&mut line, format_args!(" on {node}"));
            }
            if let Some(runtime) = &forward.runtime {
                add(&mut line, format_args!(", {runtime}"));
            }
            line
        })
        .collect();
    let more = path.forwards.len().saturating_sub(MOST_FORWARDS);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    let lost = |turn: &&TurnReport| matches!(turn.turn, "exited" | "replaced");
    if let Some(last) = path.turns.iter().rfind(lost) {
        let mut line = format!(
            "the forward of {} was last lost at {:.2} s",
            path.name, last.at_seconds
        );
        if let Some(reason) = last.reason {
            add(&mut line, format_args!(" ({reason})"));
        }
        lines.push(line);
    }
    lines
}

fn hops(out: &mut String, report: &Report, screen: Screen) {
    if report.hops.is_empty() {
        return;
    }
    heading(
        out,
        screen,
        "Who is charged, with the evidence for (+) and against (-)",
    );
    for hop in &report.hops {
        add(
            out,
            format_args!(
                "  {}  {} · {}\n",
                screen.paint(Ink::Strong, hop.hop.word()),
                counted(hop.failures, "failure"),
                percent(hop.share)
            ),
        );
        // What clears or charges the hop as a whole stands with each of its causes; one telling is enough.
        let mut told = HashSet::new();
        for cause in &hop.causes {
            self::cause(out, cause, &mut told, screen);
        }
    }
}

fn cause<'report>(
    out: &mut String,
    cause: &'report CauseReport,
    told: &mut HashSet<&'report str>,
    screen: Screen,
) {
    let victims = match cause.victims {
        0 => String::new(),
        victims => format!(", {} of them victims", grouped(victims)),
    };
    let open = either(cause.between).map_or_else(String::new, |hops| format!(" ({hops})"));
    add(
        out,
        format_args!(
            "    {}{open}  {}{victims} · confidence {}\n",
            screen.paint(Ink::Strong, cause.cause.word()),
            grouped(cause.failures),
            confidence(cause.confidence),
        ),
    );
    for (sign, ink, findings) in [
        ("      + ", Ink::Good, &cause.speaks_for),
        ("      - ", Ink::Doubt, &cause.speaks_against),
    ] {
        let mut again = 0_u64;
        for FindingReport { rule, statement, .. } in findings {
            if told.insert(statement) {
                screen.hang(out, sign, ink, &format!("{statement} [{rule}]"));
            } else {
                again += 1;
            }
        }
        if again > 0 {
            screen.hang(
                out,
                sign,
                ink,
                &format!("{} from above", counted(again, "finding")),
            );
        }
    }
}

fn paths(out: &mut String, report: &Report, screen: Screen) {
    if report.paths.is_empty() {
        return;
    }
    heading(out, screen, "Paths");
    let mut table = Table::new([
        Column::text("path"),
        Column::text("kind").giving_way(2),
        Column::text("target").shrinking().giving_way(1),
        Column::figures("connections"),
        Column::figures("requests"),
        Column::figures("failed"),
        Column::figures("share"),
        Column::figures("undelivered").giving_way(3),
        Column::figures("p50"),
        Column::figures("p95").giving_way(5),
        Column::figures("p99").giving_way(4),
    ]);
    for (path, given) in report.paths.iter().zip(&report.run.paths) {
        table.row([
            path.path.as_str().into(),
            path.kind.into(),
            given.target.as_str().into(),
            grouped(path.connections).into(),
            grouped(path.requests).into(),
            failed_cell(path.failed),
            path.failure_ratio.map_or_else(|| "–".to_owned(), percent).into(),
            grouped(path.undelivered).into(),
            time(path.latency.p50).into(),
            time(path.latency.p95).into(),
            time(path.latency.p99).into(),
        ]);
    }
    out.push_str(&table.render(screen));
    for contrast in &report.contrasts {
        screen.hang(out, "  ", Ink::Plain, &contrast.statement);
    }
}

fn failed_cell(failed: u64) -> Cell {
    Cell::inked(if failed > 0 { Ink::Bad } else { Ink::Good }, grouped(failed))
}

fn routes(out: &mut String, report: &Report, screen: Screen) {
    if report.routes.is_empty() {
        return;
    }
    heading(out, screen, "Routes");
    let several = report.paths.len() > 1;
    let mut table = Table::new([
        Column::text("route").shrinking(),
        Column::text("path"),
        Column::figures("requests"),
        Column::figures("failed"),
        Column::figures("share"),
        Column::figures("undelivered").giving_way(4),
        Column::figures("p50").giving_way(1),
        Column::figures("p95").giving_way(3),
        Column::figures("p99").giving_way(2),
        Column::text("statuses").giving_way(5),
    ]);
    for route in report.routes.iter().take(MOST_ROUTES) {
        table.row([
            route.route.as_str().into(),
            if several { route.path.as_str() } else { "" }.into(),
            grouped(route.requests).into(),
            failed_cell(route.failed),
            ratio(route.failed, route.requests)
                .map_or_else(|| "–".to_owned(), percent)
                .into(),
            grouped(route.undelivered).into(),
            time(route.latency.p50).into(),
            time(route.latency.p95).into(),
            time(route.latency.p99).into(),
            statuses(route).into(),
        ]);
    }
    out.push_str(&table.render(screen));
    if report.routes.len() > MOST_ROUTES {
        add(
            out,
            format_args!(
                "  and {} more in the JSON report\n",
                report.routes.len() - MOST_ROUTES
            ),
        );
    }
}

/// The three most frequent statuses: `503×2,613 200×190`.
pub(crate) fn statuses(route: &RouteReport) -> String {
    let mut by_times: Vec<_> = route.statuses.iter().collect();
    by_times.sort_by_key(|(status, times)| (std::cmp::Reverse(**times), (*status).clone()));
    let mut words: Vec<_> = by_times
        .iter()
        .take(3)
        .map(|(status, times)| format!("{status}×{}", grouped(**times)))
        .collect();
    if by_times.len() > 3 {
        words.push("…".to_owned());
    }
    words.join(" ")
}

fn latency(out: &mut String, report: &Report, screen: Screen) {
    if report.totals.requests == 0 {
        return;
    }
    heading(out, screen, "Latency");
    let mut table = Table::new([
        Column::text("of"),
        Column::figures("p50"),
        Column::figures("p90"),
        Column::figures("p95"),
        Column::figures("p99"),
        Column::figures("max"),
        Column::figures("mean"),
        Column::figures("count"),
    ]);
    let mut row = |of: &str, latency: &Latency| {
        table.row([
            of.into(),
            time(latency.p50).into(),
            time(latency.p90).into(),
            time(latency.p95).into(),
            time(latency.p99).into(),
            time(latency.max).into(),
            time(latency.mean).into(),
            latency.count.map(grouped).unwrap_or_default().into(),
        ]);
    };
    row("all", &report.latency.all);
    row("ok", &report.latency.ok);
    if report.latency.added_by_hopscope_unseen.is_none() {
        row("added by hopscope", &report.latency.added_by_hopscope);
    }
    out.push_str(&table.render(screen));
    if let Some(why) = &report.latency.added_by_hopscope_unseen {
        screen.hang(
            out,
            "  ",
            Ink::Plain,
            &format!("What hopscope itself added was not measured: {why}."),
        );
    }
}

fn unknowns(out: &mut String, report: &Report, screen: Screen) {
    if report.unknowns.is_empty() {
        return;
    }
    heading(out, screen, "Not known, and the experiment that would tell");
    for unknown in &report.unknowns {
        screen.hang(out, "  ? ", Ink::Doubt, &unknown.question);
        screen.hang(out, "    > ", Ink::Faint, &unknown.experiment);
    }
}

fn advice(out: &mut String, report: &Report, screen: Screen) {
    if report.advice.is_empty() {
        return;
    }
    heading(out, screen, "Next");
    for (at, advice) in report.advice.iter().enumerate() {
        screen.hang(out, &format!("  {}. ", at + 1), Ink::Strong, &advice.action);
        screen.hang(out, "     ", Ink::Plain, &advice.why);
    }
}

fn generator(out: &mut String, report: &Report, screen: Screen) {
    let Some(generator) = &report.generator else {
        return;
    };
    heading(
        out,
        screen,
        &format!("What {} counted", harmless(&generator.tool)),
    );
    let hops: Vec<_> = generator
        .failures_by_hop
        .iter()
        .map(|(hop, failures)| format!("{hop} {}", grouped(*failures)))
        .collect();
    let charged = if hops.is_empty() {
        String::new()
    } else {
        format!(": {}", hops.join(", "))
    };
    let counts = format!(
        "{}, {}{charged}",
        counted(generator.requests, "request"),
        counted(generator.failed, "failure")
    );
    screen.hang(out, "  ", Ink::Plain, &counts);
    for remark in &generator.remarks {
        screen.hang(out, "  ", Ink::Plain, remark);
    }
}

fn accounting(out: &mut String, report: &Report, screen: Screen) {
    let observer = &report.observer;
    heading(out, screen, "hopscope itself");
    let (ink, balance) = if observer.accounted {
        (Ink::Good, "balanced")
    } else {
        (
            Ink::Bad,
            "DOES NOT BALANCE: evidence is missing that nobody counted",
        )
    };
    add(
        out,
        format_args!(
            "  accepts {} = {} connection rows + {} counted losses: {}\n",
            grouped(observer.accepts),
            grouped(observer.connection_rows),
            grouped(observer.connections_lost),
            screen.paint(ink, balance),
        ),
    );
    if observer.exchanges_lost > 0 || observer.kernel_events_lost > 0 {
        add(
            out,
            format_args!(
                "  lost and counted: {}, {}\n",
                counted(observer.exchanges_lost, "exchange row"),
                counted(observer.kernel_events_lost, "kernel event"),
            ),
        );
    }
    for line in not_read(report) {
        screen.hang(out, "  ! ", Ink::Doubt, &line);
    }
    for reason in &observer.reasons {
        screen.hang(out, "  ! ", Ink::Doubt, reason);
    }
}
