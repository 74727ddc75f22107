//! What a forwarder's sockets and process were doing while a failure lasted.

use crate::case::Case;
use crate::cause::Cause;
use crate::evidence::{Connection, Moment, Observation, PathId, Span, TunnelGauge};
use crate::lateness::Lateness;

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
    /// The forwarder does not read the tunnel, and a local reader does not read what it wrote.
    HeadOfLine,
    /// The forwarder does not read the tunnel, and no local reader explains it: it is wedged.
    Wedged,
    /// The tunnel's peer offers no window: the pod's side does not read.
    UploadStalled,
    /// Sent data is not acknowledged: the packets go nowhere. Or it is, and nothing comes back, while local connections
    /// wait for their streams: what takes it does not pass it on.
    Blackhole,
    /// Taken while the host itself was late: it says nothing of kubectl, unless that it was stopped.
    Doubtful,
    /// Local connections hold bytes that the forwarder does not read, and nothing that it waits for explains it.
    Hung,
    /// None of these.
    Healthy,
}

const STATES: usize = 11;

impl State {
    /// What a wait is charged to that lasted while a forwarder was in it.
    pub(super) const fn cause(self) -> Cause {
        match self {
            Self::Stopped | Self::Starved => Cause::TunnelStopped,
            Self::OutputBlocked => Cause::TunnelOutputBlocked,
            Self::NoDescriptor => Cause::TunnelFdLimit,
            Self::Hung => Cause::TunnelHung,
            Self::HeadOfLine | Self::Wedged | Self::UploadStalled => Cause::TunnelHeadOfLine,
            Self::Blackhole => Cause::TunnelBlackhole,
            Self::Healthy | Self::Doubtful => Cause::TunnelTimeout,
        }
    }
}

/// As much as this is not read within a tenth of a second only by a process that does not read.
const UNREAD: u32 = 4_096;
/// The kernel tells how long ago the last bytes came by its own ticks: one moment, told twice, differs by so much.
const SAME: Span = Span::from_micros(20_000);
/// Data in flight is acknowledged within a round trip; even a delayed acknowledgement takes no longer than 200 ms.
const UNACKNOWLEDGED: Span = Span::from_micros(1_500_000);

/// The samples of a path's forwarders, those of each forward by themselves: a pool has several, and one that was
/// restarted is another one.
pub(super) struct Timelines(Vec<(Option<u16>, Timeline)>);

impl Timelines {
    /// The samples of a path, where any were taken. Those from times in which the host was late are doubtful.
    pub(super) fn of(case: &Case<'_>, path: PathId, lateness: &Lateness) -> Option<Self> {
        let Observation::Seen(tunnel) = case.tunnel(path) else {
            return None;
        };
        let gauges = tunnel.gauges.seen()?;
        let shared = case.laws(path).shared();
        let mut placed: Vec<(u16, Moment, u16)> = tunnel
            .processes
            .iter()
            .map(|process| (process.member, process.at, process.local_port))
            .collect();
        placed.sort_unstable();
        // Which forward a sample is of: that of the process that had taken over last.
        let forward_of = |gauge: &TunnelGauge| {
            let before = placed.partition_point(|(member, at, _)| (*member, *at) <= (gauge.member, gauge.at));
            let last = before.checked_sub(1).and_then(|index| placed.get(index));
            let port = last
                .filter(|(member, ..)| *member == gauge.member)
                .map(|(_, _, port)| *port);
            (gauge.member, port)
        };
        let mut ordered: Vec<_> = gauges.iter().map(|gauge| (forward_of(gauge), gauge)).collect();
        ordered.sort_by_key(|(forward, gauge)| (*forward, gauge.at));
        let forwards: Vec<_> = ordered
            .chunk_by(|(one, _), (other, _)| one == other)
            .filter_map(|group| {
                let ((_, port), _) = group.first()?;
                Some((
                    *port,
                    Timeline::of(group.iter().map(|(_, gauge)| *gauge), lateness, shared),
                ))
            })
            .collect();
        (!forwards.is_empty()).then_some(Self(forwards))
    }

    /// The samples of the forward that a connection went through; `None` where there are several and the connection is
    /// of none that is known.
    pub(super) fn through(&self, connection: Option<&Connection>) -> Option<&Timeline> {
        self.of_port(connection.and_then(|connection| Some(connection.upstream_tuple?.remote.port())))
    }

    /// The samples of the forward with this local port.
    pub(super) fn of_port(&self, port: Option<u16>) -> Option<&Timeline> {
        match self.0.as_slice() {
            [(_, only)] => Some(only),
            several => several
                .iter()
                .find(|(of, _)| of.is_some() && *of == port)
                .map(|(_, timeline)| timeline),
        }
    }

