//! Whose process a balancer is, by the recording: what listens at the very address that a path through a balancer
//! dials is that balancer, whatever its process is called. nginx is an application as often as a balancer, so its name
//! says nothing; a path's kind does. Pure.

use std::collections::HashSet;

use hopscope_attribution::evidence::node::KernelSocket;
use hopscope_attribution::evidence::{ConnectionId, Observation, PathKind};
use hopscope_attribution::hop::Hop;

use super::{Placed, Recorded};

/// Calls sockets of unknown owners by the hop that their process is.
pub(super) fn name(sockets: &mut [KernelSocket], placed: &mut [Placed<'_>], recorded: Recorded<'_>) {
    let through_balancers: HashSet<ConnectionId> = recorded
        .connections
        .iter()
        .filter(|one| {
            let path = recorded.paths.get(usize::from(one.path.0));
            path.is_some_and(|path| match path.kind {
                PathKind::Lb => true,
                PathKind::Tunnel | PathKind::Direct | PathKind::Unstated => false,
            })
        })
        .map(|one| one.id)
        .collect();
    let mut balancers: HashSet<(&str, u32)> = HashSet::new();
    for (socket, placed) in sockets.iter().zip(placed.iter()) {
        // hopscope's own end of the same connection is known, and is not the accepting one.
        let accepted = placed.seen.age_us.is_none() && placed.owner.is_none();
        let of_path = socket
            .connection
            .seen()
            .is_some_and(|id| through_balancers.contains(id));
        if accepted && of_path && !placed.seen.process.is_empty() {
            balancers.insert((&placed.seen.process, placed.seen.netns));
        }
    }
    if balancers.is_empty() {
        return;
    }
    for (socket, placed) in sockets.iter_mut().zip(placed) {
        let process = (placed.seen.process.as_str(), placed.seen.netns);
        if placed.owner.is_none() && balancers.contains(&process) {
            placed.owner = Some(Hop::Lb);
            socket.owner = Observation::Seen(Hop::Lb);
        }
    }
}
