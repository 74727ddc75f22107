//! The kubectl that is run for a target: its command lines, and the questions that are put to it on the side.

use std::time::Duration;

use hopscope_attribution::evidence::{Observation, WhyUnseen};
use serde_json::Value;
use tokio::process::Command;

use super::child;
use super::target::Target;

/// Google's packaged kubectl asks the server for its version first and waits 5 s for it; this leaves room for that.
const QUESTION_LIMIT: Duration = Duration::from_secs(10);

/// An answer longer than this is not read to its end.
const LONGEST_ANSWER: u64 = 1024 * 1024;

/// The command that opens the forward on a free local port of `127.0.0.1`.
pub(super) fn port_forward(target: &Target) -> Command {
    let mut command = Command::new(&target.kubectl);
    command
        .args(target.cluster_arguments())
        .arg("port-forward")
        .arg("--address=127.0.0.1")
        // It then says which pod it chose and whether it fell back to SPDY, a dozen lines at the start and none later.
        .arg("-v=6")
        .arg(target.resource.to_string())
        .arg(format!(":{}", target.port));
    command
}

/// A command line as it is shown to a person.
pub(super) fn shown(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

/// Its version as it states it, such as `v1.32.4`.
pub(super) async fn version(program: &std::path::Path) -> Observation<String> {
    let mut command = Command::new(program);
    command.args(["version", "--client", "--output=json"]);
    let answer = ask(command).await;
    let version = answer
        .as_ref()
        .and_then(|answer| answer.pointer("/clientVersion/gitVersion"));
    seen(version)
}

/// The node and the container runtime of a pod, where the API lets us see them.
pub(super) async fn placement(target: &Target, pod: &str) -> (Observation<String>, Observation<String>) {
    let get = |kind: &str, name: &str| {
        let mut command = Command::new(&target.kubectl);
        command.args(target.cluster_arguments()).args([
            "get",
            kind,
            name,
            "--output=json",
            "--request-timeout=5s",
        ]);
        command
    };
    let answer = ask(get("pod", pod)).await;
    let node = seen(
        answer
            .as_ref()
            .and_then(|answer| answer.pointer("/spec/nodeName")),
    );
    let runtime = match &node {
        Observation::Seen(node) => {
            let answer = ask(get("node", node)).await;
            let runtime = "/status/nodeInfo/containerRuntimeVersion";
            seen(answer.as_ref().and_then(|answer| answer.pointer(runtime)))
        }
        Observation::Unseen(why) => Observation::Unseen(*why),
    };
    (node, runtime)
}

fn seen(value: Option<&Value>) -> Observation<String> {
    value
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty() && text.len() < 300 && !text.contains(char::is_control))
        .map_or(Observation::Unseen(WhyUnseen::NotPermitted), |text| {
            Observation::Seen(text.to_owned())
        })
}

/// Runs a short command and reads its answer; `None` where it fails, is late or says something else than JSON.
async fn ask(mut command: Command) -> Option<Value> {
    use tokio::io::AsyncReadExt as _;

    let mut running = child::spawn(&mut command).ok()?;
    let group = running.id();
    let mut pipe = running.stdout.take()?.take(LONGEST_ANSWER);
    let mut complaints = running.stderr.take()?.take(LONGEST_ANSWER);
    let reading = async {
        let (mut answer, mut ignored) = (Vec::new(), Vec::new());
        let (read, drained) = tokio::join!(
            pipe.read_to_end(&mut answer),
            complaints.read_to_end(&mut ignored)
        );
        read.ok()?;
        drained.ok()?;
        serde_json::from_slice(&answer).ok()
    };
    let answer = tokio::time::timeout(QUESTION_LIMIT, reading).await.ok().flatten();
    if answer.is_none()
        && let Some(group) = group
    {
        child::signal_group(group, libc::SIGKILL);
    }
    let ended = tokio::time::timeout(QUESTION_LIMIT, running.wait()).await;
    tracing::debug!(?ended, "kubectl was asked");
    answer
}
