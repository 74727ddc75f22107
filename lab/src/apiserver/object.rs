//! The objects on the way to a pod, as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::node::{Pod, Runtime};

/// Name of the only node.
pub(super) const NODE: &str = "lab-node";

/// A service: a selector, and ports that lead to ports of the pods.
#[derive(Clone, Debug)]
pub struct Service {
    pub(super) name: String,
    pub(super) namespace: String,
    selector: BTreeMap<String, String>,
    ports: Vec<(u16, u16)>,
}

impl Service {
    /// A service of the namespace `default` that selects pods by these labels.
    #[must_use]
    pub fn new(name: &str, selector: &[(&str, &str)]) -> Self {
        Self {
            name: name.to_owned(),
            namespace: "default".to_owned(),
            selector: labels(selector),
            ports: Vec::new(),
        }
    }

    /// Puts it into another namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Adds a port that leads to `target` of the pods.
    #[must_use]
    pub fn port(mut self, port: u16, target: u16) -> Self {
        self.ports.push((port, target));
        self
    }

    pub(super) fn to_json(&self) -> Value {
        let ports = self.ports.iter().map(|(port, target)| {
            json!({"name": format!("p{port}"), "protocol": "TCP", "port": port, "targetPort": target})
        });
        json!({
            "kind": "Service", "apiVersion": "v1",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.10", "selector": self.selector,
                     "ports": ports.collect::<Vec<_>>()},
        })
    }
}

/// A deployment: a selector, which is all that a forward asks of it.
#[derive(Clone, Debug)]
pub struct Deployment {
    pub(super) name: String,
    pub(super) namespace: String,
    selector: BTreeMap<String, String>,
}

impl Deployment {
    /// A deployment of the namespace `default` that selects pods by these labels.
    #[must_use]
    pub fn new(name: &str, selector: &[(&str, &str)]) -> Self {
        Self {
            name: name.to_owned(),
            namespace: "default".to_owned(),
            selector: labels(selector),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "kind": "Deployment", "apiVersion": "apps/v1",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "replicas": 1, "selector": {"matchLabels": self.selector},
                "template": {"metadata": {"labels": self.selector}, "spec": {"containers": [{"name": "app"}]}},
            },
        })
    }
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

pub(super) fn pod(pod: &Pod) -> Value {
    let ports = pod
        .ports
        .keys()
        .map(|port| json!({"containerPort": port, "protocol": "TCP"}));
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": pod.name, "namespace": pod.namespace, "labels": pod.labels,
                     "creationTimestamp": "2026-01-02T15:04:05Z"},
        "spec": {"nodeName": NODE, "containers": [{"name": "app", "ports": ports.collect::<Vec<_>>()}]},
        "status": {"phase": pod.phase.word(), "podIP": "10.244.0.5", "hostIP": "10.0.0.7",
                   "conditions": [{"type": "Ready",
                                   "status": if pod.phase.word() == "Running" { "True" } else { "False" }}]},
    })
}

/// Whether the pod bears the labels that a selector `a=b,c=d` asks for.
pub(super) fn selects(selector: &str, pod: &Pod) -> bool {
    selector.split(',').filter(|term| !term.is_empty()).all(|term| {
        let (name, value) = term.split_once('=').unwrap_or((term, ""));
        pod.labels
            .get(name)
            .is_some_and(|have| have == value.trim_start_matches('='))
    })
}

pub(super) fn list(kind: &str, items: &[Value]) -> Value {
    json!({"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items})
}

pub(super) fn node(runtime: Runtime) -> Value {
    json!({
        "kind": "Node", "apiVersion": "v1", "metadata": {"name": NODE},
        "status": {
            "nodeInfo": {"containerRuntimeVersion": runtime.version(), "kubeletVersion": "v1.34.1",
                         "operatingSystem": "linux", "architecture": "amd64"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

pub(super) fn version() -> Value {
    json!({"major": "1", "minor": "34", "gitVersion": "v1.34.1", "platform": "linux/amd64"})
}

pub(super) fn api_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"]})
}

pub(super) fn api_groups() -> Value {
    let version = json!({"groupVersion": "apps/v1", "version": "v1"});
    json!({
        "kind": "APIGroupList", "apiVersion": "v1",
        "groups": [{"name": "apps", "versions": [version], "preferredVersion": version}],
    })
}

pub(super) fn core_resources() -> Value {
    let resource = |name: &str, singular: &str, kind: &str, short: &str, namespaced: bool| {
        json!({"name": name, "singularName": singular, "namespaced": namespaced, "kind": kind,
               "verbs": ["get", "list", "watch"], "shortNames": [short]})
    };
    json!({
        "kind": "APIResourceList", "groupVersion": "v1",
        "resources": [
            resource("pods", "pod", "Pod", "po", true),
            resource("services", "service", "Service", "svc", true),
            resource("nodes", "node", "Node", "no", false),
        ],
    })
}

pub(super) fn apps_resources() -> Value {
    json!({
        "kind": "APIResourceList", "groupVersion": "apps/v1",
        "resources": [{"name": "deployments", "singularName": "deployment", "namespaced": true, "kind": "Deployment",
                       "verbs": ["get", "list", "watch"], "shortNames": ["deploy"]}],
    })
}
