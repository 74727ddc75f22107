//! What the probes share with user space, and the way in.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::LpmTrie;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, PerCpuHashMap, RingBuf};
use hopscope_abi::{Fields, Layout, Owner, PROBES, Record, TallyKey, TallyValue};

/// Sockets opened by `connect`, by their address in the kernel.
#[map]
pub static CONNS: HashMap<u64, Owner> = HashMap::with_max_entries(65_536, 0);

/// Times that a socket sent again, or tried to, where the kernel does not show its own count: the classic tracepoints.
#[map]
pub static RESENT: LruHashMap<u64, u32> = LruHashMap::with_max_entries(16_384, 0);

/// Counts of what needs no event.
#[map]
pub static TALLY: PerCpuHashMap<TallyKey, TallyValue> = PerCpuHashMap::with_max_entries(2_048, 0);

/// Records, oldest first.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// Events that matter, by probe.
#[map]
pub static SEEN: PerCpuArray<u64> = PerCpuArray::with_max_entries(PROBES.len() as u32, 0);

/// Events that could not be kept, by probe.
#[map]
pub static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(PROBES.len() as u32, 0);

/// 1 for each drop reason that is evidence, by its number on this kernel.
#[map]
pub static DROP_REASONS: Array<u8> = Array::with_max_entries(256, 0);

/// The second that is being counted, and the drops in it.
#[map]
pub static DROP_RATE: PerCpuArray<[u64; 2]> = PerCpuArray::with_max_entries(1, 0);

/// Addresses of load balancers; IPv4 as v4-mapped IPv6.
#[map]
pub static BALANCERS: LpmTrie<[u8; 16], u8> =
    LpmTrie::with_max_entries(256, 1 /* BPF_F_NO_PREALLOC, which a trie demands */);

#[unsafe(no_mangle)]
static LAYOUT: Layout = UNSET;

#[unsafe(no_mangle)]
static FIELDS: Fields = UNSET_FIELDS;

/// Offsets that no struct has: a probe that is loaded without its layout is refused by the verifier.
const UNSET: Layout = unsafe { core::mem::transmute([0xffff_u32; hopscope_abi::layout::WORDS]) };
const UNSET_FIELDS: Fields = unsafe { core::mem::transmute([0xffff_u32; hopscope_abi::fields::WORDS]) };

/// What user space said of this kernel's types.
#[inline(always)]
pub fn layout() -> &'static Volatile<Layout> {
    // SAFETY: Volatile is a transparent wrapper around Layout.
    unsafe { &*(&raw const LAYOUT).cast::<Volatile<Layout>>() }
}

/// What user space said of this kernel's tracepoint records.
#[inline(always)]
pub fn fields() -> &'static Volatile<Fields> {
    // SAFETY: Volatile is a transparent wrapper around Fields.
    unsafe { &*(&raw const FIELDS).cast::<Volatile<Fields>>() }
}

/// Words that are read afresh each time: the compiler must not use the value it sees at build time.
#[repr(transparent)]
pub struct Volatile<T>(T);

macro_rules! fresh {
    ($of:ident: $($field:ident)+) => {
        impl Volatile<$of> {
            $(
                #[inline(always)]
                pub fn $field(&self) -> usize {
                    // SAFETY: a field of a static.
                    unsafe { core::ptr::read_volatile(&raw const self.0.$field) as usize }
                }
            )+
        }
    };
}

fresh! {
    Layout: daddr saddr dport num family state net daddr6 saddr6 inum error shutdown backlog max_backlog cgroup kn kn_id
    sport srtt rtt_min total_retrans bytes_acked bytes_received skb_head skb_network skb_dev dev_net skb_segments leader
    comm have_cookie have_reset_reason have_retransmit_error have_balancers every_close
}

fresh! {
    Fields: set_sk set_old set_new set_protocol set_sport set_dport set_saddr set_daddr retransmit_sk retransmit_state retransmit_error
    retransmit_sport retransmit_dport retransmit_saddr retransmit_daddr synack_sport synack_dport synack_daddr send_skb
    send_sk send_state send_reason send_sport send_dport send_saddr send_daddr receive_sk receive_sport receive_dport
    receive_saddr receive_daddr receive_cookie destroy_sk drop_reason have_reset_reason have_retransmit_error
    have_caller have_name
}

/// One more event that matters.
#[inline(always)]
pub fn seen(slot: u32) {
    count(&SEEN, slot);
}

/// One more event that could not be kept.
#[inline(always)]
pub fn lost(slot: u32) {
    count(&LOST, slot);
}

#[inline(always)]
fn count(counts: &PerCpuArray<u64>, slot: u32) {
    if let Some(count) = counts.get_ptr_mut(slot) {
        // SAFETY: this CPU's own value; programs do not migrate.
        unsafe { *count += 1 }
    }
}

/// Sends one record, or counts that there was no room for it.
#[inline(always)]
pub fn emit(slot: u32, fill: impl FnOnce(&mut Record)) {
    let Some(mut entry) = EVENTS.reserve::<Record>(0) else {
        lost(slot);
        return;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: reserved for exactly one Record; all-zero is a valid one, and fresh ring memory is not zero.
    let record = unsafe {
        let words = record.cast::<u64>();
        let mut word = 0;
        while word < size_of::<Record>() / 8 {
            words.add(word).write(0);
            word += 1;
        }
        &mut *record
    };
    record.at = unsafe { bpf_ktime_get_ns() };
    fill(record);
    // User space looks on its own, fifty times a second: waking it for each record would cost more than the record.
    entry.submit(u64::from(aya_ebpf::bindings::BPF_RB_NO_WAKEUP));
}
