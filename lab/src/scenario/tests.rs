//! The scenarios without hopscope: that each breaks what it says, as the client sees it.

use super::*;

#[test]
fn every_scenario_has_its_own_name() {
    let mut names: Vec<String> = all().into_iter().map(|scenario| scenario.name).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(find("seed").is_some());
    assert!(find("no-such").is_none());
}

/// Runs a scenario straight against its first path, fast and small.
async fn run(scenario: &Scenario) -> (Staged, Totals) {
    let to_a_second_and_a_half = scenario.length.as_secs_f64() / 1.5;
    let staged = scenario
        .stage(1, 0.5, to_a_second_and_a_half, Parameters::OWN)
        .await
        .unwrap();
    let mut load = staged.load.clone();
    load.address = staged.paths[0].address;
    if let Answer::Cause(Cause::BackendAcceptQueue | Cause::LbUnreachable) = scenario.answer {
        // In place of hopscope's time-out for connecting: the kernel would go on trying.
        load.timeout = Duration::from_millis(300);
    }
    if let Some(window) = staged.hog {
        let (address, truth) = (load.address, staged.truth.clone());
        tokio::spawn(async move { hog(address, "/export", &truth, window).await });
    }
    let totals = load.start().finish(Duration::from_secs(6)).await;
    (staged, totals)
}

#[tokio::test]
async fn healthy_scenarios_fail_nobody_and_the_others_somebody() {
    let runs = all().into_iter().map(|scenario| async move {
        let (staged, totals) = run(&scenario).await;
        let causes = staged.true_causes(&totals);
        match scenario.answer {
            Answer::Healthy => assert_eq!(totals.failed(), 0, "{}: {:?}", scenario.name, totals.seen()),
            // Only hopscope suffers; here it is not on the path.
            Answer::Cause(Cause::ObserverSaturated) => {}
            Answer::Cause(cause) => {
                assert!(totals.failed() > 0, "{}: nothing failed", scenario.name);
                let most = causes
                    .iter()
                    .max_by_key(|(_, count)| **count)
                    .map(|(cause, _)| *cause);
                assert_eq!(
                    most,
                    Some(cause),
                    "{}: {causes:?} {:?}",
                    scenario.name,
                    totals.seen()
                );
            }
        }
        assert_eq!(causes.values().sum::<u64>(), totals.failed(), "{}", scenario.name);
    });
    let mut under_way = tokio::task::JoinSet::new();
    for run in runs {
        // A few at a time: more would wait for one another on this one thread, and that is a fault of its own.
        if under_way.len() >= 10 {
            under_way.join_next().await.unwrap().unwrap();
        }
        under_way.spawn(run);
    }
    while let Some(done) = under_way.join_next().await {
        done.unwrap();
    }
}
