//! When and how the run was made, and through which processes.

use std::fmt::Write as _;

use super::titled;
use crate::model::{Report, RunPath, TurnReport};
use crate::section::{Block, Section};
use hopscope_text::figures::{bytes, length, under_way};

/// Processes of a path's forward listed, at most; the JSON has them all.
const MOST_FORWARDS: usize = 4;

pub(super) fn section(report: &Report) -> Section {
    let (run, totals) = (&report.run, &report.totals);
    let rate = match totals.requests_per_second {
        Some(rate) if totals.requests > 0 => format!(", {rate:.1} requests/s"),
        Some(_) | None => String::new(),
    };
    let mut blocks = vec![Block::Line(
        format!(
            "started {}, took {}{rate}, {} up, {} down",
            run.started,
            length(run.duration_seconds),
            bytes(totals.bytes_up),
            bytes(totals.bytes_down)
        )
        .into(),
    )];
    let under_way = under_way(totals.cut_by_the_end, totals.connects_cut_by_the_end);
    blocks.extend(under_way.map(|line| Block::Line(line.into())));
    blocks.extend(run.notes.iter().map(|note| Block::Note(note.into())));
    if let Some(command) = &run.command {
        let ended = match run.exit_code {
            Some(code) => format!(" (exit code {code})"),
            None => " (no exit code)".to_owned(),
        };
        blocks.push(Block::Line((command.join(" ") + &ended).into()));
    }
    let forwards = run.paths.iter().flat_map(forwards);
    blocks.extend(forwards.map(|line| Block::Line(line.into())));
    if !run.complete {
        let text = "The recording was not closed properly: it says nothing of what came after its end.";
        blocks.push(Block::Warning(text.into()));
    }
    titled("Run", blocks)
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
        let reason = last
            .reason
            .map_or_else(String::new, |reason| format!(" ({reason})"));
        lines.push(format!(
            "the forward of {} was last lost at {:.2} s{reason}",
            path.name, last.at_seconds
        ));
    }
    lines
}

/// Writing into a string does not fail.
fn add(line: &mut String, text: std::fmt::Arguments<'_>) {
    let written = line.write_fmt(text);
    debug_assert!(written.is_ok(), "writing into a string does not fail");
}
