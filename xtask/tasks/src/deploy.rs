//! What `kubectl apply -k` and `helm install` would apply of deploy/: rendered by both, held against each other, the
//! Kubernetes schemas, and what the image and the agent are.

mod chart;
mod grafana;
mod objects;
mod prometheus;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::image::MOUNT_POINTS;
use crate::workspace;
use objects::{kept, list, run, text_of, the};

/// Kinds of the Prometheus operator: Kubernetes has no schema for them, so their structure alone is looked at.
const WITHOUT_SCHEMA: [&str; 1] = ["PodMonitor"];

/// Renders, validates, and says what was looked at: the base, which any cluster takes, and the overlay with every
/// component.
pub(crate) fn check(root: &Path) -> Result<()> {
    let base = rendered(root, "base")?;
    ensure!(
        base.iter().all(|object| object["apiVersion"]
            .as_str()
            .is_some_and(|version| !version.contains("monitoring.coreos.com"))),
        "deploy/base needs the Prometheus operator"
    );
    let all = rendered(root, "overlays/prometheus-operator")?;
    for objects in [&base, &all] {
        let daemonset = the(objects, "DaemonSet")?;
        confined(daemonset)?;
        closed(daemonset)?;
        bound(objects)?;
        configured(daemonset, the(objects, "ConfigMap")?)?;
    }
    scraped(the(&all, "PodMonitor")?, the(&all, "DaemonSet")?)?;
    let class = the(&all, "PriorityClass")?;
    ensure!(
        the(&all, "DaemonSet")?.pointer("/spec/template/spec/priorityClassName")
            == class.pointer("/metadata/name"),
        "the DaemonSet does not have the priority that there is a class for"
    );
    for (kind, selector) in [
        ("NetworkPolicy", "/spec/podSelector/matchLabels"),
        ("PodDisruptionBudget", "/spec/selector/matchLabels"),
    ] {
        selects(the(&all, kind)?, selector, the(&all, "DaemonSet")?)?;
    }
    chart::check(root, &base, &all)?;
    let alerts = prometheus::check(root)?;
    let panels = grafana::check(root)?;
    workspace::say(&format!(
        "{} objects of deploy/base and {} of the overlay hold against the schemas, {} by structure alone; the chart gives the same; {alerts} alerts fire and fall silent; {panels} panels of dashboards ask for what there is",
        base.len(),
        all.len() - WITHOUT_SCHEMA.len(),
        WITHOUT_SCHEMA.join(", ")
    ));
    Ok(())
}

/// The objects of a kustomization below deploy/, held against the schemas.
fn rendered(root: &Path, name: &str) -> Result<Vec<Value>> {
    let text = run(Command::new("kubectl")
        .arg("kustomize")
        .arg(root.join("deploy").join(name)))?;
    let (file, objects) = kept(root, &name.replace('/', "-"), &text)?;
    let verdicts = run(Command::new("kubernetes-validate").arg("--strict").arg(&file))
        .context("kubernetes-validate comes from PyPI")?;
    for object in &objects {
        let kind = text_of(object, "/kind")?;
        if WITHOUT_SCHEMA.contains(&kind) {
            continue;
        }
        let name = format!(
            "passed for resource {}/{} ",
            kind.to_lowercase(),
            text_of(object, "/metadata/name")?
        );
        ensure!(
            verdicts.contains(&name),
            "{kind}: the schemas do not know it:\n{verdicts}"
        );
    }
    Ok(objects)
}

/// Other pods are answered only if they show the token: nothing is opened, and a token is asked for.
fn closed(daemonset: &Value) -> Result<()> {
    let arguments = list(daemonset, "/spec/template/spec/containers/0/args")?;
    let has = |start: &str| {
        arguments
            .iter()
            .filter_map(Value::as_str)
            .any(|argument| argument.starts_with(start))
    };
    ensure!(has("--token-file="), "the agent is told of no token");
    ensure!(!has("--open"), "the agent is open to every pod");
    Ok(())
}

/// The labels that an object selects pods by are on the DaemonSet's.
fn selects(object: &Value, pointer: &str, daemonset: &Value) -> Result<()> {
    let kind = text_of(object, "/kind")?;
    let wanted = object
        .pointer(pointer)
        .and_then(Value::as_object)
        .with_context(|| format!("the {kind} selects by matchLabels"))?;
    let labels = &daemonset["spec"]["template"]["metadata"]["labels"];
    for (label, value) in wanted {
        ensure!(
            labels[label] == *value,
            "the {kind}'s {label} is on no pod of the DaemonSet"
        );
    }
    Ok(())
}

