//! Pods by their names: what the Kubernetes API calls them, and what it tells of them, beside what the kernel saw.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use hopscope_tests::cast::all_of;
use hopscope_tests::cluster::Cluster;
use hopscope_tests::netns::Pair;
use hopscope_tests::process::Process;
use hopscope_tests::scrape::{ends, eventually, get, sum};
use hopscope_tests::server::{Server, certificate, free_address};
use serde_json::{Value, json};

use crate::agent_image::{BPF, PERFMON, SYS_PTRACE, contain};
use crate::agent_stage::{ACTOR, Agent};

pub(crate) const UID: &str = "0a1b2c3d-1111-2222-3333-444455556666";
const ID: &str = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945";
pub(crate) const NODE: &str = "worker-3";

/// A container's cgroup where a kubelet with the cgroupfs driver would make it; gone when the scenario ends.
pub(crate) struct Container {
    levels: Vec<PathBuf>,
}

impl Container {
    pub(crate) fn new() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/mounts")?;
        let unified = mounts
            .lines()
            .filter_map(|line| line.split_once(' '))
            .find_map(|(_, rest)| rest.split_once(" cgroup2 "))
            .context("no cgroup v2 is mounted")?;
        let mut container = Self { levels: Vec::new() };
        let mut level = PathBuf::from(unified.0);
        for part in ["kubepods", "burstable", &format!("pod{UID}"), ID] {
            level.push(part);
            if !level.is_dir() {
                fs::create_dir(&level).with_context(|| format!("making {}", level.display()))?;
            }
            container.levels.push(level.clone());
        }
        Ok(container)
    }

    /// Runs the actor in it, in a namespace, to its end.
    fn run(&self, netns: &str, words: &[&str]) -> Result<Vec<String>> {
        all_of(self.start(netns, words)?)
    }

    /// Starts the actor in it, in a namespace.
    pub(crate) fn start(&self, netns: &str, words: &[&str]) -> Result<Process> {
        let cgroup = self.levels.last().context("a cgroup")?;
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"echo $$ > "$0/cgroup.procs" && exec "$@""#])
            .arg(cgroup)
            .args(["ip", "netns", "exec", netns, ACTOR])
            .args(words);
        Process::start(&mut command)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        for level in self.levels.iter().rev() {
            drop(fs::remove_dir(level));
        }
    }
}

/// A pod of a Deployment, as the API writes it.
pub(crate) fn pod(name: &str, uid: &str, node: &str, restarts: u32, ready: bool, last: &Value) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": uid, "labels": {"pod-template-hash": "5d4f8c7b9"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "gateway-5d4f8c7b9",
                                 "uid": "1", "controller": true}],
        },
        "spec": {"nodeName": node, "containers": [{"name": "app", "image": "gateway"}]},
        "status": {
            "phase": "Running", "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
            "containerStatuses": [{"name": "app", "image": "gateway", "imageID": "x", "ready": ready,
                                   "restartCount": restarts, "state": {"running": {}}, "lastState": last}],
        },
    })
}

fn unhealthy(uid: &str) -> Value {
    json!({
        "metadata": {"name": format!("unhealthy-{uid}"), "namespace": "shop"}, "type": "Warning", "reason": "Unhealthy",
        "message": "Readiness probe failed: connect: connection refused",
        "involvedObject": {"kind": "Pod", "namespace": "shop", "uid": uid, "fieldPath": "spec.containers{app}"},
    })
}

fn cluster() -> Result<Cluster> {
    let mut cluster = Cluster::start(free_address()?, &[])?;
    let ours = pod("gateway-5d4f8c7b9-x2x2x", UID, NODE, 0, true, &json!({}));
    cluster.order(&format!("post pods ADDED {ours}"))?;
    let other = pod(
        "gateway-5d4f8c7b9-y3y3y",
        "another",
        "worker-4",
        0,
        true,
        &json!({}),
    );
    cluster.order(&format!("post pods ADDED {other}"))?;
    Ok(cluster)
}

