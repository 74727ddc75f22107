//! What was not read, as every form of the report says it.

use hopscope_text::figures::{bytes, counted, grouped};

use super::model::{NotReadReport, Report};

/// A line for each path and reason.
pub(super) fn lines(report: &Report) -> Vec<String> {
    report.observer.not_read.iter().map(line).collect()
}

fn line(of: &NotReadReport) -> String {
    let at_first = match of.read_at_first {
        0 => String::new(),
        read if read == of.connections => ", all of them read up to some byte".to_owned(),
        read => format!(", {} of them read up to some byte", grouped(read)),
    };
    let failed = match of.failed {
        0 => String::new(),
        failed => format!(", {} of them failed", grouped(failed)),
    };
    let examples: Vec<String> = of.examples.iter().map(u64::to_string).collect();
    format!(
        "not read on path {}: {} ({}), {}{at_first}{failed}; such as {} {}",
        of.path,
        counted(of.connections, "connection"),
        of.reason,
        bytes(of.bytes),
        if examples.len() == 1 {
            "connection"
        } else {
            "connections"
        },
        examples.join(", "),
    )
}
