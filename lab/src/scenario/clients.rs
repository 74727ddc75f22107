//! Faults of the generator and of hopscope itself; the shop is healthy.

use std::io;
use std::time::Duration;

use hopscope_attribution::cause::Cause;

use super::shop;
use super::{Answer, Ordeal, Scenario, Stage};
use crate::generator::{Limits, Load, Reuse};

fn client(
    name: &str,
    broken: &str,
    cause: Cause,
    configure: fn(&Stage, Load) -> io::Result<Load>,
) -> Scenario {
    Scenario::new(name, broken, Answer::Cause(cause), move |stage| {
        Box::pin(async move {
            let load = configure(&stage, shop::load(&stage, 60, (100, 300)))?;
            let service = shop::monolith(&stage);
            shop::direct(stage, service, load, Some(cause))
        })
    })
}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        client(
            "client-ports",
            "the generator's host runs out of local ports",
            Cause::ClientPortsExhausted,
            |stage, mut load| {
                load.reuse = Reuse::ClientCloses;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "some hundreds"
                )]
                let ports = (150.0 * stage.length.as_secs_f64() * stage.level) as usize;
                load.limits = Limits::free_ports(ports.clamp(50, 5_000))?;
                Ok(load)
            },
        )
        .scaled("the host has some hundred ports, a real one 28,232")
        .shown(),
        client(
            "client-descriptors",
            "the generator has fewer descriptors than users",
            Cause::ClientFdLimit,
            |stage, mut load| {
                load.limits.descriptors = Some(stage.users(60) as usize * 2 / 3);
                Ok(load)
            },
        ),
        client(
            "client-aborts",
            "users break one request in ten off",
            Cause::ClientAbort,
            |stage, mut load| {
                load.aborts = Some((0.1, stage.latency(3, 6)));
                Ok(load)
            },
        ),
        client(
            "client-timeout",
            "users give up after 35 ms, which healthy answers sometimes need",
            Cause::ClientTimeout,
            |stage, mut load| {
                load.timeout = Duration::from_millis(35).mul_f64(stage.parameters.latency);
                Ok(load)
            },
        ),
        starved(),
    ]
}

/// Somebody else takes all the CPU time that hopscope would need.
fn starved() -> Scenario {
    Scenario::new(
        "starved",
        "hopscope's host has no CPU time left for it for a third of the run",
        Answer::Cause(Cause::ObserverSaturated),
        |stage| {
            Box::pin(async move {
                let mut load = shop::load(&stage, 60, (50, 150));
                load.timeout = Duration::from_millis(400);
                let service = shop::monolith(&stage);
                let window = stage.window(0.4, 0.75);
                let mut staged = shop::direct(stage, service, load, Some(Cause::ObserverSaturated))?;
                staged.ordeal = Ordeal::Starved(window);
                Ok(staged)
            })
        },
    )
    .shown()
}
