//! Faults of a forward that take half a minute to show. They wait at the same time. The letters are those of
//! `tunnel_faults`.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hopscope_tests::client::{self, Outcome};
use hopscope_tests::cluster::POD_PORT;
use hopscope_tests::kubectl::{self, Kubectl};
use hopscope_tests::netns::{Netns, tool};
use hopscope_tests::scrape;

use crate::stage::{Expected, PATIENCE, Stage, check, of};

/// More than kubectl's 30 s, and what comes on top.
const STREAM_LIMIT: Duration = Duration::from_secs(45);

/// A fault's letter, and how it is staged.
type Row = (String, Box<dyn FnOnce() -> Result<()> + Send>);

fn row(name: &str, play: impl FnOnce() -> Result<()> + Send + 'static) -> Row {
    (name.to_owned(), Box::new(play))
}

#[test]
fn a_tunnel_that_does_not_answer_is_told_from_one_that_is_gone() -> Result<()> {
    play(vec![
        row("C3", c3_a_black_hole_is_told_from_a_silent_server),
        row("C4", c4_an_idle_cut_is_a_loss_unless_pings_come_sooner),
        row("C5, error stream", || {
            c5_an_unanswered_stream_is_a_time_out_of_the_tunnel("no-error-reply")
        }),
        row("C5, data stream", || {
            c5_an_unanswered_stream_is_a_time_out_of_the_tunnel("no-data-reply")
        }),
        row("restarts", every_loss_and_restart_is_told_in_three_places),
    ])
}

#[test]
fn every_stream_that_blocks_the_others_is_named() -> Result<()> {
    play(vec![
        row("D1", d1_a_reader_that_does_not_read_blocks_the_others),
        row("D4", d4_a_late_reply_poisons_a_worker_and_the_rhythm_tells),
    ])?;
    // What an abort does depends on the version, and so may what a deaf pod does: with each kubectl at hand. They fill
    // every buffer on the way, so not all at once.
    let all = kubectl::all()?;
    for some in all.chunks(2) {
        let mut rows = Vec::new();
        for kubectl in some {
            let (minor, first, second) = (kubectl.minor, kubectl.clone(), kubectl.clone());
            rows.push(row(&format!("D2 with kubectl 1.{minor}"), move || {
                d2_an_abort_wedges_an_old_kubectl_and_spares_a_young_one(&first)
            }));
            rows.push(row(&format!("D3 with kubectl 1.{minor}"), move || {
                d3_a_pod_that_does_not_read_blocks_the_others(&second)
            }));
        }
        play(rows)?;
    }
    Ok(())
}

