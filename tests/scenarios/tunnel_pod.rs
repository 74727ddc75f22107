//! What a pod does to a forward, beyond refusing and resetting: addresses, queues, bodies and half-closes. The letters
//! are those of `tunnel_faults`.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use hopscope_tests::application::Application;
use hopscope_tests::client::{self, Outcome};
use hopscope_tests::cluster::POD_PORT;
use hopscope_tests::kubectl;
use hopscope_tests::netns::Netns;
use socket2::{Domain, Socket, Type};

use crate::stage::{Expected, PATIENCE, Stage, Ways, failed, of};

const NEVER: &[&str] = &["--tunnel-restart=never"];

fn ask(address: SocketAddr, request: &str) -> Result<TcpStream> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    connection.write_all(request.as_bytes())?;
    Ok(connection)
}

#[test]
fn b2_an_application_on_another_address_of_the_pod_refuses_the_forward() -> Result<()> {
    Ways::extremes()?.each(|kubectl| {
        let mut stage = Stage::build(kubectl, &[], NEVER)?;
        let victims = stage.waiting(4)?;
        // The node dials 127.0.0.1, and the application listens on its pod's address alone: the kernel refuses.
        let elsewhere = Application::start_on(Ipv4Addr::new(127, 0, 0, 2))?;
        let port = elsewhere.address().port();
        stage
            .cluster
            .order(&format!("port web {POD_PORT} 127.0.0.1:{port}"))?;
        failed(client::get(stage.address(), "/ok", PATIENCE))?;
        victims.all_fail(PATIENCE)?;
        ensure!(elsewhere.asked() == 0, "it was reached");
        stage.judge(&[
            Expected::Verdict("backend backend-refused"),
            Expected::Charged("backend-refused", of(5, 4)),
            Expected::Says("on 127.0.0.1 as well when a forward is used"),
        ])
    })
}

/// What three requests meet where the kernel takes connections on the application's behalf and nobody ever reads them,
/// while `meanwhile` goes on.
fn unaccepted(stage: &mut Stage, meanwhile: impl FnOnce(&mut Stage) -> Result<()>) -> Result<()> {
    let idle = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = idle.local_addr()?;
    stage.cluster.order(&format!("port web {POD_PORT} {address}"))?;
    let through = stage.address();
    let waiting = thread::spawn(move || client::get_at_once(through, "/ok", 3, Duration::from_secs(4)));
    meanwhile(stage)?;
    let outcomes = waiting.join().map_err(|_panic| anyhow!("the client panicked"))?;
    ensure!(outcomes == [Outcome::TimedOut; 3], "{outcomes:?}");
    Ok(())
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "an answer must be long overdue before the forward delivers again"
)]
fn b3_an_application_that_does_not_accept_is_silent_and_the_tunnel_is_not_charged() -> Result<()> {
    Ways::extremes()?.each(|kubectl| {
        let mut stage = Stage::build(kubectl, &[], NEVER)?;
        unaccepted(&mut stage, |stage| {
            // The forward goes on to deliver while they wait.
            thread::sleep(Duration::from_secs(2));
            let well = stage.application.address();
            stage.cluster.order(&format!("port web {POD_PORT} {well}"))?;
            stage.expect_ok()
        })?;
        stage.judge(&[
            Expected::Verdict("backend backend-timeout"),
            Expected::Charged("backend-timeout", of(3, 0)),
        ])
    })
}

#[test]
fn b3_where_nothing_came_through_the_forward_meanwhile_the_tunnel_is_not_charged_either() -> Result<()> {
    Ways::extremes()?.each(|kubectl| {
        let mut stage = Stage::build(kubectl, &[], NEVER)?;
        unaccepted(&mut stage, |_| Ok(()))?;
        let of_the_tunnel = [
            "tunnel-blackhole",
            "tunnel-timeout",
            "tunnel-lost",
            "tunnel-hung",
            "tunnel-stopped",
            "tunnel-head-of-line",
        ];
        stage.judge(&of_the_tunnel.map(Expected::Innocent))
    })
}

#[test]
fn b3_a_full_accept_queue_ends_the_forward_after_the_kernels_last_syn() -> Result<()> {
    Netns::new()?.within(|| {
        // 1 s and 2 s in place of 131 s.
        std::fs::write("/proc/sys/net/ipv4/tcp_syn_retries", "1").context("tcp_syn_retries")?;
        let linear = std::path::Path::new("/proc/sys/net/ipv4/tcp_syn_linear_timeouts");
        if linear.exists() {
            std::fs::write(linear, "0")?;
        }
        Ways::extremes()?.each(|kubectl| {
            let mut stage = Stage::build(kubectl, &[], NEVER)?;
            let victims = stage.waiting(4)?;
            let full = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            full.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
            // A queue of length 0 holds one.
            full.listen(0)?;
            let address = full.local_addr()?.as_socket().context("an address")?;
            let only = TcpStream::connect(address)?;
            stage.cluster.order(&format!("port web {POD_PORT} {address}"))?;
            failed(client::get(stage.address(), "/ok", PATIENCE))?;
            victims.all_fail(PATIENCE)?;
            drop(only);
            stage.judge(&[
                Expected::Verdict("backend backend-accept-queue"),
                Expected::Charged("backend-accept-queue", of(5, 4)),
                Expected::Says("connection timed out"),
            ])
        })
    })
}

