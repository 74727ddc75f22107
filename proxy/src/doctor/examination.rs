//! What was seen, judged: what works, what is limited, what is missing, and the remedy.

use serde::Serialize;

use super::probe::{Program, Seen};
use hopscope_text::figures::{bytes, grouped};

/// How well something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should.
    Ok,
    /// In part; the finding says what is lost.
    Limited,
    /// Not at all; the finding says what is lost.
    Missing,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub subject: &'static str,
    /// How well it works.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// What to do; only where it is not as it should be.
    pub remedy: Option<String>,
    /// Which command needs it.
    pub needed_for: &'static str,
}

/// What an examination is called as JSON.
pub const SCHEMA: &str = "hopscope.doctor/1";

/// All lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Examination {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Whether `proxy`, `run`, `demo` and `report` work: the main job.
    pub main_job: bool,
    /// The lines.
    pub findings: Vec<Finding>,
}

/// Capabilities: name, bit (include/uapi/linux/capability.h), and what it is for.
const CAPABILITIES: [(&str, u32, &str); 5] = [
    ("CAP_BPF", 39, "loading the agent's probes"),
    ("CAP_PERFMON", 38, "attaching the agent's probes"),
    (
        "CAP_NET_ADMIN",
        12,
        "the socket tables of other users and namespaces",
    ),
    (
        "CAP_SYS_PTRACE",
        19,
        "the namespaces of other processes: which pod a socket is of, and a kubectl that another user runs",
    ),
    (
        "CAP_SYS_RESOURCE",
        24,
        "raising limits by itself, on kernels before 5.11 locked memory too",
    ),
];
const CAP_SYS_ADMIN: u32 = 21;

const PROXY: &str = "proxy, run";
const TUNNEL: &str = "tunnel=kubectl:...";
const AGENT: &str = "agent";
const GENERATOR: &str = "run";

/// Descriptors below which a load test of some hundred connections is at risk: two a connection, and room.
const FEW_DESCRIPTORS: u64 = 4_096;
/// Below this the proxy does not even start its workers.
const TOO_FEW_DESCRIPTORS: u64 = 64;
/// Ephemeral ports below which a connection per request exhausts them: 60 s in TIME_WAIT at some 300 a second.
const FEW_PORTS: u16 = 20_000;

/// Judges what was seen.
pub fn examine(seen: &Seen) -> Examination {
    let mut findings = vec![descriptors(seen), ports(seen), sock_diag(seen)];
    findings.extend(seen.programs.iter().map(program));
    findings.extend([kernel(seen), btf(seen), probes(seen)]);
    findings.extend(capabilities(seen));
    findings.extend([lockdown(seen), memlock(seen), cgroup(seen)]);
    let main_job = findings
        .iter()
        .all(|finding| finding.needed_for != PROXY || finding.state != State::Missing);
    Examination {
        schema: SCHEMA,
        main_job,
        findings,
    }
}

fn ok(subject: &'static str, needed_for: &'static str, seen: impl Into<String>) -> Finding {
    Finding {
        subject,
        state: State::Ok,
        seen: seen.into(),
        remedy: None,
        needed_for,
    }
}

impl Finding {
    fn but(self, state: State, remedy: impl Into<String>) -> Self {
        Self {
            state,
            remedy: Some(remedy.into()),
            ..self
        }
    }
}

fn descriptors(seen: &Seen) -> Finding {
    let Some((soft, hard)) = seen.descriptors else {
        return ok("descriptors", PROXY, "the limit cannot be read").but(
            State::Limited,
            "check `ulimit -n`: each connection through the proxy takes two",
        );
    };
    // hopscope raises the soft limit to the hard one by itself.
    let pairs = hopscope_host::limits::connections_within(hard);
    let finding = ok(
        "descriptors",
        PROXY,
        format!(
            "{} of at most {}, which hopscope takes: about {} connections at once",
            limit(soft),
            limit(hard),
            limit(pairs)
        ),
    );
    let raise =
        "raise it where the login or the service is configured: limits.conf `nofile`, systemd `LimitNOFILE=`";
    match hard {
        0..TOO_FEW_DESCRIPTORS => finding.but(State::Missing, raise),
        TOO_FEW_DESCRIPTORS..FEW_DESCRIPTORS => finding.but(State::Limited, raise),
        FEW_DESCRIPTORS.. => finding,
    }
}

