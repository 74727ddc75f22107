//! What differs and what does not: between paths, between routes and sizes, and over time.

use super::markup::{Escaped, Page, page};
use crate::model::{FindingReport, Report};

pub(super) fn write(out: &mut Page, report: &Report) {
    let groups = [
        ("Paths", report.contrasts.iter().collect()),
        (
            "Routes and sizes",
            found(report, &["route-contrast", "size-contrast"]),
        ),
        ("Time", found(report, &["time-lattice", "generator-time-out"])),
    ];
    if groups
        .iter()
        .all(|(_, findings): &(_, Vec<_>)| findings.is_empty())
    {
        return;
    }
    page!(out, "<section>\n<h2>Contrasts</h2>\n<dl class=\"contrasts\">\n");
    for (title, findings) in groups.iter().filter(|(_, findings)| !findings.is_empty()) {
        page!(out, "<dt>{title}</dt>\n");
        for finding in findings {
            page!(
                out,
                "<dd>{} <code>{}</code></dd>\n",
                Escaped(&finding.statement),
                Escaped(&finding.rule)
            );
        }
    }
    page!(out, "</dl>\n</section>\n");
}

/// What these rules found, each statement once. What they charged is no contrast: that counts failures and victims.
fn found<'r>(report: &'r Report, rules: &[&str]) -> Vec<&'r FindingReport> {
    let causes = report.hops.iter().flat_map(|hop| &hop.causes);
    let findings = causes.flat_map(|cause| cause.speaks_for.iter().chain(&cause.speaks_against));
    let mut once: Vec<&FindingReport> = Vec::new();
    for finding in findings {
        let is_charge = finding.numbers.contains_key("victims");
        let known = once.iter().any(|other| other.statement == finding.statement);
        if rules.contains(&finding.rule.as_str()) && !is_charge && !known {
            once.push(finding);
        }
    }
    once
}
