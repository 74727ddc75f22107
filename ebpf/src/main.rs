//! The probes. Built for the kernel by `cargo xtask ebpf`.
//!
//! Those in this file hang on BTF tracepoints, which no kernel since 5.5 refuses to a process with CAP_BPF and
//! CAP_PERFMON. Where that fails, [`classic`] tracepoints do with less, and then [`sockops`] with less again; of the
//! three one set is loaded. A healthy connection leaves no event: its handshake is counted in a row of `TALLY`. What
//! fails leaves one [`Record`](hopscope_abi::Record).
#![no_std]
#![no_main]

mod classic;
mod maps;
mod packet;
mod socket;
mod sockops;
mod tally;

use core::ffi::c_void;

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use hopscope_abi::{Kind, record, slot, state};

use crate::maps::{CONNS, emit, layout, seen};
use crate::socket::Sock;
use crate::tally::Counted;

#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn set_state(ctx: BtfTracePointContext) -> i32 {
    let new: i32 = ctx.arg(2);
    // Half of a connection's ten transitions mean nothing to any verdict: out before anything is read.
    match new as u8 {
        state::SYN_SENT | state::ESTABLISHED | state::CLOSE | state::LISTEN => {}
        _ => return 0,
    }
    let old: i32 = ctx.arg(1);
    let old = old as u8;
    let Some(sock) = Sock::tcp(ctx.arg::<*mut c_void>(0)) else {
        return 0;
    };
    match new as u8 {
        state::SYN_SENT => {
            seen(slot::SET_STATE);
            let (pid, cgroup) = socket::caller();
            tally::opened(sock.key(), slot::SET_STATE, cgroup, pid, socket::comm);
        }
        state::ESTABLISHED if old == state::SYN_SENT => tally::connected(&sock, slot::SET_STATE),
        state::ESTABLISHED if old == state::SYN_RECV => {
            tally::accepted(&sock, slot::SET_STATE, sock.queue_is_full());
        }
        state::LISTEN => {
            seen(slot::SET_STATE);
            emit(slot::SET_STATE, |r| {
                r.kind = Kind::Listening as u32;
                sock.describe(r);
                socket::current(r);
            });
        }
        state::CLOSE => closed(&sock, old),
        _ => {}
    }
    0
}

#[inline(always)]
fn closed(sock: &Sock, old: u8) {
    if old == state::LISTEN || old == state::CLOSE {
        return;
    }
    let error = sock.error();
    if error == 0 && is_clean(old) && layout().every_close() == 0 {
        return;
    }
    seen(slot::SET_STATE);
    emit(slot::SET_STATE, |r| {
        r.kind = Kind::Closed as u32;
        sock.describe(r);
        sock.account(r);
        sock.owner(r);
        r.error = error;
        r.state = old;
    });
}

/// FIN_WAIT*, CLOSING and LAST_ACK lead to CLOSE when both sides said FIN. Straight from ESTABLISHED or CLOSE_WAIT is a
/// reset, sent or received; from SYN_SENT, a connect that failed.
#[inline(always)]
fn is_clean(old: u8) -> bool {
    !matches!(old, state::ESTABLISHED | state::CLOSE_WAIT | state::SYN_SENT)
}

#[btf_tracepoint(function = "tcp_retransmit_skb")]
pub fn retransmit_skb(ctx: BtfTracePointContext) -> i32 {
    // Since 6.17 attempts that failed are told too, and nothing was sent by them.
    if layout().have_retransmit_error() == 1 && ctx.arg::<i32>(2) != 0 {
        return 0;
    }
    seen(slot::RETRANSMIT);
    let Some(sock) = Sock::tcp(ctx.arg::<*mut c_void>(0)) else {
        return 0;
    };
    let syn = sock.state() == state::SYN_SENT;
    if tally::retransmitted(&sock, slot::RETRANSMIT, packet::segments(ctx.arg(1)), syn) {
        emit(slot::RETRANSMIT, |r| {
            r.kind = Kind::SynRetransmit as u32;
            sock.describe(r);
            sock.owner(r);
            r.retransmits = 1;
        });
    }
    0
}

#[btf_tracepoint(function = "tcp_retransmit_synack")]
pub fn retransmit_synack(ctx: BtfTracePointContext) -> i32 {
    seen(slot::RETRANSMIT_SYNACK);
    if let Some(listener) = Sock::tcp(ctx.arg::<*mut c_void>(0)) {
        tally::synack_retransmitted(&listener);
    }
    0
}

#[btf_tracepoint(function = "tcp_receive_reset")]
pub fn receive_reset(ctx: BtfTracePointContext) -> i32 {
    seen(slot::RECEIVE_RESET);
    let Some(sock) = Sock::tcp(ctx.arg::<*mut c_void>(0)) else {
        return 0;
    };
    emit(slot::RECEIVE_RESET, |r| {
        r.kind = Kind::ResetReceived as u32;
        sock.describe(r);
        sock.owner(r);
        r.reason = record::NO_REASON;
    });
    0
}

#[btf_tracepoint(function = "tcp_send_reset")]
pub fn send_reset(ctx: BtfTracePointContext) -> i32 {
    seen(slot::SEND_RESET);
    let skb: u64 = ctx.arg(1);
    let reason = if layout().have_reset_reason() == 1 {
        ctx.arg::<u32>(2)
    } else {
        record::NO_REASON
    };
    // Null when no socket matched the segment. A listener's, a TIME_WAIT or a request socket does not know the peer
    // (the latter two are no full sockets at all): then the segment that provoked the RST does.
    let raw: u64 = ctx.arg(0);
    emit(slot::SEND_RESET, |r| {
        r.kind = Kind::ResetSent as u32;
        r.reason = reason;
        r.unprovoked = u8::from(skb == 0);
        socket::describe_loosely(raw, r);
        if skb != 0 && (r.remote_port == 0 || r.state == state::LISTEN) {
            packet::describe(skb, r);
            packet::swap_ends(r);
        }
    });
    0
}

#[btf_tracepoint(function = "tcp_destroy_sock")]
pub fn destroy_sock(ctx: BtfTracePointContext) -> i32 {
    let sock: u64 = ctx.arg(0);
    // An accepted socket was never in the map.
    let _absent_is_fine = CONNS.remove(sock);
    0
}

#[btf_tracepoint(function = "kfree_skb")]
pub fn drop_skb(ctx: BtfTracePointContext) -> i32 {
    let reason: u32 = ctx.arg(2);
    if !packet::matters(reason) {
        return 0;
    }
    let skb: u64 = ctx.arg(0);
    let Some(ip) = packet::tcp(skb) else { return 0 };
    seen(slot::DROP);
    if !packet::within_rate() {
        maps::lost(slot::DROP);
        return 0;
    }
    emit(slot::DROP, |r| {
        r.kind = Kind::Dropped as u32;
        r.reason = reason;
        packet::fill(ip, r);
        r.netns = packet::netns(skb);
    });
    0
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
