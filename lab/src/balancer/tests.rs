//! A balancer in front of services, as a client sees it.

use super::*;
use crate::door::DoorFault;
use crate::fault::Window;
use crate::generator::{Limits, Load, Mix, NotConnected, Reuse, RouteShare, Seen, Stages, Totals};
use crate::service::{Misbehaviour, RunningService, Service};
use crate::wire::Broken;

const ALB: Layer = Layer::Seven(Pages::Alb);

fn load(balancer: &RunningBalancer) -> Load {
    Load {
        address: balancer.address(),
        stages: Stages::constant(3, Duration::from_millis(150)),
        mix: Mix::only(RouteShare::get(1.0, "/products/:id")),
        think: (Duration::from_millis(2), Duration::from_millis(4)),
        timeout: Duration::from_secs(5),
        aborts: None,
        reuse: Reuse::KeepAlive,
        limits: Limits::default(),
        seed: 1,
    }
}

async fn seen_through(balancer: &RunningBalancer) -> Totals {
    load(balancer).start().finish(Duration::from_secs(2)).await
}

fn only(totals: &Totals) -> Seen {
    let seen = totals.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    *seen.keys().next().unwrap()
}

fn services(count: usize, truth: &GroundTruth) -> (Vec<RunningService>, Vec<SocketAddr>) {
    let running: Vec<_> = (0..count)
        .map(|_| Service::new("catalog", 1).start(truth).unwrap())
        .collect();
    let addresses = running.iter().map(RunningService::address).collect();
    (running, addresses)
}

#[tokio::test]
async fn every_target_gets_its_turn_on_both_layers() {
    let truth = GroundTruth::new();
    for layer in [Layer::Four, ALB] {
        let (running, addresses) = services(3, &truth);
        let balancer = Balancer::new(layer, addresses, 1).start(&truth).unwrap();
        assert_eq!(only(&seen_through(&balancer).await), Seen::Status(200));
        assert!(running.iter().all(|service| service.answered() > 0), "{layer:?}");
    }
    assert!(truth.counts().is_empty());
}

#[tokio::test]
async fn each_failure_of_a_target_has_its_own_page_and_cause() {
    let services = GroundTruth::new();
    let silent = Fault::new(Misbehaviour::Silence, Cause::BackendTimeout);
    let resets = Fault::new(Misbehaviour::Reset { after: Latency::None }, Cause::BackendReset);
    let shut = Service::new("shut", 1).door(DoorPlan::default().fault(DoorFault::Closed, Window::ALWAYS));
    for (service, layer, status, cause) in [
        (
            Service::new("silent", 1).fault(silent),
            ALB,
            504,
            Cause::LbGatewayTimeout,
        ),
        (
            Service::new("resets", 1).fault(resets),
            ALB,
            502,
            Cause::LbBadGateway,
        ),
        (shut, Layer::Seven(Pages::HaProxy), 503, Cause::LbNoTarget),
    ] {
        let truth = GroundTruth::new();
        let service = service.start(&services).unwrap();
        let balancer =
            Balancer::new(layer, vec![service.address()], 1).answer_timeout(Duration::from_millis(40));
        let balancer = balancer.start(&truth).unwrap();
        let totals = seen_through(&balancer).await;
        assert_eq!(only(&totals), Seen::Status(status));
        assert_eq!(truth.counts(), [(cause, totals.failed())].into());
    }
}

#[tokio::test]
async fn a_target_that_is_down_is_left_out_until_it_is_back() {
    let truth = GroundTruth::new();
    let (_running, mut addresses) = services(1, &truth);
    let shut = Service::new("shut", 1)
        .door(DoorPlan::default().fault(DoorFault::Closed, Window::ALWAYS))
        .start(&truth)
        .unwrap();
    addresses.push(shut.address());
    let balancer = Balancer::new(ALB, addresses, 1)
        .check_every(Duration::from_millis(5))
        .start(&truth)
        .unwrap();
    // The first check may come after the first requests.
    while seen_through(&balancer).await.failed() > 0 {}
    assert_eq!(only(&seen_through(&balancer).await), Seen::Status(200));
}

#[tokio::test]
async fn a_forgotten_flow_is_reset_at_its_next_byte_and_not_before() {
    let truth = GroundTruth::new();
    let (_running, addresses) = services(1, &truth);
    let balancer = Balancer::new(Layer::Four, addresses, 1).forget_after(Duration::from_millis(60));
    let balancer = balancer.start(&truth).unwrap();
    let mut load = load(&balancer);
    load.stages = Stages::constant(2, Duration::from_millis(500));
    load.think = (Duration::from_millis(100), Duration::from_millis(120));
    let totals = load.start().finish(Duration::from_secs(2)).await;
    let seen = totals.seen();
    assert!(seen[&Seen::NoResponse(Broken::Reset)] > 0, "{seen:?}");
    assert!(seen[&Seen::Status(200)] > 0, "{seen:?}");
    // A user that goes home closes a flow that was forgotten as well: that one is reset, and nobody misses it.
    assert!(truth.counts()[&Cause::LbIdleTimeout] >= totals.failed());
}

#[tokio::test]
async fn troubles_of_its_own_hit_their_share() {
    let (_running, addresses) = services(1, &GroundTruth::new());
    let reset = Trouble::Reset { after: Latency::None };
    for (layer, trouble, seen) in [
        (ALB, Trouble::NoTarget, Seen::Status(503)),
        (ALB, Trouble::Page(502), Seen::Status(502)),
        (ALB, reset, Seen::NoResponse(Broken::Reset)),
        (Layer::Four, Trouble::NoTarget, Seen::NoResponse(Broken::Reset)),
    ] {
        let truth = GroundTruth::new();
        let fault = Fault::new(trouble, Cause::LbReset).share(0.5);
        let balancer = Balancer::new(layer, addresses.clone(), 1)
            .fault(fault)
            .start(&truth)
            .unwrap();
        let totals = seen_through(&balancer).await;
        let counts = totals.seen();
        assert!(
            counts[&seen] > 0 && counts[&Seen::Status(200)] > 0,
            "{trouble:?}: {counts:?}"
        );
        assert_eq!(truth.counts()[&Cause::LbReset], totals.failed());
    }
}

#[tokio::test]
async fn a_balancer_that_is_shut_refuses() {
    let truth = GroundTruth::new();
    let balancer =
        Balancer::new(ALB, Vec::new(), 1).door(DoorPlan::default().fault(DoorFault::Closed, Window::ALWAYS));
    let balancer = balancer.start(&truth).unwrap();
    assert_eq!(
        only(&seen_through(&balancer).await),
        Seen::NotConnected(NotConnected::Refused)
    );
}
