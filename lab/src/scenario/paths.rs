//! The same load over two paths at once: what differs between them, and what they share.

use std::time::Duration;

use hopscope_attribution::cause::Cause;

use super::forward::Forward;
use super::shop;
use super::tunnels::plan;
use super::{Answer, Building, Scenario, Stage, Staged, StagedPath};
use crate::balancer::{Balancer, Layer, Pages, Trouble};
use crate::fault::{Fault, GroundTruth};
use crate::generator::Reuse;
use crate::node::TunnelFault;
use crate::service::{Misbehaviour, RunningService, Service};

/// Why the balancer's 503 stays open although the other half of the load was answered.
const ONE_ADDRESS: &str = "the path beside it reaches one address of the application, and without its endpoints nobody knows that it is the only one";

/// A scenario of two paths.
fn two(
    name: &str,
    broken: &str,
    cause: Option<Cause>,
    build: fn(Stage, Option<Cause>) -> Building,
) -> Scenario {
    let answer = cause.map_or(Answer::Healthy, Answer::Cause);
    Scenario::new(name, broken, answer, move |stage| build(stage, cause))
}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        two(
            "paths-tunnel-bad",
            "half of the load goes through a port-forward whose connection is reset half-way, half goes straight",
            Some(Cause::TunnelLost),
            |stage, cause| {
                Box::pin(async move {
                    let service = shop::monolith(&stage);
                    let staged = tunnel_and_direct(&stage, service, cause).await?;
                    if let Some(forward) = &staged.forward {
                        forward.faults().tunnel_after(stage.at(0.5), TunnelFault::Reset);
                    }
                    Ok(staged)
                })
            },
        )
        .shown(),
        two(
            "paths-both-bad",
            "the pod resets one request in ten, through the port-forward and straight alike",
            Some(Cause::BackendReset),
            |stage, cause| {
                Box::pin(async move {
                    let kind = Misbehaviour::Reset {
                        after: stage.latency(5, 15),
                    };
                    let fault = Fault::new(kind, Cause::BackendReset).share(stage.often(0.1));
                    let service = shop::monolith(&stage).fault(fault);
                    tunnel_and_direct(&stage, service, cause).await
                })
            },
        )
        .shown(),
        two(
            "paths-tunnel-slow",
            "nothing; the port-forward is slower than the straight path",
            None,
            |stage, cause| {
                Box::pin(async move {
                    let service = shop::monolith(&stage);
                    let staged = tunnel_and_direct(&stage, service, cause).await?;
                    if let Some(forward) = &staged.forward {
                        // Answers of 1,500 bytes to some 150 requests a second: a line that is nearly full.
                        forward.faults().tunnel(TunnelFault::Throttle(600_000)).await;
                    }
                    Ok(staged)
                })
            },
        ),
        two(
            "paths-balancer-bad",
            "an HAProxy-like balancer answers three of ten requests 503 itself; the other half of the load goes straight",
            Some(Cause::LbNoTarget),
            |stage, cause| {
                Box::pin(async move {
                    let shop = shop::monolith(&stage).start(&stage.truth)?;
                    let fault = Fault::new(Trouble::NoTarget, Cause::LbNoTarget).share(stage.often(0.3));
                    let balancer = Balancer::new(Layer::Seven(Pages::HaProxy), vec![shop.address()], stage.seed)
                        .fault(fault)
                        .start(&stage.truth)?;
                    let paths = vec![path("lb", balancer.address()), path("direct", shop.address())];
                    let load = shop::load(&stage, 60, (100, 300));
                    Ok(stage.ready(paths, load, cause).keep((shop, balancer)))
                })
            },
        )
        .known_as(Cause::Undetermined, ONE_ADDRESS),
        two(
            "paths-one-pod",
            "one of two pods answers 500; the port-forward pins that one, the balancer sends it half of its requests",
            Some(Cause::BackendError),
            |stage, cause| Box::pin(one_pod(stage, cause)),
        )
        .shown(),
        two(
            "paths-pod-resets",
            "one of two pods resets what it gets; the port-forward pins that one, the balancer says 502",
            Some(Cause::BackendReset),
            |stage, cause| Box::pin(resetting_pod(stage, cause)),
        ),
        two(
            "paths-rate-limit",
            "the shop allows one address 60 requests a second: straight each user has its own, through the forward all are one",
            Some(Cause::BackendRateLimited),
            |stage, cause| Box::pin(one_address(stage, cause)),
        ),
    ]
}

