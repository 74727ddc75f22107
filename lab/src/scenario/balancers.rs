//! Faults of a load balancer in front of a healthy shop, and of the shop behind a healthy balancer.

use std::time::Duration;

use hopscope_attribution::cause::Cause;

use super::shop;
use super::{Answer, Scenario, Stage, StagedPath};
use crate::balancer::{Balancer, Layer, Pages, Trouble};
use crate::door::{DoorFault, DoorPlan};
use crate::draw::Latency;
use crate::fault::{Fault, GroundTruth};
use crate::generator::{Load, Reuse};
use crate::service::{Misbehaviour, Service};

/// What is set up behind and in a balancer.
struct Plan {
    shop: Service,
    balancer: Balancer,
    load: Load,
    unseen: Option<Cause>,
}

type Configure = fn(&Stage, Plan) -> Plan;

/// A balancer over two shops. With `page_cause`, it is the balancer that notes what becomes of its targets' faults.
fn balanced(name: &str, broken: &str, layer: Layer, cause: Option<Cause>, configure: Configure) -> Scenario {
    let answer = cause.map_or(Answer::Healthy, Answer::Cause);
    Scenario::new(name, broken, answer, move |stage| {
        Box::pin(async move {
            let plan = |targets| Plan {
                shop: shop::monolith(&stage),
                balancer: Balancer::new(layer, targets, stage.seed).check_every(Duration::from_millis(100)),
                load: shop::load(&stage, 60, (100, 300)),
                unseen: cause,
            };
            // The balancer writes its own error where a target fails, so the target's log would count twice. A target
            // that answers in full is heard through the balancer, and then its own log is the true one.
            let speaks_itself =
                cause.is_some_and(|cause| cause.hop() == hopscope_attribution::hop::Hop::Backend);
            let shops = if speaks_itself {
                stage.truth.clone()
            } else {
                GroundTruth::new()
            };
            let first = configure(&stage, plan(Vec::new())).shop.start(&shops)?;
            let second = configure(&stage, plan(Vec::new())).shop.start(&shops)?;
            let Plan {
                balancer,
                load,
                unseen,
                ..
            } = configure(&stage, plan(vec![first.address(), second.address()]));
            let balancer = balancer.start(&stage.truth)?;
            let path = StagedPath {
                name: "lb",
                address: balancer.address(),
            };
            Ok(stage
                .ready(vec![path], load, unseen)
                .keep((first, second, balancer)))
        })
    })
}

const ALB: Layer = Layer::Seven(Pages::Alb);
const HAPROXY: Layer = Layer::Seven(Pages::HaProxy);
const NGINX: Layer = Layer::Seven(Pages::Nginx);
const ENVOY: Layer = Layer::Seven(Pages::Envoy);

fn page(status: u16, cause: Cause) -> Fault<Trouble> {
    Fault::new(Trouble::Page(status), cause)
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = pages();
    all.extend(pages_for_targets());
    all.extend(connections());
    all.extend(behind());
    all
}

/// Why a refusal, or a 502, 503 or 504, of a balancer's charges nobody on a path alone.
const MESSENGER: &str = "who refuses, or writes 502, 503 or 504, mostly reports what happened behind it: the pods' nodes, their endpoints or a path beside it tell";

/// The balancer's own error pages.
fn pages() -> Vec<Scenario> {
    vec![
        balanced(
            "lb-no-target",
            "an ALB-like balancer has no healthy target for a while",
            ALB,
            Some(Cause::LbNoTarget),
            |stage, mut plan| {
                plan.shop = plan
                    .shop
                    .door(DoorPlan::default().fault(DoorFault::Gone, stage.window(0.3, 0.6)));
                plan
            },
        )
        .known_as(Cause::Undetermined, MESSENGER)
        .shown(),
        balanced(
            "lb-503",
            "an HAProxy-like balancer answers three of ten requests 503 itself",
            HAPROXY,
            Some(Cause::LbNoTarget),
            |stage, mut plan| {
                plan.balancer = plan
                    .balancer
                    .fault(Fault::new(Trouble::NoTarget, Cause::LbNoTarget).share(stage.often(0.3)));
                plan
            },
        )
        .known_as(Cause::Undetermined, MESSENGER)
        .shown(),
        balanced(
            "lb-503-nginx",
            "an nginx-like balancer has no target for a tenth of the run",
            NGINX,
            Some(Cause::LbNoTarget),
            |stage, mut plan| {
                let fault = Fault::new(Trouble::NoTarget, Cause::LbNoTarget).during(stage.window(0.5, 0.6));
                plan.balancer = plan.balancer.fault(fault);
                plan
            },
        )
        .known_as(Cause::Undetermined, MESSENGER),
        balanced(
            "lb-503-envoy",
            "an Envoy-like balancer has no healthy upstream for some requests",
            ENVOY,
            Some(Cause::LbNoTarget),
            |stage, mut plan| {
                plan.balancer = plan
                    .balancer
                    .fault(Fault::new(Trouble::NoTarget, Cause::LbNoTarget).share(stage.often(0.1)));
                plan
            },
        )
        .known_as(Cause::Undetermined, MESSENGER),
    ]
}

