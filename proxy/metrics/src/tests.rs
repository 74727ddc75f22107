//! The metrics agree with what was recorded, and Prometheus takes them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hopscope_attribution::evidence::tunnel::{TunnelLife, TunnelMeaning};
use hopscope_attribution::evidence::{
    ConnectFailure, ConnectionId, Cut, Delivery, Ending, Moment, Path, PathId, PathKind, RouteId, Span,
    TunnelLifeEvent, Upstream,
};

use super::{Exposition, Metrics, OVERFLOW};
use crate::serve::{Access, Answer, on_a_thread};
use hopscope_fixtures::{connection, exchange, facts};
use hopscope_recording::{FinalFacts, Options, Recorder, RecordingHandle, create};

/// Records what it is told and gives the metrics that came of it.
fn metrics(tell: impl FnOnce(&RecordingHandle, &mut Recorder)) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let metrics = Metrics::new(&facts().paths, "0.1.0").expect("families with names of their own");
    let exposition: Exposition = metrics.exposition();
    let (handle, closing) = create(
        &folder.path().join("run.sqlite"),
        &facts(),
        &Options::default(),
        vec![Box::new(metrics)],
    )
    .expect("a recording");
    let mut recorder = handle.recorder();
    tell(&handle, &mut recorder);
    drop(recorder);
    let ended = Moment(10_000_000);
    closing
        .finish(FinalFacts {
            ended,
            ..FinalFacts::default()
        })
        .expect("the writer ends");
    exposition.text()
}

#[track_caller]
fn assert_series(text: &str, series: &str) {
    assert!(
        text.lines().any(|line| line == series),
        "no `{series}` in\n{text}"
    );
}

#[test]
fn requests_are_counted_by_path_route_and_class() {
    let text = metrics(|handle, recorder| {
        handle.route(RouteId(0), "/products/:id");
        for at in 0..7 {
            recorder.exchange(&exchange(0, 0, 200, 1_000 + at, 800));
        }
        recorder.exchange(&exchange(1, 0, 503, 2_000, 400));
        let nothing = Delivery::Nothing {
            cut: Cut::UpstreamReset,
        };
        recorder.exchange(&hopscope_attribution::evidence::Exchange {
            delivery: nothing,
            ..exchange(0, 0, 200, 3_000, 800)
        });
    });
    assert_series(
        &text,
        r#"hopscope_requests_total{class="2xx",path="tunnel",route="/products/:id"} 7"#,
    );
    assert_series(
        &text,
        r#"hopscope_requests_total{class="undelivered",path="tunnel",route="/products/:id"} 1"#,
    );
    assert_series(
        &text,
        r#"hopscope_requests_total{class="5xx",path="direct",route="/products/:id"} 1"#,
    );
    assert_series(
        &text,
        r#"hopscope_request_duration_seconds_bucket{path="tunnel",phase="total",le="0.001"} 8"#,
    );
    assert_series(
        &text,
        r#"hopscope_request_duration_seconds_count{path="tunnel",phase="first-byte"} 8"#,
    );
    assert_series(
        &text,
        r#"hopscope_request_duration_seconds_sum{path="direct",phase="total"} 0.0004"#,
    );
}

#[test]
fn a_route_whose_name_comes_later_is_counted_under_its_name() {
    let mut metrics = Metrics::new(&facts().paths, "0.1.0").expect("families");
    let exposition = metrics.exposition();
    let named = |text: &str| text.contains("hopscope_requests_total");
    let cell = hopscope_recording::Cell {
        requests: 2,
        statuses: vec![(200, 2)],
        ..Default::default()
    };
    metrics.cell(&cell);
    assert!(!named(&exposition.text()));
    hopscope_recording::Watcher::route(&mut metrics, RouteId(0), "/late");
    assert_series(
        &exposition.text(),
        r#"hopscope_requests_total{class="2xx",path="tunnel",route="/late"} 2"#,
    );
}

