//! Evidence that is recorded comes back as it was.

use hopscope_attribution::evidence::node::{KernelEnd, KernelSocket, Marks, NodeEvidence};
use hopscope_attribution::evidence::{
    ConnectionId, Evidence, Moment, Observation, Path, PathId, PathKind, RouteId, Span, TrafficCell,
    TunnelEvidence, WhyUnseen,
};
use hopscope_attribution::hop::Hop;
use proptest::prelude::*;

use super::super::{Options, Recorder, RecordingHandle, TunnelWatch};
use super::arbitrary::{Told, told};
use super::{Place, begin, connection, exchange, finish, place, read};

fn record(place: &Place, tell: impl FnOnce(&RecordingHandle, &mut Recorder)) -> super::Summary {
    let (handle, closing) = begin(place, &Options::default());
    let mut recorder = handle.recorder();
    tell(&handle, &mut recorder);
    drop(recorder);
    finish(closing, 10)
}

#[test]
fn an_empty_run_is_a_recording() {
    let place = place();
    let summary = record(&place, |_, _| {});
    let recording = read(&place);
    assert_eq!(recording.facts(), &super::facts());
    assert_eq!(recording.exit_code(), Some(0));
    assert_eq!(recording.cut_off(), None);
    assert_eq!(recording.evidence().duration, Span::from_secs(10));
    assert!(recording.evidence().observer.closed_properly);
    assert!(summary.accounting.balanced() && summary.losses.none() && summary.write_error.is_none());
    assert_eq!(
        recording.evidence().tunnels,
        [(PathId(0), Observation::Unseen(WhyUnseen::NotWatched))]
    );
}

#[test]
fn a_path_of_a_finished_run_can_be_given_another_kind() {
    let place = place();
    record(&place, |_, _| {});
    let relabelled = read(&place)
        .relabelled("tunnel", PathKind::Lb)
        .and_then(|recording| recording.relabelled("direct", PathKind::Tunnel))
        .expect("both paths are there");
    let kinds = |paths: &[Path]| paths.iter().map(|path| path.kind).collect::<Vec<_>>();
    assert_eq!(
        kinds(&relabelled.evidence().paths),
        [PathKind::Lb, PathKind::Tunnel]
    );
    assert_eq!(kinds(&relabelled.facts().paths), [PathKind::Lb, PathKind::Tunnel]);
    assert_eq!(
        relabelled.evidence().tunnels,
        [(PathId(1), Observation::Unseen(WhyUnseen::NotWatched))]
    );
    let unknown = read(&place)
        .relabelled("lb", PathKind::Lb)
        .expect_err("no path is called lb");
    assert_eq!(unknown.known, ["tunnel", "direct"]);
    assert_eq!(read(&place).facts(), &super::facts(), "the file is as it was");
}

#[test]
fn what_kernels_saw_is_added_after_the_run_and_read_with_it() {
    let place = place();
    record(&place, |_, recorder| recorder.accepted(PathId(0)));
    let before = read(&place);
    assert_eq!(before.evidence().node, Observation::Unseen(WhyUnseen::NotWatched));
    let node = Observation::Seen(NodeEvidence {
        sockets: vec![KernelSocket {
            at: Moment(7),
            connection: Observation::Seen(ConnectionId(3)),
            owner: Observation::Seen(Hop::Backend),
            peer: Observation::Unseen(WhyUnseen::NotWatched),
            end: KernelEnd::ResetSentUnread,
            bytes: Observation::default(),
            marks: Marks {
                after_fin: true,
                after_own_fin: false,
                dropped_at_home: false,
            },
        }],
        clock_error: Span::from_micros(9),
        ..NodeEvidence::default()
    });
    super::super::add_node(&place.file, &node, Some("boot")).expect("the recording takes it");
    let after = read(&place);
    assert_eq!(after.evidence().node, node);
    assert_eq!((before.kernel(), after.kernel()), (None, Some("boot")));
    assert_eq!(after.evidence().connections, before.evidence().connections);
    assert!(after.evidence().observer.closed_properly);
    let names = std::fs::read_dir(place.file.parent().expect("a folder")).expect("a folder");
    assert_eq!(names.count(), 1, "one file, no log beside it");
}

