//! What a forwarder's sockets and process were doing while a failure lasted.

use crate::case::Case;
use crate::evidence::{Moment, Observation, PathId, Span, TunnelGauge};

/// States that a sample of a forwarder can be in, each with what it means for those that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The process is stopped (state `T`).
    Stopped,
    /// A thread of it waits for somebody to read its own output.
    OutputBlocked,
    /// The listener's queue is not served although descriptors are left and the process used no CPU.
    Starved,
    /// The listener's queue is not served and no descriptor is left.
    NoDescriptor,
    /// kubectl does not read the tunnel, and a local reader does not read what kubectl wrote.
    HeadOfLine,
    /// kubectl does not read the tunnel, and no local reader explains it: kubectl is wedged.
    Wedged,
    /// The tunnel's peer offers no window: the pod's side does not read.
    UploadStalled,
    /// Sent data is not acknowledged: the packets go nowhere.
    Blackhole,
    /// None of these.
    Healthy,
}

const STATES: usize = 9;

/// As much as this is not read within a tenth of a second only by a process that does not read.
const UNREAD: u32 = 4_096;
/// Data in flight is acknowledged within a round trip; even a delayed acknowledgement takes no longer than 200 ms.
const UNACKNOWLEDGED: Span = Span(1_500_000);

/// The samples of one path's forwarders, summed so that any interval is answered at once.
pub(super) struct Timeline {
    at: Vec<Moment>,
    /// For each sample, how many of each state came before it and with it.
    sums: Vec<[u32; STATES]>,
    culprits: Vec<(Moment, u16)>,
}

impl Timeline {
    /// The samples of a path, where its gauges were read and there is one forwarder only: a pool's samples do not say
    /// which connections they concern.
    pub(super) fn of(case: &Case<'_>, path: PathId) -> Option<Self> {
        let Observation::Seen(tunnel) = case.tunnel(path) else {
            return None;
        };
        let gauges = tunnel.gauges.seen()?;
        let member = gauges.first()?.member;
        if gauges.iter().any(|gauge| gauge.member != member) {
            return None;
        }
        let mut ordered: Vec<&TunnelGauge> = gauges.iter().collect();
        ordered.sort_by_key(|gauge| gauge.at);
        let mut timeline = Self {
            at: Vec::new(),
            sums: Vec::new(),
            culprits: Vec::new(),
        };
        let mut sum = [0; STATES];
        let mut earlier: Option<&TunnelGauge> = None;
        for gauge in ordered {
            let state = state(gauge, earlier);
            if let Some(count) = sum.get_mut(state as usize) {
                *count += 1;
            }
            timeline.at.push(gauge.at);
            timeline.sums.push(sum);
            if let (State::HeadOfLine, Some(port)) = (state, gauge.worst_reader.seen()) {
                timeline.culprits.push((gauge.at, *port));
            }
            earlier = Some(gauge);
        }
        Some(timeline)
    }

    /// Samples within an interval, and how many of them were in a state.
    pub(super) fn count(&self, state: State, from: Moment, to: Moment) -> (u32, u32) {
        let start = self.at.partition_point(|at| *at < from);
        let end = self.at.partition_point(|at| *at <= to);
        let sum = |index: usize| {
            index
                .checked_sub(1)
                .and_then(|index| self.sums.get(index))
                .copied()
                .unwrap_or_default()
        };
        let (before, after) = (sum(start), sum(end));
        let of = |sums: [u32; STATES]| sums.get(state as usize).copied().unwrap_or(0);
        let samples = u32::try_from(end.saturating_sub(start)).unwrap_or(u32::MAX);
        (samples, of(after).saturating_sub(of(before)))
    }

    /// The state that lasted for most of an interval; `None` where too few samples were taken or no state prevailed.
    pub(super) fn prevailing(&self, from: Moment, to: Moment) -> Option<State> {
        use State::{
            Blackhole, HeadOfLine, NoDescriptor, OutputBlocked, Starved, Stopped, UploadStalled, Wedged,
        };
        let lasted = |state: &State| {
            let (samples, of) = self.count(*state, from, to);
            samples >= 5 && of.saturating_mul(10) >= samples.saturating_mul(6)
        };
        [
            Stopped,
            OutputBlocked,
            NoDescriptor,
            Starved,
            HeadOfLine,
            Wedged,
            UploadStalled,
            Blackhole,
        ]
        .into_iter()
        .find(lasted)
    }

    /// Whether every sample of an interval was healthy, and there were enough of them.
    pub(super) fn healthy(&self, from: Moment, to: Moment) -> bool {
        let (samples, healthy) = self.count(State::Healthy, from, to);
        samples >= 5 && healthy.saturating_mul(20) >= samples.saturating_mul(19)
    }

    /// The local port that was the worst reader most often, of those that stalled the tunnel.
    pub(super) fn culprit(&self) -> Option<u16> {
        let mut ports: Vec<u16> = self.culprits.iter().map(|(_, port)| *port).collect();
        ports.sort_unstable();
        ports
            .chunk_by(|a, b| a == b)
            .max_by_key(|group| group.len())
            .and_then(|group| group.first())
            .copied()
    }
}

fn state(gauge: &TunnelGauge, earlier: Option<&TunnelGauge>) -> State {
    if gauge.stopped.seen() == Some(&true) {
        return State::Stopped;
    }
    if gauge.output_blocked.seen() == Some(&true) {
        return State::OutputBlocked;
    }
    let received = gauge.tunnel_recv_queue.seen().copied().unwrap_or(0);
    if received >= UNREAD {
        return if gauge.stalled_readers > 0 {
            State::HeadOfLine
        } else {
            State::Wedged
        };
    }
    if gauge.accept_queue > 0 {
        let spent = match (gauge.descriptors.seen(), gauge.descriptor_limit.seen()) {
            (Some(used), Some(limit)) => *limit > 0 && used.saturating_add(1) >= *limit,
            _ => false,
        };
        if spent {
            return State::NoDescriptor;
        }
        let idle = match (
            gauge.cpu_ms.seen(),
            earlier.and_then(|earlier| earlier.cpu_ms.seen()),
        ) {
            (Some(now), Some(before)) => now == before,
            _ => false,
        };
        let waiting = earlier.is_some_and(|earlier| earlier.accept_queue > 0);
        if idle && waiting {
            return State::Starved;
        }
    }
    let unsent = gauge.tunnel_send_queue.seen().copied().unwrap_or(0);
    if unsent > 0 {
        if gauge.tunnel_peer_window.seen() == Some(&0) {
            return State::UploadStalled;
        }
        if gauge
            .tunnel_last_ack
            .seen()
            .is_some_and(|age| *age >= UNACKNOWLEDGED)
        {
            return State::Blackhole;
        }
    }
    State::Healthy
}
