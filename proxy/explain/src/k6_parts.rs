//! How a summary of k6 divides its requests: submetrics by tag, sections of groups and scenarios, checks.
//!
//! Two values of one tag are two sets of requests. Two checks may look at the same answer: they are kept, and never stand
//! for routes unless their counts say so.

use super::summary::{Group, GroupsFrom, Summary};

/// A submetric of `http_req_failed`, `{name:mix}`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    key: String,
    group: Group,
}

/// What divides the requests of one summary.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    tags: Vec<Part>,
    /// Sections: scenario, group (empty where the section is a scenario's own), figures.
    sections: Vec<(String, String, Group)>,
    checks: Vec<Group>,
}

/// Tags that say how a request ended, or with what it was made, and not which one it is.
const OUTCOMES: [&str; 10] = [
    "status",
    "error",
    "error_code",
    "expected_response",
    "proto",
    "subproto",
    "tls_version",
    "ip",
    "vu",
    "iter",
];

impl Parts {
    /// Adds a submetric of `http_req_failed`: its tags as k6 writes them, `name:mix`.
    pub(super) fn tag(&mut self, tags: &str, failed: u64, all: u64) {
        let Some((key, value)) = tags.trim().split_once(':') else {
            return;
        };
        if value.contains(',') && value.contains(':') && key != "url" && key != "name" {
            return;
        }
        self.tags.push(Part {
            key: key.trim().to_owned(),
            group: Group {
                name: super::tally::path_of(value.trim()).to_owned(),
                ok: all.saturating_sub(failed),
                failed,
            },
        });
    }

    /// Adds a section of a scenario, or of a group in it.
    pub(super) fn section(&mut self, scenario: &str, group: &str, failed: u64, all: u64) {
        let name = if group.is_empty() { scenario } else { group };
        self.sections.push((
            scenario.to_owned(),
            group.to_owned(),
            Group {
                name: name.to_owned(),
                ok: all.saturating_sub(failed),
                failed,
            },
        ));
    }

    /// Adds a check.
    pub(super) fn check(&mut self, check: Group) {
        self.checks.push(check);
    }

    /// Gives the summary the division that says most: names before groups, these before scenarios, tags and checks.
    pub(super) fn divide(self, summary: &mut Summary) {
        let by_tag = |key: &str| {
            let groups: Vec<Group> = self
                .tags
                .iter()
                .filter(|part| part.key == key)
                .map(|part| part.group.clone())
                .collect();
            with_the_rest(groups, summary)
        };
        let found = by_tag("name")
            .or_else(|| by_tag("url"))
            .map(|groups| (groups, GroupsFrom::Requests))
            .or_else(|| by_tag("group").map(|groups| (groups, GroupsFrom::Groups)))
            .or_else(|| {
                self.groups_of_one_scenario()
                    .map(|groups| (groups, GroupsFrom::Groups))
            })
            .or_else(|| self.scenarios().map(|groups| (groups, GroupsFrom::Scenarios)))
            .or_else(|| by_tag("scenario").map(|groups| (groups, GroupsFrom::Scenarios)))
            .or_else(|| {
                let mut keys = self.tags.iter().map(|part| part.key.as_str());
                let key = keys.find(|key| !OUTCOMES.contains(key))?;
                by_tag(key).map(|groups| (groups, GroupsFrom::Tags))
            });
        summary.checks = self.checks;
        match found {
            Some((groups, from)) => {
                summary.groups = groups;
                summary.groups_from = from;
            }
            None if !summary.checks.is_empty() => {
                summary.groups = summary.checks.clone();
                summary.groups_from = GroupsFrom::Checks;
            }
            None => {}
        }
    }

    /// Groups of the one scenario that has several, or of a script without named scenarios.
    fn groups_of_one_scenario(&self) -> Option<Vec<Group>> {
        let mut of_scenario: Vec<(&str, Vec<Group>)> = Vec::new();
        for (scenario, group, figures) in &self.sections {
            if group.is_empty() || matches!(group.as_str(), "setup" | "teardown") {
                continue;
            }
            match of_scenario.iter_mut().find(|(name, _)| name == scenario) {
                Some((_, groups)) => groups.push(figures.clone()),
                None => of_scenario.push((scenario, vec![figures.clone()])),
            }
        }
        of_scenario
            .into_iter()
            .map(|(_, groups)| groups)
            .filter(|groups| groups.len() > 1)
            .max_by_key(|groups| {
                groups
                    .iter()
                    .fold(0_u64, |sum, group| sum.saturating_add(group.all()))
            })
    }

    fn scenarios(&self) -> Option<Vec<Group>> {
        let scenarios: Vec<Group> = self
            .sections
            .iter()
            .filter(|(_, group, _)| group.is_empty())
            .map(|(_, _, figures)| figures.clone())
            .collect();
        (scenarios.len() > 1).then_some(scenarios)
    }
}

/// The groups and all other requests; `None` where that makes no two groups, or where they hold more than all.
fn with_the_rest(mut groups: Vec<Group>, summary: &Summary) -> Option<Vec<Group>> {
    if groups.is_empty() {
        return None;
    }
    let all = groups
        .iter()
        .fold(0_u64, |sum, group| sum.saturating_add(group.all()));
    let failed = groups
        .iter()
        .fold(0_u64, |sum, group| sum.saturating_add(group.failed));
    if let (Some(requests), Some(of_all)) = (summary.requests, summary.failed) {
        let rest = requests.checked_sub(all)?;
        let failed = of_all.checked_sub(failed)?;
        if rest > 0 {
            groups.push(Group {
                name: "(all others)".to_owned(),
                ok: rest.checked_sub(failed)?,
                failed,
            });
        }
    }
    (groups.len() > 1).then_some(groups)
}
