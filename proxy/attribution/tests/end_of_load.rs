//! What the generator's end cut off is set aside; everything that could be a failure stays one.

use std::net::{Ipv4Addr, SocketAddr};

use hopscope_attribution::attribute;
use hopscope_attribution::cause::Cause;
use hopscope_attribution::end_of_load::{heed_the_generator, set_aside};
use hopscope_attribution::evidence::WhyUnseen;
use hopscope_attribution::evidence::{
    Accounting, Author, Connection, ConnectionId, Cut, Delivery, Ending, Evidence, Exchange, Exchanges,
    FourTuple, GeneratorExit, GeneratorResult, Method, Moment, Observation, ObserverHealth, Path, PathId,
    PathKind, Phases, Protocol, Route, RouteId, SideEnd, Span, TrafficCell, Upstream,
};
use proptest::prelude::*;

/// When the generator's time is over.
const END: u64 = 2_000_000;
const CONNECTIONS: u64 = 16;
/// What an answer takes, microseconds.
const USUAL: u64 = 10_000;

/// Sixteen connections that ask again and again, each with a request under way when the generator ends.
fn run() -> Evidence {
    let mut evidence = Evidence {
        paths: vec![Path {
            name: "tunnel".to_owned(),
            kind: PathKind::Tunnel,
            target: "127.0.0.1:3000".to_owned(),
        }],
        routes: vec![Route("/products/:id".to_owned())],
        duration: Span::from_micros(END + 100_000),
        observer: ObserverHealth {
            accounting: Accounting {
                accepts: CONNECTIONS,
                connection_rows: CONNECTIONS,
                ..Accounting::default()
            },
            closed_properly: true,
            ..ObserverHealth::default()
        },
        generator_exit: Observation::Seen(GeneratorExit {
            at: Observation::Seen(Moment(END + 900)),
            code: 0,
        }),
        ..Evidence::default()
    };
    for id in 0..CONNECTIONS {
        // The kernel closes one socket after the other.
        let cut_at = END + id * 20;
        evidence.connections.push(connection(id, cut_at));
        let mut began = 1_000 + id * 100;
        let mut ordinal = 0;
        while began + USUAL < cut_at {
            evidence
                .exchanges
                .push(exchange(id, ordinal, began, USUAL, COMPLETE));
            began += USUAL + 50;
            ordinal += 1;
        }
        let cut = if id % 2 == 0 { CUT_BY_FIN } else { CUT_BY_RESET };
        evidence
            .exchanges
            .push(exchange(id, ordinal, began, cut_at - began, cut));
    }
    count(&mut evidence);
    evidence
}

const COMPLETE: Delivery = Delivery::Complete {
    status: 200,
    author: Author::Unstated,
};
const CUT_BY_FIN: Delivery = Delivery::Nothing {
    cut: Cut::DownstreamFin,
};
const CUT_BY_RESET: Delivery = Delivery::Truncated {
    status: 200,
    author: Author::Unstated,
    cut: Cut::DownstreamReset,
};

fn connection(id: u64, cut_at: u64) -> Connection {
    let tuple = FourTuple {
        local: SocketAddr::from((Ipv4Addr::LOCALHOST, 8_080)),
        remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000 + u16::try_from(id).unwrap_or(0))),
    };
    Connection {
        id: ConnectionId(id),
        path: PathId(0),
        opened: Moment(500 + id),
        closed: Observation::Seen(Moment(cut_at + 500)),
        upstream: Upstream::Connected {
            tcp: Span::from_micros(100),
            tls: None,
        },
        downstream_tuple: tuple,
        upstream_tuple: Some(tuple),
        downstream_end: SideEnd {
            at: Moment(cut_at),
            how: if id.is_multiple_of(2) {
                Ending::Fin
            } else {
                Ending::Reset
            },
        },
        upstream_end: SideEnd {
            at: Moment(cut_at + 500),
            how: Ending::EndedByRelay,
        },
        bytes_up: 100,
        bytes_down: 100,
        first_byte_up: None,
        first_byte_down: None,
        last_byte: None,
        blocked_up: Span::from_micros(0),
        blocked_down: Span::from_micros(0),
        protocol: Protocol::Http1,
        unread: None,
        exchanges: 1,
        downstream_tcp: Observation::Unseen(WhyUnseen::NotSupported),
        upstream_tcp: Observation::Unseen(WhyUnseen::NotSupported),
    }
}

