//! What the kernel tells a program of a cgroup about the sockets in it (`BPF_PROG_TYPE_SOCK_OPS`, uapi/linux/bpf.h):
//! states, retransmissions, bytes and round trips, in a stable form that needs neither BTF nor tracing.
//!
//! It follows sockets that begin after it was attached. Errors, resets and drops it does not see, nor a connect that
//! finds no port.

use aya_ebpf::bindings::{
    BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, BPF_SOCK_OPS_RETRANS_CB,
    BPF_SOCK_OPS_RETRANS_CB_FLAG, BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_STATE_CB_FLAG,
    BPF_SOCK_OPS_TCP_CONNECT_CB, BPF_SOCK_OPS_TCP_LISTEN_CB,
};
use aya_ebpf::helpers::bpf_get_current_comm;
use aya_ebpf::helpers::generated::bpf_get_socket_cookie;
use aya_ebpf::macros::sock_ops;
use aya_ebpf::programs::SockOpsContext;
use hopscope_abi::{Kind, Record, record, slot, state};

use crate::is_clean;
use crate::maps::{CONNS, emit, fields, layout, seen};
use crate::socket;
use crate::tally::{self, Counted};

const AF_INET: u32 = 2;
/// Goes on with the connection, whatever other programs of the cgroup answered.
const PROCEED: u32 = 1;

/// A socket as its callback shows it. Its ends are loaded at once: a compiler that merges loads of different branches
/// gives pointers that the verifier refuses.
struct Shown<'a> {
    ctx: &'a SockOpsContext,
    cookie: u64,
    local: [u8; 16],
    remote: [u8; 16],
    local_port: u16,
    remote_port: u16,
}

/// A field of the callback's argument: loads that the verifier rewrites.
macro_rules! told {
    ($ctx:expr, $($field:tt)+) => {
        // SAFETY: the kernel hands a valid pointer; the verifier checks the field.
        unsafe { core::ptr::read_volatile(&raw const (*$ctx.ops).$($field)+) }
    };
}

impl<'a> Shown<'a> {
    #[inline(always)]
    fn of(ctx: &'a SockOpsContext) -> Self {
        let v4 = told!(ctx, family) == AF_INET;
        let (local4, remote4) = (told!(ctx, local_ip4), told!(ctx, remote_ip4));
        let local6 = [
            told!(ctx, local_ip6[0]),
            told!(ctx, local_ip6[1]),
            told!(ctx, local_ip6[2]),
            told!(ctx, local_ip6[3]),
        ];
        let remote6 = [
            told!(ctx, remote_ip6[0]),
            told!(ctx, remote_ip6[1]),
            told!(ctx, remote_ip6[2]),
            told!(ctx, remote_ip6[3]),
        ];
        Self {
            ctx,
            // SAFETY: the callback's own argument.
            cookie: unsafe { bpf_get_socket_cookie(ctx.ops.cast()) },
            local: if v4 { mapped(local4) } else { wide(local6) },
            remote: if v4 { mapped(remote4) } else { wide(remote6) },
            local_port: told!(ctx, local_port) as u16,
            // In network order, in the high half of the word on a little-endian machine.
            remote_port: u32::from_be(told!(ctx, remote_port)) as u16,
        }
    }

    #[inline(always)]
    fn describe(&self, r: &mut Record) {
        r.cookie = self.cookie;
        r.socket = self.cookie;
        r.family = 6;
        r.local = self.local;
        r.remote = self.remote;
        r.local_port = self.local_port;
        r.remote_port = self.remote_port;
    }

    #[inline(always)]
    fn account(&self, r: &mut Record) {
        r.srtt_us = told!(self.ctx, srtt_us) >> 3;
        r.min_rtt_us = told!(self.ctx, rtt_min);
        r.retransmits = told!(self.ctx, total_retrans);
        r.bytes_acked = told!(self.ctx, bytes_acked);
        r.bytes_received = told!(self.ctx, bytes_received);
    }

    /// Asks to be called for states and retransmissions too, beside what others of the cgroup asked for.
    #[inline(always)]
    fn follow(&self) {
        let wanted = self.ctx.cb_flags() | BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RETRANS_CB_FLAG;
        // A socket that cannot be followed is one of which nothing is told.
        let _unsupported = self.ctx.set_cb_flags(wanted as i32);
    }
}

