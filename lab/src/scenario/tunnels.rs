//! Faults of a port-forward, and of the application behind one.

use std::time::Duration;

use hopscope_attribution::cause::Cause;

use super::forward::{Forward, Plan};
use super::shop;
use super::{Answer, Scenario, Stage, Staged, StagedPath};
use crate::door::{DoorFault, DoorPlan};
use crate::fault::{Fault, Window};
use crate::generator::{Load, Reuse};
use crate::kubectl::Version;
use crate::node::{Phase, Runtime, Selection, StreamFault, TunnelFault};
use crate::service::{Misbehaviour, Service};

/// What is set up at the two ends of a forward.
struct Ends {
    plan: Plan,
    shop: Service,
    load: Load,
}

type Configure = fn(&Stage, Ends) -> Ends;
type Strike = fn(&Stage, &Forward);

const SCALED: &str = "kubectl waits 1.2 s for a stream, a real one 30 s";

/// A shop behind a forward; `strike` sets what goes wrong with the tunnel.
fn forwarded(
    name: &str,
    broken: &str,
    cause: Option<Cause>,
    configure: Configure,
    strike: Strike,
) -> Scenario {
    let answer = cause.map_or(Answer::Healthy, Answer::Cause);
    Scenario::new(name, broken, answer, move |stage| {
        Box::pin(async move {
            let ends = configure(&stage, ends(&stage));
            let shop = ends.shop.start(&stage.truth)?;
            let forward = Forward::start(ends.plan, shop.address()).await?;
            strike(&stage, &forward);
            let path = StagedPath {
                name: "tunnel",
                address: forward.local,
            };
            let mut staged = stage.ready(vec![path], ends.load, cause).keep(shop);
            staged.forward = Some(forward);
            Ok(staged)
        })
    })
}

/// What nobody has broken yet.
fn ends(stage: &Stage) -> Ends {
    let mut load = shop::load(stage, 60, (100, 300));
    // Longer than the runtime's drain of one second, so that its end is seen.
    load.timeout = Duration::from_secs(3);
    Ends {
        plan: plan(stage),
        shop: shop::monolith(stage),
        load,
    }
}

/// A forward of today's usual kubectl and runtime that is started again a tenth of the run after it was lost.
pub(super) fn plan(stage: &Stage) -> Plan {
    // kubectl's `createStreamResponseTimeout` and the node's time-out for the second stream of a pair.
    let stream_timeout = Duration::from_secs(30);
    Plan {
        version: Version::V1_32,
        runtime: Runtime::Containerd17,
        reply_timeout: stream_timeout,
        pair_timeout: stream_timeout,
        restart_after: Some(stage.share(0.1)),
    }
}

/// Streams time out within a run of some seconds. Only where that is the fault: on a busy host healthy ones would too.
fn scaled_down(mut ends: Ends) -> Ends {
    let stream_timeout = Duration::from_millis(1_200);
    ends.plan.reply_timeout = stream_timeout;
    ends.plan.pair_timeout = stream_timeout;
    ends
}

fn one_each(mut ends: Ends) -> Ends {
    ends.load.reuse = Reuse::ServerCloses;
    ends
}

fn no_strike(_: &Stage, _: &Forward) {}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = collapses();
    all.extend(stalls());
    all.extend(behind());
    all
}