fn exchange(connection: u64, ordinal: u32, began: u64, took: u64, delivery: Delivery) -> Exchange {
    Exchange {
        connection: ConnectionId(connection),
        path: PathId(0),
        ordinal,
        method: Method::Get,
        route: RouteId(0),
        began: Moment(began),
        phases: Phases {
            total: Span::from_micros(took),
            ..Phases::default()
        },
        bytes_up: 80,
        bytes_down: 120,
        request_complete: true,
        answered_early: false,
        delivery,
    }
}

/// The exact counts of what the rows tell.
fn count(evidence: &mut Evidence) {
    evidence.exchanges.sort_unstable_by_key(|exchange| {
        (
            exchange.began + exchange.phases.total,
            exchange.connection,
            exchange.ordinal,
        )
    });
    evidence.traffic.clear();
    for exchange in &evidence.exchanges {
        let second = (exchange.began + exchange.phases.total).second();
        let at = evidence.traffic.iter().position(|cell| cell.second == second);
        let at = at.unwrap_or_else(|| {
            evidence.traffic.push(TrafficCell {
                second,
                ..TrafficCell::default()
            });
            evidence.traffic.len() - 1
        });
        let cell = &mut evidence.traffic[at];
        cell.requests += 1;
        cell.undelivered += u64::from(exchange.delivery.failed());
        cell.latency_sum_us += exchange.phases.total.as_micros();
    }
}

/// How many are set aside, and how many failures are judged.
fn judged(mut evidence: Evidence) -> (usize, u64) {
    set_aside(&mut evidence);
    let diagnosis = attribute(&evidence);
    let failures = diagnosis.charges.iter().map(|charge| charge.failures).sum();
    (evidence.cut_by_the_end.len(), failures)
}

fn requests(evidence: &Evidence) -> (u64, u64) {
    let sum = |of: fn(&TrafficCell) -> u64| evidence.traffic.iter().map(of).sum();
    (sum(|cell| cell.requests), sum(TrafficCell::failed))
}

#[test]
fn what_is_under_way_when_the_generator_ends_is_no_failure() {
    let mut evidence = run();
    let (all, failed) = requests(&evidence);
    assert_eq!(failed, CONNECTIONS);
    set_aside(&mut evidence);
    assert_eq!(evidence.cut_by_the_end.len() as u64, CONNECTIONS);
    assert_eq!(requests(&evidence), (all - CONNECTIONS, 0));
    let diagnosis = attribute(&evidence);
    assert_eq!(diagnosis.verdict.charged, None);
    assert!(diagnosis.charges.is_empty());
}

#[test]
fn who_only_watches_a_proxy_sees_the_same_end() {
    let mut evidence = run();
    evidence.generator_exit = Observation::default();
    assert_eq!(judged(evidence), (16, 0));
}

#[test]
fn a_threshold_that_was_crossed_is_no_crash() {
    let mut evidence = run();
    evidence.generator_exit = Observation::Seen(GeneratorExit {
        at: Observation::Unseen(WhyUnseen::NotWatched),
        code: 99,
    });
    assert_eq!(judged(evidence), (16, 0));
}

#[test]
fn a_generator_that_crashes_has_failed_its_requests() {
    for code in [134, 137, 139] {
        let mut evidence = run();
        evidence.generator_exit = Observation::Seen(GeneratorExit {
            at: Observation::Seen(Moment(END + 900)),
            code,
        });
        set_aside(&mut evidence);
        let charges = attribute(&evidence).charges;
        assert_eq!(charges.len(), 1, "{charges:?}");
        assert_eq!((charges[0].cause, charges[0].failures), (Cause::ClientAbort, 16));
    }
}

#[test]
fn a_generator_that_is_not_content_with_its_run_has_ended_all_the_same() {
    let mut evidence = run();
    evidence.generator_exit = exited(1);
    assert_eq!(judged(evidence), (16, 0));
}

