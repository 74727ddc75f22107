//! The gateway in front of services that fail in their own ways.

use super::*;
use crate::door::DoorFault;
use crate::draw::Latency;
use crate::fault::Fault;
use crate::fault::Window;
use crate::generator::{Limits, Load, Mix, Reuse, RouteShare, Seen, Stages, Totals};
use crate::service::{Misbehaviour, RunningService, Service};

async fn seen_through(gateway: &RunningGateway, path: &str) -> Totals {
    let load = Load {
        address: gateway.address(),
        stages: Stages::constant(3, Duration::from_millis(150)),
        mix: Mix::only(RouteShare::get(1.0, path)),
        think: (Duration::from_millis(2), Duration::from_millis(4)),
        timeout: Duration::from_secs(5),
        aborts: None,
        reuse: Reuse::KeepAlive,
        limits: Limits::default(),
        seed: 1,
    };
    load.start().finish(Duration::from_secs(2)).await
}

fn broken(kind: Misbehaviour, truth: &GroundTruth) -> RunningService {
    Service::new("catalog", 1)
        .fault(Fault::new(kind, Cause::BackendDependency))
        .start(truth)
        .unwrap()
}

#[tokio::test]
async fn each_failure_of_a_service_has_its_own_answer() {
    let (truth, services) = (GroundTruth::new(), GroundTruth::new());
    let resets = broken(Misbehaviour::Reset { after: Latency::None }, &services);
    let silent = broken(Misbehaviour::Silence, &services);
    let shut = Service::new("shut", 1)
        .door(DoorPlan::default().fault(DoorFault::Closed, Window::ALWAYS))
        .start(&services)
        .unwrap();
    let well = Service::new("well", 1).start(&services).unwrap();
    let gateway = Gateway::default()
        .route("/resets", resets.address())
        .route("/silent", silent.address())
        .route("/shut", shut.address())
        .route("/well", well.address())
        .answer_timeout(Duration::from_millis(50))
        .start(&truth)
        .unwrap();
    let mut charged = 0;
    for (path, status) in [
        ("/resets", 502),
        ("/silent", 504),
        ("/shut", 502),
        ("/well/:id", 200),
        ("/health", 200),
        ("/nowhere", 404),
    ] {
        let totals = seen_through(&gateway, path).await;
        let seen = totals.seen();
        assert_eq!(
            seen.keys().copied().collect::<Vec<_>>(),
            [Seen::Status(status)],
            "{path}"
        );
        charged += if status >= 500 { totals.failed() } else { 0 };
    }
    assert_eq!(truth.counts()[&Cause::BackendDependency], charged);
}

#[tokio::test]
async fn an_error_of_a_service_is_handed_on_and_charged_once() {
    let truth = GroundTruth::new();
    let service = broken(
        Misbehaviour::Status {
            status: 500,
            after: Latency::None,
        },
        &truth,
    );
    let gateway = Gateway::default()
        .route("/", service.address())
        .start(&truth)
        .unwrap();
    let totals = seen_through(&gateway, "/products/:id").await;
    assert_eq!(
        totals.seen()[&Seen::Status(500)],
        truth.counts()[&Cause::BackendDependency]
    );
}
