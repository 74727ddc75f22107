//! The chart: it gives the objects of deploy/base, and its values change what they say they change.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::objects::{kept, list, run, text_of, the};

const CHART: &str = "deploy/helm/hopscope";
/// Where the chart has what the overlay with every component has.
const OPERATOR: &str = "deploy/examples/values-prometheus-operator.yaml";

/// Holds the chart against the objects of deploy/base and of the overlay.
pub(super) fn check(root: &Path, base: &[Value], overlay: &[Value]) -> Result<()> {
    run(helm().args(["lint", "--strict", "--quiet"]).arg(root.join(CHART)))?;
    same(&rendered(root, "chart", &[])?, base)?;
    let operator = root.join(OPERATOR);
    let all = rendered(root, "chart-operator", &["--values", &operator.to_string_lossy()])?;
    same(&all, overlay)?;
    values(root)
}

/// Each value does what it says.
fn values(root: &Path) -> Result<()> {
    let with = |values: &[&str]| {
        let mut arguments = Vec::new();
        for value in values {
            arguments.extend(["--set", value]);
        }
        rendered(root, "chart-values", &arguments)
    };
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    let objects = with(&[
        "image.repository=registry.example/hopscope",
        &format!("image.digest={digest}"),
        "image.pullPolicy=Always",
        "image.pullSecrets={mine}",
        "architectures={arm64}",
        "token.value=secret",
        "token.secret=other",
        "open={metrics}",
        "arguments={--max-workloads=500}",
        "resources.limits.memory=1Gi",
        "nodeSelector.pool=load",
    ])?;
    let pod = &the(&objects, "DaemonSet")?["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let expected = [
        (
            &container["image"],
            json!(format!("registry.example/hopscope@{digest}")),
        ),
        (&container["imagePullPolicy"], json!("Always")),
        (&pod["imagePullSecrets"], json!([{"name": "mine"}])),
        (&container["resources"]["limits"]["memory"], json!("1Gi")),
        (&pod["nodeSelector"]["pool"], json!("load")),
        (
            &pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
                [0]["matchExpressions"][0]["values"],
            json!(["arm64"]),
        ),
        (
            &pod["volumes"][1]["projected"]["sources"][1]["secret"]["name"],
            json!("other"),
        ),
    ];
    for (actual, expected) in expected {
        ensure!(*actual == expected, "the chart gives {actual}, not {expected}");
    }
    let arguments = list(container, "/args")?;
    let last: Vec<_> = arguments.iter().rev().take(2).rev().collect();
    ensure!(
        last == ["--open=metrics", "--max-workloads=500"],
        "the agent's arguments are {arguments:?}"
    );
    let secret = the(&objects, "Secret")?;
    ensure!(
        text_of(secret, "/metadata/name")? == "other" && text_of(secret, "/data/token")? == "c2VjcmV0",
        "the Secret is {secret}"
    );

    let configured = with(&["config=[backend]"])?;
    ensure!(
        text_of(the(&configured, "ConfigMap")?, "/data/agent.toml")?.trim() == "[backend]",
        "a configuration of one's own is not what the agent reads"
    );
    let checksum = "/spec/template/metadata/annotations/checksum~1config";
    ensure!(
        text_of(the(&configured, "DaemonSet")?, checksum)? != text_of(the(&objects, "DaemonSet")?, checksum)?,
        "another configuration does not roll the agents"
    );
    let peers = with(&["networkPolicy.enabled=true", "networkPolicy.namespaces={a,b}"])?;
    let ingress = list(the(&peers, "NetworkPolicy")?, "/spec/ingress/0/from")?;
    ensure!(ingress.len() == 2, "two namespaces may ask, not {ingress:?}");
    ensure!(
        with(&["network.enabled=true"]).is_err(),
        "a value that means nothing is taken"
    );
    Ok(())
}

/// The same objects, but for what each tool does by itself: kustomize makes the namespace and puts a hash behind a
/// ConfigMap's name so that another file rolls the agents, and the chart has the file's checksum for that.
fn same(chart: &[Value], kustomized: &[Value]) -> Result<()> {
    let named = text_of(the(kustomized, "ConfigMap")?, "/metadata/name")?.to_owned();
    let plain = text_of(the(chart, "ConfigMap")?, "/metadata/name")?.to_owned();
    ensure!(
        named.strip_prefix(&plain).is_some_and(|hash| hash.len() == 11),
        "kustomize calls the ConfigMap {named}"
    );
    let ours: Vec<Value> = chart.iter().cloned().map(without_checksum).collect();
    let theirs: Vec<Value> = kustomized
        .iter()
        .filter(|object| object["kind"] != "Namespace")
        .map(|object| serde_json::from_str(&object.to_string().replace(&named, &plain)))
        .collect::<Result<_, _>>()
        .context("an object with the ConfigMap's plain name")?;
    for object in &theirs {
        let kind = text_of(object, "/kind")?;
        let twin = the(&ours, kind).context("the chart lacks what deploy/base has")?;
        ensure!(
            twin == object,
            "the chart's {kind}:\n{twin:#}\nis not deploy/base's:\n{object:#}"
        );
    }
    ensure!(
        ours.len() == theirs.len(),
        "the chart has {} objects, and deploy/ {}",
        ours.len(),
        theirs.len()
    );
    Ok(())
}

fn without_checksum(mut object: Value) -> Value {
    if let Some(metadata) = object
        .pointer_mut("/spec/template/metadata")
        .and_then(Value::as_object_mut)
    {
        metadata.remove("annotations");
    }
    object
}

fn rendered(root: &Path, name: &str, arguments: &[&str]) -> Result<Vec<Value>> {
    let text = run(helm()
        .args(["template", "hopscope"])
        .arg(root.join(CHART))
        .args(["--namespace", "hopscope"])
        .args(arguments))?;
    Ok(kept(root, name, &text)?.1)
}

/// helm, which asks nobody: it comes with the npm package of the set-up.
fn helm() -> Command {
    let mut helm = Command::new("helm");
    helm.env("KUBECONFIG", "/dev/null");
    helm
}