#[test]
fn connections_are_counted_by_what_became_of_them() {
    let text = metrics(|_, recorder| {
        for id in 0..5 {
            recorder.accepted(PathId(0));
            let mut connection = connection(id, 0);
            match id {
                0 => connection.upstream_end.how = Ending::Reset,
                1 => {
                    let (after, failure) = (Span::from_micros(100), ConnectFailure::Refused);
                    connection.upstream = Upstream::Failed { after, failure };
                    connection.exchanges = 0;
                }
                2 => continue,
                _ => {}
            }
            recorder.connection(connection);
        }
    });
    assert_series(
        &text,
        r#"hopscope_connections_total{outcome="reset-by-upstream",path="tunnel"} 1"#,
    );
    assert_series(
        &text,
        r#"hopscope_connections_total{outcome="refused",path="tunnel"} 1"#,
    );
    assert_series(
        &text,
        r#"hopscope_connections_total{outcome="closed",path="tunnel"} 2"#,
    );
    assert_series(&text, r#"hopscope_active_connections{path="tunnel"} 1"#);
    assert_series(&text, r#"hopscope_active_connections{path="direct"} 0"#);
    assert_series(
        &text,
        r#"hopscope_connect_duration_seconds_count{path="tunnel"} 3"#,
    );
    assert_series(
        &text,
        r#"hopscope_failures_total{cause="tunnel-down",hop="tunnel",path="tunnel"} 1"#,
    );
}

#[test]
fn a_failure_that_was_cut_off_waits_for_its_connection() {
    let text = metrics(|_, recorder| {
        recorder.accepted(PathId(1));
        recorder.exchange(&hopscope_attribution::evidence::Exchange {
            connection: ConnectionId(4),
            delivery: Delivery::Nothing {
                cut: Cut::DownstreamReset,
            },
            ..exchange(1, 0, 200, 3_000, 800)
        });
        recorder.exchange(&exchange(1, 0, 429, 3_000, 800));
        let mut aborted = connection(4, 1);
        aborted.downstream_end.how = Ending::Reset;
        recorder.connection(aborted);
    });
    assert_series(
        &text,
        r#"hopscope_failures_total{cause="backend-rate-limited",hop="backend",path="direct"} 1"#,
    );
    let failures: u64 = text
        .lines()
        .filter(|line| line.starts_with("hopscope_failures_total"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    assert_eq!(failures, 2, "{text}");
}

#[test]
fn a_forwarder_that_is_started_again_is_a_restart() {
    let text = metrics(|handle, _| {
        let lost = Some(TunnelMeaning::PodRefused);
        let damaged = Some(TunnelMeaning::StreamTimeout);
        // As a member of the pool tells them: a damaged one serves until its successor does.
        let lives = [
            (TunnelLife::Started, None),
            (TunnelLife::Ready, None),
            (TunnelLife::Exited(Some(1)), lost),
            (TunnelLife::Started, lost),
            (TunnelLife::Ready, None),
            (TunnelLife::Started, damaged),
            (TunnelLife::Replaced, damaged),
            (TunnelLife::Ready, None),
            (TunnelLife::Drained, None),
        ];
        for (kind, reason) in lives {
            handle.tunnel_life(
                PathId(0),
                TunnelLifeEvent {
                    at: Moment(1),
                    kind,
                    member: 0,
                    reason,
                },
            );
        }
    });
    for series in [
        r#"hopscope_tunnel_starts_total{path="tunnel"} 3"#,
        r#"hopscope_tunnel_losses_total{path="tunnel",reason="pod-refused"} 1"#,
        r#"hopscope_tunnel_losses_total{path="tunnel",reason="stream-timeout"} 1"#,
        r#"hopscope_tunnel_restarts_total{path="tunnel",reason="pod-refused"} 1"#,
        r#"hopscope_tunnel_restarts_total{path="tunnel",reason="stream-timeout"} 1"#,
        r#"hopscope_tunnel_up{path="tunnel"} 1"#,
    ] {
        assert_series(&text, series);
    }
}

#[test]
fn routes_beyond_the_bound_share_one_series() {
    let text = metrics(|handle, recorder| {
        for route in 0..300 {
            handle.route(RouteId(route), &format!("/r{route}"));
            recorder.exchange(&exchange(0, route, 200, 1_000, 800));
        }
    });
    let series = text
        .lines()
        .filter(|line| line.starts_with("hopscope_requests_total{"))
        .count();
    assert_eq!(series, 201);
    assert_series(
        &text,
        &format!(r#"hopscope_requests_total{{class="2xx",path="tunnel",route="{OVERFLOW}"}} 100"#),
    );
    assert_series(&text, "hopscope_series_overflow_total 100");
}

#[test]
fn promtool_finds_nothing_to_say() {
    let text = metrics(|handle, recorder| {
        handle.route(RouteId(0), "/a\"b\\c\n");
        handle.tunnel_life(
            PathId(0),
            TunnelLifeEvent {
                at: Moment(1),
                kind: TunnelLife::Ready,
                member: 0,
                reason: None,
            },
        );
        recorder.accepted(PathId(0));
        recorder.exchange(&exchange(0, 0, 500, 1_000, 800));
        recorder.connection(connection(0, 0));
    });
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = tool else {
        println!("promtool is not installed: its opinion was not asked");
        return;
    };
    promtool
        .stdin
        .take()
        .expect("piped")
        .write_all(text.as_bytes())
        .expect("written");
    let said = promtool.wait_with_output().expect("promtool ends");
    let words = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(
        said.status.success() && words.trim().is_empty(),
        "{words}\n{text}"
    );
}

fn ask(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    .expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    answer
}

#[test]
fn metrics_and_health_are_served_and_nothing_else() {
    let paths = [Path {
        name: "lb".to_owned(),
        kind: PathKind::Lb,
        target: "h:1".to_owned(),
    }];
    let metrics = Metrics::new(&paths, "0.1.0").expect("families");
    let server = on_a_thread(
        ([127, 0, 0, 1], 0).into(),
        Access::default(),
        metrics.exposition().router(),
    )
    .expect("a free port");
    let answer = ask(server.address(), "GET /metrics");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("content-type: text/plain; version=0.0.4"),
        "{answer}"
    );
    assert!(
        answer.contains("hopscope_build_info{version=\"0.1.0\"} 1\n"),
        "{answer}"
    );
    assert!(ask(server.address(), "GET /healthz").ends_with("\r\n\r\nok\n"));
    assert!(ask(server.address(), "GET /nothing").starts_with("HTTP/1.1 404"));
    assert!(ask(server.address(), "POST /metrics").starts_with("HTTP/1.1 405"));
    assert!(ask(server.address(), "HEAD /healthz").ends_with("\r\n\r\n"));
    let address = server.address();
    drop(server);
    // A process that another test starts inherits the socket until it has become another program.
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "it stops when it is dropped");
        std::thread::yield_now();
    }
}

#[test]
fn a_taken_port_is_said_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address");
    let error = on_a_thread(
        address,
        Access::default(),
        std::sync::Arc::new(|_| Answer::text(200, "")),
    )
    .expect_err("it is taken");
    let expected = format!(
        "cannot serve metrics on {address}: Address already in use (os error 98); give another address with --metrics"
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn every_family_is_documented() {
    let document = include_str!("../../../docs/metrics.md");
    let text = metrics(|handle, recorder| {
        handle.route(RouteId(0), "/a");
        for kind in [TunnelLife::Ready, TunnelLife::Exited(None), TunnelLife::Started] {
            handle.tunnel_life(
                PathId(0),
                TunnelLifeEvent {
                    at: Moment(1),
                    kind,
                    member: 0,
                    reason: None,
                },
            );
        }
        recorder.accepted(PathId(0));
        recorder.exchange(&exchange(0, 0, 500, 1_000, 800));
        recorder.connection(connection(0, 0));
    });
    let families: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    assert_eq!(families.len(), 13, "{families:?}");
    for (family, kind) in families {
        assert!(
            document.contains(&format!("| `{family}` | {kind} |")),
            "{family} {kind}"
        );
    }
}