/// The DaemonSet asks for no more than the agent was shown to need, and mounts where the image has folders.
fn confined(daemonset: &Value) -> Result<()> {
    let container = daemonset
        .pointer("/spec/template/spec/containers/0")
        .context("the DaemonSet has no container")?;
    let expected = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"add": ["BPF", "PERFMON", "SYS_PTRACE"], "drop": ["ALL"]},
        "privileged": false,
        "readOnlyRootFilesystem": true,
        "runAsUser": 0,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let actual = container.get("securityContext").unwrap_or(&Value::Null);
    ensure!(
        *actual == expected,
        "the agent's securityContext is {actual}, and was shown to do with {expected}"
    );
    for mount in list(container, "/volumeMounts")? {
        let path = text_of(mount, "/mountPath")?.trim_start_matches('/');
        ensure!(
            MOUNT_POINTS.contains(&path),
            "/{path} is mounted, and the image has no such folder: see xtask/src/image.rs"
        );
        ensure!(mount["readOnly"] == true, "/{path} is mounted to be written to");
    }
    Ok(())
}

/// The PodMonitor's own fields, and that it finds the DaemonSet's pods and their port.
fn scraped(monitor: &Value, daemonset: &Value) -> Result<()> {
    ensure!(
        text_of(monitor, "/apiVersion")? == "monitoring.coreos.com/v1",
        "the PodMonitor's version"
    );
    selects(monitor, "/spec/selector/matchLabels", daemonset)?;
    let ports = list(daemonset, "/spec/template/spec/containers/0/ports")?;
    for endpoint in list(monitor, "/spec/podMetricsEndpoints")? {
        let port = text_of(endpoint, "/port")?;
        ensure!(
            ports.iter().any(|known| known["name"] == port),
            "the PodMonitor scrapes a port {port} that no container has"
        );
        ensure!(
            endpoint["honorLabels"] == true,
            "the series' own namespace would be renamed"
        );
        ensure!(
            endpoint.pointer("/authorization/credentials/key").is_some(),
            "the PodMonitor shows no token"
        );
    }
    Ok(())
}

/// The role is bound to the account under which the pods run.
fn bound(objects: &[Value]) -> Result<()> {
    let (account, binding) = (
        the(objects, "ServiceAccount")?,
        the(objects, "ClusterRoleBinding")?,
    );
    let subject = binding
        .pointer("/subjects/0")
        .context("the binding binds nobody")?;
    for field in ["name", "namespace"] {
        ensure!(
            subject[field] == account["metadata"][field],
            "the role is bound to another {field} than the account's"
        );
    }
    let runs_as = text_of(
        the(objects, "DaemonSet")?,
        "/spec/template/spec/serviceAccountName",
    )?;
    ensure!(
        account["metadata"]["name"] == runs_as,
        "the pods run as {runs_as}"
    );
    let role = the(objects, "ClusterRole")?;
    ensure!(
        binding["roleRef"]["name"] == role["metadata"]["name"],
        "the binding is of another role"
    );
    for rule in list(role, "/rules")? {
        for verb in list(rule, "/verbs")? {
            ensure!(
                ["get", "list", "watch"].iter().any(|reads| verb == reads),
                "the agent only reads, and the role lets it {verb}"
            );
        }
    }
    Ok(())
}

/// The file that the agent is told to read is in the ConfigMap that is mounted; what is in it, the agent's own tests read.
fn configured(daemonset: &Value, map: &Value) -> Result<()> {
    let spec = &daemonset["spec"]["template"]["spec"];
    let arguments = list(spec, "/containers/0/args")?;
    let file = arguments
        .iter()
        .filter_map(Value::as_str)
        .find_map(|argument| argument.strip_prefix("--config="))
        .context("the agent is told of no --config")?;
    let (folder, name) = file.rsplit_once('/').context("--config is no path")?;
    let mount = list(spec, "/containers/0/volumeMounts")?
        .iter()
        .find(|mount| mount["mountPath"] == folder)
        .with_context(|| format!("nothing is mounted at {folder}"))?;
    let mounted = list(spec, "/volumes")?
        .iter()
        .find(|volume| volume["name"] == mount["name"])
        .and_then(|volume| list(volume, "/projected/sources").ok())
        .and_then(|sources| sources.iter().find_map(|source| source["configMap"].get("name")));
    ensure!(
        mounted == map["metadata"].get("name"),
        "{folder} is not the ConfigMap"
    );
    ensure!(map["data"].get(name).is_some(), "the ConfigMap has no {name}");
    Ok(())
}