#[test]
fn a_script_that_gives_up_on_its_one_request_and_says_so_has_failed() {
    let mut evidence = run();
    evidence
        .exchanges
        .retain(|exchange| !exchange.delivery.failed() || exchange.connection == ConnectionId(3));
    count(&mut evidence);
    evidence.generator_exit = exited(28);
    assert_eq!(judged(evidence.clone()), (0, 1));
    evidence.generator_exit = exited(0);
    assert_eq!(judged(evidence), (1, 0));
}

fn exited(code: i32) -> Observation<GeneratorExit> {
    Observation::Seen(GeneratorExit {
        at: Observation::Seen(Moment(END + 900)),
        code,
    })
}

#[test]
fn a_generator_that_lived_on_did_not_end_there() {
    let mut evidence = run();
    evidence.generator_exit = Observation::Seen(GeneratorExit {
        at: Observation::Seen(Moment(END + 6_000_000)),
        code: 0,
    });
    assert_eq!(judged(evidence), (0, 16));
}

#[test]
fn an_answer_that_was_overdue_stays_a_failure() {
    let mut evidence = run();
    let late = |exchange: &Exchange| exchange.connection == ConnectionId(3) && exchange.delivery.failed();
    evidence.exchanges.change_all(|exchange| {
        if late(exchange) {
            exchange.began = Moment(END - 900_000);
            exchange.phases.total = Span::from_micros(900_060);
        }
    });
    // Before that it asked nothing more.
    evidence.exchanges.retain(|exchange| {
        exchange.connection != ConnectionId(3)
            || exchange.delivery.failed()
            || exchange.began < Moment(END - 920_000)
    });
    count(&mut evidence);
    assert_eq!(judged(evidence), (15, 1));
}

#[test]
fn requests_that_are_given_up_in_mid_run_stay_failures() {
    let mut evidence = run();
    for (id, at) in [(4, 700_000), (5, 1_400_000), (6, 1_900_000)] {
        let of_it = |exchange: &Exchange| exchange.connection == ConnectionId(id);
        evidence
            .exchanges
            .retain(|exchange| !of_it(exchange) || exchange.began < Moment(at));
        let last = evidence.exchanges.iter().rposition(|exchange| of_it(&exchange));
        let last = last.expect("it asked before");
        let mut left = Moment(0);
        evidence.exchanges.change(last, |last| {
            last.delivery = CUT_BY_FIN;
            left = last.began + last.phases.total;
        });
        evidence
            .connections
            .change(usize::try_from(id).unwrap_or(0), |connection| {
                connection.downstream_end = SideEnd {
                    at: left,
                    how: Ending::Fin,
                };
            });
    }
    count(&mut evidence);
    // The last of them left a tenth of a second before the others, and did not come again.
    assert_eq!(judged(evidence), (14, 2));
}

#[test]
fn a_connection_that_stays_open_does_not_keep_the_others_from_ending() {
    let mut evidence = run();
    evidence
        .connections
        .change(2, |connection| connection.downstream_end.how = Ending::StillOpen);
    evidence.exchanges.change_all(|exchange| {
        if exchange.connection == ConnectionId(2) && exchange.delivery.failed() {
            exchange.delivery = Delivery::Nothing { cut: Cut::Stopped };
        }
    });
    assert_eq!(judged(evidence), (16, 0), "hopscope's own stop is an end as well");
}

#[test]
fn connections_that_were_idle_end_with_the_others() {
    let mut evidence = run();
    evidence.connections.push(connection(16, END + 400_000));
    evidence.observer.accounting.accepts += 1;
    evidence.observer.accounting.connection_rows += 1;
    assert_eq!(judged(evidence), (16, 0));
}

#[test]
fn what_the_paths_side_ended_is_never_set_aside() {
    let mut evidence = run();
    evidence.exchanges.change_all(|exchange| {
        if exchange.delivery.failed() {
            exchange.delivery = Delivery::Nothing {
                cut: Cut::UpstreamReset,
            };
        }
    });
    evidence.connections.change_all(|connection| {
        connection.upstream_end = SideEnd {
            at: Moment(connection.downstream_end.at.0 - 30),
            how: Ending::Reset,
        };
    });
    assert_eq!(judged(evidence), (0, 16));
}

