//! Each misbehaviour, as a client sees it.

use super::*;
use crate::door::DoorFault;
use crate::fault::Window;
use crate::generator::{Limits, Load, Mix, NotConnected, Reuse, RouteShare, Seen, Stages, Totals};
use crate::wire::Broken;

const BRIEF: Duration = Duration::from_millis(200);

fn load(service: &RunningService, route: RouteShare) -> Load {
    Load {
        address: service.address(),
        stages: Stages::constant(4, BRIEF),
        mix: Mix::only(route),
        think: (Duration::from_millis(2), Duration::from_millis(4)),
        timeout: Duration::from_secs(5),
        aborts: None,
        reuse: Reuse::KeepAlive,
        limits: Limits::default(),
        seed: 1,
    }
}

async fn seen_of(service: Service, truth: &GroundTruth) -> Totals {
    let running = service.start(truth).unwrap();
    load(&running, RouteShare::get(1.0, "/products/:id"))
        .start()
        .finish(5 * BRIEF)
        .await
}

/// The one thing that every request saw.
fn only(totals: &Totals) -> Seen {
    let seen = totals.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    *seen.keys().next().unwrap()
}

fn broken(kind: Misbehaviour, cause: Cause) -> Service {
    Service::new("catalog", 1).fault(Fault::new(kind, cause))
}

#[tokio::test]
async fn a_healthy_service_answers_every_request_that_is_counted() {
    let truth = GroundTruth::new();
    let running = Service::new("catalog", 1).start(&truth).unwrap();
    let totals = load(&running, RouteShare::post(1.0, "/products", 20_000))
        .start()
        .finish(5 * BRIEF)
        .await;
    assert_eq!(only(&totals), Seen::Status(200));
    assert_eq!(totals.requests(), running.answered());
    assert_eq!(totals.failed(), 0);
    assert!(truth.counts().is_empty());
}

#[tokio::test]
async fn every_error_that_the_client_saw_is_in_the_ground_truth() {
    let truth = GroundTruth::new();
    let kind = Misbehaviour::Status {
        status: 503,
        after: Latency::None,
    };
    let fault = Fault::new(kind, Cause::BackendError).share(0.5);
    let totals = seen_of(Service::new("catalog", 1).fault(fault), &truth).await;
    assert!(
        totals.failed() > 0 && totals.failed() < totals.requests(),
        "{totals:?}"
    );
    assert_eq!(
        totals.seen()[&Seen::Status(503)],
        truth.counts()[&Cause::BackendError]
    );
}

#[tokio::test]
async fn a_reset_a_close_and_a_truncation_are_told_apart() {
    let truth = GroundTruth::new();
    let reset = broken(Misbehaviour::Reset { after: Latency::None }, Cause::BackendReset);
    assert_eq!(
        only(&seen_of(reset, &truth).await),
        Seen::NoResponse(Broken::Reset)
    );
    let closed = broken(Misbehaviour::CloseUnanswered, Cause::BackendReset);
    assert_eq!(
        only(&seen_of(closed, &truth).await),
        Seen::NoResponse(Broken::Eof)
    );
    let cut = broken(Misbehaviour::Truncate, Cause::BackendTruncated);
    assert_eq!(
        only(&seen_of(cut, &truth).await),
        Seen::Truncated(200, Broken::Eof)
    );
}

#[tokio::test]
async fn silence_lasts_until_the_clients_own_time_out() {
    let truth = GroundTruth::new();
    let running = broken(Misbehaviour::Silence, Cause::BackendTimeout)
        .start(&truth)
        .unwrap();
    let mut load = load(&running, RouteShare::get(1.0, "/"));
    load.timeout = Duration::from_millis(100);
    let totals = load.start().finish(5 * BRIEF).await;
    assert_eq!(only(&totals), Seen::TimedOut);
    assert_eq!(
        totals.failed() + totals.interrupted,
        truth.counts()[&Cause::BackendTimeout]
    );
}

#[tokio::test]
async fn an_answer_before_the_body_was_read_ends_in_a_reset() {
    let truth = GroundTruth::new();
    let running = broken(Misbehaviour::AnswerEarly, Cause::BackendUnreadBody)
        .start(&truth)
        .unwrap();
    let totals = load(&running, RouteShare::post(1.0, "/upload", 2_000_000))
        .start()
        .finish(5 * BRIEF)
        .await;
    for seen in totals.seen().keys() {
        let early = [
            Seen::Status(413),
            Seen::NoResponse(Broken::Reset),
            Seen::Truncated(413, Broken::Reset),
        ];
        assert!(early.contains(seen), "{seen:?}");
    }
    assert!(totals.failed() > 0);
}

#[tokio::test]
async fn a_closed_door_refuses() {
    let truth = GroundTruth::new();
    let closed =
        Service::new("catalog", 1).door(DoorPlan::default().fault(DoorFault::Closed, Window::ALWAYS));
    assert_eq!(
        only(&seen_of(closed, &truth).await),
        Seen::NotConnected(NotConnected::Refused)
    );
}

#[tokio::test]
async fn nobody_gets_through_a_deaf_door() {
    let truth = GroundTruth::new();
    let running = Service::new("catalog", 1)
        .door(
            DoorPlan::default()
                .backlog(1)
                .fault(DoorFault::Deaf, Window::ALWAYS),
        )
        .start(&truth)
        .unwrap();
    let mut load = load(&running, RouteShare::get(1.0, "/"));
    load.timeout = Duration::from_millis(100);
    assert_eq!(only(&load.start().finish(5 * BRIEF).await), Seen::TimedOut);
    assert_eq!(running.answered(), 0);
}

#[tokio::test]
async fn one_address_that_asks_too_often_is_told_so() {
    let truth = GroundTruth::new();
    let totals = seen_of(Service::new("catalog", 1).rate_limit(10.0, 5.0), &truth).await;
    let seen = totals.seen();
    assert!(seen[&Seen::Status(200)] >= 5, "{seen:?}");
    assert_eq!(
        seen[&Seen::Status(429)],
        truth.counts()[&Cause::BackendRateLimited]
    );
}

#[tokio::test]
async fn more_connections_than_workers_wait_for_a_free_one() {
    let truth = GroundTruth::new();
    let slow = Service::new("catalog", 1).workers(1).latency(Latency::fixed(20));
    let running = slow.start(&truth).unwrap();
    let mut load = load(&running, RouteShare::get(1.0, "/"));
    load.reuse = Reuse::ServerCloses;
    let totals = load.start().finish(10 * BRIEF).await;
    assert_eq!(only(&totals), Seen::Status(200));
    // Four users and one worker: half of the requests wait for at least one other.
    assert!(
        totals.percentile(0.9).unwrap() >= Duration::from_millis(40),
        "{totals:?}"
    );
}
