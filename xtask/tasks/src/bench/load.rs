//! Small requests, made by wrk.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::data::Outcome;
use super::place::Cores;
use super::workload::Workload;

/// wrk's own report is made for people; this line is made for us.
const REPORT: &str = r#"
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("figures %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end
"#;

/// Sixteen milliseconds between a response and the next request, over 64 connections: about 4,000 requests a second.
/// Spread, so that they do not come in bursts.
const PAUSE: &str = "
delay = function() return math.random(8, 24) end
";

/// Loads one port for a while.
pub(super) fn run(
    workload: Workload,
    port: u16,
    lasting: Duration,
    cores: Cores,
    folder: &Path,
) -> Result<Outcome> {
    let (connections, script, close) = match workload {
        Workload::KeepAlive200 => (200, REPORT.to_owned(), false),
        Workload::FixedRate | Workload::FixedRateUnpinned => (64, format!("{REPORT}{PAUSE}"), false),
        Workload::ConnectionPerRequest => (64, REPORT.to_owned(), true),
        Workload::KeepAlive64 | Workload::Down | Workload::Up | Workload::Idle => {
            (64, REPORT.to_owned(), false)
        }
    };
    let file = folder.join(format!("{}.lua", workload.word()));
    fs::write(&file, script)?;
    let mut command = Command::new("taskset");
    command
        .args([
            "-c",
            &cores.of_load(workload),
            "wrk",
            "--threads",
            if workload.is_pinned() { "1" } else { "2" },
            "--connections",
            &connections.to_string(),
        ])
        .args(["--duration", &format!("{}s", lasting.as_secs())])
        .arg("--script")
        .arg(&file);
    if close {
        command.args(["--header", "Connection: close"]);
    }
    let output = command
        .arg(format!("http://127.0.0.1:{port}/"))
        .output()
        .context("running wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<u64> = text
        .lines()
        .find_map(|line| line.strip_prefix("figures "))
        .with_context(|| {
            format!(
                "wrk gave no figures: {text}{}",
                String::from_utf8_lossy(&output.stderr)
            )
        })?
        .split(' ')
        .filter_map(|figure| figure.parse().ok())
        .collect();
    let [requests, micros, p50_us, p99_us, errors] = figures[..] else {
        anyhow::bail!("wrk gave figures of another kind: {text}");
    };
    ensure!(requests > 0, "nothing came back from port {port}");
    Ok(Outcome {
        requests,
        bytes: 0,
        micros,
        p50_us,
        p99_us,
        errors,
    })
}