#[test]
fn both_ends_in_one_wake_up_have_no_order() {
    let mut evidence = run();
    evidence.connections.change_all(|connection| {
        connection.upstream_end = SideEnd {
            at: connection.downstream_end.at,
            how: Ending::Fin,
        };
    });
    assert_eq!(judged(evidence), (0, 16));
}

#[test]
fn without_answers_nobody_knows_what_is_overdue() {
    let mut evidence = run();
    evidence.exchanges.retain(|exchange| exchange.delivery.failed());
    count(&mut evidence);
    assert_eq!(judged(evidence), (0, 16));
}

#[test]
fn a_server_that_hangs_until_the_end_fails_what_it_was_asked() {
    for hung in [3_000_000, 30_000_000] {
        let mut evidence = run();
        evidence.exchanges.change_all(|exchange| {
            if exchange.delivery.failed() {
                exchange.phases.total = Span::from_micros(exchange.phases.total.as_micros() + hung);
            }
        });
        evidence.connections.change_all(|connection| {
            connection.downstream_end.at = connection.downstream_end.at + Span::from_micros(hung);
        });
        evidence.generator_exit = Observation::Seen(GeneratorExit {
            at: Observation::Seen(Moment(END + hung + 900)),
            code: 0,
        });
        count(&mut evidence);
        assert_eq!(judged(evidence), (0, 16), "{hung}");
    }
}

#[test]
fn a_connect_that_was_under_way_is_in_flight_until_it_is_older_than_connects_are() {
    for (after, expected) in [(150_000, (17, 0)), (1_500_000, (16, 1))] {
        let mut evidence = run();
        let mut connecting = connection(16, END + 300);
        connecting.opened = Moment(END + 300 - after);
        connecting.exchanges = 0;
        connecting.upstream = Upstream::Abandoned {
            after: Span::from_micros(after),
        };
        connecting.upstream_end.how = Ending::NeverStood;
        evidence.connections.push(connecting);
        evidence.observer.accounting.accepts += 1;
        evidence.observer.accounting.connection_rows += 1;
        set_aside(&mut evidence);
        let failures: u64 = attribute(&evidence)
            .charges
            .iter()
            .map(|charge| charge.failures)
            .sum();
        let aside = evidence.cut_by_the_end.len() + evidence.connects_cut_by_the_end.len();
        assert_eq!((aside, failures), expected, "{after}");
    }
}

#[test]
fn what_the_generators_own_time_out_ended_last_is_no_end_of_the_load() {
    // In mid-run three are given up at one age, and at the end one more.
    for (mid_run, at_the_end, expected) in [
        ([60_000, 60_400, 59_100], 60_200, (15, 4)),
        ([60_000, 60_400, 59_100], 40_200, (16, 3)),
        ([60_000, 80_400, 39_100], 60_200, (16, 3)),
    ] {
        let mut evidence = run();
        for (nth, age) in (0..3).zip(mid_run) {
            let at = 500_000 + nth * 300_000;
            let id = CONNECTIONS + nth;
            evidence.connections.push(connection(id, at));
            evidence.observer.accounting.accepts += 1;
            evidence.observer.accounting.connection_rows += 1;
            evidence
                .exchanges
                .push(exchange(id, 0, at - age, age, CUT_BY_FIN));
        }
        let last = ConnectionId(4);
        evidence.exchanges.retain(|exchange| {
            exchange.connection != last || exchange.delivery.failed() || exchange.began < Moment(END - 90_000)
        });
        evidence.exchanges.change_all(|exchange| {
            if exchange.connection == last && exchange.delivery.failed() {
                exchange.began = Moment(END + 80 - at_the_end);
                exchange.phases.total = Span::from_micros(at_the_end);
            }
        });
        count(&mut evidence);
        assert_eq!(judged(evidence), expected, "{mid_run:?} {at_the_end}");
    }
}

