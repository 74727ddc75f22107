//! Two hundred connections at a time through the real kubectl, with aborts, stalls and pod resets at random.
//!
//! Half a minute unless it is asked for longer: `HOPSCOPE_SOAK_SECONDS=120 cargo xtask scenarios soak`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hopscope_tests::client::{self, Outcome};
use hopscope_tests::kubectl;

use crate::stage::{PATIENCE, Stage, eventually};

/// Connections at a time.
const USERS: u64 = 200;

/// The pod resets a connection, and with it the runtime ends the whole forward.
const FIRST_RESET: Duration = Duration::from_secs(3);
const RESET_EVERY: Duration = Duration::from_secs(15);

#[test]
fn soak_every_connection_is_accounted_for_whatever_happens_to_the_forward() -> Result<()> {
    let seconds = std::env::var("HOPSCOPE_SOAK_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(30);
    let stage = Stage::build(&kubectl::youngest()?, &["--runtime=containerd-2.1"], &[])?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    let (opened, answered) = (AtomicU64::new(1), AtomicU64::new(1));
    thread::scope(|scope| {
        for user in 0..USERS {
            let (address, opened, answered) = (stage.address(), &opened, &answered);
            scope.spawn(move || {
                let mut next_reset = FIRST_RESET;
                // A walk through the deeds that differs from user to user and is the same in every run.
                let mut step = user.wrapping_mul(7_919);
                while Instant::now() < end {
                    step = step
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    opened.fetch_add(1, Ordering::Relaxed);
                    let reset_due = user == 0 && begun.elapsed() >= next_reset;
                    let outcome = match step >> 54 {
                        _ if reset_due => {
                            next_reset += RESET_EVERY;
                            client::get(address, "/reset", PATIENCE)
                        }
                        0..=9 => client::get(address, "/silent", Duration::from_millis(500)),
                        10..=30 => {
                            // An abort in the middle of an answer.
                            drop(client::open(address, "/bytes/3000000"));
                            continue;
                        }
                        31..=60 => client::get(address, "/late/200", PATIENCE),
                        _ => client::get(address, "/close", PATIENCE),
                    };
                    if matches!(outcome, Outcome::Refused | Outcome::Reset | Outcome::Ended(_)) {
                        // A user whose request failed does not come back at once.
                        thread::park_timeout(Duration::from_millis(200));
                    }
                    if matches!(outcome, Outcome::Answered(_)) {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    eventually("the path works again", Duration::from_mins(1), || {
        opened.fetch_add(1, Ordering::Relaxed);
        let ok = client::get(stage.address(), "/ok", PATIENCE) == Outcome::Answered(200);
        answered.fetch_add(u64::from(ok), Ordering::Relaxed);
        Ok(ok)
    })?;
    let report = stage.hopscope.finish()?;
    let (opened, answered) = (opened.into_inner(), answered.into_inner());
    ensure!(
        report.number("/totals/connections") == opened,
        "{opened} opened;\n{}",
        report.shown()
    );
    ensure!(
        answered > opened / 10,
        "only {answered} of {opened} were answered"
    );
    ensure!(report.number("/observer/events_lost") == 0, "{}", report.shown());
    // Each loss has a named trigger, or it is said that none was seen; and here every one was the pod's reset.
    let mut losses = 0;
    for turn in report
        .field("/run/paths/0/turns")
        .as_array()
        .into_iter()
        .flatten()
        .filter(|turn| turn.get("turn").and_then(serde_json::Value::as_str) == Some("exited"))
    {
        losses += 1;
        let reason = turn.get("reason").and_then(serde_json::Value::as_str);
        let named = reason.is_some_and(|reason| reason.starts_with("pod-"));
        ensure!(
            named || report.mentions("no trigger was seen"),
            "a loss without a trigger, and the report does not say so: {turn}\n{}",
            report.shown()
        );
    }
    let expected = seconds.saturating_sub(FIRST_RESET.as_secs()) / RESET_EVERY.as_secs();
    ensure!(
        losses >= expected.max(1),
        "only {losses} losses\n{}",
        report.shown()
    );
    ensure!(report.charged("tunnel-lost").failures == 0, "{}", report.shown());
    ensure!(
        report.charged("backend-reset").failures >= losses,
        "{losses} losses\n{}",
        report.shown()
    );
    println!("{opened} connections, {answered} answered, {losses} losses of the forward");
    Ok(())
}
