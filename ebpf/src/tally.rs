//! Counting in the kernel what needs no event.

use aya_ebpf::helpers::{bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use aya_ebpf::maps::lpm_trie::Key;
use hopscope_abi::tally::{CONNECT_BUCKETS_US, PEER_BALANCER, PEER_LOOPBACK, PEER_OTHER};
use hopscope_abi::{Owner, TallyKey, TallyValue, record, slot};

use crate::maps::{BALANCERS, CONNS, TALLY, layout, lost};
use crate::socket::{self, Sock};

/// `connect` was called, in the context of its caller.
#[inline(always)]
pub fn opened(sock: &Sock) {
    let mut owner = Owner {
        // SAFETY: helpers without arguments.
        opened: unsafe { bpf_ktime_get_ns() },
        cgroup: unsafe { bpf_get_current_cgroup_id() },
        pid: (bpf_get_current_pid_tgid() >> 32) as u32,
        connect_us: 0,
        syn_retransmits: 0,
        zero: 0,
        comm: [0; 16],
    };
    socket::comm(&mut owner.comm);
    if CONNS.insert(sock.key(), &owner, 0).is_err() {
        lost(slot::SET_STATE);
    }
}

/// A `connect` came to its good end.
#[inline(always)]
pub fn connected(sock: &Sock) {
    let Some(owner) = CONNS.get_ptr_mut(sock.key()) else {
        return;
    };
    // SAFETY: a value of the map, which lives until this program ends.
    let (owner, now) = unsafe { (&mut *owner, bpf_ktime_get_ns()) };
    let micros = ((now - owner.opened) / 1_000) as u32;
    owner.connect_us = if micros == 0 { 1 } else { micros };
    count(&active(sock, owner), slot::SET_STATE, |row| {
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

/// A child reached its listener's accept queue.
#[inline(always)]
pub fn accepted(sock: &Sock) {
    let (length, limit) = sock.backlog();
    count(&passive(sock), slot::SET_STATE, |row| {
        row.established += 1;
        if length >= limit {
            row.queue_full += 1;
        }
    });
}

/// Counts; says whether this is the first SYN of the socket that was sent again.
#[inline(always)]
pub fn retransmitted(sock: &Sock, syn: bool) -> bool {
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
    count(&key, slot::RETRANSMIT, |row| {
        row.retransmits += 1;
        row.syn_retransmits += u64::from(syn);
    });
    first
}

/// A listener answered a SYN once more.
#[inline(always)]
pub fn synack_retransmitted(listener: &Sock) {
    count(&passive(listener), slot::RETRANSMIT_SYNACK, |row| {
        row.synack_retransmits += 1
    });
}

#[inline(always)]
fn active(sock: &Sock, owner: &Owner) -> TallyKey {
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
fn passive(sock: &Sock) -> TallyKey {
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
fn peer(sock: &Sock) -> u8 {
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
