//! What an agent keeps of what it saw: bounded, and by relevance.
//!
//! Pods and windows have bounds of their own: no storm of sockets pushes them out. Sockets are kept in groups, one for
//! each workload and port; where all together are too many, the largest group gives up its oldest. So a storm pushes out
//! its own lines, and what a report will ask for stays. What was given up is counted by group, with its time.

use std::collections::{BTreeMap, HashMap, VecDeque};

use hopscope_attribution::hop::Hop;

use super::{Forgotten, Head, PodSeen, Pods, RefusalSeen, SCHEMA, Seen, SocketSeen};

/// Lines about sockets that are kept.
pub const SOCKETS: usize = 16_384;
/// Lines about pods that are kept: of a node's pods, an hour of crash loops.
pub const PODS: usize = 4_096;
/// Windows that are kept: five seconds of each hop.
const WINDOWS: usize = 4_096;
/// Seconds of throttled containers that are kept.
const THROTTLES: usize = 8_192;
/// Turns of Services that are kept beside the last of each.
const SERVICES: usize = 4_096;
/// Lines that are kept in all.
pub const MOST: usize = SOCKETS + PODS + WINDOWS + THROTTLES + 2 * SERVICES;
/// Lines that one overflow gives up at once, so that the largest group is not looked for at each.
const AT_ONCE: usize = SOCKETS / 64;
/// Of these lines at most may be about sockets that no hop owns on either side: no report asks for them.
const FOREIGN: usize = SOCKETS / 4;
/// Groups that are told apart, and ports of one workload.
const GROUPS: usize = 1_024;
const PORTS: usize = 64;
/// Groups that the head names, the ones that gave up most.
const NAMED: usize = 16;

/// What belongs together: sockets of one workload towards or on one port.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Group {
    owner: String,
    peer: String,
    namespace: String,
    /// The workload's, or the process' name where it has none.
    workload: String,
    port: u16,
}

/// What the agent says of itself, beside its lines.
#[derive(Clone, Debug, Default)]
pub struct Speaker {
    /// This moment, microseconds since 1970.
    pub now_unix_us: u64,
    /// The rung.
    pub level: &'static str,
    /// Kernel events lost since the agent started.
    pub events_lost: u64,
    /// The kernel's boot id.
    pub kernel: Option<String>,
    /// What it cannot tell, and why, a sentence each.
    pub limits: Vec<String>,
    /// What the cluster calls the node.
    pub node: Option<String>,
    /// When it began to watch, microseconds since 1970.
    pub began_unix_us: Option<u64>,
    /// The probes see SYNs that no socket takes.
    pub sees_refusals: bool,
    /// CPU accounting is read.
    pub sees_throttling: bool,
    /// Pods that stand in a state that they do not get out of.
    pub standing: Vec<PodSeen>,
}

/// The lines.
#[derive(Debug, Default)]
pub struct Journal {
    /// Whether the Kubernetes API tells of pods; `None` where nobody asks it.
    pub pods: Option<Pods>,
    /// Whether it tells of Services.
    pub services: Option<Pods>,
    lines: BTreeMap<u64, Seen>,
    next: u64,
    groups: HashMap<Group, VecDeque<u64>>,
    /// Groups of each workload.
    ports: HashMap<(String, String), usize>,
    sockets: usize,
    foreign: usize,
    of_pods: VecDeque<u64>,
    windows: VecDeque<u64>,
    throttles: VecDeque<u64>,
    /// The last line of each Service, which is never given up while the Service is followed, and those before it.
    services_last: HashMap<(String, String), u64>,
    services_before: VecDeque<u64>,
    forgotten: BTreeMap<Group, Forgotten>,
}

impl Group {
    fn of(socket: &SocketSeen) -> Self {
        // The port that names the service: the nearer to what is well known.
        let (local, remote) = (socket.local.port(), socket.remote.port());
        let port = match (local, remote) {
            (0, port) | (port, 0) => port,
            (local, remote) => local.min(remote),
        };
        Self {
            owner: socket.owner.clone(),
            peer: socket.peer.clone(),
            namespace: socket.namespace.clone(),
            workload: if socket.workload.is_empty() {
                socket.process.clone()
            } else {
                socket.workload.clone()
            },
            port,
        }
    }
}