/// Plays rows side by side: they do little but wait.
fn play(rows: Vec<Row>) -> Result<()> {
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

fn c3_a_black_hole_is_told_from_a_silent_server() -> Result<()> {
    Netns::new()?.within(|| {
        let stage = Stage::build(&kubectl::youngest()?, &[], &["--tunnel-restart=never"])?;
        let port = stage.cluster.port()?;
        // From here on every packet of the tunnel's is dropped, both ways, and nobody says so.
        let hole = format!(
            "add table inet hole; \
             add chain inet hole in {{ type filter hook input priority 0; }}; \
             add rule inet hole in tcp dport {port} drop; \
             add rule inet hole in tcp sport {port} drop"
        );
        tool(&["nft", &hole])?;
        for outcome in client::get_at_once(stage.address(), "/ok", 3, STREAM_LIMIT) {
            gone(outcome)?;
        }
        stage.judge(&[
            Expected::Verdict("tunnel tunnel-blackhole"),
            Expected::Charged("tunnel-blackhole", of(3, 0)),
            Expected::Says("was not acknowledged"),
        ])
    })
}

fn c4_an_idle_cut_is_a_loss_unless_pings_come_sooner() -> Result<()> {
    let scripts = tempfile::TempDir::new()?;
    let youngest = kubectl::youngest()?;
    let spdy = youngest.over_spdy(scripts.path())?;
    thread::scope(|scope| {
        // SPDY pings every 5 s, WebSocket every 10 s: only one of them lives under a limit of 8 s.
        let lives = scope.spawn(|| {
            let stage = Stage::build(&spdy, &["--command", "idle 8000"], &["--tunnel-restart=never"])?;
            let kubectl = stage.kubectl_pid()?;
            thread::park_timeout(Duration::from_secs(13));
            stage.expect_ok()?;
            ensure!(stage.kubectl_pid()? == kubectl, "it is another kubectl");
            stage.judge(&[Expected::Verdict("none")])
        });
        let stage = Stage::build(
            &youngest,
            &["--command", "idle 8000"],
            &["--tunnel-restart=never"],
        )?;
        let victims = stage.waiting(4)?;
        victims.all_fail(PATIENCE)?;
        crate::stage::eventually("kubectl is gone", PATIENCE, || {
            Ok(stage.kubectl_pids()?.is_empty())
        })?;
        stage.judge(&[
            Expected::Verdict("tunnel tunnel-lost"),
            Expected::Charged("tunnel-lost", of(4, 4)),
        ])?;
        lives.join().map_err(|_panic| anyhow::anyhow!("it panicked"))?
    })
}

fn c5_an_unanswered_stream_is_a_time_out_of_the_tunnel(fault: &str) -> Result<()> {
    let mut stage = Stage::build(&kubectl::youngest()?, &[], &["--tunnel-restart=never"])?;
    stage.cluster.order(&format!("stream next=1 {fault}"))?;
    gone(client::get(stage.address(), "/ok", STREAM_LIMIT))?;
    stage.judge(&[
        Expected::Verdict("tunnel tunnel-timeout"),
        Expected::Charged("tunnel-timeout", of(1, 0)),
        Expected::Innocent("backend-timeout"),
    ])
}

/// A pod that refuses ends the first kubectl; a stream that times out damages the second, which is replaced.
fn every_loss_and_restart_is_told_in_three_places() -> Result<()> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let metrics = free.local_addr()?;
    drop(free);
    let option = format!("--metrics={metrics}");
    let mut stage = Stage::build(&kubectl::youngest()?, &[], &[&option])?;
    let first = stage.kubectl_pid()?;
    stage.cluster.order(&format!("port web {POD_PORT} closed"))?;
    crate::stage::failed(client::get(stage.address(), "/ok", PATIENCE))?;
    let application = stage.application.address();
    stage
        .cluster
        .order(&format!("port web {POD_PORT} {application}"))?;
    crate::stage::eventually("another kubectl serves", PATIENCE, || {
        Ok(client::get(stage.address(), "/ok", PATIENCE) == Outcome::Answered(200))
    })?;
    let damaged = stage.kubectl_pid()?;
    ensure!(damaged != first, "it is the same kubectl");
    stage.cluster.order("stream next=1 no-error-reply")?;
    gone(client::get(stage.address(), "/ok", STREAM_LIMIT))?;
    crate::stage::eventually("the damaged kubectl is gone", PATIENCE, || {
        Ok(stage.kubectl_pid().is_ok_and(|pid| pid != damaged))
    })?;
    stage.expect_ok()?;
    let text = scrape::get(metrics, "/metrics")?;
    for (family, reason, expected) in [
        ("hopscope_tunnel_losses_total", "pod-refused", 1.0),
        ("hopscope_tunnel_losses_total", "stream-timeout", 1.0),
        ("hopscope_tunnel_restarts_total", "pod-refused", 1.0),
        ("hopscope_tunnel_restarts_total", "stream-timeout", 1.0),
    ] {
        let counted = scrape::sum(&text, family, &[("reason", reason)]);
        ensure!(
            (counted - expected).abs() < 0.5,
            "{family} {reason}: {counted}\n{text}"
        );
    }
    let sum = |family| scrape::sum(&text, family, &[]);
    ensure!(sum("hopscope_tunnel_starts_total") > 2.5, "{text}");
    ensure!(sum("hopscope_tunnel_up") > 0.5, "{text}");
    let folder = stage.cluster.folder().join("run.hopscope");
    let Stage {
        hopscope, cluster, ..
    } = stage;
    let report = hopscope.finish()?;
    let recorded = {
        let file = rusqlite::Connection::open(folder)?;
        let mut rows = file.prepare("SELECT kind, reason FROM tunnel_life ORDER BY rowid")?;
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<Vec<(String, Option<String>)>, _>>()?
    };
    drop(cluster);
    let told: Vec<(String, Option<String>)> = report
        .field("/run/paths/0/turns")
        .as_array()
        .into_iter()
        .flatten()
        .map(|turn| {
            let word = |field: &str| turn.get(field).and_then(|word| word.as_str()).map(str::to_owned);
            let code = turn.get("exit_code").and_then(serde_json::Value::as_i64);
            let kind = word("turn").unwrap_or_default();
            (
                code.map_or_else(|| kind.clone(), |code| format!("{kind}:{code}")),
                word("reason"),
            )
        })
        .collect();
    ensure!(recorded == told, "recorded {recorded:?}\ntold {told:?}");
    let refused = Some("pod-refused".to_owned());
    let late = Some("stream-timeout".to_owned());
    for expected in [
        ("started".to_owned(), None),
        ("exited:1".to_owned(), refused.clone()),
        ("started".to_owned(), refused),
        ("started".to_owned(), late.clone()),
        ("replaced".to_owned(), late),
        ("drained".to_owned(), None),
        ("stopped".to_owned(), None),
    ] {
        ensure!(recorded.contains(&expected), "no {expected:?} in {recorded:?}");
    }
    check(
        &report,
        &[
            Expected::AtLeast("backend-refused", 1),
            Expected::Charged("tunnel-timeout", of(1, 0)),
            Expected::Innocent("tunnel-lost"),
        ],
    )
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
        Expected::Says("stalled the tunnel: its generator left an answer unread"),
        Expected::Innocent("backend-timeout"),
    ])
}

