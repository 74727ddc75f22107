//! The agent's state: records and counts in, metrics and evidence out.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use hopscope_abi::PROBES;
use hopscope_attribution::hop::Hop;

use super::correlate::Gathering;
use super::evidence::{Journal, Seen, WindowSeen};
use super::loader::{Climbed, ProbeStatus, Probes, Refusal};
use super::metrics::NodeMetrics;
use super::parse::{Event, KeyBytes, RowWords, row, tallied};
use super::reasons::Reasons;
use super::rung::Rung;
use super::throttle::Limited;
use super::world::World;
use hopscope_host::procfs::{Counters, Netns};

/// Rows of the kernel's counts beyond which those at rest are forgotten.
const ROWS_TO_KEEP: usize = 1_536;

mod cluster;
mod conclude;
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
    /// What the Kubernetes API told.
    cluster: cluster::Cluster,
    /// Containers with a CPU limit, and when they were last looked at (microseconds since 1970).
    limited: Limited,
    limited_at: u64,
    rows: HashMap<KeyBytes, RowWords>,
    counters: HashMap<Netns, Counters>,
    /// When they were read last (`CLOCK_MONOTONIC` nanoseconds).
    polled: u64,
    overflows: HashMap<Netns, SystemTime>,
    attempt_failed: HashMap<Netns, SystemTime>,
    ledger: live::Ledger,
    unreachable: HashMap<Netns, SystemTime>,
    window: BTreeMap<Hop, Window>,
    window_from: u64,
    /// When it began to watch, microseconds since 1970.
    pub began_unix_us: u64,
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
            cluster: cluster::Cluster::default(),
            limited: Limited::default(),
            limited_at: unix_us(),
            rows: HashMap::new(),
            counters: HashMap::new(),
            polled: 0,
            overflows: HashMap::new(),
            attempt_failed: HashMap::new(),
            ledger: live::Ledger::new(),
            unreachable: HashMap::new(),
            window: BTreeMap::new(),
            window_from: unix_us(),
            began_unix_us: unix_us(),
            lost: 0,
            lost_before_window: 0,
        };
        observer.counters = observer.read_counters();
        observer.look_for_limits();
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
        lines.extend(self.limits());
        lines.extend(self.cluster.told());
        lines
    }

    /// What cannot be told here, a sentence each.
    pub fn limits(&self) -> Vec<String> {
        let host = self.world.host.unknown();
        let host = host.map(|why| format!("the host's network namespace is not known: {why}; what is no pod by its cgroup is charged to nobody"));
        host.into_iter().collect()
    }

    /// All series, as Prometheus reads them.
    ///
    /// # Errors
    /// As [`NodeMetrics::text`].
    pub fn metrics_text(&self) -> Result<String, prometheus::Error> {
        let probes: Vec<_> = self
            .status
            .iter()
            .map(|probe| (probe.probe, probe.refused.is_none()))
            .collect();
        self.metrics.text(&probes, self.world.host.unknown().is_none())
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
                self.world.learn_host(socket);
                self.world.meet(socket.netns);
                self.world.listening(socket);
            }
            Event::Closed(socket, _) | Event::ResetReceived(socket) | Event::ResetSent { socket, .. } => {
                self.world.place(socket);
                self.world.learn_host(socket);
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
        self.world.learn_host_of(&key);
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

    /// Looks for new namespaces, workloads and CPU limits.
    pub fn refresh(&mut self) {
        self.world.refresh();
        self.look_for_limits();
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

/// This moment, microseconds since 1970.
pub fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
