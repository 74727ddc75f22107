//! The agent's state: records and counts in, metrics and evidence out.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use hopscope_abi::PROBES;
use hopscope_attribution::hop::Hop;

use super::correlate::{Case, Dropped, Gathering, ResetSent};
use super::evidence::{Journal, PodSeen, Seen, SocketSeen, WindowSeen, end_word};
use super::infer::{self, Counted, OtherEnd, Surroundings};
use super::judge::{self, Abort, Around, End};
use super::loader::{Climbed, ProbeStatus, Probes, Refusal};
use super::metrics::NodeMetrics;
use super::names::Told;
use super::parse::{Close, Event, KeyBytes, RowWords, Socket, Untold, row, tallied};
use super::procfs::{Counters, Netns};
use super::reasons::Reasons;
use super::rung::Rung;
use super::world::{Workload, World};

/// Rows of the kernel's counts beyond which those at rest are forgotten.
const ROWS_TO_KEEP: usize = 1_536;

mod counters;
mod live;

/// What the agent knows, behind its HTTP server.
#[derive(Debug)]
pub struct Observer {
    world: World,
    gathering: Gathering,
    /// Read by `/metrics`.
    pub metrics: NodeMetrics,
    /// Read by `/v1/evidence`.
    pub journal: Journal,
    reasons: Reasons,
    /// What became of each probe; empty without eBPF.
    pub status: Vec<ProbeStatus>,
    /// The rung of the ladder that holds.
    pub rung: Rung,
    /// Better ones, and why they do not.
    pub passed: Vec<(Rung, Refusal)>,
    /// Whom the names of pods are asked of; `None` where nobody is.
    pub names_from: Option<String>,
    /// Pods that the Kubernetes API names; `None` as long as it has not answered.
    pub pods_known: Option<usize>,
    rows: HashMap<KeyBytes, RowWords>,
    counters: HashMap<Netns, Counters>,
    overflows: HashMap<Netns, SystemTime>,
    attempt_failed: Option<SystemTime>,
    ledger: live::Ledger,
    unreachable: HashMap<Netns, SystemTime>,
    window: BTreeMap<Hop, Window>,
    window_from: u64,
    lost: u64,
    lost_before_window: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    syn_retransmits: u64,
    overflows: u64,
}

impl Observer {
    /// Begins to watch.
    pub fn new(world: World, most_workloads: usize, climbed: &Climbed) -> Self {
        let (reasons, status, rung) = match &climbed.probes {
            Some(probes) => (probes.reasons.clone(), probes.status.clone(), probes.rung),
            None => (Reasons::default(), Vec::new(), Rung::Procfs),
        };
        let mut observer = Self {
            world,
            gathering: Gathering::default(),
            metrics: NodeMetrics::new(most_workloads),
            journal: Journal::default(),
            reasons,
            status,
            rung,
            passed: climbed.passed.clone(),
            names_from: None,
            pods_known: None,
            rows: HashMap::new(),
            counters: HashMap::new(),
            overflows: HashMap::new(),
            attempt_failed: None,
            ledger: live::Ledger::new(),
            unreachable: HashMap::new(),
            window: BTreeMap::new(),
            window_from: unix_us(),
            lost: 0,
            lost_before_window: 0,
        };
        observer.counters = observer.read_counters();
        observer
    }