/// kubectl up to 1.31 stays wedged when a reader aborts; younger ones recover.
fn d2_an_abort_wedges_an_old_kubectl_and_spares_a_young_one(kubectl: &Kubectl) -> Result<()> {
    let stage = Stage::build(kubectl, &[], &["--tunnel-restart=never"])?;
    let lazy = client::open(stage.address(), "/bytes/200000000")?;
    lazy.peek(&mut [0]).context("the answer begins")?;
    crate::stage::eventually("another request hangs", PATIENCE, || {
        Ok(client::get(stage.address(), "/ok", Duration::from_secs(2)) == Outcome::TimedOut)
    })?;
    drop(lazy);
    if kubectl.minor <= 31 {
        gone(client::get(stage.address(), "/ok", STREAM_LIMIT))?;
        return stage.judge(&[
            Expected::Verdict("tunnel tunnel-head-of-line"),
            Expected::Innocent("backend-timeout"),
        ]);
    }
    crate::stage::eventually("requests are answered again", PATIENCE, || {
        Ok(client::get(stage.address(), "/ok", Duration::from_secs(2)) == Outcome::Answered(200))
    })?;
    stage.judge(&[Expected::Innocent("backend-timeout")])
}

fn d3_a_pod_that_does_not_read_blocks_the_others(kubectl: &Kubectl) -> Result<()> {
    let stage = Stage::build(kubectl, &[], &["--tunnel-restart=never"])?;
    let mut upload = TcpStream::connect(stage.address())?;
    upload.set_write_timeout(Some(Duration::from_secs(3)))?;
    upload.write_all(b"POST /deaf HTTP/1.1\r\nhost: web\r\ncontent-length: 400000000\r\n\r\n")?;
    let piece = vec![b'x'; 256 * 1024];
    while upload.write_all(&piece).is_ok() {}
    // No error and no time-out ever comes: new ones wait for as long as their generator does.
    let outcomes = client::get_at_once(stage.address(), "/ok", 4, Duration::from_secs(8));
    ensure!(outcomes == [Outcome::TimedOut; 4], "{outcomes:?}");
    drop(upload);
    stage.judge(&[
        Expected::Verdict("tunnel tunnel-head-of-line"),
        Expected::AtLeast("tunnel-head-of-line", 4),
        Expected::Says("filled the tunnel"),
        Expected::Says("the pod's side did not read"),
        Expected::Innocent("backend-timeout"),
    ])
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
        Expected::Says("of kubectl's five frame workers stuck"),
    ])
}
