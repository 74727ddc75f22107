//! The case that hopscope was written for: four routes fail behind a healthy gateway, and the tunnel gets the blame.

use std::time::Duration;

use hopscope_attribution::cause::Cause;

use super::forward::Forward;
use super::shop;
use super::tunnels::plan;
use super::{Answer, Scenario, StagedPath};
use crate::fault::Fault;
use crate::generator::Stages;
use crate::service::{Misbehaviour, Service};

/// 200 users for 40 s; 94 of 100 requests to four routes fail, most of them at once, some after a second.
pub(super) fn seed() -> Scenario {
    let mut scenario = Scenario::new(
        "seed",
        "four routes fail behind a healthy gateway; everything travels through a port-forward",
        Answer::Cause(Cause::BackendError),
        |stage| {
            Box::pin(async move {
                // 94 of 100 fail: 87 refused by a pool that is exhausted, 7 after waiting a second for it.
                let refused = Misbehaviour::Status {
                    status: 503,
                    after: stage.latency(6, 28),
                };
                let waited = Misbehaviour::Status {
                    status: 504,
                    after: stage.latency(980, 1_010),
                };
                let catalog = Service::new("catalog", stage.seed)
                    .latency(stage.latency(25, 73))
                    .body(1_500)
                    .fault(Fault::new(waited, Cause::BackendDependency).share(stage.often(0.065)))
                    .fault(Fault::new(refused, Cause::BackendError).share(stage.often(0.935)));
                let (gateway, services) = shop::gateway(&stage, catalog, Duration::from_secs(10))?;
                let mut load = shop::load(&stage, 200, (500, 1_500));
                load.stages = Stages::up_hold_down(stage.users(200), stage.length);
                let forward = Forward::start(plan(&stage), gateway.address()).await?;
                let path = StagedPath {
                    name: "tunnel",
                    address: forward.local,
                };
                let mut staged = stage.ready(vec![path], load, None).keep(services).keep(gateway);
                staged.forward = Some(forward);
                Ok(staged)
            })
        },
    );
    scenario.shown = true;
    scenario.lasting(40)
}