/// The whole forward ends at once.
fn collapses() -> Vec<Scenario> {
    vec![
        forwarded(
            "pod-refused",
            "the pod's port refuses once, and kubectl gives the whole forward up for it",
            Some(Cause::BackendRefused),
            |stage, mut ends| {
                ends.shop = ends
                    .shop
                    .door(DoorPlan::default().fault(DoorFault::Closed, stage.window(0.4, 0.45)));
                one_each(ends)
            },
            no_strike,
        )
        .shown(),
        forwarded(
            "tunnel-lost",
            "the tunnel's own connection is reset half-way",
            Some(Cause::TunnelLost),
            |_, ends| ends,
            |stage, forward| {
                forward.faults().tunnel_after(stage.at(0.5), TunnelFault::Reset);
            },
        )
        .shown(),
        forwarded(
            "tunnel-closed",
            "the API server closes the tunnel half-way",
            Some(Cause::TunnelLost),
            |_, ends| one_each(ends),
            |stage, forward| {
                forward.faults().tunnel_after(stage.at(0.5), TunnelFault::Fin);
            },
        ),
        forwarded(
            "tunnel-gone",
            "the tunnel's own connection is reset half-way, and nobody starts kubectl again",
            Some(Cause::TunnelLost),
            |_, mut ends| {
                ends.plan.restart_after = None;
                ends
            },
            |stage, forward| {
                forward.faults().tunnel_after(stage.at(0.5), TunnelFault::Reset);
            },
        ),
        never_started(),
        forwarded(
            "pod-reset-collapse",
            "the pod resets one request in a hundred; cri-o says so and kubectl gives up",
            Some(Cause::BackendReset),
            |stage, mut ends| {
                ends.plan.runtime = Runtime::CriO;
                let kind = Misbehaviour::Reset {
                    after: stage.latency(5, 15),
                };
                ends.shop = ends
                    .shop
                    .fault(Fault::new(kind, Cause::BackendReset).share(stage.often(0.01)));
                ends
            },
            no_strike,
        ),
        forwarded(
            "pod-gone",
            "the pod is deleted, and comes back a third of the run later",
            Some(Cause::BackendNotReady),
            |_, ends| one_each(ends),
            |stage, forward| {
                if let Some(pod) = forward.pod() {
                    let (from, until) = (stage.share(0.4), stage.share(0.3));
                    tokio::spawn(async move {
                        tokio::time::sleep(from).await;
                        pod.set_phase(Phase::Gone);
                        tokio::time::sleep(until).await;
                        pod.set_phase(Phase::Running);
                    });
                }
            },
        ),
    ]
}

/// A forward that somebody forgot to start.
fn never_started() -> Scenario {
    let name = "tunnel-down";
    let broken = "nobody has started kubectl: nothing listens where the forward should";
    Scenario::new(name, broken, Answer::Cause(Cause::TunnelDown), |stage| {
        Box::pin(async move {
            let closed = DoorPlan::default().fault(DoorFault::Closed, Window::ALWAYS);
            // Held, so that no other program gets the port.
            let nothing = shop::monolith(&stage).door(closed).start(&stage.truth)?;
            let path = StagedPath {
                name: "tunnel",
                address: nothing.address(),
            };
            let load = shop::load(&stage, 30, (200, 600));
            Ok(stage
                .ready(vec![path], load, Some(Cause::TunnelDown))
                .keep(nothing))
        })
    })
    .shown()
}

/// The forward stands, and carries less than it should.
fn stalls() -> Vec<Scenario> {
    vec![
        head_of_line(),
        forwarded(
            "poisoned",
            "one late reply poisons a worker of kubectl's: every fifth connection hangs",
            Some(Cause::TunnelPoisoned),
            |stage, mut ends| {
                // Few connections: fifty frames for the dead worker would block the reader, and with it everybody.
                ends.load = shop::load(stage, 12, (400, 800));
                ends.load.timeout = Duration::from_secs(3);
                scaled_down(one_each(ends))
            },
            |stage, forward| {
                let late = StreamFault::LateErrorReply(Duration::from_millis(1_500));
                forward
                    .faults()
                    .stream_after(stage.at(0.2), Selection::Next(1), late);
            },
        )
        .scaled(SCALED)
        .unhurried()
        .shown(),
        forwarded(
            "blackhole",
            "the tunnel swallows everything: bytes go in, and nothing is ever answered",
            Some(Cause::TunnelTimeout),
            |_, ends| {
                let mut ends = scaled_down(one_each(ends));
                ends.plan.restart_after = Some(Duration::from_millis(100));
                ends
            },
            |stage, forward| {
                let faults = forward.faults();
                faults.tunnel_after(stage.at(0.4), TunnelFault::Reading(false));
                faults.tunnel_after(stage.at(0.75), TunnelFault::Reset);
                faults.tunnel_after(stage.at(0.755), TunnelFault::Reading(true));
            },
        )
        .scaled("kubectl waits 1.2 s for a stream, a real one 30 s; a hole that swallows packets as well takes root")
        .unhurried()
        .shown(),
        forwarded(
            "streams-unanswered",
            "the node leaves one stream in five unanswered",
            Some(Cause::TunnelTimeout),
            |stage, ends| {
                let mut ends = scaled_down(ends);
                // The node must not give up on the pair within the run: its text would poison a worker as well.
                ends.plan.pair_timeout = 20 * stage.length;
                one_each(ends)
            },
            |stage, forward| {
                forward
                    .faults()
                    .stream(Selection::Share(stage.often(0.2)), StreamFault::NoErrorReply);
            },
        )
        .scaled(SCALED)
        .unhurried(),
    ]
}