#[inline(always)]
fn mapped(ip4: u32) -> [u8; 16] {
    let [a, b, c, d] = ip4.to_ne_bytes();
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

#[inline(always)]
fn wide(words: [u32; 4]) -> [u8; 16] {
    // SAFETY: both are sixteen plain bytes.
    unsafe { core::mem::transmute(words) }
}

impl Counted for Shown<'_> {
    #[inline(always)]
    fn key(&self) -> u64 {
        self.cookie
    }

    #[inline(always)]
    fn local_port(&self) -> u16 {
        self.local_port
    }

    #[inline(always)]
    fn remote_port(&self) -> u16 {
        self.remote_port
    }

    #[inline(always)]
    fn remote(&self) -> [u8; 16] {
        self.remote
    }
}

#[sock_ops]
pub fn follow_sockets(ctx: SockOpsContext) -> u32 {
    let op = ctx.op();
    match op {
        BPF_SOCK_OPS_TCP_CONNECT_CB
        | BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB
        | BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB
        | BPF_SOCK_OPS_RETRANS_CB
        | BPF_SOCK_OPS_STATE_CB
        | BPF_SOCK_OPS_TCP_LISTEN_CB => {}
        _ => return PROCEED,
    }
    let shown = Shown::of(&ctx);
    match op {
        BPF_SOCK_OPS_TCP_CONNECT_CB => {
            seen(slot::SOCK_OPS);
            let (pid, cgroup) = caller();
            tally::opened(shown.cookie, slot::SOCK_OPS, cgroup, pid, name);
            shown.follow();
        }
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => tally::connected(&shown, slot::SOCK_OPS),
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => {
            tally::accepted(&shown, slot::SOCK_OPS, false);
            shown.follow();
        }
        // Its third argument is what became of the attempt: one that failed sent nothing.
        BPF_SOCK_OPS_RETRANS_CB if ctx.arg(2) != 0 => {}
        BPF_SOCK_OPS_RETRANS_CB => {
            let syn = told!(ctx, state) as u8 == state::SYN_SENT;
            seen(slot::SOCK_OPS);
            if tally::retransmitted(&shown, slot::SOCK_OPS, u64::from(ctx.arg(1)), syn) {
                emit(slot::SOCK_OPS, |r| {
                    r.kind = Kind::SynRetransmit as u32;
                    shown.describe(r);
                    socket::owner(shown.cookie, r);
                    r.retransmits = 1;
                });
            }
        }
        BPF_SOCK_OPS_TCP_LISTEN_CB => {
            seen(slot::SOCK_OPS);
            emit(slot::SOCK_OPS, |r| {
                r.kind = Kind::Listening as u32;
                shown.describe(r);
                (r.pid, r.cgroup) = caller();
                name(&mut r.comm);
            });
        }
        _ => {
            if ctx.arg(1) as u8 == state::CLOSE {
                closed(&shown, ctx.arg(0) as u8);
            }
        }
    }
    PROCEED
}

#[inline(always)]
fn closed(shown: &Shown<'_>, old: u8) {
    if !(is_clean(old) && layout().every_close() == 0) {
        seen(slot::SOCK_OPS);
        emit(slot::SOCK_OPS, |r| {
            r.kind = Kind::Closed as u32;
            shown.describe(r);
            shown.account(r);
            socket::owner(shown.cookie, r);
            r.state = old;
            r.untold = record::UNTOLD_RESETS;
        });
    }
    // An accepted socket was never in the map.
    let _absent_is_fine = CONNS.remove(shown.cookie);
}

#[inline(always)]
fn name(into: &mut [u8; 16]) {
    if fields().have_name() == 1 {
        *into = bpf_get_current_comm().unwrap_or_default();
    }
}

/// Process and cgroup of the caller, where this kernel lets such a program ask.
#[inline(always)]
fn caller() -> (u32, u64) {
    if fields().have_caller() == 1 {
        socket::caller()
    } else {
        (0, 0)
    }
}