const fn path(name: &'static str, address: std::net::SocketAddr) -> StagedPath {
    StagedPath { name, address }
}

/// A port-forward to the shop, and the shop's own address.
async fn tunnel_and_direct(stage: &Stage, service: Service, cause: Option<Cause>) -> std::io::Result<Staged> {
    let shop = service.start(&stage.truth)?;
    let forward = Forward::start(plan(stage), shop.address()).await?;
    let paths = vec![path("tunnel", forward.local), path("direct", shop.address())];
    let mut load = shop::load(stage, 60, (100, 300));
    load.timeout = Duration::from_secs(3);
    // Dealt by connection: with one request each, both paths get the same mix at the same time.
    load.reuse = Reuse::ServerCloses;
    let mut staged = stage.clone().ready(paths, load, cause).keep(shop);
    staged.forward = Some(forward);
    Ok(staged)
}

/// A bad pod behind a port-forward, and a balancer over it and a good one.
async fn pinned(
    stage: Stage,
    bad: RunningService,
    balancer: fn(Vec<std::net::SocketAddr>, &Stage) -> Balancer,
    cause: Option<Cause>,
) -> std::io::Result<Staged> {
    let good = shop::monolith(&stage).start(&stage.truth)?;
    let balancer = balancer(vec![bad.address(), good.address()], &stage).start(&stage.truth)?;
    let forward = Forward::start(plan(&stage), bad.address()).await?;
    let paths = vec![path("tunnel", forward.local), path("lb", balancer.address())];
    let mut load = shop::load(&stage, 60, (100, 300));
    load.timeout = Duration::from_secs(3);
    load.reuse = Reuse::ServerCloses;
    let mut staged = stage.ready(paths, load, cause).keep((bad, good, balancer));
    staged.forward = Some(forward);
    Ok(staged)
}

async fn one_pod(stage: Stage, cause: Option<Cause>) -> std::io::Result<Staged> {
    let kind = Misbehaviour::Status {
        status: 500,
        after: stage.latency(5, 15),
    };
    let fault = Fault::new(kind, Cause::BackendError).share(stage.often(0.5));
    let bad = shop::monolith(&stage).fault(fault).start(&stage.truth)?;
    let balancer = |targets, stage: &Stage| Balancer::new(Layer::Seven(Pages::Alb), targets, stage.seed);
    pinned(stage, bad, balancer, cause).await
}

async fn resetting_pod(stage: Stage, cause: Option<Cause>) -> std::io::Result<Staged> {
    let kind = Misbehaviour::Reset {
        after: stage.latency(5, 15),
    };
    let fault = Fault::new(kind, Cause::BackendReset).share(stage.often(0.2));
    // What the balancer makes of it is on its own record.
    let bad = shop::monolith(&stage).fault(fault).start(&GroundTruth::new())?;
    let balancer = |targets, stage: &Stage| Balancer::new(Layer::Seven(Pages::HaProxy), targets, stage.seed);
    pinned(stage, bad, balancer, cause).await
}

/// One shop, twice: on loopback every user has the same address, so that the straight path's shop has to be one whose limit
/// nobody reaches.
async fn one_address(stage: Stage, cause: Option<Cause>) -> std::io::Result<Staged> {
    let limited = shop::monolith(&stage).rate_limit(60.0 * stage.level, 30.0);
    let straight = shop::monolith(&stage).start(&stage.truth)?;
    let mut staged = tunnel_and_direct(&stage, limited, cause).await?;
    for path in &mut staged.paths {
        if path.name == "direct" {
            path.address = straight.address();
        }
    }
    Ok(staged.keep(straight))
}
