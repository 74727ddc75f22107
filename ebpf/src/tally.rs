//! Counting in the kernel what needs no event.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::maps::lpm_trie::Key;
use hopscope_abi::tally::{CONNECT_BUCKETS_US, PEER_BALANCER, PEER_LOOPBACK, PEER_OTHER};
use hopscope_abi::{Owner, TallyKey, TallyValue, record, slot};

use crate::maps::{BALANCERS, CONNS, TALLY, layout, lost};

/// A socket as far as counting needs it; each answer is looked up only when it is asked for.
pub trait Counted {
    /// Identity while it lives.
    fn key(&self) -> u64;
    /// Inode number of its network namespace; 0 where none is told.
    #[inline(always)]
    fn netns(&self) -> u32 {
        0
    }
    /// Inode of its cgroup; 0 where none is told.
    #[inline(always)]
    fn cgroup(&self) -> u64 {
        0
    }
    /// Near port.
    fn local_port(&self) -> u16;
    /// Far port.
    fn remote_port(&self) -> u16;
    /// Far address, IPv4 as v4-mapped IPv6.
    fn remote(&self) -> [u8; 16];
}

/// `connect` was called, in the context of its caller; `name` writes the caller's.
#[inline(always)]
pub fn opened(key: u64, slot: u32, cgroup: u64, pid: u32, name: impl FnOnce(&mut [u8; 16])) {
    let mut owner = Owner {
        // SAFETY: a helper without arguments.
        opened: unsafe { bpf_ktime_get_ns() },
        cgroup,
        pid,
        connect_us: 0,
        syn_retransmits: 0,
        zero: 0,
        comm: [0; 16],
    };
    name(&mut owner.comm);
    if CONNS.insert(key, &owner, 0).is_err() {
        lost(slot);
    }
}

/// A `connect` came to its good end.
#[inline(always)]
pub fn connected(sock: &impl Counted, slot: u32) {
    let Some(owner) = CONNS.get_ptr_mut(sock.key()) else {
        return;
    };
    // SAFETY: a value of the map, which lives until this program ends.
    let (owner, now) = unsafe { (&mut *owner, bpf_ktime_get_ns()) };
    let micros = ((now - owner.opened) / 1_000) as u32;
    owner.connect_us = if micros == 0 { 1 } else { micros };
    count(&active(sock, owner), slot, |row| {
        row.established += 1;
        row.connect_us += u64::from(micros);
        let mut bucket = 0;
        while bucket < CONNECT_BUCKETS_US.len() && micros > CONNECT_BUCKETS_US[bucket] {
            bucket += 1;
        }
        if bucket < row.buckets.len() {
            row.buckets[bucket] += 1;
        }
    });
}

/// A child reached its listener's accept queue, which was full.
#[inline(always)]
pub fn accepted(sock: &impl Counted, slot: u32, full: bool) {
    count(&passive(sock), slot, |row| {
        row.established += 1;
        row.queue_full += u64::from(full);
    });
}

/// Counts segments sent again; says whether they hold the first SYN of the socket that was sent again.
#[inline(always)]
pub fn retransmitted(sock: &impl Counted, slot: u32, segments: u64, syn: bool) -> bool {
    let mut first = false;
    let key = match CONNS.get_ptr_mut(sock.key()) {
        Some(owner) => {
            // SAFETY: a value of the map.
            let owner = unsafe { &mut *owner };
            if syn {
                owner.syn_retransmits += 1;
                first = owner.syn_retransmits == 1;
            }
            active(sock, owner)
        }
        None => passive(sock),
    };
    count(&key, slot, |row| {
        row.retransmits += segments;
        row.syn_retransmits += u64::from(syn);
    });
    first
}

/// A listener answered a SYN once more.
#[inline(always)]
pub fn synack_retransmitted(listener: &impl Counted) {
    count(&passive(listener), slot::RETRANSMIT_SYNACK, |row| {
        row.synack_retransmits += 1
    });
}

#[inline(always)]
fn active(sock: &impl Counted, owner: &Owner) -> TallyKey {
    TallyKey {
        cgroup: owner.cgroup,
        netns: sock.netns(),
        port: sock.remote_port(),
        direction: record::ACTIVE,
        peer: peer(sock),
        comm: owner.comm,
    }
}

#[inline(always)]
fn passive(sock: &impl Counted) -> TallyKey {
    TallyKey {
        cgroup: sock.cgroup(),
        netns: sock.netns(),
        port: sock.local_port(),
        direction: record::PASSIVE,
        peer: peer(sock),
        comm: [0; 16],
    }
}

#[inline(always)]
fn peer(sock: &impl Counted) -> u8 {
    let remote = sock.remote();
    let v4 = remote[10] == 0xff && remote[11] == 0xff && remote[0] == 0;
    if (v4 && remote[12] == 127) || (remote[0] == 0 && remote[10] == 0 && remote[15] == 1) {
        return PEER_LOOPBACK;
    }
    if layout().have_balancers() == 1 && BALANCERS.get(Key::new(128, remote)).is_some() {
        return PEER_BALANCER;
    }
    PEER_OTHER
}

#[inline(always)]
fn count(key: &TallyKey, slot: u32, add: impl FnOnce(&mut TallyValue)) {
    let row = match TALLY.get_ptr_mut(key) {
        Some(row) => row,
        None => {
            let fresh = TallyValue::default();
            // BPF_NOEXIST: another CPU may have made the row meanwhile, and that is as good.
            let _raced_or_full = TALLY.insert(key, &fresh, 1);
            match TALLY.get_ptr_mut(key) {
                Some(row) => row,
                None => return lost(slot),
            }
        }
    };
    // SAFETY: this CPU's own value.
    add(unsafe { &mut *row });
}
