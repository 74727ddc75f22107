//! The judging of a connection: each end as the court wants it, what is counted of it, and who is charged.

use hopscope_attribution::cause::Cause;
use hopscope_attribution::court::{
    Abort, Counted, Opened, OtherEnd, SeenClose, SocketEnd, SocketError, Surroundings, TcpState, Unseen,
    Witness, charge,
};
use hopscope_attribution::evidence::{Arrived, FourTuple};
use hopscope_attribution::hop::Hop;

use super::super::correlate::{Case, Dropped, ResetSent};
use super::super::evidence::{RefusalSeen, Seen, SocketSeen, end_word};
use super::super::homes::Workload;
use super::super::parse::{Close, Socket, tcp_state};
use super::{Observer, unix_us};

impl Observer {
    /// Judges a connection whose records have been gathered.
    pub(super) fn conclude(&mut self, gathered: &Case) {
        let mut ends = Vec::new();
        for at in 0..gathered.ends.len() {
            if let Some((socket, close)) = gathered.ends.get(at)
                && let Some(end) = self.end(at, socket, close, gathered)
            {
                ends.push((socket, close, end));
            }
        }
        let owners: Vec<_> = ends.iter().map(|(socket, ..)| self.world.owner(socket)).collect();
        self.count_resets(gathered, &owners);
        self.count_drops(gathered, &owners);
        self.note_refusal(gathered);

        // Who reset of his own doing comes first: the other end is his victim.
        let mut order: Vec<usize> = (0..ends.len()).collect();
        order.sort_by_key(|at| ends.get(*at).is_none_or(|(_, _, end)| end.reset_sent.is_none()));
        let mut charged = false;
        for at in order {
            let (Some((socket, close, end)), Some(owner)) = (ends.get(at), owners.get(at).copied()) else {
                continue;
            };
            let known_peer = owners
                .get(1 - at.min(1))
                .copied()
                .filter(|hop| ends.len() == 2 && *hop != Hop::Unknown);
            let peer = known_peer
                .or_else(|| self.refuser(gathered, socket))
                .unwrap_or_else(|| self.world.peer(owner, socket));
            if let Some(outcome) = end.connect_outcome() {
                self.metrics.connected(owner, outcome.word(), 1);
            }
            let witness = end.kind().map(|how| Witness {
                owner,
                peer,
                opened: end.opened,
                end: how,
                marks: end.marks(self.dropped_at_home(gathered, socket)),
                queue_overflowed: self.overflowed(socket, close, end),
            });
            let cause = witness.as_ref().filter(|_| !charged).and_then(charge);
            let other = gathered
                .ends
                .get(1 - at.min(1))
                .filter(|_| ends.len() == 2)
                .map(|(socket, _)| socket);
            if let Some(cause) = cause {
                charged = true;
                let at_fault = if cause.hop() == owner {
                    self.world.workload(socket)
                } else {
                    self.far_workload(socket, other)
                };
                self.metrics.failed(cause, &at_fault);
            }
            if let Some(witness) = &witness {
                self.note_end(gathered, (socket, close, end), witness, cause);
            }
        }
    }

    /// Puts down how a socket ended.
    fn note_end(
        &mut self,
        gathered: &Case,
        (socket, close, end): (&Socket, &Close, &SocketEnd),
        witness: &Witness,
        cause: Option<Cause>,
    ) {
        let payload =
            (close.unseen != Unseen::Error).then(|| end.payload(close.bytes_acked, close.bytes_received));
        let reset = gathered
            .resets_sent
            .iter()
            .find(|reset| reset.socket.ends.local == socket.ends.local);
        let workload = self.world.workload(socket);
        let pod = self.world.pod(socket).map(|pod| pod.pod.clone());
        self.journal.push(Seen::Socket(Box::new(SocketSeen {
            unix_us: unix_us_of(socket.at),
            age_us: close.age_us,
            local: socket.ends.local,
            remote: socket.ends.remote,
            netns: socket.netns,
            cookie: socket.cookie,
            owner: witness.owner.word().to_owned(),
            peer: witness.peer.word().to_owned(),
            end: end_word(witness.end).to_owned(),
            cause: cause.map(|cause| cause.word().to_owned()),
            errno: end.error.name(),
            told_by: end.refused_by().map(|by| by.word().to_owned()),
            after_fin: witness.marks.after_fin,
            after_own_fin: witness.marks.after_own_fin,
            dropped_at_home: witness.marks.dropped_at_home,
            retransmits: close.retransmits,
            bytes_acked: payload.map(|bytes| bytes.acknowledged),
            bytes_received: payload.map(|bytes| bytes.received),
            process: socket
                .owner
                .as_ref()
                .map(|owner| owner.comm.clone())
                .unwrap_or_default(),
            namespace: workload.namespace,
            workload: workload.name,
            pod: pod.unwrap_or_default(),
            reset_reason: reset
                .and_then(|reset| reset.reason)
                .map(|reason| self.reasons.reset(reason).to_owned()),
            drops: all_drops(gathered)
                .map(|dropped| self.reasons.drop(dropped.reason).to_owned())
                .collect(),
        })));
    }

