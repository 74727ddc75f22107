//! Gathers what is to be known of a kubectl that stands, beside its work, and tells it once.

use std::sync::Arc;
use std::time::Duration;

use hopscope_attribution::evidence::tunnel::TunnelProcess;
use hopscope_attribution::evidence::{Observation, WhyUnseen};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::kubectl;
use super::owner;
use super::report::{Reporter, TunnelReport};
use super::target::{ResourceKind, Target};
use super::words::Said;

/// What it says of its pod comes over the other pipe than that it listens, and may be read a moment later.
const POD_LIMIT: Duration = Duration::from_secs(2);

/// A kubectl that listens.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) pid: u32,
    pub(super) command: String,
    pub(super) port: u16,
    /// What it says.
    pub(super) said: watch::Receiver<Said>,
}

/// The pod that kubectl said it chose.
async fn chosen(mut said: watch::Receiver<Said>) -> Option<String> {
    let waiting = said.wait_for(|said| said.upgraded.is_some());
    let said = tokio::time::timeout(POD_LIMIT, waiting).await.ok()?.ok()?;
    said.upgraded.as_ref().map(|upgrade| upgrade.pod.clone())
}

/// Finds out on a task of its own, in at most some 30 s, and reports a [`TunnelProcess`].
pub(super) fn tell(
    placed: Placed,
    target: &Arc<Target>,
    reporter: &Reporter,
    mut version: watch::Receiver<Observation<String>>,
) -> JoinHandle<()> {
    let (target, reporter, at) = (target.clone(), reporter.clone(), reporter.now());
    tokio::spawn(async move {
        let (on_ipv4, on_ipv6) = match owner::listeners(placed.port) {
            Ok((v4, v6)) => (
                Observation::Seen(v4.seen_from(placed.pid)),
                Observation::Seen(v6.seen_from(placed.pid)),
            ),
            Err(error) => (
                Observation::Unseen(owner::why(&error)),
                Observation::Unseen(owner::why(&error)),
            ),
        };
        let named = match target.resource.kind {
            ResourceKind::Pod => Some(target.resource.name.clone()),
            ResourceKind::Service | ResourceKind::Deployment | ResourceKind::StatefulSet => None,
        };
        let pod = chosen(placed.said)
            .await
            .or(named)
            .map_or(Observation::Unseen(WhyUnseen::NotSupported), Observation::Seen);
        let (node, runtime) = match &pod {
            Observation::Seen(pod) => kubectl::placement(&target, pod).await,
            Observation::Unseen(why) => (Observation::Unseen(*why), Observation::Unseen(*why)),
        };
        let known = version
            .wait_for(|version| *version != Observation::Unseen(WhyUnseen::NotWatched))
            .await;
        let version = known.map_or(Observation::Unseen(WhyUnseen::NotPermitted), |version| {
            version.clone()
        });
        reporter.tell(TunnelReport::Process(TunnelProcess {
            at,
            member: reporter.member(),
            pid: Observation::Seen(placed.pid),
            command: Observation::Seen(placed.command),
            is_kubectl: Observation::Seen(true),
            version,
            local_port: placed.port,
            on_ipv4,
            on_ipv6,
            pod,
            node,
            runtime,
        }));
    })
}
