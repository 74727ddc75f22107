//! Full disks, full queues and killed processes: what is lost is counted, and the rest is readable.

use hopscope_attribution::evidence::{ConnectionId, Moment, PathId, RouteId};

use super::super::reader::Bounds;
use super::super::{LEAST_BYTES, LossKind, Options};
use super::{begin, connection, exchange, finish, place, read};

#[test]
fn a_full_disk_costs_rows_that_are_counted_and_leaves_the_rest_readable() {
    let place = place();
    let options = Options {
        max_bytes: Some(456 * 1024),
        ..Options::default()
    };
    let (handle, closing) = begin(&place, &options);
    let mut recorder = handle.recorder();
    for id in 0..5_000 {
        recorder.accepted(PathId(0));
        recorder.connection(connection(id, 0));
        recorder.exchange(&exchange(0, 1, 502, id * 1_000 + 900, 500));
        recorder.tick(Moment(id * 1_000));
    }
    drop(recorder);
    let summary = finish(closing, 6);
    assert!(
        summary
            .write_error
            .as_deref()
            .is_some_and(|error| error.contains("full")),
        "{summary:?}"
    );
    assert!(
        summary.accounting.connections_lost > 0 && summary.accounting.balanced(),
        "{summary:?}"
    );
    let recording = read(&place);
    assert_eq!(recording.evidence().observer.accounting, summary.accounting);
    assert_eq!(*recording.losses(), summary.losses);
    assert_eq!(recording.cut_off(), None, "its last words were written");
    assert_eq!(
        recording.losses().of(LossKind::Connection),
        summary.accounting.connections_lost
    );
}

#[test]
fn failures_whose_counts_were_lost_are_counted_by_their_rows() {
    let place = place();
    let (handle, closing) = begin(&place, &Options::default());
    let mut recorder = handle.recorder();
    for id in 0..10 {
        recorder.accepted(PathId(0));
        recorder.exchange(&exchange(0, 1, 502, id * 300_000 + 900, 500));
        recorder.connection(connection(id, 0));
    }
    drop(recorder);
    finish(closing, 3);
    // What a full disk leaves: the counts of a second and its rows are written in different transactions.
    let sql = "DELETE FROM traffic WHERE second = 1; UPDATE traffic SET requests = 1, delivered_errors = 1 WHERE second = 2;
               UPDATE loss SET lost = 5 WHERE kind = 'counted'";
    rusqlite::Connection::open(&place.file)
        .and_then(|file| file.execute_batch(sql))
        .expect("altered");
    let recording = read(&place);
    let evidence = recording.evidence();
    let counted: u64 = evidence.traffic.iter().map(|cell| cell.delivered_errors).sum();
    let requests: u64 = evidence.traffic.iter().map(|cell| cell.requests).sum();
    assert_eq!(
        (evidence.exchanges.len(), counted, requests),
        (10, 10, 10),
        "a difference would pass for connections that failed before a request"
    );
}

#[test]
fn a_recording_with_a_limit_keeps_whole_connections_fewer_and_fewer_and_says_so() {
    let place = place();
    let options = Options {
        limit: Some(LEAST_BYTES),
        commit_every: std::time::Duration::from_millis(5),
        ..Options::default()
    };
    let (handle, closing) = begin(&place, &options);
    let mut recorder = handle.recorder();
    for id in 0..120_000 {
        recorder.accepted(PathId(0));
        let mut failed = exchange(0, 1, 502, id * 1_000 + 900, 500);
        failed.connection = ConnectionId(id);
        recorder.exchange(&failed);
        recorder.connection(connection(id, 0));
        recorder.tick(Moment(id * 1_000));
        if id % 500 == 0 {
            // A writer that has no time to commit would be tried, not the limit.
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
    }
    drop(recorder);
    let summary = finish(closing, 120);
    assert!(summary.bytes <= LEAST_BYTES, "{summary:?}");
    assert_eq!(summary.write_error, None);
    let (_, one_in) = summary.thinned.expect("it was thinned");
    assert!(one_in >= 4, "{summary:?}");
    let losses = summary.losses;
    assert!(
        losses.left_out_connections > 50_000 && losses.left_out_exchanges > 50_000,
        "{losses:?}"
    );
    assert!(summary.accounting.balanced(), "{summary:?}");
    let recording = read(&place);
    assert_eq!(recording.evidence().observer.accounting, summary.accounting);
    let all = losses.counted + recording.total().requests;
    assert_eq!(all, 120_000, "the counts are exact all the same");
    let evidence = recording.evidence();
    let kept: std::collections::BTreeSet<_> = evidence.connections.iter().map(|one| one.id).collect();
    let lone = evidence
        .exchanges
        .iter()
        .filter(|one| !kept.contains(&one.connection));
    // Their rows may lie on both sides of the moment at which fewer are kept.
    assert!(lone.count() < evidence.exchanges.len() / 20);
}

#[test]
fn a_recording_whose_writer_never_ended_says_where_it_stops() {
    let place = place();
    let (handle, closing) = begin(&place, &Options::default());
    let mut recorder = handle.recorder();
    handle.route(RouteId(0), "/a");
    for id in 0..4 {
        recorder.accepted(PathId(0));
        if id > 0 {
            recorder.connection(connection(id, 0));
        }
    }
    recorder.exchange(&exchange(0, 0, 200, 900_000, 500));
    recorder.exchange(&exchange(0, 0, 500, 1_900_000, 500));
    recorder.tick(Moment(1_950_000));
    // What a killed process leaves is what was committed so far, in the file and the log beside it.
    let cut = wait_until_committed(&place, |recording| recording.evidence().connections.len() == 3);
    let cut_off = cut.cut_off().expect("it was not closed");
    assert_eq!((cut_off.at, cut_off.in_flight), (Moment(1_950_000), 1));
    assert!(cut.evidence().observer.accounting.balanced());
    assert_eq!(cut.evidence().observer.accounting.connections_lost, 1);
    assert!(!cut.evidence().observer.closed_properly);
    assert_eq!(
        cut.total().requests,
        2,
        "a second that was not over is made of its rows"
    );
    // To the end of the last exchange on record.
    assert_eq!(cut.evidence().duration.as_micros(), 1_899_000);
    drop(recorder);
    finish(closing, 2);
    assert_eq!(read(&place).cut_off(), None);
}

/// Reads copies of the recording while it grows, until one fits.
fn wait_until_committed(
    place: &super::Place,
    wanted: impl Fn(&super::Recording) -> bool,
) -> super::Recording {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let recording = read(place);
        if wanted(&recording) {
            return recording;
        }
        assert!(std::time::Instant::now() < deadline, "nothing was committed");
        std::thread::yield_now();
    }
}

