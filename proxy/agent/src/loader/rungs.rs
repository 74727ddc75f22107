//! The three rungs that have probes: what each needs of this host, and how its programs are attached.

use std::path::Path;
use std::{fs, thread};

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, LpmTrie, MapError, RingBuf};
use aya::programs::{BtfTracePoint, CgroupAttachMode, ProgramError, SockOps, TracePoint};
use aya::{Ebpf, EbpfLoader};
use hopscope_abi::{Fields, Layout, PROBES};

use super::super::btf::{Btf, KERNEL_BTF};
use super::super::format::{self, Formats};
use super::super::layout;
use super::super::reasons::Reasons;
use super::super::rung::Rung;
use super::super::tracefs;
use super::{Order, Prefix, ProbeStatus, Probes, Refusal, refusal};

static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ebpf/probes.bpf.o"));

/// Category of each of [`PROBES`] in tracefs, its program on a BTF tracepoint and on a classic one, as ebpf/src names
/// them. The last probe is no tracepoint.
const TRACEPOINTS: [(&str, &str, &str); PROBES.len() - 1] = [
    ("sock", "set_state", "classic_set_state"),
    ("tcp", "retransmit_skb", "classic_retransmit_skb"),
    ("tcp", "retransmit_synack", "classic_retransmit_synack"),
    ("tcp", "send_reset", "classic_send_reset"),
    ("tcp", "receive_reset", "classic_receive_reset"),
    ("tcp", "destroy_sock", "classic_destroy_sock"),
    ("skb", "drop_skb", "classic_drop_skb"),
];

/// Without this one a rung does not hold: it tells the life of a connection.
const LIFE: &str = "inet_sock_set_state";

/// Sockets whose retransmissions are counted on rungs on which the kernel's own count is out of sight.
const RESENT: u32 = 16_384;
/// The smallest such map, where nobody uses it.
const UNUSED: u32 = 64;

fn kernel_release() -> (u32, u32) {
    layout::release(&fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default())
}

/// What is wanted of the kernel's own types.
struct Known {
    layout: Layout,
    reasons: Reasons,
    /// Why each of the tracepoints is not there in a useful form, where it is not.
    absent: Vec<Option<Refusal>>,
}

/// Reads the kernel's types, and lets go of them: they are large, and aya reads them again.
fn known(order: &Order) -> Result<Known, Refusal> {
    let blob = fs::read(KERNEL_BTF).map_err(|error| Refusal {
        reason: format!("{KERNEL_BTF} cannot be read ({error})"),
        remedy: "run a kernel built with CONFIG_DEBUG_INFO_BTF, and mount /sys".to_owned(),
    })?;
    let btf = Btf::parse(&blob).map_err(|error| other_kernel(error.to_string()))?;
    let layout = layout::resolve(&btf, kernel_release(), order.wishes)
        .map_err(|error| other_kernel(error.to_string()))?;
    let reasoned = |probe| btf.tracepoint_arguments(probe).map(|arguments| arguments > 2);
    let absent = PROBES.into_iter().map(|probe| absent(probe, reasoned(probe)));
    Ok(Known {
        layout,
        reasons: Reasons::read(&btf),
        absent: absent.collect(),
    })
}

/// BTF tracepoints, with offsets from the kernel's own types.
pub(super) fn btf_tracepoints(order: &Order) -> Result<Probes, Refusal> {
    let known = known(order)?;
    let mut ebpf = object(order, &known.layout, &Fields::default(), UNUSED)?;
    admit_drops(&mut ebpf, known.reasons.drops_that_matter()).map_err(|error| refusal(&error))?;
    let kernel = aya::Btf::from_sys_fs().map_err(|error| other_kernel(error.to_string()))?;
    let mut status = Vec::new();
    for ((probe, (_, program, _)), absent) in PROBES.into_iter().zip(TRACEPOINTS).zip(known.absent) {
        let refused = match absent {
            Some(refusal) => Some(refusal),
            None => attach_btf(&mut ebpf, probe, program, &kernel).err(),
        };
        status.push(ProbeStatus { probe, refused });
    }
    standing(Rung::BtfTracepoints, ebpf, status, known.reasons)
}

