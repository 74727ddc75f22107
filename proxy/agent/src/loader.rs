//! Loads and attaches the probes. What cannot be attached is named with its reason and remedy, and the rest runs;
//! where nothing of a rung runs the next one is tried ([`rungs`]).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray, PerCpuHashMap, RingBuf};
use hopscope_abi::PROBES;

use super::layout::Wishes;
use super::parse::{KeyBytes, RowWords};
use super::reasons::Reasons;
use super::rung::Rung;

mod rungs;

/// A network prefix: addresses of load balancers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Its address; bits past the length do not matter.
    pub address: IpAddr,
    /// Its length in bits.
    pub length: u8,
}

impl std::str::FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let address: IpAddr = address.parse().map_err(|_not_an_address| {
            format!("'{address}' is no IP address: give an address or a prefix such as 10.0.0.0/8")
        })?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => most,
            Some(length) => match length.parse() {
                Ok(length) if length <= most => length,
                Ok(_) | Err(_) => return Err(format!("'/{length}' is no prefix length from 0 to {most}")),
            },
        };
        Ok(Self { address, length })
    }
}

impl Prefix {
    /// Whether the address is within it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (own, length) = self.mapped();
        let other = mapped(address);
        let kept = 128_u32.saturating_sub(length);
        u128::from(own).checked_shr(kept).unwrap_or(0) == u128::from(other).checked_shr(kept).unwrap_or(0)
    }

    fn mapped(&self) -> (Ipv6Addr, u32) {
        let length = u32::from(self.length) + if self.address.is_ipv4() { 96 } else { 0 };
        (mapped(self.address), length)
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// What became of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeStatus {
    /// The tracepoint it hangs on.
    pub probe: &'static str,
    /// Why it does not run; `None` when it does.
    pub refused: Option<Refusal>,
}

/// Why something does not run, and what would help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; {remedy}")]
pub struct Refusal {
    /// What the kernel said.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

/// The probes, running until this is dropped: nothing is pinned, a killed agent leaves nothing behind.
pub struct Probes {
    /// The rung that they stand on.
    pub rung: Rung,
    /// What became of each.
    pub status: Vec<ProbeStatus>,
    /// Names of this kernel's drop and reset reasons.
    pub reasons: Reasons,
    /// The records.
    pub ring: RingBuf<MapData>,
    ebpf: Ebpf,
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probes")
            .field("rung", &self.rung)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// What the ladder led to.
#[derive(Debug)]
pub struct Climbed {
    /// The probes of the best rung that holds; `None` when only /proc is left.
    pub probes: Option<Probes>,
    /// The rungs above it that were tried, and why they do not hold.
    pub passed: Vec<(Rung, Refusal)>,
}

/// What to load, and how high to reach.
#[derive(Clone, Debug)]
pub struct Order {
    /// What the probes are asked to do beyond their default.
    pub wishes: Wishes,
    /// Addresses of load balancers.
    pub balancers: Vec<Prefix>,
    /// Sockets opened by `connect` that are followed at a time.
    pub connections: u32,
    /// The best rung to try.
    pub from: Rung,
    /// Where the host's cgroup tree is.
    pub cgroup: PathBuf,
}

/// Tries the rungs from the best on, until one holds.
pub fn climb(order: &Order) -> Climbed {
    let mut passed = Vec::new();
    for rung in Rung::ALL.into_iter().filter(|rung| *rung >= order.from) {
        let loaded = match rung {
            Rung::BtfTracepoints => rungs::btf_tracepoints(order),
            Rung::Tracepoints => rungs::tracepoints(order),
            Rung::SockOps => rungs::sock_ops(order),
            Rung::Procfs => break,
        };
        match loaded {
            Ok(probes) => {
                return Climbed {
                    probes: Some(probes),
                    passed,
                };
            }
            Err(refusal) => passed.push((rung, refusal)),
        }
    }
    Climbed { probes: None, passed }
}

/// Loads the best rung alone.
///
/// # Errors
/// When it does not hold, the reason and the remedy.
pub fn load(wishes: Wishes, balancers: &[Prefix], connections: u32) -> Result<Probes, Refusal> {
    rungs::btf_tracepoints(&Order {
        wishes,
        balancers: balancers.to_vec(),
        connections,
        from: Rung::BtfTracepoints,
        cgroup: PathBuf::new(),
    })
}

/// What the kernel said, in one line, with the remedy that most often helps.
fn refusal(error: &(dyn std::error::Error + 'static)) -> Refusal {
    let mut chain = Vec::new();
    let mut denied = false;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            denied |= io.kind() == std::io::ErrorKind::PermissionDenied;
        }
        let text = error.to_string();
        // The verifier's log is many lines, and its last ones say what it disliked.
        let mut lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let tail = lines.split_off(lines.len().saturating_sub(4)).join(" | ");
        if !chain.contains(&tail) {
            chain.push(tail);
        }
        next = error.source();
    }
    let remedy = if denied {
        "give it CAP_BPF and CAP_PERFMON (root has them), on a kernel that is not in confidentiality lockdown"
    } else {
        "the other probes do without it; please tell us about this kernel"
    };
    Refusal {
        reason: chain.join(": "),
        remedy: remedy.to_owned(),
    }
}

impl Probes {
    /// Events that mattered, per probe, since the probes were loaded.
    pub fn seen(&self) -> [u64; PROBES.len()] {
        self.counts("SEEN")
    }

