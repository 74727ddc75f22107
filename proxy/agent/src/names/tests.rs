//! Pods as the API writes them, and what is made of them.

use serde_json::{Value, json};

use super::*;

const UID: &str = "0a1b2c3d-1111-2222-3333-444455556666";

fn told(pod: &Value) -> Told {
    Told::Pod(Box::new(serde_json::from_value(pod.clone()).unwrap()))
}

fn pod(restarts: i32, ready: bool, last: &Value) -> Value {
    json!({
        "metadata": {
            "name": "gateway-5d4f8c7b9-x2x2x", "namespace": "shop", "uid": UID,
            "labels": {"pod-template-hash": "5d4f8c7b9"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "gateway-5d4f8c7b9",
                                 "uid": "1", "controller": true}],
        },
        "status": {
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
            "containerStatuses": [{"name": "app", "image": "x", "imageID": "", "ready": ready,
                                   "restartCount": restarts, "state": {"running": {}}, "lastState": last}],
        },
    })
}

fn words(events: &[PodEvent]) -> Vec<&'static str> {
    events.iter().map(|event| event.change.word()).collect()
}

fn ended(reason: &str, code: i32) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason}})
}

#[test]
fn a_pod_of_a_deployment_bears_the_deployments_name() {
    let mut names = Names::default();
    assert!(
        names
            .hear(&told(&pod(3, true, &ended("OOMKilled", 137))))
            .is_empty(),
        "its past is not ours"
    );
    let name = names.of(UID).unwrap();
    assert_eq!(
        (name.namespace.as_str(), name.workload.as_str()),
        ("shop", "gateway")
    );
    assert_eq!(name.pod, "gateway-5d4f8c7b9-x2x2x");
}

#[test]
fn every_kind_of_owner_is_a_workload() {
    let owned = |kind: &str, owner: &str| {
        let mut pod = pod(0, true, &json!({}));
        pod["metadata"]["ownerReferences"][0]["kind"] = kind.into();
        pod["metadata"]["ownerReferences"][0]["name"] = owner.into();
        let mut names = Names::default();
        names.hear(&told(&pod));
        names.of(UID).unwrap().workload.clone()
    };
    assert_eq!(owned("StatefulSet", "db"), "db");
    assert_eq!(owned("DaemonSet", "agent"), "agent");
    assert_eq!(owned("Job", "nightly-29401440"), "nightly");
    assert_eq!(owned("Job", "import-2"), "import-2");
    assert_eq!(owned("ReplicaSet", "bare"), "bare");
    assert_eq!(owned("Node", "node-1"), "gateway-5d4f8c7b9-x2x2x");
}

#[test]
fn a_restart_and_what_it_came_of_are_told_once() {
    let mut names = Names::default();
    names.hear(&told(&pod(0, true, &json!({}))));
    let mut dying = pod(0, false, &json!({}));
    dying["status"]["containerStatuses"][0]["state"] = ended("OOMKilled", 137);
    let events = names.hear(&told(&dying));
    assert_eq!(words(&events), ["oom-killed", "not-ready"]);
    assert_eq!(
        (events[0].exit_code, events[0].container.as_deref()),
        (Some(137), Some("app"))
    );
    let events = names.hear(&told(&pod(1, true, &ended("OOMKilled", 137))));
    assert_eq!(words(&events), ["restarted", "ready"]);
    assert!(
        names
            .hear(&told(&pod(1, true, &ended("OOMKilled", 137))))
            .is_empty()
    );
    assert_eq!(
        words(&names.hear(&told(&pod(2, true, &ended("Error", 1))))),
        ["restarted"]
    );
    assert_eq!(
        words(&names.hear(&told(&pod(3, true, &ended("OOMKilled", 137))))),
        ["oom-killed", "restarted"]
    );
}