pub(crate) fn knows_one_pod(agent: &Agent) -> Result<()> {
    eventually("the pod", || {
        let ready = get(agent.address, "/readyz")?;
        let known = ready.contains(&format!("pods of node {NODE} from")) && ready.contains(": 1 pods known");
        Ok(known.then_some(()).ok_or(ready))
    })
}

/// The pod is refused by what it depends on; that is told under its names.
fn refused_by_name(agent: &Agent, container: &Container) -> Result<()> {
    let pair = Pair::new()?;
    let database = format!("{}:5432", pair.far_address);
    let said = container.run(pair.near.name(), &["connect", &database, "2", "5000"])?;
    assert_eq!(said, ["ConnectionRefused"; 2]);
    let far = pair.far_address.to_string();
    let end = agent.charged(&far)?;
    assert_eq!(
        (&end["cause"], &end["namespace"], &end["workload"]),
        (&"backend-dependency".into(), &"shop".into(), &"gateway".into()),
        "{end}"
    );
    let labels = [
        ("cause", "backend-dependency"),
        ("namespace", "shop"),
        ("workload", "gateway"),
    ];
    agent.counted("hopscope_node_failures_total", &labels)?;
    Ok(())
}

pub(crate) fn told_of_pods(agent: &Agent) -> Result<Vec<Value>> {
    let text = get(agent.address, "/v1/evidence?since=0")?;
    let lines: Result<Vec<Value>, _> = text.lines().skip(1).map(serde_json::from_str).collect();
    Ok(lines?.into_iter().filter(|line| line["kind"] == "pod").collect())
}

#[test]
fn failures_bear_the_workloads_name_and_what_became_of_its_pod_is_evidence() -> Result<()> {
    let container = Container::new()?;
    let mut cluster = cluster()?;
    let kubeconfig = cluster.kubeconfig();
    let agent = Agent::start(&["--node", NODE, "--kubeconfig", &kubeconfig.to_string_lossy()])?;
    knows_one_pod(&agent)?;
    refused_by_name(&agent, &container)?;

    let killed = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
    let restarted = pod("gateway-5d4f8c7b9-x2x2x", UID, NODE, 1, false, &killed);
    cluster.order(&format!("post pods MODIFIED {restarted}"))?;
    cluster.order(&format!("post events ADDED {}", unhealthy("another")))?;
    cluster.order(&format!("post events ADDED {}", unhealthy(UID)))?;
    let told = eventually("what became of the pod", || {
        let told = told_of_pods(&agent)?;
        Ok(if told.len() >= 4 {
            Ok(told)
        } else {
            Err(format!("{told:?}"))
        })
    })?;
    let mut words: Vec<_> = told.iter().filter_map(|line| line["event"].as_str()).collect();
    words.sort_unstable();
    assert_eq!(
        words,
        ["not-ready", "oom-killed", "probe-failed", "restarted"],
        "{told:?}"
    );
    for line in &told {
        assert_eq!(
            (&line["namespace"], &line["workload"], &line["pod"]),
            (
                &"shop".into(),
                &"gateway".into(),
                &"gateway-5d4f8c7b9-x2x2x".into()
            )
        );
    }
    let killed = told
        .iter()
        .find(|line| line["event"] == "oom-killed")
        .context("the kill")?;
    assert_eq!(
        (&killed["exit_code"], &killed["container"]),
        (&137.into(), &"app".into())
    );
    let labels = [
        ("event", "restarted"),
        ("namespace", "shop"),
        ("workload", "gateway"),
    ];
    agent.counted("hopscope_node_pod_events_total", &labels)?;

    cluster.order(&format!("post pods DELETED {restarted}"))?;
    agent.counted("hopscope_node_pod_events_total", &[("event", "deleted")])?;
    Ok(())
}