    /// Events that could not be kept, per probe, since the probes were loaded.
    pub fn lost(&self) -> [u64; PROBES.len()] {
        self.counts("LOST")
    }

    fn counts(&self, map: &str) -> [u64; PROBES.len()] {
        let counts = self.ebpf.map(map).map(PerCpuArray::<_, u64>::try_from);
        let mut sums = [0; PROBES.len()];
        if let Some(Ok(counts)) = counts {
            for (slot, sum) in (0..).zip(&mut sums) {
                *sum = counts.get(&slot, 0).map_or(0, |cpus| cpus.iter().sum());
            }
        }
        sums
    }

    /// The rows counted in the kernel, all CPUs added up.
    pub fn rows(&self) -> Vec<(KeyBytes, RowWords)> {
        let tally = self
            .ebpf
            .map("TALLY")
            .map(PerCpuHashMap::<_, KeyBytes, RowWords>::try_from);
        let Some(Ok(tally)) = tally else { return Vec::new() };
        let summed = tally.iter().flatten().map(|(key, cpus)| {
            let mut sum = RowWords::default();
            for cpu in cpus.iter() {
                for (sum, count) in sum.iter_mut().zip(cpu) {
                    *sum = sum.wrapping_add(*count);
                }
            }
            (key, sum)
        });
        summed.collect()
    }

    /// Forgets a row, to make room.
    pub fn forget(&mut self, key: &KeyBytes) {
        if let Some(Ok(mut tally)) = self
            .ebpf
            .map_mut("TALLY")
            .map(PerCpuHashMap::<_, KeyBytes, RowWords>::try_from)
            && let Err(error) = tally.remove(key)
        {
            tracing::debug!(%error, "a row of counts was gone already");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_holds_its_addresses_and_no_others() {
        let prefix: Prefix = "10.77.0.0/16".parse().unwrap();
        assert!(prefix.contains("10.77.3.4".parse().unwrap()));
        assert!(!prefix.contains("10.78.3.4".parse().unwrap()));
        assert!(!prefix.contains("fe80::1".parse().unwrap()));
        let single: Prefix = "192.0.2.1".parse().unwrap();
        assert!(single.contains("192.0.2.1".parse().unwrap()));
        assert!(!single.contains("192.0.2.2".parse().unwrap()));
        let all: Prefix = "::/0".parse().unwrap();
        assert!(all.contains("192.0.2.2".parse().unwrap()));
    }

    #[test]
    fn a_wrong_prefix_is_told_what_is_wrong() {
        assert!("10.0.0.0/33".parse::<Prefix>().unwrap_err().contains("0 to 32"));
        assert!(
            "lb.example"
                .parse::<Prefix>()
                .unwrap_err()
                .contains("no IP address")
        );
    }
}
