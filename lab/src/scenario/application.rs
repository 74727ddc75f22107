//! Faults of the application itself, and its health.

use std::time::Duration;

use hopscope_attribution::cause::Cause;

use super::shop;
use super::{Answer, Scenario, Stage};
use crate::door::{DoorFault, DoorPlan};
use crate::draw::Latency;
use crate::fault::Fault;
use crate::generator::{Load, Mix, Reuse, RouteShare};
use crate::service::{Misbehaviour, Service};

/// A scenario of one path straight to the shop.
fn direct<F>(name: &str, broken: &str, cause: Option<Cause>, build: F) -> Scenario
where
    F: Fn(&Stage, Service) -> (Service, Load, Option<Cause>) + Send + Sync + Clone + 'static,
{
    let answer = cause.map_or(Answer::Healthy, Answer::Cause);
    Scenario::new(name, broken, answer, move |stage| {
        let build = build.clone();
        Box::pin(async move {
            let (service, load, unseen) = build(&stage, shop::monolith(&stage));
            shop::direct(stage, service, load, unseen)
        })
    })
}

fn steady(stage: &Stage) -> Load {
    shop::load(stage, 60, (100, 300))
}

/// A load of connections that carry one request each.
fn one_each(stage: &Stage) -> Load {
    Load {
        reuse: Reuse::ServerCloses,
        ..steady(stage)
    }
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = vec![
        direct("healthy-direct", "nothing", None, |stage, shop| {
            (shop, steady(stage), None)
        }),
        direct(
            "healthy-slow",
            "nothing; answers take long, and nobody gives up on them",
            None,
            |stage, shop| (shop.latency(stage.latency(300, 900)), steady(stage), None),
        ),
        direct(
            "healthy-new-connections",
            "nothing; every request has its own connection",
            None,
            |stage, shop| (shop, one_each(stage), None),
        ),
    ];
    all.extend(answers());
    all.extend(endings());
    all.extend(early_ends());
    all.extend(doors());
    all
}

/// Complete answers that say no.
fn answers() -> Vec<Scenario> {
    let status = |status, after| Misbehaviour::Status { status, after };
    let of_route = move |stage: &Stage, shop: Service, share| {
        let fault = Fault::new(status(500, stage.latency(5, 15)), Cause::BackendError);
        (
            shop.fault(fault.share(stage.often(share)).under("/products")),
            steady(stage),
            None,
        )
    };
    vec![
        direct(
            "errors",
            "three of ten products answer 500",
            Some(Cause::BackendError),
            move |stage, shop| of_route(stage, shop, 0.3),
        ),
        direct(
            "errors-rare",
            "one of fifty products answers 500",
            Some(Cause::BackendError),
            move |stage, shop| of_route(stage, shop, 0.02),
        ),
        direct(
            "errors-burst",
            "everything answers 500 for a tenth of the run",
            Some(Cause::BackendError),
            move |stage, shop| {
                let fault = Fault::new(status(500, Latency::None), Cause::BackendError)
                    .during(stage.window(0.5, 0.6));
                (shop.fault(fault), steady(stage), None)
            },
        ),
        direct(
            "rate-limit-direct",
            "the shop answers 429 above 60 requests a second from one address",
            Some(Cause::BackendRateLimited),
            |stage, shop| (shop.rate_limit(60.0 * stage.level, 30.0), steady(stage), None),
        ),
        dependency(
            "gateway-refused",
            "the catalog is down, and the gateway answers 502",
            |stage, catalog| catalog.door(DoorPlan::default().fault(DoorFault::Gone, stage.window(0.3, 0.7))),
        ),
        dependency(
            "gateway-reset",
            "the catalog resets, and the gateway answers 502",
            |stage, catalog| {
                let reset = Misbehaviour::Reset {
                    after: stage.latency(5, 15),
                };
                catalog.fault(Fault::new(reset, Cause::BackendDependency).share(stage.often(0.2)))
            },
        ),
        dependency(
            "gateway-timeout",
            "the catalog is silent, and the gateway answers 504 after half a second",
            |stage, catalog| {
                catalog.fault(
                    Fault::new(Misbehaviour::Silence, Cause::BackendDependency).share(stage.often(0.1)),
                )
            },
        ),
    ]
}

/// A gateway in front of a catalog that fails; its hits are the gateway's to note.
fn dependency(name: &str, broken: &str, configure: fn(&Stage, Service) -> Service) -> Scenario {
    Scenario::new(
        name,
        broken,
        Answer::Cause(Cause::BackendDependency),
        move |stage| {
            Box::pin(async move {
                // The catalog's own log is apart: the gateway notes what became of it.
                let apart = Stage {
                    truth: crate::fault::GroundTruth::new(),
                    ..stage.clone()
                };
                let catalog = configure(
                    &stage,
                    Service::new("catalog", stage.seed).latency(shop::healthy(&stage)),
                );
                let catalog = catalog.start(&apart.truth)?;
                let search = Service::new("search", stage.seed)
                    .latency(shop::healthy(&stage))
                    .start(&stage.truth)?;
                let gateway = crate::gateway::Gateway::default()
                    .route("/search", search.address())
                    .route("/", catalog.address())
                    .answer_timeout(Duration::from_millis(500))
                    .start(&stage.truth)?;
                let path = super::StagedPath {
                    name: "direct",
                    address: gateway.address(),
                };
                let load = steady(&stage);
                Ok(stage
                    .ready(vec![path], load, None)
                    .keep((catalog, search, gateway)))
            })
        },
    )
}