#[test]
fn the_image_asks_its_own_cluster_with_its_account_and_is_told_the_names() -> Result<()> {
    let container = Container::new()?;
    let cluster = cluster()?;
    let server = fs::read_to_string(cluster.kubeconfig())?;
    let server = server
        .lines()
        .find_map(|line| line.trim().strip_prefix("server: "))
        .context("the kubeconfig's server")?
        .to_owned();
    let folder = tempfile::tempdir()?;
    let front = apiserver(folder.path(), &server)?;
    let words = ["agent", "--listen=127.0.0.1:0", "--cgroup=/host/cgroup"];
    let mut command = contain(&[], &[BPF, PERFMON, SYS_PTRACE], &words)?;
    command
        .env("KUBERNETES_SERVICE_HOST", front.address().ip().to_string())
        .env("KUBERNETES_SERVICE_PORT", front.address().port().to_string())
        .env("HOPSCOPE_NODE", NODE)
        .env("ACCOUNT", folder.path().join("account"));
    let agent = Agent::of(&mut command)?;
    knows_one_pod(&agent)?;
    refused_by_name(&agent, &container)
}

/// The lab's API server behind TLS and a token, with the files of a service account beside.
fn apiserver(folder: &Path, plain: &str) -> Result<Server> {
    certificate(folder)?;
    let account = folder.join("account");
    fs::create_dir(&account)?;
    fs::copy(folder.join("cert.pem"), account.join("ca.crt"))?;
    fs::write(account.join("token"), "of-the-account")?;
    fs::write(account.join("namespace"), "hopscope")?;
    let place = folder.display();
    Server::nginx(
        folder,
        &format!(
            "ssl_certificate {place}/cert.pem; ssl_certificate_key {place}/key.pem;\n\
             location / {{ if ($http_authorization != \"Bearer of-the-account\") {{ return 401; }}\n\
             proxy_pass {plain}; proxy_http_version 1.1; proxy_buffering off; }}"
        ),
    )
}

#[test]
fn without_an_api_pods_are_called_by_their_uid() -> Result<()> {
    let container = Container::new()?;
    let agent = Agent::start(&["--without-kubernetes"])?;
    let pair = Pair::new()?;
    let database = format!("{}:5432", pair.far_address);
    container.run(pair.near.name(), &["connect", &database, "1", "5000"])?;
    let end = agent.charged(&pair.far_address.to_string())?;
    assert_eq!(
        (&end["cause"], &end["workload"]),
        (&"backend-dependency".into(), &UID.into()),
        "{end}"
    );
    assert!(end["namespace"].is_null(), "{end}");
    assert!(ends(agent.address, &pair.far_address.to_string())?.len() == 1);
    let metrics = get(agent.address, "/metrics")?;
    assert!(
        sum(&metrics, "hopscope_node_failures_total", &[("workload", UID)]) > 0.0,
        "{metrics}"
    );
    Ok(())
}

#[test]
fn a_kubeconfig_that_leads_nowhere_is_refused_at_start_and_an_api_that_is_silent_is_not() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    let refused = Agent::start(&["--kubeconfig", &file.to_string_lossy()])
        .err()
        .context("it started")?;
    assert!(
        format!("{refused:#}").contains("is no kubeconfig that can be used"),
        "{refused:#}"
    );
    let nobody = free_address()?;
    fs::write(
        &file,
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: x\n  cluster: {{server: 'http://{nobody}'}}\n\
             users:\n- name: x\n  user: {{token: x}}\ncontexts:\n- name: x\n  context: {{cluster: x, user: x}}\n\
             current-context: x\n"
        ),
    )?;
    let agent = Agent::start(&["--node", NODE, "--kubeconfig", &file.to_string_lossy()])?;
    let ready = get(agent.address, "/readyz")?;
    assert!(ready.contains("no answer yet"), "{ready}");
    Ok(())
}