    /// All samples, and how many of them were in a state.
    pub(super) fn count(&self, state: State) -> (u32, u32) {
        let counts = self
            .0
            .iter()
            .map(|(_, timeline)| timeline.count(state, Moment(0), Moment(u64::MAX)));
        counts.fold((0, 0), |all, (samples, of)| {
            (all.0.saturating_add(samples), all.1.saturating_add(of))
        })
    }

    /// The local port that was the worst reader most often, of those that stalled a forward.
    pub(super) fn culprit(&self) -> Option<u16> {
        let mut ports: Vec<u16> = self
            .0
            .iter()
            .flat_map(|(_, timeline)| timeline.culprits.iter().copied())
            .collect();
        ports.sort_unstable();
        ports
            .chunk_by(|a, b| a == b)
            .max_by_key(|group| group.len())
            .and_then(|group| group.first())
            .copied()
    }
}

/// The samples of one forward, summed so that any interval is answered at once.
pub(super) struct Timeline {
    at: Vec<Moment>,
    /// For each sample, how many of each state came before it and with it.
    sums: Vec<[u32; STATES]>,
    culprits: Vec<u16>,
    /// When bytes had last come from the far end by then, with each sample where it was seen; in the order of time.
    heard: Vec<Moment>,
    /// Of the samples that were taken while the far end was asked and did not answer, when it had last been heard.
    unanswered_since: Vec<Moment>,
    /// CPU time so far; with each sample where it was seen.
    cpu: Vec<Option<CpuSoFar>>,
}

/// CPU time of a forwarder from its start to a sample, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct CpuSoFar {
    used: u64,
    waited: u64,
    /// Waited for while the host was well.
    wanting: u64,
}

impl Timeline {
    /// Samples of one forward, in the order of time.
    fn of<'e>(ordered: impl Iterator<Item = &'e TunnelGauge>, lateness: &Lateness, shared: bool) -> Self {
        let mut timeline = Self {
            at: Vec::new(),
            sums: Vec::new(),
            culprits: Vec::new(),
            heard: Vec::new(),
            unanswered_since: Vec::new(),
            cpu: Vec::new(),
        };
        let mut sum = [0; STATES];
        let mut earlier: Option<&TunnelGauge> = None;
        let mut wanting = 0_u64;
        for gauge in ordered {
            let since = earlier.map_or(gauge.at, |earlier| earlier.at);
            let doubtful = lateness.touches(since, gauge.at);
            let state = match state(gauge, earlier, shared) {
                state if state != State::Stopped && doubtful => State::Doubtful,
                state => state,
            };
            if let Some(count) = sum.get_mut(state as usize) {
                *count += 1;
            }
            timeline.at.push(gauge.at);
            timeline.sums.push(sum);
            let waited = |gauge: &TunnelGauge| gauge.cpu_wait_ms.seen().copied();
            if let (false, Some(before), Some(now)) = (doubtful, earlier.and_then(waited), waited(gauge)) {
                wanting = wanting.saturating_add(now.saturating_sub(before));
            }
            timeline.cpu.push(match (gauge.cpu_ms.seen(), waited(gauge)) {
                (Some(used), Some(waited)) => Some(CpuSoFar {
                    used: *used,
                    waited,
                    wanting,
                }),
                _ => None,
            });
            if let Some(received) = gauge.tunnel_last_received.seen() {
                let last = Moment(gauge.at.0.saturating_sub(received.as_micros()));
                let last = timeline.heard.last().map_or(last, |earlier| last.max(*earlier));
                timeline.heard.push(last);
                if state == State::Blackhole && unanswered(gauge) {
                    timeline.unanswered_since.push(last);
                }
            }
            if let (State::HeadOfLine, Some(port)) = (state, gauge.worst_reader.seen()) {
                timeline.culprits.push(*port);
            }
            earlier = Some(gauge);
        }
        timeline
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
            Blackhole, HeadOfLine, Hung, NoDescriptor, OutputBlocked, Starved, Stopped, UploadStalled, Wedged,
        };
        let lasted = |state: &State| {
            let (samples, of) = self.count(*state, from, to);
            samples >= 5 && of.saturating_mul(10) >= samples.saturating_mul(6)
        };
        // It asked for CPU most of the time and got next to none, and the host was well.
        let starved = self.cpu(from, to).is_some_and(|cpu| {
            cpu.wanting.saturating_mul(10) >= cpu.span.saturating_mul(6)
                && cpu.used.saturating_mul(20) <= cpu.span
        });
        [
            Stopped,
            OutputBlocked,
            NoDescriptor,
            Starved,
            HeadOfLine,
            Wedged,
            UploadStalled,
            Blackhole,
            Hung,
        ]
        .into_iter()
        .find(|state| lasted(state) || (*state == Starved && starved))
    }

    /// Whether bytes came from the far end within an interval.
    pub(super) fn heard(&self, from: Moment, to: Moment) -> bool {
        let first = self.heard.partition_point(|at| *at < from);
        self.heard.get(first).is_some_and(|at| *at <= to)
    }

    /// Whether nothing came from the far end between these moments, and in that same silence it was asked for streams
    /// and did not answer.
    pub(super) fn fell_silent(&self, from: Moment, to: Moment) -> bool {
        let since = self.unanswered_since.partition_point(|heard| *heard <= from);
        let last = since
            .checked_sub(1)
            .and_then(|index| self.unanswered_since.get(index));
        last.is_some_and(|last| !self.heard(*last + SAME, to))
    }

    /// CPU time used and waited for within an interval.
    pub(super) fn cpu(&self, from: Moment, to: Moment) -> Option<Cpu> {
        let start = self.at.partition_point(|at| *at < from);
        let end = self.at.partition_point(|at| *at <= to).checked_sub(1)?;
        let before = (*self.cpu.get(start)?)?;
        let now = (*self.cpu.get(end)?)?;
        let span = self.at.get(end)?.since(*self.at.get(start)?);
        (span >= Span::from_micros(400_000)).then_some(Cpu {
            used: now.used.saturating_sub(before.used),
            waited: now.waited.saturating_sub(before.waited),
            wanting: now.wanting.saturating_sub(before.wanting),
            span: span.as_micros() / 1_000,
        })
    }

    /// Whether every sample of an interval that was taken while the host was well was healthy, and there were enough.
    pub(super) fn healthy(&self, from: Moment, to: Moment) -> bool {
        let (samples, healthy) = self.count(State::Healthy, from, to);
        let (_, doubtful) = self.count(State::Doubtful, from, to);
        let samples = samples.saturating_sub(doubtful);
        let hungry = self
            .cpu(from, to)
            .is_some_and(|cpu| cpu.waited.saturating_mul(4) >= cpu.span);
        samples >= 5 && healthy.saturating_mul(20) >= samples.saturating_mul(19) && !hungry
    }
}