    /// Puts down that a SYN met no socket, or did not get to one, with the namespace that it had come to: whatever the
    /// address was that its sender had dialled, this is where it was refused.
    fn note_refusal(&mut self, gathered: &Case) {
        let by_reset = gathered.resets_sent.iter().find_map(|reset| {
            let socket = &reset.socket;
            let nobodys = socket.key == 0 && !reset.unprovoked && socket.netns != 0;
            let reason = reset.reason.map(|reason| self.reasons.reset(reason).to_owned());
            let no_socket = reason.as_deref().is_none_or(|reason| reason == "NO_SOCKET");
            (nobodys && no_socket).then_some(RefusalSeen {
                unix_us: unix_us_of(socket.at),
                netns: socket.netns,
                arrived: Arrived::ResetWithoutSocket.word().to_owned(),
                reason,
                ..RefusalSeen::at(socket.ends)
            })
        });
        let Some(mut refusal) =
            by_reset.or_else(|| all_drops(gathered).find_map(|dropped| self.refused_syn(dropped)))
        else {
            return;
        };
        self.world.meet(refusal.netns);
        let tenant = self.world.tenant(refusal.netns);
        refusal.in_pod = tenant.in_pod;
        refusal.namespace = tenant.namespace;
        refusal.workload = tenant.name;
        refusal.pod = self
            .world
            .pod_of(refusal.netns)
            .map(|pod| pod.pod.clone())
            .unwrap_or_default();
        self.journal.push(Seen::Refusal(Box::new(refusal)));
    }

    /// A SYN that was dropped where it had come to.
    fn refused_syn(&self, dropped: &Dropped) -> Option<RefusalSeen> {
        const SYN: u8 = 0x02;
        const ACK: u8 = 0x10;
        // Before it is sent it is on no device: that is its sender's own namespace.
        if dropped.flags & (SYN | ACK) != SYN || dropped.netns == 0 {
            return None;
        }
        let reason = self.reasons.drop(dropped.reason);
        let arrived = match reason {
            "NO_SOCKET" => Arrived::ResetWithoutSocket,
            "TCP_LISTEN_OVERFLOW" => Arrived::QueueFull,
            _ => Arrived::Dropped,
        };
        Some(RefusalSeen {
            unix_us: unix_us_of(dropped.at),
            netns: dropped.netns,
            arrived: arrived.word().to_owned(),
            reason: Some(reason.to_owned()),
            ..RefusalSeen::at(FourTuple {
                local: dropped.to,
                remote: dropped.from,
            })
        })
    }

    /// Whose the far end of a socket is, as far as it is known here; nobody's where it is not, and never the near end's.
    fn far_workload(&self, socket: &Socket, other: Option<&Socket>) -> Workload {
        if let Some(other) = other {
            return self.world.workload(other);
        }
        let ends = socket.ends;
        if ends.remote.ip().is_loopback() || ends.remote.ip() == ends.local.ip() {
            // The runtime's dial into a pod: the port that it went to is the pod's whose namespace it is in.
            return self.world.tenant(socket.netns);
        }
        self.world.at_address(ends.remote.ip())
    }

    /// One end as the court wants it; `None` when nothing can be claimed of it.
    fn end(&mut self, at: usize, socket: &Socket, close: &Close, gathered: &Case) -> Option<SocketEnd> {
        let ours = |other: &Socket| other.ends.local == socket.ends.local;
        let reset_received = gathered.resets_received.iter().any(ours);
        let seen = SeenClose {
            state: tcp_state(socket.state)?,
            unseen: close.unseen,
            error: close.error,
            shut_down: close.shut_down,
            retransmits: close.retransmits,
        };
        let connecting = seen.state == TcpState::SynSent;
        let around = Surroundings {
            reset_received,
            reset_sent: gathered.resets_sent.iter().any(|reset| ours(&reset.socket)),
            other_end: match (gathered.ends.len(), at) {
                (2.., 0) => OtherEnd::Later,
                (2.., _) => OtherEnd::Earlier,
                _ => OtherEnd::Unseen,
            },
            counted: match close.unseen {
                Unseen::Resets if connecting && self.attempt_failed(socket.netns, socket.at) => {
                    Counted::FailedAttempt
                }
                Unseen::Nothing
                    if close.error == SocketError::None
                        && seen.given_up_at_once()
                        && self.told_unreachable(socket.netns, socket.at) =>
                {
                    Counted::Unreachable
                }
                Unseen::Resets | Unseen::Nothing | Unseen::Error => Counted::Nothing,
            },
        };
        let own = |reset: &&ResetSent| reset.unprovoked && ours(&reset.socket);
        let reset_sent = gathered.resets_sent.iter().find(own).map(|reset| {
            match reset.reason.map(|reason| self.reasons.reset(reason)) {
                None => Abort::NotSaid,
                Some("TCP_ABORT_ON_CLOSE") => Abort::Unread,
                Some(_) => Abort::Other,
            }
        });
        Some(SocketEnd {
            opened: if socket.active {
                Opened::Here
            } else {
                Opened::There
            },
            state: seen.state,
            error: seen.error(around)?,
            shut_down: close.shut_down,
            no_port: socket.ends.local.port() == 0,
            retransmits: close.retransmits,
            reset_received,
            reset_sent,
        })
    }