#[test]
fn an_eviction_a_deletion_and_a_list_without_it_are_told() {
    let mut names = Names::default();
    names.hear(&told(&pod(0, true, &json!({}))));
    let mut evicted = pod(0, true, &json!({}));
    evicted["status"]["reason"] = "Evicted".into();
    assert_eq!(words(&names.hear(&told(&evicted))), ["evicted"]);
    let missed = names.hear(&Told::Pods(Vec::new()));
    assert_eq!(words(&missed), ["deleted"]);
    assert!(missed[0].missed, "nobody listened when it was");
    assert!(names.of(UID).is_none());
    let again: Pod = serde_json::from_value(pod(0, true, &json!({}))).unwrap();
    assert!(names.hear(&Told::Pods(vec![again.clone()])).is_empty());
    assert_eq!(words(&names.hear(&Told::Gone(Box::new(again)))), ["deleted"]);
}

#[test]
fn events_of_other_nodes_pods_and_of_no_interest_are_left_out() {
    let mut names = Names::default();
    names.hear(&told(&pod(0, true, &json!({}))));
    let event = |uid: &str, reason: &str, message: &str| {
        let event = json!({
            "metadata": {"name": "e", "namespace": "shop"}, "reason": reason, "message": message,
            "involvedObject": {"kind": "Pod", "uid": uid, "fieldPath": "spec.containers{app}"},
        });
        Told::Event(Box::new(serde_json::from_value(event).unwrap()))
    };
    let failed = names.hear(&event(
        UID,
        "Unhealthy",
        "Readiness probe failed: dial tcp 10.0.0.9:8080: refused",
    ));
    assert_eq!(words(&failed), ["probe-failed"]);
    assert_eq!(
        (failed[0].reason.as_str(), failed[0].container.as_deref()),
        ("Readiness", Some("app"))
    );
    assert!(names.hear(&event("another", "Unhealthy", "")).is_empty());
    assert!(names.hear(&event(UID, "Pulled", "")).is_empty());
}

#[test]
fn a_static_pods_cgroup_finds_its_mirror() {
    let mut names = Names::default();
    let mut mirror = pod(0, true, &json!({}));
    mirror["metadata"]["annotations"] =
        json!({"kubernetes.io/config.hash": "8f2c1d3e4b5a69788796a5b4c3d2e1f0"});
    names.hear(&told(&mirror));
    assert!(names.of("8f2c1d3e4b5a69788796a5b4c3d2e1f0").is_some());
    names.hear(&Told::Pods(Vec::new()));
    assert!(names.of("8f2c1d3e4b5a69788796a5b4c3d2e1f0").is_none());
}

#[test]
fn a_kill_is_dated_by_the_containers_end_and_readiness_by_its_turn_and_a_pod_keeps_its_address() {
    let mut names = Names::default();
    let mut well = pod(0, true, &json!({}));
    well["status"]["podIP"] = "10.0.0.9".into();
    names.hear(&told(&well));
    assert_eq!(names.at("10.0.0.9".parse().unwrap()).unwrap().workload, "gateway");
    let mut dying = pod(0, false, &json!({}));
    dying["status"]["containerStatuses"][0]["state"] = ended("OOMKilled", 137);
    dying["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"] =
        "2026-11-23T12:03:01Z".into();
    dying["status"]["conditions"][0]["lastTransitionTime"] = "2026-11-23T12:03:02Z".into();
    let events = names.hear(&told(&dying));
    let at: Vec<_> = events.iter().map(|event| event.happened_unix_us).collect();
    assert_eq!(at, [Some(1_795_435_381_000_000), Some(1_795_435_382_000_000)]);
    for event in &events {
        assert_eq!(event.name.addresses, ["10.0.0.9".parse::<IpAddr>().unwrap()]);
    }
}

#[test]
fn the_address_of_a_node_is_no_pods_own() {
    let mut names = Names::default();
    let mut on_the_node = pod(0, true, &json!({}));
    on_the_node["status"]["podIPs"] = json!([{"ip": "10.0.0.9"}]);
    on_the_node["spec"] = json!({"hostNetwork": true, "containers": []});
    names.hear(&told(&on_the_node));
    assert!(names.at("10.0.0.9".parse().unwrap()).is_none());
    assert!(names.of(UID).unwrap().addresses.is_empty());
}