impl Group {
    /// A pod's refusals are the backend's; others are nobody's.
    fn of_refusal(refusal: &RefusalSeen) -> Self {
        let owner = if refusal.in_pod {
            Hop::Backend
        } else {
            Hop::Unknown
        };
        Self {
            owner: owner.word().to_owned(),
            peer: Hop::Unknown.word().to_owned(),
            namespace: refusal.namespace.clone(),
            workload: refusal.workload.clone(),
            port: refusal.local.port(),
        }
    }

    /// A hop is known at either end: a report may ask for it.
    fn is_relevant(&self) -> bool {
        [&self.owner, &self.peer]
            .into_iter()
            .any(|hop| !hop.is_empty() && hop != Hop::Unknown.word())
    }

    /// What takes the place of groups of these hops when there are too many.
    fn rest(&self) -> Self {
        Self {
            owner: self.owner.clone(),
            peer: self.peer.clone(),
            ..Self::default()
        }
    }

    fn owner_of_ports(&self) -> (String, String) {
        (self.namespace.clone(), self.workload.clone())
    }
}

impl Journal {
    /// Adds what was seen.
    pub fn push(&mut self, seen: Seen) {
        let seq = self.next;
        self.next += 1;
        match &seen {
            Seen::Socket(socket) => self.group(Group::of(socket), seq),
            Seen::Refusal(refusal) => self.group(Group::of_refusal(refusal), seq),
            Seen::Pod(_) => self.of_pods.push_back(seq),
            Seen::Window(_) => self.windows.push_back(seq),
            Seen::Throttle(_) => self.throttles.push_back(seq),
            Seen::Service(service) => {
                let id = (service.namespace.clone(), service.name.clone());
                if let Some(before) = self.services_last.insert(id, seq) {
                    self.services_before.push_back(before);
                }
            }
            Seen::Newer => return,
        }
        self.lines.insert(seq, seen);
        if self.foreign > FOREIGN {
            self.give_up(|group| !group.is_relevant());
        } else if self.sockets > SOCKETS {
            self.give_up(|_| true);
        }
        for (order, most, name) in [
            (&mut self.of_pods, PODS, "pods"),
            (&mut self.windows, WINDOWS, "windows"),
            (&mut self.throttles, THROTTLES, "throttling"),
            (&mut self.services_before, SERVICES, "services"),
        ] {
            if order.len() > most
                && let Some(oldest) = order.pop_front()
                && let Some(line) = self.lines.remove(&oldest)
            {
                let group = Group {
                    workload: name.to_owned(),
                    ..Group::default()
                };
                note(&mut self.forgotten, &group, line.unix_us());
            }
        }
    }

    fn group(&mut self, group: Group, seq: u64) {
        let group = self.admit(group);
        self.sockets += 1;
        self.foreign += usize::from(!group.is_relevant());
        let ports = &mut self.ports;
        let owner = group.owner_of_ports();
        let order = self.groups.entry(group).or_insert_with(|| {
            *ports.entry(owner).or_default() += 1;
            VecDeque::new()
        });
        order.push_back(seq);
    }

    /// The group as it is counted: one of too many ports, or of too many groups, is one of the rest.
    fn admit(&self, group: Group) -> Group {
        if self.groups.contains_key(&group) {
            return group;
        }
        if self.groups.len() >= GROUPS {
            return group.rest();
        }
        let ports = self.ports.get(&group.owner_of_ports()).copied().unwrap_or(0);
        if ports >= PORTS {
            Group { port: 0, ..group }
        } else {
            group
        }
    }

