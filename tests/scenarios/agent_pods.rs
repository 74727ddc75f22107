//! What the Kubernetes API tells of a pod, beside the failures of its connections: in the report, and nowhere else.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use hopscope_tests::cast::PATIENCE;
use hopscope_tests::client;
use hopscope_tests::cluster::Cluster;
use hopscope_tests::hopscope::Hopscope;
use hopscope_tests::netns::{Netns, Pair, tool};
use hopscope_tests::report::Report;
use hopscope_tests::scrape::{eventually, get, sum};
use hopscope_tests::server::free_address;
use serde_json::{Value, json};

use crate::agent_names::{Container, NODE, UID, knows_one_pod, pod, told_of_pods};
use crate::agent_stage::{Agent, Stage, ready};

const POD: &str = "gateway-5d4f8c7b9-x2x2x";
/// Two are no crowd: that a process ended is not told by them.
const REQUESTS: usize = 2;

/// The pod with an address of its own, as the API tells of it.
fn at(address: &str, restarts: u32, ready: bool, last: &Value) -> Value {
    let mut pod = pod(POD, UID, NODE, restarts, ready, last);
    pod["status"]["podIP"] = address.into();
    pod
}

/// Waits until so many requests lie unread before the application.
fn requests_arrived(host: &Netns) -> Result<()> {
    eventually("the requests", || {
        let sockets = host.run(&["ss", "-tnH", "state", "established", "sport", "=", ":8080"])?;
        let unread = sockets
            .lines()
            .filter(|line| !line.trim_start().starts_with("0 "));
        Ok(if unread.count() == REQUESTS {
            Ok(())
        } else {
            Err(sockets)
        })
    })
}

/// The answers as they would be had the same happened to another pod.
fn of_another_pod(answers: &str) -> Result<String> {
    let mut text = String::new();
    for line in answers.lines() {
        let mut line: Value = serde_json::from_str(line)?;
        if line["kind"] == "pod" {
            line["pod"] = "other-6b7c-z9z9z".into();
            line["addresses"] = json!(["10.255.255.9"]);
        }
        writeln!(text, "{line}")?;
    }
    Ok(text)
}

#[test]
fn a_backend_that_is_killed_for_want_of_memory_under_load_is_named_with_what_became_of_its_pod() -> Result<()>
{
    let folder = tempfile::tempdir()?;
    let (container, pair) = (Container::new()?, Pair::new()?);
    let address = pair.far_address.to_string();
    let mut cluster = Cluster::start(free_address()?, &[])?;
    cluster.order(&format!("post pods ADDED {}", at(&address, 0, true, &json!({}))))?;
    let agent = Agent::start(&[
        "--node",
        NODE,
        "--kubeconfig",
        &cluster.kubeconfig().to_string_lossy(),
    ])?;
    knows_one_pod(&agent)?;
    let target = format!("{address}:8080");
    let mut application = container.start(pair.far.name(), &["listen", &target, "16", "keep"])?;
    ready(&mut application, "listening")?;
    let listen = format!("--listen={}:0", pair.near.reach()?);
    let launcher = ["ip", "netns", "exec", pair.near.name()];
    let hopscope = Hopscope::launched(
        &launcher,
        &format!("direct={target}"),
        folder.path(),
        &[&listen, "--probes=off"],
    )?;

    let to = hopscope.address();
    let load = std::thread::spawn(move || client::get_at_once(to, "/products/17", REQUESTS, PATIENCE));
    requests_arrived(&pair.far)?;
    let finished = tool(&["date", "--utc", "+%FT%TZ"])?;
    application.signal("KILL")?;
    let outcomes = load
        .join()
        .map_err(|_panic| anyhow::anyhow!("the load panicked"))?;
    assert_eq!(outcomes.len(), REQUESTS, "{outcomes:?}");
    let killed =
        json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": finished.trim()}});
    cluster.order(&format!("post pods MODIFIED {}", at(&address, 1, false, &killed)))?;
    eventually("what became of the pod", || {
        let told = told_of_pods(&agent)?;
        Ok(if told.len() >= 3 {
            Ok(())
        } else {
            Err(format!("{told:?}"))
        })
    })?;
    eventually("the ends of its sockets", || {
        let text = get(agent.address, "/v1/evidence?since=0")?;
        let ours = text
            .lines()
            .filter(|line| line.contains("reset-sent") && line.contains(POD));
        Ok(if ours.count() >= REQUESTS {
            Ok(())
        } else {
            Err(text)
        })
    })?;

    let alone = hopscope.finish()?;
    assert_eq!(alone.verdict(), "backend backend-reset", "{}", alone.shown());
    let recording = folder.path().join("run.hopscope");
    let kept = folder.path().join("evidence.jsonl");
    let kept_word = kept.to_str().context("a path")?;
    let asked = Report::again(
        &recording,
        &[
            "--agent",
            &format!("http://{}", agent.address),
            "--save-evidence",
            kept_word,
        ],
    )?;
    assert_eq!(asked.verdict(), "backend backend-oom-killed", "{}", asked.shown());
    let told = format!("Pod shop/{POD} restarted (OOMKilled, exit code 137) at ");
    assert!(asked.mentions(&told), "{}", asked.shown());
    assert!(asked.mentions("pod-state"), "{}", asked.shown());

    let other = folder.path().join("other.jsonl");
    std::fs::write(&other, of_another_pod(&std::fs::read_to_string(&kept)?)?)?;
    let other = Report::again(
        &recording,
        &["--agent-evidence", other.to_str().context("a path")?],
    )?;
    assert_eq!(other.verdict(), "backend backend-reset", "{}", other.shown());
    assert!(!other.mentions("pod-state"), "{}", other.shown());
    Ok(())
}

#[test]
fn a_failure_of_the_far_end_is_nobodys_series_where_only_the_near_end_is_seen() -> Result<()> {
    let stage = Stage::new()?;
    assert_eq!(stage.connect("1", "5000")?, ["ConnectionRefused"]);
    stage.agent.failed("backend", "backend-refused")?;
    let metrics = get(stage.agent.address, "/metrics")?;
    let of = |workload: &str| {
        let labels = [("cause", "backend-refused"), ("workload", workload)];
        sum(&metrics, "hopscope_node_failures_total", &labels)
    };
    assert!(of("") >= 1.0, "{metrics}");
    assert!(of("k6") < 1.0, "the client is not at fault: {metrics}");
    Ok(())
}