/// One client that does not read holds up everybody else.
fn head_of_line() -> Scenario {
    let configure: Configure = |_, mut ends| {
        ends.shop = ends.shop.large("/export", 48 * 1024 * 1024);
        scaled_down(one_each(ends))
    };
    let inner = forwarded(
        "head-of-line",
        "one client asks for a large export and does not read it; SPDY has no flow control",
        Some(Cause::TunnelHeadOfLine),
        configure,
        no_strike,
    );
    let build = inner.build;
    Scenario::new(&inner.name, &inner.broken, inner.answer, move |stage| {
        let window = stage.window(0.3, 0.65);
        let building = build(stage);
        Box::pin(async move {
            let staged: Staged = building.await?;
            Ok(Staged {
                hog: Some(window),
                ..staged
            })
        })
    })
    .scaled(SCALED)
    .unhurried()
    .shown()
}

/// A healthy forward, and what fails behind it.
fn behind() -> Vec<Scenario> {
    vec![
        forwarded(
            "healthy",
            "nothing; through a port-forward",
            None,
            |_, ends| ends,
            no_strike,
        )
        .shown(),
        forwarded(
            "healthy-tunnel-new-connections",
            "nothing; through a port-forward, a connection per request",
            None,
            |_, ends| one_each(ends),
            no_strike,
        ),
        forwarded(
            "errors-tunnel",
            "three of ten products answer 500 behind a healthy port-forward",
            Some(Cause::BackendError),
            |stage, mut ends| {
                let kind = Misbehaviour::Status {
                    status: 500,
                    after: stage.latency(5, 15),
                };
                ends.shop = ends.shop.fault(
                    Fault::new(kind, Cause::BackendError)
                        .share(stage.often(0.3))
                        .under("/products"),
                );
                ends
            },
            no_strike,
        ),
        forwarded(
            "rate-limit",
            "the shop allows one address 60 requests a second; through the forward all users are one",
            Some(Cause::BackendRateLimited),
            |stage, mut ends| {
                ends.shop = ends.shop.rate_limit(60.0 * stage.level, 30.0);
                ends
            },
            no_strike,
        )
        .shown(),
        forwarded(
            "reset-tunnel",
            "the pod resets one connection in ten; the runtime says nothing",
            Some(Cause::BackendReset),
            |stage, mut ends| {
                let kind = Misbehaviour::Reset {
                    after: stage.latency(5, 15),
                };
                ends.shop = ends
                    .shop
                    .fault(Fault::new(kind, Cause::BackendReset).share(stage.often(0.1)));
                ends
            },
            no_strike,
        ),
        forwarded(
            "truncated-tunnel",
            "one answer in ten ends half-way behind a healthy port-forward",
            Some(Cause::BackendTruncated),
            |stage, mut ends| {
                let fault =
                    Fault::new(Misbehaviour::Truncate, Cause::BackendTruncated).share(stage.often(0.1));
                ends.shop = ends.shop.fault(fault);
                ends
            },
            no_strike,
        ),
        forwarded(
            "silent-tunnel",
            "one request in ten is never answered behind a healthy port-forward",
            Some(Cause::BackendTimeout),
            |stage, mut ends| {
                let fault = Fault::new(Misbehaviour::Silence, Cause::BackendTimeout)
                    .share(stage.often(0.1))
                    .under("/products");
                ends.shop = ends.shop.fault(fault);
                ends
            },
            no_strike,
        ),
    ]
}
