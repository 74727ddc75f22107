//! The counters of /proc: what was added since they were last read, and what a connect that failed may owe to them.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use hopscope_attribution::court::{Opened, SocketEnd, SocketError, TcpState};
use hopscope_attribution::hop::Hop;

use super::super::parse::{Close, Socket};
use super::super::rung::Rung;
use super::Observer;
use hopscope_host::procfs::{self, Counters, Netns};

/// An overflow explains a connect that failed within this time of it.
const OVERFLOW_EXPLAINS: Duration = Duration::from_secs(15);
/// A failed attempt that the kernel counted explains a connect that ended within this time of it: counters are read
/// every second, and whenever a connect asks for it.
const ATTEMPT_EXPLAINS: Duration = Duration::from_secs(2);

impl Observer {
    /// Whether a namespace was told lately that something is unreachable.
    pub(super) fn told_unreachable(&mut self, netns: Netns, at: u64) -> bool {
        self.poll_since(at);
        let at = self.unreachable.get(&netns);
        at.is_some_and(|at| at.elapsed().is_ok_and(|age| age < ATTEMPT_EXPLAINS))
    }

    /// Whether a connect failed lately, by the counters of its namespace, or of any where that is not known.
    pub(super) fn attempt_failed(&mut self, netns: Netns, at: u64) -> bool {
        self.poll_since(at);
        let recent = |at: &SystemTime| at.elapsed().is_ok_and(|age| age < ATTEMPT_EXPLAINS);
        match netns {
            0 => self.attempt_failed.values().any(recent),
            known => self.attempt_failed.get(&known).is_some_and(recent),
        }
    }

    /// Whether an accept queue that an unanswered connect may have gone to overflowed meanwhile. One that was answered
    /// may have met a full queue with its last ACK: its client believes in it, and hears nothing.
    pub(super) fn overflowed(&mut self, socket: &Socket, close: &Close, end: &SocketEnd) -> bool {
        let heard_nothing =
            end.state == TcpState::Established && end.error != SocketError::None && close.bytes_received == 0;
        if end.opened == Opened::There || end.no_port || !(end.state == TcpState::SynSent || heard_nothing) {
            return false;
        }
        self.poll_since(socket.at);
        let recent = |at: &SystemTime| at.elapsed().is_ok_and(|age| age < OVERFLOW_EXPLAINS);
        if !self.overflows.values().any(recent) {
            return false;
        }
        let mut candidates = self.world.may_have_reached(socket).into_iter();
        candidates.any(|netns| self.overflows.get(&netns).is_some_and(recent))
    }

    pub(super) fn read_counters(&self) -> HashMap<Netns, Counters> {
        let proc = self.world.proc();
        let read = |(netns, pid): (&Netns, &u32)| Some((*netns, procfs::read_counters(proc, *pid).ok()?));
        self.world.homes.living().iter().filter_map(read).collect()
    }

    /// Reads the counters, unless that was done after this moment (`CLOCK_MONOTONIC` nanoseconds). Connections are
    /// judged some time after their end, so thousands that fail in a second ask for few readings.
    fn poll_since(&mut self, at: u64) {
        if self.polled <= at {
            self.poll();
        }
    }

    /// Reads the counters of every namespace, and counts what was added.
    pub fn poll(&mut self) {
        self.polled = crate::monotonic_ns();
        let now = self.read_counters();
        let before = std::mem::replace(&mut self.counters, now);
        let added: Vec<_> = self
            .counters
            .iter()
            .map(|(netns, now)| {
                (
                    *netns,
                    now.since(before.get(netns).unwrap_or(&Counters::default())),
                )
            })
            .filter(|(_, added)| *added != Counters::default())
            .collect();
        for (netns, added) in added {
            // A namespace that was not there before has counted since it was made, which is what we want.
            let (hop, workload) = self.world.resident(netns);
            if added.listen_overflows > 0 {
                self.overflows.insert(netns, SystemTime::now());
                self.metrics.overflowed(&workload, added.listen_overflows);
                self.window.entry(hop).or_default().overflows += added.listen_overflows;
            }
            if added.syn_queue_drops > 0 {
                self.metrics
                    .syn_queue_overflowed(&workload, added.syn_queue_drops);
            }
            if added.told_unreachable > 0 {
                self.unreachable.insert(netns, SystemTime::now());
            }
            if added.no_routes > 0 {
                self.metrics.no_route(hop, added.no_routes);
            }
            if added.zero_windows > 0 {
                self.metrics.zero_window(hop, added.zero_windows);
            }
            if added.attempt_fails > 0 {
                self.attempt_failed.insert(netns, SystemTime::now());
            }
            match self.rung {
                Rung::BtfTracepoints | Rung::Tracepoints => {}
                Rung::SockOps => self.count_resets_of(hop, &added),
                Rung::Procfs => self.count_without_probes(hop, &added),
            }
        }
        self.unreachable
            .retain(|netns, _| self.counters.contains_key(netns));
        self.overflows
            .retain(|netns, _| self.counters.contains_key(netns));
        self.attempt_failed
            .retain(|netns, _| self.counters.contains_key(netns));
    }

    /// What the counters alone can say: how often, and in whose namespace; not with whom.
    fn count_without_probes(&mut self, hop: Hop, added: &Counters) {
        if added.attempt_fails > 0 {
            self.metrics.connected(hop, "failed", added.attempt_fails);
        }
        self.count_resets_of(hop, added);
        self.metrics
            .retransmitted(hop, added.retransmits, added.syn_retransmits);
        self.window.entry(hop).or_default().syn_retransmits += added.syn_retransmits;
    }

    fn count_resets_of(&mut self, hop: Hop, added: &Counters) {
        if added.resets_sent > 0 {
            self.metrics.reset(hop, "sent", "untold", added.resets_sent);
        }
        if added.established_resets > 0 {
            self.metrics
                .reset(hop, "received", "untold", added.established_resets);
        }
    }
}