#[test]
fn a_full_queue_never_blocks_a_worker_and_every_loss_is_counted() {
    let place = place();
    let (handle, closing) = begin(
        &place,
        &Options {
            queue: 1,
            ..Options::default()
        },
    );
    let mut recorder = handle.recorder();
    for id in 0..60_000 {
        recorder.accepted(PathId(0));
        recorder.connection(connection(id, 0));
        recorder.exchange(&exchange(0, 1, 200, id * 10 + 500, 500));
        recorder.tick(Moment(id * 10));
    }
    drop(recorder);
    let summary = finish(closing, 1);
    assert_eq!(summary.accounting.accepts, 60_000);
    assert!(summary.accounting.balanced(), "{summary:?}");
    assert_eq!(summary.exchanges + summary.losses.counted, 60_000);
}

#[test]
fn more_failures_than_a_report_can_hold_are_read_evenly_and_the_rest_is_told() {
    let place = place();
    let (handle, closing) = begin(&place, &Options::default());
    let mut recorder = handle.recorder();
    for at in 0..100 {
        recorder.exchange(&exchange(0, 0, 500, 1_000 + at, 500));
    }
    recorder.exchange(&exchange(0, 0, 200, 2_000, 500));
    drop(recorder);
    let summary = finish(closing, 1);
    assert_eq!(
        (summary.exchange_rows, summary.accounting.exchanges_lost),
        (101, 0)
    );
    let part = super::Recording::open_within(
        &place.file,
        Bounds {
            exchanges: 40,
            ..Bounds::default()
        },
    )
    .expect("it can be read");
    let failed: Vec<_> = part
        .evidence()
        .exchanges
        .iter()
        .filter(|one| one.delivery.failed())
        .collect();
    assert_eq!(failed.len(), 39);
    assert!(failed.iter().any(|one| one.began.0 < 530) && failed.iter().any(|one| one.began.0 > 570));
    assert_eq!(
        part.evidence().exchanges.len(),
        40,
        "what went well is a sample as it is"
    );
    assert_eq!(part.evidence().observer.accounting.exchanges_lost, 61);
    assert_eq!(part.total().failed(), 100, "the counts are exact all the same");
    assert_eq!(read(&place).evidence().exchanges.len(), 101);
}

#[test]
fn more_connections_than_a_report_can_hold_are_read_evenly_and_the_rest_is_told() {
    let place = place();
    let (handle, closing) = begin(&place, &Options::default());
    let mut recorder = handle.recorder();
    for id in 0..100 {
        recorder.accepted(PathId(0));
        recorder.connection(connection(id, 0));
        recorder.exchange(&exchange(0, 0, 200, 1_000 + id, 500));
    }
    drop(recorder);
    finish(closing, 1);
    let bounds = Bounds {
        connections: 25,
        exchanges: 8,
        ..Bounds::default()
    };
    let part = super::Recording::open_within(&place.file, bounds).expect("it can be read");
    let ids: Vec<u64> = part.evidence().connections.iter().map(|one| one.id.0).collect();
    assert_eq!(ids, (0..25).map(|quarter| quarter * 4 + 3).collect::<Vec<_>>());
    let books = part.evidence().observer.accounting;
    assert_eq!((books.connection_rows, books.connections_lost), (25, 75));
    assert!(books.balanced());
    assert_eq!(part.evidence().exchanges.len(), 8);
    assert_eq!(
        books.exchanges_lost, 0,
        "a thinner sample of what went well is no lost failure"
    );
}

#[test]
fn what_comes_after_the_end_is_counted_as_lost() {
    let place = place();
    let (handle, closing) = begin(&place, &Options::default());
    finish(closing, 1);
    handle.observer_sample(hopscope_attribution::evidence::ObserverSample::default());
    let mut recorder = handle.recorder();
    recorder.accepted(PathId(0));
    recorder.connection(connection(0, 0));
    drop(recorder);
    assert_eq!((handle.losses().observer, handle.losses().connections), (1, 1));
}