/// CPU time of a forwarder within an interval, all in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cpu {
    pub(super) used: u64,
    pub(super) waited: u64,
    /// Of what it waited for, that which fell into times in which the host was well.
    wanting: u64,
    pub(super) span: u64,
}

/// `shared` is whether all connections share one to the far end: what that one does concerns all of them then.
fn state(gauge: &TunnelGauge, earlier: Option<&TunnelGauge>, shared: bool) -> State {
    if gauge.stopped.seen() == Some(&true) {
        return State::Stopped;
    }
    if gauge.output_blocked.seen() == Some(&true) {
        return State::OutputBlocked;
    }
    let received = gauge.tunnel_recv_queue.seen().copied().unwrap_or(0);
    if shared && received >= UNREAD {
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
    if shared && unsent > 0 {
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
    if shared && unanswered(gauge) && earlier.is_some_and(unanswered) {
        return State::Blackhole;
    }
    // What had just arrived when the sample was taken is read by the next one.
    if hung(gauge, unsent) && earlier.is_some_and(|earlier| hung(earlier, 0)) {
        return State::Hung;
    }
    State::Healthy
}

/// The far end acknowledges a stream at once, whatever the application does; it answers pings as well.
const UNANSWERED: Span = Span::from_micros(1_000_000);
/// What is acknowledged so much later than the last bytes came was sent after them, and is no answer to them.
const SENT_SINCE: Span = Span::from_micros(200_000);

/// The forwarder has sent something after the last bytes came, the other kernel took it, and for long nothing has come;
/// meanwhile local connections hold bytes: their streams wait for the far end's word.
fn unanswered(gauge: &TunnelGauge) -> bool {
    let (Some(received), Some(acknowledged)) =
        (gauge.tunnel_last_received.seen(), gauge.tunnel_last_ack.seen())
    else {
        return false;
    };
    *received >= UNANSWERED
        && *acknowledged + SENT_SINCE <= *received
        && gauge.unread_connections.seen().is_some_and(|unread| *unread > 0)
}

/// It does not read what local connections sent, although nothing that it sent on waits: then it is not the far end that
/// holds it up. Most of its connections must be so, or one that the other side has closed and it has not.
fn hung(gauge: &TunnelGauge, unsent: u32) -> bool {
    let of = |count: Observation<u32>| count.seen().copied().unwrap_or(0);
    let (unread, abandoned) = (of(gauge.unread_connections), of(gauge.abandoned));
    let most = unread > 0 && unread.saturating_mul(10) >= gauge.local_connections.saturating_mul(6);
    unsent == 0 && (most || abandoned > 0)
}