    /// Gives up the oldest lines of the largest of these groups.
    fn give_up(&mut self, of: impl Fn(&Group) -> bool) {
        let largest = self.groups.iter().filter(|(group, _)| of(group));
        let Some(group) = largest
            .max_by_key(|(group, lines)| (lines.len(), *group))
            .map(|(group, _)| group.clone())
        else {
            return;
        };
        let Some(order) = self.groups.get_mut(&group) else {
            return;
        };
        let gone: Vec<u64> = order.drain(..order.len().min(AT_ONCE)).collect();
        if order.is_empty() {
            self.groups.remove(&group);
            if let Some(ports) = self.ports.get_mut(&group.owner_of_ports()) {
                *ports -= 1;
                if *ports == 0 {
                    self.ports.remove(&group.owner_of_ports());
                }
            }
        }
        self.sockets -= gone.len();
        if !group.is_relevant() {
            self.foreign -= gone.len();
        }
        for seq in gone {
            if let Some(line) = self.lines.remove(&seq) {
                note(&mut self.forgotten, &group, line.unix_us());
            }
        }
    }

    /// Every line that is kept, and what was given up.
    pub fn into_lines(self) -> (Vec<super::Line>, Vec<Forgotten>) {
        let lines = self.lines.into_iter();
        let lines = lines.map(|(seq, seen)| super::Line { seq, seen }).collect();
        (lines, self.forgotten.into_values().collect())
    }

    /// The number of the next line.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// The first line of an answer to `since`.
    pub fn head(&self, since: u64, speaker: &Speaker) -> Head {
        let kept = u64::try_from(self.lines.range(since..).count()).unwrap_or(u64::MAX);
        let mut of: Vec<Forgotten> = self.forgotten.values().cloned().collect();
        of.sort_by_key(|one| std::cmp::Reverse(one.lines));
        of.truncate(NAMED);
        Head {
            schema: SCHEMA.to_owned(),
            now_unix_us: speaker.now_unix_us,
            next: self.next,
            forgotten: self.next.saturating_sub(since).saturating_sub(kept),
            forgotten_of: of,
            level: speaker.level.to_owned(),
            events_lost: speaker.events_lost,
            limits: speaker.limits.clone(),
            node: speaker.node.clone(),
            began_unix_us: speaker.began_unix_us,
            sees_refusals: speaker.sees_refusals,
            sees_throttling: speaker.sees_throttling,
            services: self.services,
            standing: speaker.standing.clone(),
            pods: self.pods,
            kernel: speaker.kernel.clone(),
            asked_unix_us: None,
            answered_unix_us: None,
        }
    }

    /// Writes lines from number `since` on and before `until`, until `text` is `enough` bytes long, and gives the number to
    /// go on from; `None` when there are no more.
    ///
    /// # Errors
    /// None that these types can give; serde's all the same.
    pub fn write(
        &self,
        since: u64,
        until: u64,
        enough: usize,
        text: &mut String,
    ) -> Result<Option<u64>, serde_json::Error> {
        for (seq, seen) in self.lines.range(since..until.max(since)) {
            if text.len() >= enough {
                return Ok(Some(*seq));
            }
            text.push_str(&serde_json::to_string(&super::LineRef { seq: *seq, seen })?);
            text.push('\n');
        }
        Ok(None)
    }
}

fn note(forgotten: &mut BTreeMap<Group, Forgotten>, group: &Group, unix_us: u64) {
    let rest = group.rest();
    let key = if forgotten.len() < GROUPS || forgotten.contains_key(group) {
        group
    } else {
        &rest
    };
    let noted = forgotten.entry(key.clone()).or_insert_with(|| Forgotten {
        namespace: key.namespace.clone(),
        workload: key.workload.clone(),
        port: key.port,
        owner: key.owner.clone(),
        peer: key.peer.clone(),
        lines: 0,
        from_unix_us: unix_us,
        until_unix_us: unix_us,
    });
    noted.lines += 1;
    noted.from_unix_us = noted.from_unix_us.min(unix_us);
    noted.until_unix_us = noted.until_unix_us.max(unix_us);
}