fn limit(value: u64) -> String {
    // Anything near the type's end is no number that a person set.
    if value > u64::MAX / 4 {
        "unlimited".to_owned()
    } else {
        grouped(value)
    }
}

fn ports(seen: &Seen) -> Finding {
    let Some((first, last)) = seen.ports else {
        return ok("ephemeral ports", PROXY, "the range cannot be read").but(
            State::Limited,
            "check `sysctl net.ipv4.ip_local_port_range`: a connection per request takes a port for 60 s",
        );
    };
    let count = last.saturating_sub(first).saturating_add(1);
    let finding = ok(
        "ephemeral ports",
        PROXY,
        format!(
            "{first} to {last}: {} towards each address",
            grouped(count.into())
        ),
    );
    if count >= FEW_PORTS {
        finding
    } else {
        finding.but(
            State::Limited,
            "widen it: `sysctl -w net.ipv4.ip_local_port_range='1024 65535'`",
        )
    }
}

fn sock_diag(seen: &Seen) -> Finding {
    match &seen.sock_diag {
        Some(Ok(())) => ok("socket tables", TUNNEL, "the kernel answers over sock_diag"),
        Some(Err(error)) => ok("socket tables", TUNNEL, format!("sock_diag: {error}")).but(
            State::Limited,
            "a tunnel's queues cannot be read: load the modules tcp_diag and inet_diag, or allow AF_NETLINK in the \
             sandbox",
        ),
        None => ok("socket tables", TUNNEL, "not asked").but(State::Limited, "run doctor on Linux"),
    }
}

fn program(program: &Program) -> Finding {
    let needed_for = if program.name == "kubectl" {
        TUNNEL
    } else {
        GENERATOR
    };
    let (remedy, state) = match program.name {
        "kubectl" => (
            "install kubectl, or run the forward yourself: `--via tunnel=127.0.0.1:PORT`",
            State::Missing,
        ),
        // Any generator will do.
        _ => (
            "only needed if you want to use it: any HTTP load generator works",
            State::Limited,
        ),
    };
    let Some((file, others)) = &program.found else {
        return ok(program.name, needed_for, "not found on PATH").but(state, remedy);
    };
    let version = program.version.as_deref().unwrap_or("does not state its version");
    let seen = format!("{version}, {}", file.display());
    if *others > 0 && program.name == "kubectl" {
        let more = format!("{seen} ({others} more on PATH)");
        return ok(program.name, needed_for, more).but(
            State::Limited,
            "several kubectls are on PATH and behave differently under load: make sure that the first is the one you \
             mean",
        );
    }
    if program.name == "kubectl" && program.version.is_none() {
        return ok(program.name, needed_for, seen)
            .but(State::Limited, "run `kubectl version --client` to see why");
    }
    ok(program.name, needed_for, seen)
}

fn kernel(seen: &Seen) -> Finding {
    let Some(release) = &seen.kernel else {
        return ok("kernel", AGENT, "its release cannot be read")
            .but(State::Missing, "the agent runs on Linux only");
    };
    let finding = ok("kernel", AGENT, release.clone());
    match version(release) {
        Some(version) if version >= (5, 17) => finding,
        Some(version) if version >= (5, 8) => finding.but(
            State::Limited,
            "drop reasons come with Linux 5.17: without them a dropped packet has no reason",
        ),
        Some(_) => finding.but(State::Missing, "the agent's ring buffer needs Linux 5.8"),
        None => finding.but(
            State::Limited,
            "its version is not understood: the agent needs Linux 5.8",
        ),
    }
}

/// `6.8.0-45-generic` is (6, 8).
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn btf(seen: &Seen) -> Finding {
    if seen.btf {
        ok("kernel types (BTF)", AGENT, "/sys/kernel/btf/vmlinux")
    } else {
        ok("kernel types (BTF)", AGENT, "no /sys/kernel/btf/vmlinux").but(
            State::Missing,
            "use a kernel built with CONFIG_DEBUG_INFO_BTF; every common distribution's is",
        )
    }
}

