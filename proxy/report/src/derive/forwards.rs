//! What is told of the forwards of a path: which processes carried it, and what became of them.

use hopscope_attribution::evidence::tunnel::{TunnelLife, TunnelMeaning};
use hopscope_attribution::evidence::{
    Evidence, Moment, Observation, Path, PortOwner, TunnelLifeEvent, TunnelProcess,
};

use crate::model::{ForwardReport, MOST_TURNS, RunPath, TurnReport};
use hopscope_text::figures::rounded;

/// A path as it was given, and its forwards.
pub(super) fn run_path(evidence: &Evidence, index: usize, path: &Path) -> RunPath {
    let tunnel = evidence
        .tunnels
        .iter()
        .find(|(of, _)| usize::from(of.0) == index)
        .and_then(|(_, tunnel)| tunnel.seen());
    let life = tunnel.map_or(&[][..], |tunnel| tunnel.life.as_slice());
    let omitted = life.len().saturating_sub(MOST_TURNS);
    let first = MOST_TURNS / 2;
    let told = life
        .iter()
        .enumerate()
        .filter(|(at, _)| *at < first || *at >= first + omitted);
    RunPath {
        name: path.name.clone(),
        kind: path.kind.word(),
        target: path.target.clone(),
        forwards: tunnel.map_or_else(Vec::new, |tunnel| tunnel.processes.iter().map(forward).collect()),
        turns: told.map(|(_, event)| turn(event)).collect(),
        turns_in_all: u64::try_from(life.len()).unwrap_or(u64::MAX),
    }
}

fn forward(process: &TunnelProcess) -> ForwardReport {
    ForwardReport {
        member: process.member,
        pid: seen(&process.pid),
        command: seen(&process.command),
        is_kubectl: seen(&process.is_kubectl),
        version: seen(&process.version),
        local_port: process.local_port,
        on_ipv4: process.on_ipv4.seen().copied().map(owner),
        on_ipv6: process.on_ipv6.seen().copied().map(owner),
        pod: seen(&process.pod),
        node: seen(&process.node),
        runtime: seen(&process.runtime),
    }
}

fn seen<T: Clone>(observation: &Observation<T>) -> Option<T> {
    observation.seen().cloned()
}

fn owner(owner: PortOwner) -> String {
    match owner {
        PortOwner::Forward => "forward".to_owned(),
        PortOwner::Other(pid) => format!("other:{pid}"),
        PortOwner::Stranger => "stranger".to_owned(),
        PortOwner::Nobody => "nobody".to_owned(),
    }
}

fn turn(event: &TunnelLifeEvent) -> TurnReport {
    let (turn, exit_code) = match event.kind {
        TunnelLife::Started => ("started", None),
        TunnelLife::Found => ("found", None),
        TunnelLife::Ready => ("ready", None),
        TunnelLife::Exited(code) => ("exited", code),
        TunnelLife::Replaced => ("replaced", None),
        TunnelLife::LeftDown => ("left-down", None),
        TunnelLife::Stopped => ("stopped", None),
        TunnelLife::Drained => ("drained", None),
    };
    TurnReport {
        at_seconds: rounded(event.at.since(Moment(0)).as_secs_f64()).unwrap_or(0.0),
        member: event.member,
        turn,
        exit_code,
        reason: event.reason.map(TunnelMeaning::word),
    }
}
