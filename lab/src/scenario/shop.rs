//! The application that the scenarios break: a shop, as one service or as a gateway with services behind it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hopscope_attribution::cause::Cause;

use super::{Stage, Staged, StagedPath};
use crate::draw::Latency;
use crate::gateway::{Gateway, RunningGateway};
use crate::generator::{Limits, Load, Mix, Reuse, RouteShare, Stages};
use crate::service::{RunningService, Service};

/// Latency of a healthy answer.
pub(super) fn healthy(stage: &Stage) -> Latency {
    stage.latency(8, 25)
}

/// The routes of the case that hopscope was written for, with their shares of the traffic.
pub(super) fn mix() -> Mix {
    Mix::new(vec![
        RouteShare::get(5.0, "/health"),
        RouteShare::get(5.0, "/search"),
        RouteShare::get(10.0, "/categories"),
        RouteShare::get(30.0, "/products"),
        RouteShare::get(40.0, "/products/:id"),
        RouteShare::get(10.0, "/banners"),
    ])
}

/// A steady load of that mix.
pub(super) fn load(stage: &Stage, users: u32, think_ms: (u64, u64)) -> Load {
    let users = stage.users(users);
    let stages = Stages::new(vec![
        crate::generator::Stage {
            length: stage.share(0.15),
            users,
        },
        crate::generator::Stage {
            length: stage.share(0.85),
            users,
        },
    ]);
    Load {
        address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        stages,
        mix: mix(),
        think: (stage.pause(think_ms.0), stage.pause(think_ms.1)),
        timeout: Duration::from_secs(5),
        aborts: None,
        reuse: Reuse::KeepAlive,
        limits: Limits::default(),
        seed: stage.seed,
    }
}

/// The whole shop as one service.
pub(super) fn monolith(stage: &Stage) -> Service {
    Service::new("shop", stage.seed)
        .latency(healthy(stage))
        .body(1_500)
}

/// One path straight to a service.
pub(super) fn direct(
    stage: Stage,
    service: Service,
    load: Load,
    unseen: Option<Cause>,
) -> io::Result<Staged> {
    let running = service.start(&stage.truth)?;
    let path = StagedPath {
        name: "direct",
        address: running.address(),
    };
    Ok(stage.ready(vec![path], load, unseen).keep(running))
}

/// A healthy search service. A page of results is as large as a page of products.
pub(super) fn search(stage: &Stage) -> Service {
    Service::new("search", stage.seed)
        .latency(stage.latency(25, 73))
        .body(1_500)
}

/// A gateway with a search service, and a catalog that serves all the other routes.
pub(super) fn gateway(
    stage: &Stage,
    catalog: Service,
    search: Service,
    patience: Duration,
) -> io::Result<(RunningGateway, [RunningService; 2])> {
    let catalog = catalog.start(&stage.truth)?;
    let search = search.start(&stage.truth)?;
    let gateway = Gateway::default()
        .route("/search", search.address())
        .route("/", catalog.address())
        .answer_timeout(patience)
        .start(&stage.truth)?;
    Ok((gateway, [catalog, search]))
}
