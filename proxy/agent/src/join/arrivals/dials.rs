//! Which dial of hopscope's a pod refused, by the address that it was dialled from. Pure.
//!
//! A translation of the address that was dialled leaves the dialling side's as it is. So where one kernel saw hopscope's
//! connect to an address refused, and one saw a SYN from that very address and port meet no socket within an
//! application's namespace, it is the same SYN, whatever the address stood for.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use hopscope_attribution::evidence::{Arrival, Moment, PathId, PathKind};
use hopscope_attribution::hop::Hop;

use super::{APART, Attempt, Recorded, Refused, Said, attempt, by_pod, canonical, typed};
use crate::evidence::{Seen, end_word};
use hopscope_attribution::evidence::node::KernelEnd;

/// What became of connections to addresses that stand for others and that were refused elsewhere.
pub(super) fn arrivals(all: &[Said<'_>], refused: &[Refused<'_>], recorded: Recorded<'_>) -> Vec<Arrival> {
    let mut dials = by_target(all, refused);
    if dials.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (at, path) in (0..).zip(recorded.paths) {
        match path.kind {
            PathKind::Lb => {}
            PathKind::Tunnel | PathKind::Direct | PathKind::Unstated => continue,
        }
        let id = PathId(at);
        let of_path = || recorded.connections.iter().filter(move |one| one.path == id);
        let target = typed(&path.target).or_else(|| {
            let mut dialled = of_path().filter_map(|one| Some(canonical(one.upstream_tuple?.remote)));
            dialled.next()
        });
        let Some(dials) = target.and_then(|target| dials.get_mut(&target)) else {
            continue;
        };
        let refused = of_path()
            .filter_map(|one| attempt(&one))
            .filter(|attempt| attempt.from == attempt.until);
        let mut attempts: Vec<_> = refused.collect();
        attempts.sort_by_key(|attempt| (attempt.until, attempt.connection.id));
        for attempt in attempts {
            // Both are in the order of time.
            while dials.front().is_some_and(|dial| early(dial, &attempt)) {
                dials.pop_front();
            }
            if dials.front().is_some_and(|dial| !late(dial, &attempt))
                && let Some(dial) = dials.pop_front()
            {
                found.push(by_pod(attempt.connection.id, &dial, None));
            }
        }
    }
    found
}

fn early(dial: &Refused<'_>, attempt: &Attempt) -> bool {
    dial.at + dial.error + APART < attempt.from
}

fn late(dial: &Refused<'_>, attempt: &Attempt) -> bool {
    dial.at > attempt.until + dial.error + APART
}

/// The refusals of hopscope's own dials, by the address that was dialled, in the order of time.
fn by_target<'a>(all: &[Said<'a>], refused: &[Refused<'a>]) -> HashMap<SocketAddr, VecDeque<Refused<'a>>> {
    let mut by_dialler: HashMap<SocketAddr, Vec<&Refused<'a>>> = HashMap::new();
    for one in refused.iter().filter(|one| !one.seen.remote.ip().is_loopback()) {
        by_dialler
            .entry(canonical(one.seen.remote))
            .or_default()
            .push(one);
    }
    let mut found: HashMap<SocketAddr, Vec<Refused<'a>>> = HashMap::new();
    for said in all {
        for line in said.lines {
            let Seen::Socket(socket) = &line.seen else {
                continue;
            };
            // The agent knows the namespace that refused as the application's.
            let own = socket.owner == Hop::Observer.word() && socket.peer == Hop::Backend.word();
            if !own || socket.end != end_word(KernelEnd::ConnectRefused) {
                continue;
            }
            let Some(at) = said.clock.moment(socket.unix_us) else {
                continue;
            };
            let remote = canonical(socket.remote);
            let mut same = by_dialler.get(&canonical(socket.local)).into_iter().flatten();
            let translated = same.find(|one| near(one, at, said) && canonical(one.seen.local) != remote);
            if let Some(one) = translated {
                found.entry(remote).or_default().push((*one).clone());
            }
        }
    }
    found
        .into_iter()
        .map(|(target, mut refused)| {
            refused.sort_by_key(|one| one.at);
            (target, refused.into())
        })
        .collect()
}

fn near(one: &Refused<'_>, at: Moment, said: &Said<'_>) -> bool {
    one.at.distance(at) <= one.error + said.clock.error + APART
}