#[test]
fn b6_a_pod_that_closes_without_reading_the_body_is_named_and_the_answered_request_is_no_victim() -> Result<()>
{
    Ways::extremes()?.each(|kubectl| {
        let stage = Stage::build(kubectl, &["--runtime=containerd-2.1"], NEVER)?;
        let victims = stage.waiting(4)?;
        let mut upload = ask(
            stage.address(),
            "POST /early HTTP/1.1\r\nhost: web\r\ncontent-length: 4000000\r\n\r\n",
        )?;
        // Written as far as it goes: the answer comes before it is through.
        drop(upload.write_all(&vec![b'x'; 2_000_000]));
        let outcome = client::read(upload, PATIENCE);
        victims.all_fail(PATIENCE)?;
        ensure!(outcome == Outcome::Answered(200), "{outcome:?}");
        stage.judge(&[
            Expected::Verdict("backend backend-unread-body"),
            Expected::Charged("backend-unread-body", of(4, 4)),
            Expected::Innocent("tunnel-lost"),
        ])
    })
}

#[test]
fn b8_a_half_close_that_outlasts_the_drain_is_the_forwards_failure() -> Result<()> {
    Ways::extremes()?.each(|kubectl| {
        let stage = Stage::build(kubectl, &[], NEVER)?;
        for _ in 0..2 {
            let connection = client::open(stage.address(), "/late/2500")?;
            connection.shutdown(Shutdown::Write)?;
            let began = Instant::now();
            let outcome = client::read(connection, PATIENCE);
            ensure!(outcome == Outcome::Ended(0), "{outcome:?}");
            ensure!(
                began.elapsed() < Duration::from_millis(2_400),
                "the answer was waited for"
            );
        }
        stage.judge(&[
            Expected::Verdict("tunnel tunnel-half-close"),
            Expected::Charged("tunnel-half-close", of(2, 0)),
            Expected::Innocent("backend-timeout"),
        ])
    })
}

#[test]
fn b9_a_pod_that_half_closes_ends_both_directions_and_nobody_is_charged() -> Result<()> {
    Ways::extremes()?.each(|kubectl| {
        let stage = Stage::build(kubectl, &[], NEVER)?;
        let mut upload = ask(
            stage.address(),
            "POST /half HTTP/1.1\r\nhost: web\r\ncontent-length: 400000000\r\n\r\n",
        )?;
        let mut answer = Vec::new();
        let ended = upload.read_to_end(&mut answer);
        ensure!(
            answer.starts_with(b"HTTP/1.1 200 OK") && answer.ends_with(b"ok"),
            "{ended:?}: {}",
            String::from_utf8_lossy(&answer)
        );
        // The pod reads on; what is written now does not get there.
        let deadline = Instant::now() + PATIENCE;
        while upload.write_all(&[b'x'; 1_000]).is_ok() {
            ensure!(Instant::now() < deadline, "kubectl still takes bytes");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        stage.expect_ok()?;
        stage.judge(&[Expected::Verdict("none"), Expected::Innocent("tunnel-lost")])
    })
}

#[test]
fn e6_a_throttled_tunnel_is_slow_and_who_waits_behind_a_long_answer_does_not_blame_the_pod() -> Result<()> {
    let stage = Stage::build(
        &kubectl::youngest()?,
        &["--command", "tunnel throttle:200000"],
        NEVER,
    )?;
    // Slow, and whole.
    let began = Instant::now();
    let outcome = client::get(stage.address(), "/bytes/400000", PATIENCE);
    ensure!(outcome == Outcome::Answered(200), "{outcome:?}");
    ensure!(
        began.elapsed() > Duration::from_secs(1),
        "it was not throttled: {:?}",
        began.elapsed()
    );
    // Behind what others asked for before: each piece of theirs comes first.
    let long: Vec<TcpStream> = (0..8)
        .map(|_| client::open(stage.address(), "/bytes/300000"))
        .collect::<Result<_>>()?;
    for connection in &long {
        connection.peek(&mut [0]).context("the answer begins")?;
    }
    let address = stage.address();
    let behind = std::thread::spawn(move || client::get_at_once(address, "/ok", 3, Duration::from_secs(2)));
    let whole: Vec<_> = long
        .into_iter()
        .map(|connection| std::thread::spawn(move || client::read(connection, Duration::from_mins(1))))
        .collect();
    for answer in whole {
        let outcome = answer.join().map_err(|_panic| anyhow::anyhow!("it panicked"))?;
        ensure!(outcome == Outcome::Answered(200), "{outcome:?}");
    }
    let outcomes = behind.join().map_err(|_panic| anyhow::anyhow!("it panicked"))?;
    let late = outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::TimedOut)
        .count();
    ensure!(late > 0, "nobody had to wait: {outcomes:?}");
    stage.judge(&[
        Expected::Innocent("backend-timeout"),
        Expected::Innocent("backend-reset"),
        Expected::Innocent("tunnel-lost"),
    ])
}