    /// How the evidence is gathered.
    pub const fn level(&self) -> &'static str {
        self.rung.word()
    }

    /// What works and what does not, a line each.
    pub fn told(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (rung, why) in &self.passed {
            lines.push(format!("{rung} is out of reach: {why}"));
        }
        if self.rung == Rung::Procfs {
            lines.push("without eBPF, by sock_diag and /proc alone".to_owned());
        }
        if let Some(forgoes) = self.rung.forgoes() {
            lines.push(format!("watching by {}: {forgoes}", self.rung));
        }
        for probe in &self.status {
            lines.push(match &probe.refused {
                None => format!("{}: attached", probe.probe),
                Some(refusal) => format!("{}: not attached: {refusal}", probe.probe),
            });
        }
        if let Some(source) = &self.names_from {
            let answered = match self.pods_known {
                Some(pods) => format!("{pods} pods known"),
                None => "no answer yet; it needs `list` and `watch` of pods".to_owned(),
            };
            lines.push(format!("names of {source}: {answered}"));
        }
        lines
    }

    /// Kernel events lost since the probes were loaded.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Takes one record of the ring buffer in.
    pub fn record(&mut self, bytes: &[u8]) {
        let mut event = match Event::parse(bytes) {
            Ok(event) => event,
            Err(error) => {
                tracing::debug!(%error, "a record that cannot be read");
                self.metrics.malformed();
                return;
            }
        };
        let last = matches!(event, Event::Closed(..));
        match &mut event {
            Event::Listening(socket) => {
                self.world.place(socket);
                self.world.meet(socket.netns);
                self.world.listening(socket);
            }
            Event::Closed(socket, _) | Event::ResetReceived(socket) | Event::ResetSent { socket, .. } => {
                self.world.place(socket);
                self.world.meet(socket.netns);
                self.world.complete(socket, last);
            }
            Event::Dropped { ends, reason, .. } if ends.remote.port() == 0 => {
                // A classic tracepoint does not say whose packet it was.
                self.metrics.dropped(Hop::Unknown, self.reasons.drop(*reason));
                return;
            }
            Event::SynRetransmit(_) | Event::Dropped { .. } => {}
        }
        if let Some(case) = self.gathering.add(event) {
            self.conclude(&case);
        }
    }

    /// Judges every connection that has been gathered for long enough.
    pub fn judge_due(&mut self, now: u64) {
        while let Some(case) = self.gathering.due(now) {
            self.conclude(&case);
        }
    }

    fn conclude(&mut self, gathered: &Case) {
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
            let around = Around {
                owner,
                peer,
                queue_overflowed: self.overflowed(socket, close, end),
                dropped_at_home: self.dropped_at_home(gathered, socket),
            };
            if let Some(outcome) = judge::connect_outcome(end) {
                self.metrics.connected(owner, outcome, 1);
            }
            let cause = judge::charge(end, around).filter(|_| !charged);
            let other = gathered
                .ends
                .get(1 - at.min(1))
                .filter(|_| ends.len() == 2)
                .map(|(socket, _)| socket);
            let workload = self.workload(socket, other, cause.map(|cause| cause.hop() == owner));
            if let Some(cause) = cause {
                charged = true;
                self.metrics.failed(cause, &workload.namespace, &workload.name);
            }
            let Some(how) = judge::kernel_end(end) else {
                continue;
            };
            let payload = (close.untold != Untold::Error)
                .then(|| judge::payload(end, close.bytes_acked, close.bytes_received));
            let reset = gathered
                .resets_sent
                .iter()
                .find(|reset| reset.socket.ends.local == socket.ends.local);
            self.journal.push(Seen::Socket(Box::new(SocketSeen {
                unix_us: unix_us().saturating_sub(super::monotonic_ns().saturating_sub(socket.at) / 1_000),
                age_us: close.age_us,
                local: socket.ends.local,
                remote: socket.ends.remote,
                netns: socket.netns,
                cookie: socket.cookie,
                owner: owner.word().to_owned(),
                peer: peer.word().to_owned(),
                end: end_word(how).to_owned(),
                cause: cause.map(|cause| cause.word().to_owned()),
                errno: judge::errno(end.error),
                told_by: judge::told_by(end).map(ToOwned::to_owned),
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
                reset_reason: reset
                    .and_then(|reset| reset.reason)
                    .map(|reason| self.reasons.reset(reason).to_owned()),
                drops: all_drops(gathered)
                    .map(|dropped| self.reasons.drop(dropped.reason).to_owned())
                    .collect(),
            })));
        }
    }

    /// Whose series a failure goes to: the charged end's, as far as it is known here.
    fn workload(&self, socket: &Socket, other: Option<&Socket>, charged_here: Option<bool>) -> Workload {
        if charged_here == Some(false) {
            if let Some(other) = other {
                return self.world.workload(other);
            }
            // The runtime's dial into a pod: the port that it went to is the pod's whose namespace it is in.
            let tenant = self.world.tenant(socket.netns);
            if !tenant.name.is_empty() {
                return tenant;
            }
        }
        self.world.workload(socket)
    }

    /// One end as the judge wants it; `None` when nothing can be claimed of it.
    fn end(&mut self, at: usize, socket: &Socket, close: &Close, gathered: &Case) -> Option<End> {
        let ours = |other: &Socket| other.ends.local == socket.ends.local;
        let reset_received = gathered.resets_received.iter().any(ours);
        let connecting = socket.state == hopscope_abi::state::SYN_SENT;
        let around = Surroundings {
            reset_received,
            reset_sent: gathered.resets_sent.iter().any(|reset| ours(&reset.socket)),
            other_end: match (gathered.ends.len(), at) {
                (2.., 0) => OtherEnd::Later,
                (2.., _) => OtherEnd::Earlier,
                _ => OtherEnd::Unseen,
            },
            counted: match close.untold {
                Untold::Resets if connecting && self.attempt_failed() => Counted::FailedAttempt,
                Untold::Nothing
                    if close.error == 0
                        && infer::given_up_at_once(socket.state, close)
                        && self.told_unreachable(socket.netns) =>
                {
                    Counted::Unreachable
                }
                Untold::Resets | Untold::Nothing | Untold::Error => Counted::Nothing,
            },
        };
        let own = |reset: &&ResetSent| reset.unprovoked && ours(&reset.socket);
        let reset_sent = gathered.resets_sent.iter().find(own).map(|reset| {
            match reset.reason.map(|reason| self.reasons.reset(reason)) {
                None => Abort::Untold,
                Some("TCP_ABORT_ON_CLOSE") => Abort::Unread,
                Some(_) => Abort::Other,
            }
        });
        Some(End {
            active: socket.active,
            state: socket.state,
            error: infer::error(socket.state, close, around)?,
            shutdown: close.shutdown,
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

    /// Takes the kernel's counts over. Gives back the rows at rest that may be forgotten, where there are too many.
    pub fn tally(&mut self, probes: &Probes) -> Vec<KeyBytes> {
        let rows = probes.rows();
        let crowded = rows.len() > ROWS_TO_KEEP;
        let mut at_rest = Vec::new();
        for (key, now) in rows {
            let before = self.rows.insert(key, now).unwrap_or_default();
            if before == now && crowded {
                self.rows.remove(&key);
                at_rest.push(key);
                continue;
            }
            let mut added = RowWords::default();
            for ((added, now), before) in added.iter_mut().zip(now).zip(before) {
                // A row that was forgotten begins again at zero.
                *added = if now >= before { now - before } else { now };
            }
            self.take(&key, &added);
        }
        for ((probe, seen), lost) in PROBES.into_iter().zip(probes.seen()).zip(probes.lost()) {
            self.metrics.probe(probe, seen, lost);
        }
        self.lost = probes.lost().iter().sum();
        at_rest
    }

    fn take(&mut self, key: &KeyBytes, added: &RowWords) {
        if added.iter().all(|count| *count == 0) {
            return;
        }
        let key = tallied(key);
        self.world.meet(key.netns);
        let added = row(added);
        let hop = self.world.tallied(&key);
        if key.active && added.established > 0 {
            self.metrics.connected(hop, "established", added.established);
            self.metrics.connect_times(hop, &added.buckets, added.connect_us);
        }
        let syns = added.syn_retransmits + added.synack_retransmits;
        self.metrics.retransmitted(hop, added.retransmits, syns);
        if syns > 0 {
            self.window.entry(hop).or_default().syn_retransmits += syns;
        }
    }

    /// Takes in what the Kubernetes API told.
    pub fn hear(&mut self, told: &Told) {
        for event in self.world.names.hear(told) {
            let name = event.name;
            self.metrics
                .pod_event(event.change.word(), &name.namespace, &name.workload);
            self.journal.push(Seen::Pod(Box::new(PodSeen {
                unix_us: unix_us(),
                event: event.change.word().to_owned(),
                namespace: name.namespace,
                workload: name.workload,
                pod: name.pod,
                container: event.container.unwrap_or_default(),
                reason: event.reason,
                exit_code: event.exit_code,
            })));
        }
        self.pods_known = Some(self.world.names.count());
    }

    /// Looks for new namespaces and workloads.
    pub fn refresh(&mut self) {
        self.world.refresh();
    }

    /// Ends the window of counts, and begins the next.
    pub fn end_window(&mut self) {
        let now = unix_us();
        let lost = self.lost.saturating_sub(self.lost_before_window);
        self.lost_before_window = self.lost;
        if lost > 0 {
            // Nobody's events in particular: every hop's absence of evidence is void.
            self.window.entry(Hop::Unknown).or_default();
        }
        for (hop, counted) in std::mem::take(&mut self.window) {
            if counted.syn_retransmits + counted.overflows + lost > 0 {
                self.journal.push(Seen::Window(WindowSeen {
                    from_unix_us: self.window_from,
                    length_us: now.saturating_sub(self.window_from),
                    hop: hop.word().to_owned(),
                    syn_retransmits: counted.syn_retransmits,
                    accept_queue_overflows: counted.overflows,
                    events_lost: lost,
                }));
            }
        }
        self.window_from = now;
    }
}

/// Every packet of a connection that was dropped.
fn all_drops(gathered: &Case) -> impl Iterator<Item = &Dropped> {
    gathered.earlier_drops.iter().chain(&gathered.drops)
}

/// This moment, microseconds since 1970.
pub fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
