//! Loads and attaches the probes. What cannot be attached is named with its reason and remedy, and the rest runs.

use std::net::{IpAddr, Ipv6Addr};
use std::{fmt, fs};

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, LpmTrie, MapData, MapError, PerCpuArray, PerCpuHashMap, RingBuf};
use aya::programs::{BtfTracePoint, ProgramError};
use aya::{Ebpf, EbpfLoader};
use hopscope_abi::PROBES;

use super::btf::{Btf, KERNEL_BTF};
use super::layout::{self, Wishes};
use super::parse::{KeyBytes, RowWords};
use super::reasons::Reasons;

static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../ebpf/probes.bpf.o"));

/// The program of each of [`PROBES`], as ebpf/src/main.rs names it.
const PROGRAMS: [&str; 7] = [
    "set_state",
    "retransmit_skb",
    "retransmit_synack",
    "send_reset",
    "receive_reset",
    "destroy_sock",
    "drop_skb",
];

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
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Loads what this kernel and our privileges allow.
///
/// # Errors
/// When no probe at all can run, the reason and the remedy.
pub fn load(wishes: Wishes, balancers: &[Prefix], connections: u32) -> Result<Probes, Refusal> {
    let blob = fs::read(KERNEL_BTF).map_err(|error| Refusal {
        reason: format!("{KERNEL_BTF} cannot be read ({error})"),
        remedy: "run a kernel built with CONFIG_DEBUG_INFO_BTF, and mount /sys".to_owned(),
    })?;
    let other_kernel = |reason: String| Refusal {
        reason,
        remedy: "this kernel is not supported by this version of hopscope: please tell us which it is"
            .to_owned(),
    };
    let btf = Btf::parse(&blob).map_err(|error| other_kernel(error.to_string()))?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let layout =
        layout::resolve(&btf, layout::release(&release), wishes).map_err(|e| other_kernel(e.to_string()))?;
    let words = layout.words();
    let kernel =
        aya::Btf::parse(&blob, aya::Endianness::default()).map_err(|e| other_kernel(e.to_string()))?;

    let mut ebpf = EbpfLoader::new()
        .btf(Some(&kernel))
        .override_global("LAYOUT", &words[..], true)
        .map_max_entries("CONNS", connections)
        .load(OBJECT)
        .map_err(|error| refusal(&error))?;
    let reasons = Reasons::read(&btf);
    admit_drops(&mut ebpf, &reasons).map_err(|error| refusal(&error))?;
    admit_balancers(&mut ebpf, balancers).map_err(|error| refusal(&error))?;

    let mut status = Vec::new();
    for (probe, program) in PROBES.into_iter().zip(PROGRAMS) {
        let refused = match absent(&btf, probe) {
            Some(refusal) => Some(refusal),
            None => attach(&mut ebpf, probe, program, &kernel).err(),
        };
        status.push(ProbeStatus { probe, refused });
    }
    if let Some(first) = status.iter().find_map(|status| status.refused.clone())
        && status.iter().all(|status| status.refused.is_some())
    {
        return Err(first);
    }
    let ring = ebpf.take_map("EVENTS").map(RingBuf::try_from);
    match ring {
        Some(Ok(ring)) => Ok(Probes {
            status,
            reasons,
            ring,
            ebpf,
        }),
        Some(Err(error)) => Err(refusal(&error)),
        None => Err(other_kernel("the object has no ring buffer".to_owned())),
    }
}

/// Tracepoints that this kernel does not have, or not in a useful form.
fn absent(btf: &Btf, probe: &str) -> Option<Refusal> {
    let (reason, since) = match (probe, btf.tracepoint_arguments(probe)) {
        (_, None) => (format!("this kernel has no tracepoint {probe}"), "a newer kernel"),
        ("kfree_skb", Some(0..=2)) => ("this kernel gives no drop reasons".to_owned(), "5.17 or later"),
        (_, Some(_)) => return None,
    };
    Some(Refusal {
        reason,
        remedy: format!("run {since}; the other probes do without it"),
    })
}

fn attach(ebpf: &mut Ebpf, probe: &str, program: &str, kernel: &aya::Btf) -> Result<(), Refusal> {
    let found = ebpf.program_mut(program).ok_or_else(|| Refusal {
        reason: format!("the object has no program {program}"),
        remedy: "rebuild hopscope: `cargo xtask ebpf` and then `cargo build`".to_owned(),
    })?;
    let program: &mut BtfTracePoint = found.try_into().map_err(|error: ProgramError| refusal(&error))?;
    program.load(probe, kernel).map_err(|error| refusal(&error))?;
    program.attach().map_err(|error| refusal(&error))?;
    Ok(())
}

fn admit_drops(ebpf: &mut Ebpf, reasons: &Reasons) -> Result<(), MapError> {
    let Some(map) = ebpf.map_mut("DROP_REASONS") else {
        return Ok(());
    };
    let mut wanted: Array<_, u8> = Array::try_from(map)?;
    for number in reasons.drops_that_matter() {
        if number < wanted.len() {
            wanted.set(number, 1, 0)?;
        }
    }
    Ok(())
}

fn admit_balancers(ebpf: &mut Ebpf, balancers: &[Prefix]) -> Result<(), MapError> {
    let Some(map) = ebpf.map_mut("BALANCERS") else {
        return Ok(());
    };
    let mut known: LpmTrie<_, [u8; 16], u8> = LpmTrie::try_from(map)?;
    for prefix in balancers {
        let (address, length) = prefix.mapped();
        known.insert(&Key::new(length, address.octets()), 1, 0)?;
    }
    Ok(())
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