/// Connections and answers that end too early, or not at all.
fn endings() -> Vec<Scenario> {
    vec![
        direct(
            "reset",
            "the shop resets one connection in five instead of answering",
            Some(Cause::BackendReset),
            |stage, shop| {
                let kind = Misbehaviour::Reset {
                    after: stage.latency(5, 15),
                };
                (
                    shop.fault(Fault::new(kind, Cause::BackendReset).share(stage.often(0.2))),
                    steady(stage),
                    None,
                )
            },
        ),
        direct(
            "closed",
            "the shop closes one connection in five instead of answering",
            Some(Cause::BackendReset),
            |stage, shop| {
                let kind = Misbehaviour::CloseUnanswered;
                (
                    shop.fault(Fault::new(kind, Cause::BackendReset).share(stage.often(0.2))),
                    steady(stage),
                    None,
                )
            },
        ),
        direct(
            "truncated",
            "one answer in five ends half-way",
            Some(Cause::BackendTruncated),
            |stage, shop| {
                let kind = Misbehaviour::Truncate;
                (
                    shop.fault(Fault::new(kind, Cause::BackendTruncated).share(stage.often(0.2))),
                    steady(stage),
                    None,
                )
            },
        ),
        direct(
            "silent",
            "one request in ten is never answered; users wait for a second",
            Some(Cause::BackendTimeout),
            |stage, shop| {
                let mut load = steady(stage);
                load.timeout = Duration::from_secs(1);
                (
                    shop.fault(
                        Fault::new(Misbehaviour::Silence, Cause::BackendTimeout).share(stage.often(0.1)),
                    ),
                    load,
                    None,
                )
            },
        ),
        direct(
            "slow",
            "product pages take seconds; users wait for one",
            Some(Cause::BackendTimeout),
            |stage, shop| {
                let mut load = steady(stage);
                load.timeout = Duration::from_secs(1);
                let slow = Misbehaviour::Slow(stage.latency(2_500, 4_000));
                let fault = Fault::new(slow, Cause::BackendTimeout)
                    .share(stage.often(0.2))
                    .under("/products/");
                (shop.fault(fault), load, Some(Cause::BackendTimeout))
            },
        ),
    ]
}

/// Ends that come too early for somebody: before a body was read, before a user came back.
fn early_ends() -> Vec<Scenario> {
    vec![
        direct(
            "unread-body",
            "uploads are answered 413 before their body was read",
            Some(Cause::BackendUnreadBody),
            |stage, shop| {
                let mut load = shop::load(stage, 20, (100, 300));
                load.mix = Mix::new(vec![
                    RouteShare::get(80.0, "/products/:id"),
                    RouteShare::post(20.0, "/uploads", 3_000_000),
                ]);
                let fault = Fault::new(Misbehaviour::AnswerEarly, Cause::BackendUnreadBody).under("/uploads");
                (shop.fault(fault), load, None)
            },
        )
        .known_as(
            Cause::RequestRejected,
            "the 413 arrives whole before the reset: a client that reads it sees a rejected request",
        ),
        direct(
            "keep-alive-race",
            "the shop closes idle connections just as users come back to them",
            Some(Cause::BackendKeepAliveRace),
            |stage, shop| {
                let mut load = shop::load(stage, 120, (195, 205));
                load.mix = Mix::only(RouteShare::get(1.0, "/products/:id"));
                (
                    shop.latency(Latency::None).idle_close(stage.pause(200)),
                    load,
                    Some(Cause::BackendKeepAliveRace),
                )
            },
        ),
    ]
}

const FULL_QUEUE: &str =
    "SYNs stay unanswered; whether a full queue or a firewall dropped them only the listener's kernel knows";

/// Connections that never stand.
fn doors() -> Vec<Scenario> {
    vec![
        direct(
            "refused",
            "nothing listens on the shop's port for a while",
            Some(Cause::BackendRefused),
            |stage, shop| {
                let shop = shop.door(DoorPlan::default().fault(DoorFault::Closed, stage.window(0.4, 0.7)));
                (shop, one_each(stage), Some(Cause::BackendRefused))
            },
        ),
        direct(
            "restart",
            "the shop's process is gone for a while",
            Some(Cause::BackendNotReady),
            |stage, shop| {
                let shop = shop.door(DoorPlan::default().fault(DoorFault::Gone, stage.window(0.4, 0.7)));
                (shop, steady(stage), Some(Cause::BackendNotReady))
            },
        ),
        direct(
            "accept-queue",
            "the shop accepts nobody for a while, and its queue of four is full",
            Some(Cause::BackendAcceptQueue),
            |stage, shop| {
                let load = one_each(stage);
                let shop = shop.door(
                    DoorPlan::default()
                        .backlog(4)
                        .fault(DoorFault::Deaf, stage.window(0.3, 0.9)),
                );
                (shop, load, Some(Cause::BackendAcceptQueue))
            },
        )
        .known_as(Cause::Undetermined, FULL_QUEUE)
        .shown(),
        direct(
            "overloaded",
            "two workers for a load that needs ten; a queue of four",
            Some(Cause::BackendAcceptQueue),
            |stage, shop| {
                let load = one_each(stage);
                let shop = shop
                    .workers(2)
                    .door(DoorPlan::default().backlog(4))
                    .latency(stage.latency(60, 120));
                (shop, load, Some(Cause::BackendAcceptQueue))
            },
        )
        .known_as(Cause::Undetermined, FULL_QUEUE),
    ]
}
