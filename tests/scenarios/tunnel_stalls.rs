//! Faults of a forward that take half a minute to show. They wait at the same time. The letters are those of
//! `tunnel_faults`.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hopscope_tests::client::{self, Outcome};
use hopscope_tests::kubectl;

use crate::stage::{Expected, PATIENCE, Stage, of};

/// More than kubectl's 30 s, and what comes on top.
const STREAM_LIMIT: Duration = Duration::from_secs(45);

/// A fault's letter, and how it is staged.
type Row = (&'static str, fn() -> Result<()>);

#[test]
fn every_stall_of_a_tunnel_is_told_from_the_others() -> Result<()> {
    let rows: [Row; 6] = [
        ("C5", c5_an_unanswered_stream_is_a_time_out_of_the_tunnel),
        ("C5, replaced", c5_the_damaged_kubectl_is_replaced),
        ("D1", d1_a_reader_that_does_not_read_blocks_the_others),
        ("D2", d2_an_abort_wedges_an_old_kubectl_and_spares_a_young_one),
        ("D3", d3_a_pod_that_does_not_read_blocks_the_others),
        ("D4", d4_a_late_reply_poisons_a_worker_and_the_rhythm_tells),
    ];
    let failed: Vec<String> = thread::scope(|scope| {
        let running: Vec<_> = rows
            .into_iter()
            .map(|(name, row)| (name, scope.spawn(row)))
            .collect();
        running
            .into_iter()
            .filter_map(|(name, row)| match row.join() {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("{name}: {error:#}")),
                Err(_) => Some(format!("{name}: panicked")),
            })
            .collect()
    });
    ensure!(failed.is_empty(), "{}", failed.join("\n\n"));
    Ok(())
}

fn gone(outcome: Outcome) -> Result<()> {
    ensure!(
        matches!(outcome, Outcome::Ended(0) | Outcome::Reset),
        "{outcome:?}"
    );
    Ok(())
}

fn c5_an_unanswered_stream_is_a_time_out_of_the_tunnel() -> Result<()> {
    let mut stage = Stage::build(&kubectl::youngest()?, &[], &["--tunnel-restart=never"])?;
    stage.cluster.order("stream next=1 no-error-reply")?;
    gone(client::get(stage.address(), "/ok", STREAM_LIMIT))?;
    stage.judge(&[
        Expected::Verdict("tunnel tunnel-timeout"),
        Expected::Charged("tunnel-timeout", of(1, 0)),
    ])
}

fn c5_the_damaged_kubectl_is_replaced() -> Result<()> {
    let mut stage = Stage::build(&kubectl::youngest()?, &[], &[])?;
    let damaged = stage.kubectl_pid()?;
    stage.cluster.order("stream next=1 no-error-reply")?;
    gone(client::get(stage.address(), "/ok", STREAM_LIMIT))?;
    crate::stage::eventually("the damaged kubectl is gone", PATIENCE, || {
        Ok(stage.kubectl_pid().is_ok_and(|pid| pid != damaged))
    })?;
    stage.expect_ok()?;
    stage.judge(&[Expected::Verdict("tunnel tunnel-timeout")])
}

fn d1_a_reader_that_does_not_read_blocks_the_others() -> Result<()> {
    let stage = Stage::build(&kubectl::youngest()?, &[], &["--tunnel-restart=never"])?;
    let lazy = client::open(stage.address(), "/bytes/200000000")?;
    lazy.peek(&mut [0]).context("the answer begins")?;
    // Established ones freeze, and new ones do not come about.
    crate::stage::eventually("another request hangs", PATIENCE, || {
        Ok(client::get(stage.address(), "/ok", Duration::from_secs(2)) == Outcome::TimedOut)
    })?;
    gone(client::get(stage.address(), "/ok", STREAM_LIMIT))?;
    drop(lazy);
    stage.judge(&[
        Expected::Verdict("tunnel tunnel-head-of-line"),
        Expected::AtLeast("tunnel-head-of-line", 1),
    ])
}

