//! The case that hopscope was written for: routes fail behind a healthy gateway, and the tunnel gets the blame.

use std::time::Duration;

use hopscope_attribution::cause::Cause;

use super::forward::Forward;
use super::shop;
use super::tunnels::plan;
use super::{Answer, Scenario, Stage, StagedPath};
use crate::generator::{Mix, RouteShare, Stages};
use crate::service::{Misbehaviour, Outcome, Service};

/// One route of the case: what came well, and what failed.
struct Row {
    route: &'static str,
    ok: u64,
    failed: u64,
}

/// All 29,826 requests of the case, of which 26,637 failed: 89.3 %.
const CASE: [Row; 6] = [
    row("/health", 1_499, 0),
    row("/search", 0, 1_474),
    row("/categories", 190, 2_803),
    row("/products", 566, 8_304),
    row("/products/:id", 734, 11_217),
    row("/banners", 200, 2_839),
];

const fn row(route: &'static str, ok: u64, failed: u64) -> Row {
    Row { route, ok, failed }
}

/// Of a hundred failed requests of the catalog so many waited a second for a connection of its pool.
const WAITED_PERCENT: u64 = 7;

/// 200 users for 40 s; outcomes are dealt from the case's own table, so that their shares are its shares.
pub(super) fn seed() -> Scenario {
    let mut scenario = Scenario::new(
        "seed",
        "four routes and the search fail behind a healthy gateway; everything travels through a port-forward",
        Answer::Cause(Cause::BackendError),
        |stage| {
            Box::pin(async move {
                let (catalog, search) = (catalog(&stage), search(&stage));
                let (gateway, services) = shop::gateway(&stage, catalog, search, Duration::from_secs(10))?;
                let mut load = shop::load(&stage, 200, (500, 1_500));
                load.stages = Stages::up_hold_down(stage.users(200), stage.length);
                load.mix = mix();
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

fn mix() -> Mix {
    #[expect(clippy::cast_precision_loss, reason = "counts of a table are exact in f64")]
    let routes = CASE.map(|row| RouteShare::get((row.ok + row.failed) as f64, row.route));
    Mix::dealt(routes.to_vec())
}

/// What serves all routes but the search: most failures are refused by a pool that is exhausted, the others waited a
/// second for it.
fn catalog(stage: &Stage) -> Service {
    let refused = Misbehaviour::Status {
        status: 503,
        after: stage.latency(6, 28),
    };
    let waited = Misbehaviour::Status {
        status: 504,
        after: stage.latency(980, 1_010),
    };
    let healthy = Service::new("catalog", stage.seed)
        .latency(stage.latency(25, 73))
        .body(1_500);
    CASE.iter()
        .filter(|row| row.ok > 0 && row.failed > 0)
        .fold(healthy, |service, row| {
            let failed = often(stage, row.failed, row.ok + row.failed);
            let after_waiting = failed * WAITED_PERCENT / 100;
            let outcome = |weight, misbehaviour| Outcome { weight, misbehaviour };
            service.dealing(
                row.route.trim_end_matches(":id"),
                [
                    outcome((row.ok + row.failed).saturating_sub(failed), None),
                    outcome(failed - after_waiting, Some((refused, Cause::BackendError))),
                    outcome(after_waiting, Some((waited, Cause::BackendDependency))),
                ],
            )
        })
}

/// Its engine is not there, which it says at once.
fn search(stage: &Stage) -> Service {
    let broken = Misbehaviour::Status {
        status: 500,
        after: stage.latency(6, 28),
    };
    let always = Outcome {
        weight: 1,
        misbehaviour: Some((broken, Cause::BackendError)),
    };
    shop::search(stage).dealing("/", [always])
}

/// How many of `all` fail where the case had `failed`.
fn often(stage: &Stage, failed: u64, all: u64) -> u64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of a table, and a share of them"
    )]
    let count = (stage.often(failed as f64 / all as f64) * all as f64).round() as u64;
    count.min(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_cases_own() {
        let ok: u64 = CASE.iter().map(|row| row.ok).sum();
        let failed: u64 = CASE.iter().map(|row| row.failed).sum();
        assert_eq!((ok + failed, failed), (29_826, 26_637));
    }
}