/// Classic tracepoints, with offsets from their format files.
pub(super) fn tracepoints(order: &Order) -> Result<Probes, Refusal> {
    // A thread of its own: where tracefs has to be mounted, that is for it alone.
    let loaded = thread::scope(|scope| scope.spawn(|| tracepoints_here(order)).join());
    loaded.unwrap_or_else(|_panicked| Err(other_kernel("the loading thread broke off".to_owned())))
}

fn tracepoints_here(order: &Order) -> Result<Probes, Refusal> {
    let closed = |error: &tracefs::TracefsError| {
        Refusal {
        reason: error.to_string(),
        remedy: "mount tracefs on /sys/kernel/tracing of the host and of the container, or give CAP_SYS_ADMIN once"
            .to_owned(),
    }
    };
    let place = tracefs::enter().map_err(|error| closed(&error))?;
    let named: Vec<_> = TRACEPOINTS
        .iter()
        .map(|(category, ..)| *category)
        .zip(PROBES)
        .collect();
    let formats = tracefs::formats(place, &named).map_err(|error| closed(&error))?;
    let fields = formats
        .resolve(kernel_release())
        .map_err(|error| other_kernel(error.to_string()))?;
    let reasons = reasons(&formats);
    let mut ebpf = object(order, &switches(order), &fields, RESENT)?;
    // Of a dropped packet only the reason is told: TCP's own are the only ones that are surely TCP's.
    admit_drops(&mut ebpf, reasons.drops_of_tcp()).map_err(|error| refusal(&error))?;
    let mut status = Vec::new();
    for (probe, (category, _, program)) in PROBES.into_iter().zip(TRACEPOINTS) {
        let form = formats.of.get(probe);
        let refused = match absent(probe, form.map(|form| form.offset("reason").is_some())) {
            Some(refusal) => Some(refusal),
            None => attach_classic(&mut ebpf, category, probe, program).err(),
        };
        status.push(ProbeStatus { probe, refused });
    }
    standing(Rung::Tracepoints, ebpf, status, reasons)
}

/// A program on the root of the cgroup tree.
pub(super) fn sock_ops(order: &Order) -> Result<Probes, Refusal> {
    let unified = order.cgroup.join("unified");
    let root = if unified.is_dir() { &unified } else { &order.cgroup };
    let cgroup = fs::File::open(root).map_err(|error| Refusal {
        reason: format!("{} cannot be opened ({error})", root.display()),
        remedy: "mount the host's cgroup v2 tree there, or say where it is with --cgroup".to_owned(),
    })?;
    if !is_cgroup2(root) {
        return Err(Refusal {
            reason: format!("{} is no cgroup v2 tree", root.display()),
            remedy: "run a host with cgroup v2, or say where its tree is with --cgroup".to_owned(),
        });
    }
    let fields = format::callers(kernel_release());
    let mut ebpf = object(order, &switches(order), &fields, UNUSED)?;
    let attached = attach_sock_ops(&mut ebpf, cgroup);
    let [.., probe] = PROBES;
    attached.map_err(|refused| Refusal {
        remedy: "give it CAP_BPF and CAP_NET_ADMIN (root has them)".to_owned(),
        ..refused
    })?;
    let status = vec![ProbeStatus { probe, refused: None }];
    standing(Rung::SockOps, ebpf, status, Reasons::default())
}

/// Every directory of cgroup v2 has this file, and no other has.
fn is_cgroup2(root: &Path) -> bool {
    root.join("cgroup.procs").exists() && root.join("cgroup.controllers").exists()
}

/// The layout of a kernel whose types are out of sight: only what was asked for.
fn switches(order: &Order) -> Layout {
    Layout {
        have_balancers: u32::from(order.wishes.balancers),
        every_close: u32::from(order.wishes.every_close),
        ..Layout::default()
    }
}

fn reasons(formats: &Formats) -> Reasons {
    let names = |tracepoint: &str| {
        let form = formats.of.get(tracepoint);
        form.map(|form| form.names("reason")).unwrap_or_default()
    };
    Reasons::of(names("kfree_skb"), names("tcp_send_reset"))
}