/// kubectl up to 1.31 stays wedged when a reader aborts; younger ones recover. The oldest at hand shows its kind.
fn d2_an_abort_wedges_an_old_kubectl_and_spares_a_young_one() -> Result<()> {
    let old = kubectl::within_versions(0..=31)?;
    let wedges = old.is_some();
    let kubectl = old.map_or_else(kubectl::youngest, Ok)?;
    let stage = Stage::build(&kubectl, &[], &["--tunnel-restart=never"])?;
    let lazy = client::open(stage.address(), "/bytes/200000000")?;
    lazy.peek(&mut [0]).context("the answer begins")?;
    crate::stage::eventually("another request hangs", PATIENCE, || {
        Ok(client::get(stage.address(), "/ok", Duration::from_secs(2)) == Outcome::TimedOut)
    })?;
    drop(lazy);
    if wedges {
        gone(client::get(stage.address(), "/ok", STREAM_LIMIT))?;
        return stage.judge(&[Expected::Verdict("tunnel tunnel-head-of-line")]);
    }
    crate::stage::eventually("requests are answered again", PATIENCE, || {
        Ok(client::get(stage.address(), "/ok", Duration::from_secs(2)) == Outcome::Answered(200))
    })
}

fn d3_a_pod_that_does_not_read_blocks_the_others() -> Result<()> {
    let stage = Stage::build(&kubectl::youngest()?, &[], &["--tunnel-restart=never"])?;
    let mut upload = TcpStream::connect(stage.address())?;
    upload.set_write_timeout(Some(Duration::from_secs(3)))?;
    upload.write_all(b"POST /deaf HTTP/1.1\r\nhost: web\r\ncontent-length: 400000000\r\n\r\n")?;
    let piece = vec![b'x'; 256 * 1024];
    while upload.write_all(&piece).is_ok() {}
    // No error and no time-out ever comes: the new one waits for as long as its generator does.
    let outcome = client::get(stage.address(), "/ok", Duration::from_secs(8));
    ensure!(outcome == Outcome::TimedOut, "{outcome:?}");
    drop(upload);
    stage.judge(&[Expected::AtLeast("tunnel-head-of-line", 1)])
}

fn d4_a_late_reply_poisons_a_worker_and_the_rhythm_tells() -> Result<()> {
    let mut stage = Stage::build(&kubectl::youngest()?, &[], &["--tunnel-restart=never"])?;
    stage.cluster.order("stream next=1 late-error-reply:31000")?;
    gone(client::get(stage.address(), "/ok", STREAM_LIMIT))?;
    // The node's own complaint comes now, the late reply a second later. Nothing outside kubectl shows that it has read
    // them, so this waits for twice that second.
    stage.eventually_lists("pair-timed-out")?;
    thread::park_timeout(Duration::from_secs(2));
    // One after the other, so that their stream numbers are in order; those that hang go on hanging meanwhile. Every
    // third of so many is a rhythm that chance does not give.
    let (address, count) = (stage.address(), 36);
    let hung = thread::scope(|scope| {
        let mut asked = Vec::new();
        for _ in 0..count {
            let before = stage.application.asked();
            asked.push(scope.spawn(move || client::get(address, "/ok", STREAM_LIMIT)));
            // One that hangs never gets there.
            let arrived = stage
                .application
                .wait_until_asked(before + 1, Duration::from_millis(1_500));
            drop(arrived);
        }
        let outcomes = asked.into_iter().filter_map(|asked| asked.join().ok());
        outcomes
            .filter(|outcome| *outcome != Outcome::Answered(200))
            .count()
    });
    ensure!(
        (10..=14).contains(&hung),
        "{hung} of {count} hung, not every third"
    );
    stage.judge(&[
        Expected::Verdict("tunnel tunnel-poisoned"),
        Expected::AtLeast("tunnel-poisoned", 10),
    ])
}