#[test]
fn bursts_of_load_behind_one_proxy_end_one_by_one() {
    let pause = 50_000;
    let mut evidence = run();
    let second = run();
    let later = |at: Moment| Moment(at.0 + END + pause);
    for mut connection in second.connections {
        connection.id = ConnectionId(connection.id.0 + CONNECTIONS);
        connection.opened = later(connection.opened);
        connection.downstream_end.at = later(connection.downstream_end.at);
        connection.upstream_end.at = later(connection.upstream_end.at);
        evidence.connections.push(connection);
    }
    for mut exchange in second.exchanges {
        exchange.connection = ConnectionId(exchange.connection.0 + CONNECTIONS);
        exchange.began = later(exchange.began);
        evidence.exchanges.push(exchange);
    }
    evidence.connections.change_all(|connection| {
        connection.exchanges = 100;
    });
    evidence.observer.accounting.accepts *= 2;
    evidence.observer.accounting.connection_rows *= 2;
    count(&mut evidence);
    evidence.generator_exit = Observation::default();
    assert_eq!(judged(evidence.clone()), (32, 0));
    // Where hopscope ran the generator, it had not ended before its exit.
    evidence.generator_exit = Observation::Seen(GeneratorExit {
        at: Observation::Seen(Moment(2 * END + pause + 900)),
        code: 0,
    });
    assert_eq!(judged(evidence), (16, 16));
}

#[test]
fn who_gives_up_and_opens_another_connection_goes_on() {
    let mut evidence = run();
    evidence.generator_exit = Observation::default();
    // All leave in one moment, and come again at once: a time-out, and no end.
    for id in 0..CONNECTIONS {
        let mut again = connection(CONNECTIONS + id, END + 900_000 + id);
        again.opened = Moment(END + 1_000 + id);
        evidence.connections.push(again);
        for ordinal in 0..40 {
            let began = END + 2_000 + u64::from(ordinal) * USUAL;
            evidence
                .exchanges
                .push(exchange(CONNECTIONS + id, ordinal, began, USUAL, COMPLETE));
        }
    }
    // One of them stays throughout, so that no silence lies between.
    let mut throughout = connection(2 * CONNECTIONS, END + 901_000);
    throughout.opened = Moment(400);
    evidence.connections.push(throughout);
    evidence.observer.accounting.accepts = 2 * CONNECTIONS + 1;
    evidence.observer.accounting.connection_rows = 2 * CONNECTIONS + 1;
    count(&mut evidence);
    assert_eq!(judged(evidence), (0, 16));
}

#[test]
fn lost_rows_leave_the_end_unknown() {
    let mut evidence = run();
    evidence.observer.accounting.accepts += 1;
    evidence.observer.accounting.connections_lost = 1;
    assert_eq!(judged(evidence), (0, 16));
    let mut evidence = run();
    evidence.observer.closed_properly = false;
    assert_eq!(judged(evidence), (0, 16));
}

#[test]
fn what_other_threads_still_ask_for_a_moment_is_no_sign_that_the_generator_goes_on() {
    for (after, aside) in [(90_000, 16), (290_000, 16), (600_000, 0)] {
        let mut evidence = run();
        evidence.generator_exit = Observation::default();
        for id in 0..CONNECTIONS {
            let mut other = connection(CONNECTIONS + id, END + after + USUAL + 1_000);
            other.opened = Moment(700);
            evidence.connections.push(other);
            evidence
                .exchanges
                .push(exchange(CONNECTIONS + id, 0, END + after, USUAL, COMPLETE));
        }
        evidence.observer.accounting.accepts = 2 * CONNECTIONS;
        evidence.observer.accounting.connection_rows = 2 * CONNECTIONS;
        count(&mut evidence);
        assert_eq!(judged(evidence).0, aside, "{after}");
    }
}

fn counted(failed: u64) -> Observation<GeneratorResult> {
    Observation::Seen(GeneratorResult {
        tool: "k6".to_owned(),
        requests: 3_000,
        failed,
        ..GeneratorResult::default()
    })
}