fn object(order: &Order, layout: &Layout, fields: &Fields, resent: u32) -> Result<Ebpf, Refusal> {
    let (layout, fields) = (layout.words(), fields.words());
    let mut ebpf = EbpfLoader::new()
        // The kernel's types, which it has read: nothing in the object is relocated by them.
        .btf(None)
        .override_global("LAYOUT", &layout[..], true)
        .override_global("FIELDS", &fields[..], true)
        .map_max_entries("CONNS", order.connections)
        .map_max_entries("RESENT", resent)
        .load(OBJECT)
        .map_err(|error| refusal(&error))?;
    admit_balancers(&mut ebpf, &order.balancers).map_err(|error| refusal(&error))?;
    Ok(ebpf)
}

/// A rung that holds, or the reason why the probe that it cannot do without does not run.
fn standing(
    holds: Rung,
    mut ebpf: Ebpf,
    status: Vec<ProbeStatus>,
    reasons: Reasons,
) -> Result<Probes, Refusal> {
    let needed = status.iter().find(|status| status.probe == LIFE);
    if let Some(refused) = needed.and_then(|status| status.refused.clone()) {
        return Err(refused);
    }
    let events = ebpf.take_map("EVENTS").map(RingBuf::try_from);
    match events {
        Some(Ok(ring)) => Ok(Probes {
            rung: holds,
            status,
            reasons,
            ring,
            ebpf,
        }),
        Some(Err(error)) => Err(refusal(&error)),
        None => Err(other_kernel("the object has no ring buffer".to_owned())),
    }
}

fn other_kernel(reason: String) -> Refusal {
    Refusal {
        reason,
        remedy: "this kernel is not supported by this version of hopscope: please tell us which it is"
            .to_owned(),
    }
}

/// Tracepoints that this kernel does not have, or not in a useful form; `reasons` tells whether this one gives a
/// reason, `None` that it is not there.
fn absent(probe: &str, reasons: Option<bool>) -> Option<Refusal> {
    let (reason, since) = match (probe, reasons) {
        (_, None) => (format!("this kernel has no tracepoint {probe}"), "a newer kernel"),
        ("kfree_skb", Some(false)) => ("this kernel gives no drop reasons".to_owned(), "5.17 or later"),
        (_, Some(_)) => return None,
    };
    Some(Refusal {
        reason,
        remedy: format!("run {since}; the other probes do without it"),
    })
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut aya::programs::Program, Refusal> {
    ebpf.program_mut(name).ok_or_else(|| Refusal {
        reason: format!("the object has no program {name}"),
        remedy: "rebuild hopscope: `cargo xtask ebpf` and then `cargo build`".to_owned(),
    })
}

fn attach_btf(ebpf: &mut Ebpf, probe: &str, name: &str, kernel: &aya::Btf) -> Result<(), Refusal> {
    let program: &mut BtfTracePoint = program(ebpf, name)?
        .try_into()
        .map_err(|error: ProgramError| refusal(&error))?;
    program.load(probe, kernel).map_err(|error| refusal(&error))?;
    program.attach().map_err(|error| refusal(&error))?;
    Ok(())
}

fn attach_classic(ebpf: &mut Ebpf, category: &str, probe: &str, name: &str) -> Result<(), Refusal> {
    let program: &mut TracePoint = program(ebpf, name)?
        .try_into()
        .map_err(|error: ProgramError| refusal(&error))?;
    program.load().map_err(|error| refusal(&error))?;
    program.attach(category, probe).map_err(|error| refusal(&error))?;
    Ok(())
}

fn attach_sock_ops(ebpf: &mut Ebpf, cgroup: fs::File) -> Result<(), Refusal> {
    let program: &mut SockOps = program(ebpf, "follow_sockets")?
        .try_into()
        .map_err(|error: ProgramError| refusal(&error))?;
    program.load().map_err(|error| refusal(&error))?;
    // A link stands beside the programs of others whatever the mode; the kernel refuses flags on one.
    program
        .attach(cgroup, CgroupAttachMode::Single)
        .map_err(|error| refusal(&error))?;
    Ok(())
}

fn admit_drops(ebpf: &mut Ebpf, numbers: impl Iterator<Item = u32>) -> Result<(), MapError> {
    let Some(map) = ebpf.map_mut("DROP_REASONS") else {
        return Ok(());
    };
    let mut wanted: Array<_, u8> = Array::try_from(map)?;
    for number in numbers {
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