#[test]
fn a_finished_recording_is_one_file() {
    let place = place();
    record(&place, |_, recorder| recorder.accepted(PathId(0)));
    let names: Vec<_> = std::fs::read_dir(place.file.parent().expect("a folder"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["run.hopscope"]);
}

#[test]
fn every_exchange_is_counted_and_only_a_sample_of_the_successful_ones_is_kept() {
    let place = place();
    let summary = record(&place, |_, recorder| {
        for at in 0..1_000 {
            recorder.exchange(&exchange(0, 2, 200, 1_000_000 + at, 500 + at));
        }
        recorder.exchange(&exchange(0, 2, 503, 1_500_000, 90_000));
        recorder.exchange(&exchange(1, 2, 200, 2_500_000, 70));
    });
    assert_eq!((summary.exchanges, summary.exchange_rows), (1_002, 16 + 1 + 1));
    let recording = read(&place);
    let sum: u64 = (500..1_500).sum();
    let expected = [
        TrafficCell {
            second: 1,
            path: PathId(0),
            route: RouteId(2),
            requests: 1_001,
            delivered_errors: 1,
            undelivered: 0,
            latency_sum_us: sum + 90_000,
            latency_max_us: 90_000,
        },
        TrafficCell {
            second: 2,
            path: PathId(1),
            route: RouteId(2),
            requests: 1,
            latency_sum_us: 70,
            latency_max_us: 70,
            ..TrafficCell::default()
        },
    ];
    assert_eq!(recording.evidence().traffic, expected);
    let tunnel = recording.of_path(PathId(0));
    assert_eq!(
        (tunnel.requests, tunnel.failed(), tunnel.succeeded()),
        (1_001, 1, 1_000)
    );
    assert_eq!(tunnel.statuses, [(200, 1_000), (503, 1)].into());
    assert_eq!((tunnel.all.count(), tunnel.ok.count()), (1_001, 1_000));
    assert_eq!(
        (tunnel.all.max(), tunnel.ok.max()),
        (Some(Span::from_micros(90_000)), Some(Span::from_micros(1_499)))
    );
    assert_eq!(tunnel.ok.mean(), Some(Span::from_micros(sum / 1_000)));
    let median = tunnel.ok.quantile(0.5).expect("there are some").as_micros();
    assert!((999..=1_001).contains(&median), "{median}");
    assert_eq!(recording.total().requests, 1_002);
}

#[test]
fn workers_are_added_up_per_second() {
    let place = place();
    let (handle, closing) = begin(&place, &Options::default());
    let workers: Vec<_> = (0..3)
        .map(|worker: u64| {
            let mut recorder = handle.recorder();
            std::thread::spawn(move || {
                for at in 0..500 {
                    recorder.accepted(PathId(0));
                    recorder.exchange(&exchange(0, 1, 200, 1_000_000 + at, 100));
                    recorder.connection(connection(at * 3 + worker, 0));
                    recorder.tick(Moment(1_000_000 + at));
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("a worker ends");
    }
    let summary = finish(closing, 3);
    assert_eq!(
        (summary.accounting.accepts, summary.accounting.connection_rows),
        (1_500, 1_500)
    );
    assert!(summary.accounting.balanced());
    let recording = read(&place);
    assert_eq!(recording.evidence().observer.accounting, summary.accounting);
    assert_eq!(
        recording
            .evidence()
            .traffic
            .iter()
            .map(|cell| cell.requests)
            .collect::<Vec<_>>(),
        [1_500]
    );
    let ids: Vec<_> = recording
        .evidence()
        .connections
        .iter()
        .map(|connection| connection.id.0)
        .collect();
    assert_eq!(ids, (0..1_500).collect::<Vec<_>>(), "in the order of acceptance");
}

#[test]
fn latencies_of_every_size_keep_three_digits_through_the_file() {
    let place = place();
    record(&place, |_, recorder| {
        for (second, latency) in (200..).zip([70, 3_000, 61_000_000, 9_000_000]) {
            for number in 0..300 {
                recorder.exchange(&exchange(0, 0, 200, second * 1_000_000 + number, latency));
            }
        }
    });
    let ok = read(&place).total().ok;
    assert_eq!(ok.count(), 1_200);
    for (share, latency) in [(0.2, 70), (0.45, 3_000), (0.7, 9_000_000), (0.95, 61_000_000)] {
        let read = ok.quantile(share).expect("there are some").as_micros();
        assert!(
            read.abs_diff(latency) <= latency / 1_000,
            "{share}: {read} for {latency}"
        );
    }
    assert_eq!(ok.max(), Some(Span::from_micros(61_000_000)));
}

#[test]
fn what_hopscope_added_is_kept_as_median_and_p99() {
    let place = place();
    record(&place, |_, recorder| {
        for added in 1..=100 {
            recorder.added(Span::from_micros(added));
        }
    });
    let recording = read(&place);
    assert_eq!(
        recording.evidence().observer.added,
        Observation::Seen((Span::from_micros(50), Span::from_micros(99)))
    );
    assert_eq!(recording.added().count(), 100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn evidence_comes_back_as_it_was_told(told in told()) {
        let place = place();
        let summary = record(&place, |handle, recorder| tell(handle, recorder, &told));
        prop_assert!(summary.losses.none() && summary.write_error.is_none(), "{:?}", summary);
        super::super::add_node(&place.file, &told.node, None).expect("the recording takes it");
        let recording = read(&place);
        prop_assert_eq!(recording.evidence().clone(), expected(&told, &recording));
        let failed = told.exchanges.iter().filter(|exchange| exchange.delivery.failed()).count() as u64;
        prop_assert_eq!(recording.total().requests, told.exchanges.len() as u64);
        prop_assert_eq!(recording.total().failed(), failed);
    }
}

fn tell(handle: &RecordingHandle, recorder: &mut Recorder, told: &Told) {
    for (id, route) in (0..).zip(&told.routes) {
        handle.route(RouteId(id), &route.0);
    }
    for connection in &told.connections {
        recorder.accepted(connection.path);
        recorder.connection(*connection);
    }
    for exchange in &told.exchanges {
        recorder.exchange(exchange);
    }
    for sample in &told.observer {
        handle.observer_sample(*sample);
    }
    for delay in &told.delays {
        handle.observer_delay(*delay);
    }
    if let Observation::Seen(tunnel) = &told.tunnel {
        handle.tunnel_watched(
            PathId(0),
            Observation::Seen(TunnelWatch {
                kubectl_version: tunnel.kubectl_version.clone(),
                lines: tunnel.lines.clone().map(|_| ()),
                gauges: tunnel.gauges.clone().map(|_| ()),
            }),
        );
        for process in &tunnel.processes {
            handle.tunnel_process(PathId(0), process.clone());
        }
        for line in tunnel.lines.seen().into_iter().flatten() {
            handle.tunnel_line(PathId(0), line.clone());
        }
        for gauge in tunnel.gauges.seen().into_iter().flatten() {
            handle.tunnel_gauge(PathId(0), *gauge);
        }
        for event in &tunnel.life {
            handle.tunnel_life(PathId(0), event.clone());
        }
    } else if let Observation::Unseen(why) = told.tunnel {
        handle.tunnel_watched(PathId(0), Observation::Unseen(why));
    }
    if let Observation::Seen(generator) = &told.generator {
        handle.generator(generator.clone());
    }
}

/// What must come back: as it was told, in order. Counts are checked against those of the recording's own figures.
fn expected(told: &Told, recording: &super::Recording) -> Evidence {
    let mut connections = told.connections.clone();
    connections.sort_by_key(|connection| connection.id);
    for connection in &mut connections {
        // No verdict needs it: it is in the file, and not read.
        connection.downstream_tcp = Observation::Unseen(WhyUnseen::NotWatched);
    }
    let mut exchanges = told.exchanges.clone();
    exchanges.sort_by_key(|exchange| {
        (
            exchange.began + exchange.phases.total,
            exchange.connection,
            exchange.ordinal,
        )
    });
    let tunnel = told.tunnel.clone().map(|tunnel: TunnelEvidence| tunnel);
    let read = recording.evidence();
    let counted: u64 = read.traffic.iter().map(|cell| cell.requests).sum();
    assert_eq!(counted, told.exchanges.len() as u64);
    let rows = connections.len() as u64;
    let mut observer = read.observer.clone();
    observer.samples.clone_from(&told.observer);
    observer.delays.clone_from(&told.delays);
    observer.accounting.accepts = rows;
    observer.accounting.connection_rows = rows;
    Evidence {
        paths: super::facts().paths,
        routes: told.routes.clone(),
        duration: read.duration,
        failed_addresses: Vec::new(),
        connections: connections.into(),
        exchanges: exchanges.into(),
        traffic: read.traffic.clone(),
        tunnels: vec![(PathId(0), tunnel)],
        node: told.node.clone(),
        observer,
        generator: told.generator.clone(),
        generator_exit: read.generator_exit,
        cut_by_the_end: Vec::new(),
        connects_cut_by_the_end: Vec::new(),
    }
}