    /// The hop that sent RST to a socket from another address than the socket knows: behind an address translation.
    fn refuser(&self, gathered: &Case, socket: &Socket) -> Option<Hop> {
        let behind = |reset: &&ResetSent| {
            reset.socket.ends.remote == socket.ends.local && reset.socket.ends.local != socket.ends.remote
        };
        let reset = gathered.resets_sent.iter().find(behind)?;
        Some(self.world.owner(&reset.socket)).filter(|hop| *hop != Hop::Unknown)
    }

    /// Whether the netfilter of the socket's own namespace dropped packets of its connection: on the way out they are
    /// on no device yet, on the way in on one of its own.
    fn dropped_at_home(&self, gathered: &Case, socket: &Socket) -> bool {
        let ends = socket.ends;
        if ends.local.ip() == ends.remote.ip() || ends.remote.ip().is_loopback() {
            // The other side is at home as well.
            return false;
        }
        all_drops(gathered).any(|dropped| {
            let at_home = if dropped.netns == 0 {
                dropped.from == ends.local
            } else {
                dropped.netns == socket.netns
            };
            at_home && self.reasons.drop(dropped.reason) == "NETFILTER_DROP"
        })
    }

    fn count_resets(&mut self, gathered: &Case, owners: &[Hop]) {
        let joined = |socket: &Socket| {
            let at = gathered.ends.iter().position(|(end, _)| end.ends == socket.ends);
            at.and_then(|at| owners.get(at).copied())
        };
        let mut counted = Vec::new();
        for ResetSent { socket, reason, .. } in &gathered.resets_sent {
            let hop = joined(socket).unwrap_or_else(|| match self.world.owner(socket) {
                // Nobody's socket: the port that nobody listens on is the other end's peer.
                Hop::Unknown => gathered.ends.first().map_or(Hop::Unknown, |(end, _)| {
                    self.world.peer(self.world.owner(end), end)
                }),
                hop @ (Hop::Client | Hop::Observer | Hop::Tunnel | Hop::Lb | Hop::Backend) => hop,
            });
            counted.push((
                hop,
                "sent",
                reason
                    .map_or("untold", |reason| self.reasons.reset(reason))
                    .to_owned(),
            ));
        }
        for socket in &gathered.resets_received {
            let hop = joined(socket).unwrap_or_else(|| self.world.owner(socket));
            counted.push((hop, "received", "received".to_owned()));
        }
        for (hop, direction, reason) in counted {
            self.metrics.reset(hop, direction, &reason, 1);
        }
    }

    fn count_drops(&mut self, gathered: &Case, owners: &[Hop]) {
        for Dropped { reason, to, .. } in &gathered.drops {
            let hop = gathered.ends.iter().zip(owners).find_map(|((socket, _), owner)| {
                if socket.ends.local == *to {
                    Some(*owner)
                } else if socket.ends.remote == *to {
                    Some(self.world.peer(*owner, socket))
                } else {
                    None
                }
            });
            let hop = hop.unwrap_or_else(|| self.world.destination(*to));
            self.metrics.dropped(hop, self.reasons.drop(*reason));
        }
    }
}

/// A moment of the kernel's clock (`CLOCK_MONOTONIC` nanoseconds), microseconds since 1970.
fn unix_us_of(at: u64) -> u64 {
    unix_us().saturating_sub(crate::monotonic_ns().saturating_sub(at) / 1_000)
}

/// Every packet of a connection that was dropped.
fn all_drops(gathered: &Case) -> impl Iterator<Item = &Dropped> {
    gathered.earlier_drops.iter().chain(&gathered.drops)
}