fn probes(seen: &Seen) -> Finding {
    let status = match &seen.probes {
        None => return ok("probes", AGENT, "not tried").but(State::Limited, "start `hopscope agent` to see"),
        Some(Err(refusal)) => {
            return ok("probes", AGENT, format!("none attaches: {}", refusal.reason))
                .but(State::Missing, refusal.remedy.clone());
        }
        Some(Ok(status)) => status,
    };
    let refused: Vec<_> = status
        .iter()
        .filter_map(|probe| Some((probe.probe, probe.refused.as_ref()?)))
        .collect();
    let all = status.len();
    let Some((_, first)) = refused.first() else {
        return ok("probes", AGENT, format!("all {all} attach"));
    };
    let reasons: Vec<_> = refused
        .iter()
        .map(|(probe, refusal)| format!("{probe}: {}", refusal.reason))
        .collect();
    let attached = all - refused.len();
    ok(
        "probes",
        AGENT,
        format!("{attached} of {all} attach; not {}", reasons.join(", not ")),
    )
    .but(State::Limited, first.remedy.clone())
}

fn capabilities(seen: &Seen) -> Vec<Finding> {
    let Some(held) = seen.capabilities else {
        return vec![
            ok("capabilities", AGENT, "cannot be read")
                .but(State::Limited, "check `grep Cap /proc/self/status`"),
        ];
    };
    let holds = |bit: u32| held & (1 << bit) != 0;
    CAPABILITIES
        .into_iter()
        .map(|(name, bit, purpose)| {
            // Before Linux 5.8 CAP_SYS_ADMIN stood for the first two, and it still does.
            let finding = ok(name, AGENT, format!("for {purpose}"));
            if holds(bit) || (bit >= 38 && holds(CAP_SYS_ADMIN)) {
                return finding;
            }
            let state = if bit >= 38 { State::Missing } else { State::Limited };
            finding.but(
                state,
                format!(
                    "grant it: `setcap {}+ep hopscope`, or in the pod's securityContext",
                    name.to_lowercase()
                ),
            )
        })
        .collect()
}

fn lockdown(seen: &Seen) -> Finding {
    match seen.lockdown.as_deref() {
        None => ok("lockdown", AGENT, "the kernel has none, or it may not be read"),
        Some("confidentiality") => ok(
            "lockdown",
            AGENT,
            "confidentiality: kernel memory may not be read",
        )
        .but(
            State::Missing,
            "the probes cannot read sockets: boot with lockdown=integrity, or use another node",
        ),
        Some(mode) => ok("lockdown", AGENT, mode),
    }
}

fn memlock(seen: &Seen) -> Finding {
    /// What the maps and the ring buffers take.
    const ENOUGH: u64 = 64 << 20;
    let accounted = seen
        .kernel
        .as_deref()
        .and_then(version)
        .is_none_or(|version| version < (5, 11));
    match seen.memlock {
        None => {
            ok("locked memory", AGENT, "the limit cannot be read").but(State::Limited, "check `ulimit -l`")
        }
        Some(limit) if limit > u64::MAX / 4 => ok("locked memory", AGENT, "unlimited"),
        Some(limit) if limit >= ENOUGH => ok("locked memory", AGENT, bytes(limit)),
        // Since Linux 5.11 the memory of BPF maps counts to the cgroup and not to this limit.
        Some(limit) if !accounted => ok(
            "locked memory",
            AGENT,
            format!("{}, which this kernel does not apply to probes", bytes(limit)),
        ),
        Some(limit) => {
            ok("locked memory", AGENT, bytes(limit)).but(State::Missing, "raise it: `ulimit -l unlimited`")
        }
    }
}

fn cgroup(seen: &Seen) -> Finding {
    if seen.cgroup_v2 {
        ok("cgroup v2", AGENT, "mounted at /sys/fs/cgroup")
    } else {
        ok("cgroup v2", AGENT, "not mounted at /sys/fs/cgroup").but(
            State::Limited,
            "sockets cannot be told apart by pod: boot with systemd.unified_cgroup_hierarchy=1",
        )
    }
}

#[cfg(test)]
mod tests;
