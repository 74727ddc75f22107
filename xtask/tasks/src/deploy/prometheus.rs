//! The rules and alerts for Prometheus: promtool takes them, each alert is fired and silenced by a test and has a
//! runbook, and they ask for nothing that hopscope does not show.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::objects::run;

/// Checks deploy/prometheus, and gives the number of its alerts.
pub(super) fn check(root: &Path) -> Result<usize> {
    let folder = root.join("deploy/prometheus");
    let promtool = || Command::new("promtool");
    run(promtool()
        .args(["check", "rules"])
        .args([folder.join("rules.yaml"), folder.join("alerts.yaml")]))?;
    run(promtool().args(["test", "rules"]).arg(folder.join("tests.yaml")))?;

    let read = |file: &str| {
        let file = root.join(file);
        fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
    };
    let rules = read("deploy/prometheus/rules.yaml")?;
    let alerts = read("deploy/prometheus/alerts.yaml")?;
    let tests = read("deploy/prometheus/tests.yaml")?;
    let runbooks = read("docs/runbooks.md")?;
    let names: Vec<&str> = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    for name in &names {
        ensure!(
            alerts.contains(&format!("docs/runbooks.md#{}\n", name.to_lowercase()))
                && runbooks.contains(&format!("\n## {name}\n")),
            "{name} has no runbook"
        );
        let (fired, silent) = tried(&tests, name);
        ensure!(
            fired && silent,
            "{name} is not both fired and silenced in tests.yaml"
        );
    }
    let documented = [read("docs/metrics.md")?, read("docs/agent.md")?].concat();
    for metric in metrics(&[rules.as_str(), alerts.as_str()].concat()) {
        ensure!(
            documented.contains(&format!("`{metric}`")),
            "{metric} is asked for, and documented nowhere"
        );
    }
    Ok(names.len())
}

/// Whether a test expects an alert somewhere, and whether one expects its silence.
fn tried(tests: &str, alert: &str) -> (bool, bool) {
    let (mut fired, mut silent) = (false, false);
    let mut lines = tests.lines().peekable();
    while let Some(line) = lines.next() {
        if line
            .trim()
            .trim_end_matches('}')
            .ends_with(&format!("alertname: {alert}"))
        {
            let expected = lines.peek().is_some_and(|next| next.trim() == "exp_alerts:");
            fired |= expected;
            silent |= !expected;
        }
    }
    (fired, silent)
}

/// The names of hopscope's own series in a text.
pub(super) fn metrics(text: &str) -> BTreeSet<&str> {
    let word = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == ':';
    text.split(|character| !word(character))
        .filter(|name| name.starts_with("hopscope_") && name.len() > "hopscope_".len())
        // A pattern of names ends where its alternatives begin.
        .filter(|name| !name.ends_with('_'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_that_is_never_silent_in_the_tests_is_found() {
        let tests = "- {eval_time: 1m, alertname: A}\n- eval_time: 2m\n  alertname: A\n  exp_alerts:\n\
                     - eval_time: 2m\n  alertname: B\n  exp_alerts:\n";
        assert_eq!(tried(tests, "A"), (true, true));
        assert_eq!(tried(tests, "B"), (true, false));
        assert_eq!(tried(tests, "C"), (false, false));
    }

    #[test]
    fn recorded_names_and_patterns_are_not_taken_for_series() {
        let text = "sum by (job) (hopscope_a_total offset 5m) + path:hopscope_b:rate5m{__name__=~\"hopscope_node_(x)\"}";
        assert_eq!(metrics(text), BTreeSet::from(["hopscope_a_total"]));
    }
}