#[test]
fn what_the_generator_counted_as_failed_is_put_back() {
    let before = run();
    let mut evidence = before.clone();
    set_aside(&mut evidence);
    evidence.generator = counted(0);
    assert!(
        heed_the_generator(&mut evidence).is_empty(),
        "it counted none of them"
    );
    let mut some = evidence.clone();
    some.generator = counted(5);
    let back = heed_the_generator(&mut some);
    assert_eq!(
        (back.len(), some.cut_by_the_end.len()),
        (5, 11),
        "no more than it counted"
    );
    let oldest = some
        .cut_by_the_end
        .iter()
        .map(|exchange| exchange.phases.total)
        .max();
    assert!(back.iter().all(|exchange| Some(exchange.phases.total) >= oldest));
    evidence.generator = counted(16);
    assert_eq!(heed_the_generator(&mut evidence).len(), 16);
    evidence.generator = Observation::default();
    assert_eq!(evidence, before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_nothing_is_invented(
        ends in proptest::collection::vec((0_u64..3_000_000, 0_u8..7, 0_u64..3_000_000), 16),
        code in prop_oneof![Just(0), Just(139)],
        seed in any::<u64>(),
    ) {
        let mut evidence = run();
        evidence.generator_exit = Observation::Seen(GeneratorExit { at: Observation::default(), code });
        for (index, (at, how, _)) in ends.iter().enumerate() {
            evidence.connections.change(index, |connection| {
                connection.downstream_end.at = Moment(*at);
                connection.downstream_end.how =
                    [Ending::Fin, Ending::Fin, Ending::Reset, Ending::Reset, Ending::EndedByRelay, Ending::TimedOut, Ending::Fin]
                        [usize::from(*how)];
            });
        }
        evidence.exchanges.change_all(|exchange| if exchange.delivery.failed() {
            exchange.began = Moment(ends[usize::try_from(exchange.connection.0).unwrap_or(0)].2);
        });
        count(&mut evidence);
        let before = evidence.clone();
        set_aside(&mut evidence);
        let aside = evidence.cut_by_the_end.len() as u64;
        let (all, failed) = requests(&before);
        prop_assert_eq!(requests(&evidence), (all - aside, failed - aside));
        prop_assert_eq!(evidence.exchanges.len() + evidence.cut_by_the_end.len(), before.exchanges.len());
        prop_assert!(code == 0 || aside == 0, "a crash sets nothing aside");
        // The order of rows is irrelevant, and a second call changes nothing that was set aside.
        let mut turned = before.clone();
        turned.connections.edit(|rows| rows.reverse());
        let half = usize::try_from(seed % turned.exchanges.len() as u64).unwrap_or(0);
        turned.exchanges.edit(|rows| rows.rotate_left(half));
        set_aside(&mut turned);
        prop_assert_eq!(turned.cut_by_the_end.len() as u64, aside);
        prop_assert_eq!(requests(&turned), requests(&evidence));
        evidence.generator = counted(failed);
        prop_assert_eq!(heed_the_generator(&mut evidence).len() as u64, aside);
        prop_assert_eq!(requests(&evidence), (all, failed));
    }

    #[test]
    fn whenever_the_load_ends_what_is_in_flight_is_counted_and_nothing_failed(
        times in proptest::collection::vec(2_000_u64..60_000, 400),
        cut in 600_000_u64..1_400_000,
        stagger in 0_u64..5_000,
        watched in any::<bool>(),
    ) {
        let mut evidence = run();
        if watched {
            evidence.generator_exit = Observation::default();
        } else {
            evidence.generator_exit = Observation::Seen(GeneratorExit {
                at: Observation::Seen(Moment(cut + CONNECTIONS * stagger + 900)),
                code: 0,
            });
        }
        evidence.exchanges = Exchanges::default();
        let mut next = times.iter().copied().cycle();
        let mut in_flight = 0;
        for id in 0..CONNECTIONS {
            let cut_at = cut + id * stagger;
            evidence.connections.change(usize::try_from(id).unwrap_or(0), |connection| connection.downstream_end.at = Moment(cut_at));
            let (mut began, mut ordinal) = (1_000 + id * 100, 0);
            loop {
                let takes = next.next().unwrap_or(USUAL);
                if began >= cut_at {
                    break;
                }
                if began + takes >= cut_at {
                    let how = if id % 2 == 0 { CUT_BY_FIN } else { CUT_BY_RESET };
                    evidence.exchanges.push(exchange(id, ordinal, began, cut_at - began, how));
                    in_flight += 1;
                    break;
                }
                evidence.exchanges.push(exchange(id, ordinal, began, takes, COMPLETE));
                began += takes + 40;
                ordinal += 1;
            }
        }
        count(&mut evidence);
        prop_assert_eq!(judged(evidence), (in_flight, 0));
    }
}