/// What the balancer makes of its targets' faults.
fn pages_for_targets() -> Vec<Scenario> {
    vec![
        balanced(
            "lb-502",
            "an HAProxy-like balancer answers one of ten requests 502 itself",
            HAPROXY,
            Some(Cause::LbBadGateway),
            |stage, mut plan| {
                plan.balancer = plan
                    .balancer
                    .fault(page(502, Cause::LbBadGateway).share(stage.often(0.1)));
                plan
            },
        )
        .known_as(Cause::Undetermined, MESSENGER),
        balanced(
            "lb-502-alb",
            "targets reset behind an ALB-like balancer, which answers 502",
            ALB,
            Some(Cause::LbBadGateway),
            |stage, mut plan| {
                let kind = Misbehaviour::Reset {
                    after: stage.latency(5, 15),
                };
                plan.shop = plan
                    .shop
                    .fault(Fault::new(kind, Cause::LbBadGateway).share(stage.often(0.1)));
                plan
            },
        )
        .known_as(Cause::Undetermined, MESSENGER),
        balanced(
            "lb-504-alb",
            "targets are silent behind an ALB-like balancer, which answers 504",
            ALB,
            Some(Cause::LbGatewayTimeout),
            |stage, mut plan| {
                plan.shop = plan.shop.fault(
                    Fault::new(Misbehaviour::Silence, Cause::LbGatewayTimeout).share(stage.often(0.1)),
                );
                plan.balancer = plan.balancer.answer_timeout(Duration::from_millis(600));
                plan
            },
        )
        .known_as(Cause::Undetermined, MESSENGER)
        .scaled("the balancer waits for 0.6 s, a real one for 60 s"),
        balanced(
            "lb-504-haproxy",
            "targets are slow behind an HAProxy-like balancer, which answers 504",
            HAPROXY,
            Some(Cause::LbGatewayTimeout),
            |stage, mut plan| {
                let slow = Misbehaviour::Slow(Latency::fixed(3_000));
                plan.shop = plan
                    .shop
                    .fault(Fault::new(slow, Cause::LbGatewayTimeout).share(stage.often(0.1)));
                plan.balancer = plan.balancer.answer_timeout(Duration::from_millis(600));
                plan
            },
        )
        .known_as(Cause::Undetermined, MESSENGER),
    ]
}

const NO_AUTHOR: &str =
    "a reset has no author: the balancer, or the shop through it; only their kernels know";

/// The balancer's connections.
fn connections() -> Vec<Scenario> {
    vec![
        balanced(
            "lb-refused",
            "nothing listens on the balancer's address for a while",
            HAPROXY,
            Some(Cause::LbRefused),
            |stage, mut plan| {
                plan.load.reuse = Reuse::ServerCloses;
                plan.balancer = plan
                    .balancer
                    .door(DoorPlan::default().fault(DoorFault::Closed, stage.window(0.4, 0.7)));
                plan
            },
        )
        .known_as(Cause::Undetermined, MESSENGER),
        balanced(
            "lb-unreachable",
            "SYNs to the balancer go nowhere for a while",
            Layer::Four,
            Some(Cause::LbUnreachable),
            |stage, mut plan| {
                plan.load.reuse = Reuse::ServerCloses;
                plan.balancer = plan.balancer.door(
                    DoorPlan::default()
                        .backlog(1)
                        .fault(DoorFault::Deaf, stage.window(0.3, 0.9)),
                );
                plan
            },
        )
        .known_as(Cause::Undetermined, MESSENGER),
        balanced(
            "lb-reset",
            "a layer-7 balancer resets one request in ten",
            ALB,
            Some(Cause::LbReset),
            |stage, mut plan| {
                let fault = Fault::new(Trouble::Reset { after: Latency::None }, Cause::LbReset);
                plan.balancer = plan.balancer.fault(fault.share(stage.often(0.1)));
                plan
            },
        )
        .known_as(Cause::Undetermined, NO_AUTHOR),
        balanced(
            "lb-reset-early",
            "a layer-4 balancer resets one connection in ten as soon as it stands",
            Layer::Four,
            Some(Cause::LbReset),
            |stage, mut plan| {
                plan.load.reuse = Reuse::ServerCloses;
                let fault = Fault::new(Trouble::NoTarget, Cause::LbReset);
                plan.balancer = plan.balancer.fault(fault.share(stage.often(0.1)));
                plan
            },
        )
        .known_as(Cause::Undetermined, NO_AUTHOR),
        balanced(
            "lb-idle",
            "a layer-4 balancer forgets flows that were idle for 1.5 s",
            Layer::Four,
            Some(Cause::LbIdleTimeout),
            |stage, mut plan| {
                plan.load = shop::load(stage, 120, (600, 2_400));
                plan.balancer = plan.balancer.forget_after(Duration::from_millis(1_500));
                plan
            },
        )
        .unhurried()
        .scaled("flows are forgotten after 1.5 s, by a real network load balancer after 350 s")
        .shown(),
    ]
}

/// The shop behind a balancer that does its work.
fn behind() -> Vec<Scenario> {
    vec![
        balanced(
            "healthy-lb",
            "nothing; through a layer-7 balancer",
            ALB,
            None,
            |_, plan| plan,
        ),
        balanced(
            "healthy-lb4",
            "nothing; through a layer-4 balancer",
            Layer::Four,
            None,
            |_, plan| plan,
        ),
        balanced(
            "errors-lb",
            "three of ten products answer 500 behind a healthy balancer",
            ALB,
            Some(Cause::BackendError),
            |stage, mut plan| {
                let kind = Misbehaviour::Status {
                    status: 500,
                    after: stage.latency(5, 15),
                };
                plan.shop = plan.shop.fault(
                    Fault::new(kind, Cause::BackendError)
                        .share(stage.often(0.3))
                        .under("/products"),
                );
                plan
            },
        ),
        balanced(
            "rate-limit-lb",
            "the shops answer 429 to the balancer's one address",
            HAPROXY,
            Some(Cause::BackendRateLimited),
            |stage, mut plan| {
                plan.shop = plan.shop.rate_limit(30.0 * stage.level, 15.0);
                plan
            },
        )
        .known_as(
            Cause::Undetermined,
            "a 429 without a mark: the balancer can limit as well as the shops behind it",
        ),
    ]
}
