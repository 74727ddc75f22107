//! What the Kubernetes API told of pods, and which of them connections led to.

use hopscope_attribution::evidence::{
    Moment, Observation, PodChange, PodEvidence, PodTurn, Span, TunnelProcess, WhyUnseen,
};

use super::cluster::pod;
use super::{Options, Told, option};
use crate::words;

impl Told {
    fn pods(&mut self) -> &mut PodEvidence {
        let node = self.node();
        if node.pods.seen().is_none() {
            node.pods = Observation::Seen(PodEvidence::default());
        }
        match &mut node.pods {
            Observation::Seen(pods) => pods,
            Observation::Unseen(_) => unreachable!("made seen above"),
        }
    }

    pub(super) fn pod(
        &mut self,
        name: &str,
        at: &str,
        change: &str,
        options: &Options<'_>,
    ) -> Result<(), String> {
        let address = options.get("address").map(|address| address.parse());
        let exit_code = options.get("exit").map(|code| code.parse());
        let turn = PodTurn {
            at: Moment(words::span(at)?.as_micros()),
            error: option(options, "error", words::span, Span::from_millis(500))?,
            change: PodChange::from_word(change).ok_or(format!("`{change}` does not happen to pods"))?,
            pod: pod(name)?,
            workload: "catalog".to_owned(),
            addresses: address
                .transpose()
                .map_err(|_| "an IP address")?
                .into_iter()
                .collect(),
            container: None,
            reason: options
                .get("reason")
                .map(|reason| (*reason).to_owned())
                .unwrap_or_default(),
            exit_code: exit_code.transpose().map_err(|_| "an exit code")?,
        };
        self.pods().turns.push(turn);
        Ok(())
    }

    pub(super) fn home(&mut self, route: &str, name: &str) -> Result<(), String> {
        let route = self.route(route);
        let home = pod(name)?;
        let failed = self.evidence.exchanges.iter();
        let failed = failed.filter(|exchange| exchange.route == route && exchange.delivery.failed());
        let homes: Vec<_> = failed
            .map(|exchange| (exchange.connection, home.clone()))
            .collect();
        self.pods().homes.extend(homes);
        Ok(())
    }

    pub(super) fn forward(&mut self, path: &str, name: &str) -> Result<(), String> {
        let pod = pod(name)?;
        let unseen = WhyUnseen::NotWatched;
        let ports: Vec<u16> = {
            let path = self.path(path)?;
            let of_path = self.evidence.connections.iter().filter(|one| one.path == path);
            of_path
                .filter_map(|one| one.upstream_tuple.as_ref().map(|tuple| tuple.remote.port()))
                .collect()
        };
        self.tunnel(path)?.processes.push(TunnelProcess {
            at: Moment(0),
            member: 0,
            pid: Observation::Unseen(unseen),
            command: Observation::Seen(format!("kubectl --namespace={} port-forward", pod.namespace)),
            is_kubectl: Observation::Seen(true),
            version: Observation::Unseen(unseen),
            local_port: ports.first().copied().unwrap_or(3_000),
            on_ipv4: Observation::Unseen(unseen),
            on_ipv6: Observation::Unseen(unseen),
            pod: Observation::Seen(pod.name),
            node: Observation::Unseen(unseen),
            runtime: Observation::Unseen(unseen),
        });
        Ok(())
    }
}
