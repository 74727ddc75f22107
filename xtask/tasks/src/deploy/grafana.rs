//! The dashboards for Grafana: each panel has a unit that fits what it asks for, a legend of labels that its series
//! have, and asks for series that hopscope shows or its rules record. Whether Prometheus answers, a scenario tries.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::objects::{list, text_of};
use super::prometheus::metrics;

const DASHBOARDS: [&str; 2] = ["fleet", "run"];

/// Checks deploy/grafana, and gives the number of panels.
pub(super) fn check(root: &Path) -> Result<usize> {
    let read = |file: &str| {
        let file = root.join(file);
        fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
    };
    let documented = [read("docs/metrics.md")?, read("docs/agent.md")?].concat();
    let recorded = read("deploy/prometheus/rules.yaml")?;
    let (mut uids, mut number) = (BTreeSet::new(), 0);
    for name in DASHBOARDS {
        let dashboard: Value = serde_json::from_str(&read(&format!("deploy/grafana/{name}.json"))?)
            .with_context(|| format!("{name} is no JSON"))?;
        ensure!(
            uids.insert(text_of(&dashboard, "/uid")?.to_owned()),
            "{name} has another dashboard's uid"
        );
        let mut ids = BTreeSet::new();
        for panel in list(&dashboard, "/panels")? {
            let title = text_of(panel, "/title")?;
            ensure!(ids.insert(panel["id"].as_u64()), "{title}: its id is taken");
            ensure!(
                !text_of(panel, "/description")?.is_empty(),
                "{title}: it explains nothing"
            );
            for target in list(panel, "/targets")? {
                let fault = fault(panel, target, &documented, &recorded)?;
                ensure!(fault.is_none(), "{name}, {title}: {}", fault.unwrap_or_default());
            }
            number += 1;
        }
    }
    Ok(number)
}

/// What is wrong with a query of a panel.
fn fault(panel: &Value, target: &Value, documented: &str, recorded: &str) -> Result<Option<String>> {
    let query = text_of(target, "/expr")?;
    let unit = text_of(panel, "/fieldConfig/defaults/unit")?;
    if !units(query).contains(&unit) {
        return Ok(Some(format!("{query} is not in {unit}")));
    }
    for label in text_of(target, "/legendFormat")?.split("{{").skip(1) {
        let label = label.split("}}").next().unwrap_or_default();
        let grouped = query.split("by (").skip(1).any(|rest| {
            let labels = rest.split(')').next().unwrap_or_default();
            labels.split(", ").any(|one| one == label)
        });
        let name = query.split('{').next().unwrap_or_default();
        let recorded_by = name.contains(':') && name.contains(label);
        let plain = !query.contains('(') && documented.contains(&format!("`{label}`"));
        if !(grouped || recorded_by || plain) {
            return Ok(Some(format!(
                "its legend names {label}, which its series do not have"
            )));
        }
    }
    for metric in metrics(query) {
        let family = metric.strip_suffix("_bucket").unwrap_or(metric);
        if !documented.contains(&format!("`{family}`")) {
            return Ok(Some(format!("{metric} is documented nowhere")));
        }
    }
    let word = |character: char| character.is_ascii_alphanumeric() || "_:".contains(character);
    for name in query
        .split(|character| !word(character))
        .filter(|name| name.contains(":hopscope_"))
    {
        if !recorded.contains(&format!("record: {name}\n")) {
            return Ok(Some(format!("{name} is not recorded")));
        }
    }
    Ok(None)
}

/// Units of Grafana's that fit a query: base units of its metrics, a second for rates.
fn units(query: &str) -> &'static [&'static str] {
    let asks = |word: &str| query.contains(word);
    if asks(":share5m") {
        &["percentunit"]
    } else if asks("_seconds") {
        &["s"]
    } else if !asks("rate(") {
        &["short"]
    } else if asks("_requests_total") {
        &["reqps"]
    } else if asks("connections_total") || asks("_connects_total") {
        &["cps"]
    } else {
        &["pps"]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_unit_a_label_that_is_not_there_and_an_unknown_series_are_found() {
        let found = |unit: &str, query: &str, legend: &str| {
            let panel = json!({"fieldConfig": {"defaults": {"unit": unit}}});
            let target = json!({"expr": query, "legendFormat": legend});
            let documented = "`hopscope_requests_total` `hopscope_up` `path`";
            let recorded = "  - record: path:hopscope_x:share5m\n";
            fault(&panel, &target, documented, recorded)
                .unwrap()
                .unwrap_or_default()
        };
        let rate = "sum by (path) (rate(hopscope_requests_total[1m]))";
        assert_eq!(found("reqps", rate, "{{path}}"), "");
        assert_eq!(found("short", "hopscope_up", "{{path}}"), "");
        assert_eq!(found("percentunit", "path:hopscope_x:share5m", "{{path}}"), "");
        assert!(found("s", rate, "{{path}}").contains("is not in s"));
        assert!(found("reqps", rate, "{{hop}}").contains("names hop"));
        assert!(found("short", "hopscope_down", "down").contains("documented nowhere"));
        assert!(found("percentunit", "path:hopscope_y:share5m", "y").contains("not recorded"));
    }
}
