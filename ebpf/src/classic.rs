//! The same probes on classic tracepoints, for a kernel that does not show its types or refuses BTF tracepoints.
//!
//! Only the tracepoint's own record is read, at the offsets of its format file: no socket, so no error, no bytes, no
//! namespace and no cgroup but the caller's. What is missing of a close user space concludes from the records around it.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_current_comm;
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use hopscope_abi::{Kind, Record, record, slot, state};

use crate::maps::{CONNS, RESENT, emit, fields, layout, lost, seen};
use crate::socket::{self, loose};
use crate::tally::{self, Counted};
use crate::{is_clean, packet};

const IPPROTO_TCP: u8 = 6;
const AF_INET: u16 = 2;

/// Where a record has the ends of its socket.
#[derive(Clone, Copy)]
struct Ends {
    sport: usize,
    dport: usize,
    saddr: usize,
    daddr: usize,
}

/// A record of a tracepoint.
struct Line {
    record: u64,
    sk: u64,
    at: Ends,
}

impl Line {
    #[inline(always)]
    fn of(ctx: &TracePointContext, sk: usize, at: Ends) -> Self {
        let record = ctx.as_ptr() as u64;
        Self {
            record,
            sk: loose(record, sk),
            at,
        }
    }

    #[inline(always)]
    fn describe(&self, r: &mut Record) {
        r.socket = self.sk;
        r.family = 6;
        r.local = loose(self.record, self.at.saddr);
        r.remote = loose(self.record, self.at.daddr);
        r.local_port = self.local_port();
        r.remote_port = self.remote_port();
    }
}

impl Counted for Line {
    #[inline(always)]
    fn key(&self) -> u64 {
        self.sk
    }

    #[inline(always)]
    fn local_port(&self) -> u16 {
        loose(self.record, self.at.sport)
    }

    #[inline(always)]
    fn remote_port(&self) -> u16 {
        loose(self.record, self.at.dport)
    }

    #[inline(always)]
    fn remote(&self) -> [u8; 16] {
        loose(self.record, self.at.daddr)
    }
}

#[inline(always)]
fn name(into: &mut [u8; 16]) {
    *into = bpf_get_current_comm().unwrap_or_default();
}

#[tracepoint]
pub fn classic_set_state(ctx: TracePointContext) -> u32 {
    let f = fields();
    let record = ctx.as_ptr() as u64;
    let new = loose::<i32>(record, f.set_new()) as u8;
    match new {
        state::SYN_SENT | state::ESTABLISHED | state::CLOSE | state::LISTEN => {}
        _ => return 0,
    }
    if loose::<u8>(record, f.set_protocol()) != IPPROTO_TCP {
        return 0;
    }
    let old = loose::<i32>(record, f.set_old()) as u8;
    let line = Line::of(
        &ctx,
        f.set_sk(),
        Ends {
            sport: f.set_sport(),
            dport: f.set_dport(),
            saddr: f.set_saddr(),
            daddr: f.set_daddr(),
        },
    );
    match new {
        state::SYN_SENT => {
            seen(slot::SET_STATE);
            let (pid, cgroup) = socket::caller();
            tally::opened(line.sk, slot::SET_STATE, cgroup, pid, name);
        }
        state::ESTABLISHED if old == state::SYN_SENT => tally::connected(&line, slot::SET_STATE),
        state::ESTABLISHED if old == state::SYN_RECV => tally::accepted(&line, slot::SET_STATE, false),
        state::LISTEN => {
            seen(slot::SET_STATE);
            emit(slot::SET_STATE, |r| {
                r.kind = Kind::Listening as u32;
                line.describe(r);
                (r.pid, r.cgroup) = socket::caller();
                name(&mut r.comm);
            });
        }
        state::CLOSE => closed(&line, old),
        _ => {}
    }
    0
}

#[inline(always)]
fn closed(line: &Line, old: u8) {
    if old == state::LISTEN || old == state::CLOSE || (is_clean(old) && layout().every_close() == 0) {
        return;
    }
    seen(slot::SET_STATE);
    emit(slot::SET_STATE, |r| {
        r.kind = Kind::Closed as u32;
        line.describe(r);
        socket::owner(line.sk, r);
        r.state = old;
        r.untold = record::UNTOLD_ERROR;
        // SAFETY: a value of the map, copied.
        r.retransmits = unsafe { RESENT.get(line.sk) }.copied().unwrap_or(0);
    });
}

#[tracepoint]
pub fn classic_retransmit_skb(ctx: TracePointContext) -> u32 {
    seen(slot::RETRANSMIT);
    let f = fields();
    let line = Line::of(
        &ctx,
        f.retransmit_sk(),
        Ends {
            sport: f.retransmit_sport(),
            dport: f.retransmit_dport(),
            saddr: f.retransmit_saddr(),
            daddr: f.retransmit_daddr(),
        },
    );
    // Attempts that failed count too, as in the kernel's own `total_retrans`, for which this stands.
    match RESENT.get_ptr_mut(line.sk) {
        // SAFETY: a value of the map; a count that another CPU raises at the same time may miss one.
        Some(count) => unsafe { *count += 1 },
        // Least recently used ones make room: there always is some.
        None => drop(RESENT.insert(line.sk, 1, 0)),
    }
    if f.have_retransmit_error() == 1 && loose::<i32>(line.record, f.retransmit_error()) != 0 {
        return 0;
    }
    let syn = loose::<i32>(line.record, f.retransmit_state()) as u8 == state::SYN_SENT;
    if tally::retransmitted(&line, slot::RETRANSMIT, 1, syn) {
        emit(slot::RETRANSMIT, |r| {
            r.kind = Kind::SynRetransmit as u32;
            line.describe(r);
            socket::owner(line.sk, r);
            r.retransmits = 1;
        });
    }
    0
}

#[tracepoint]
pub fn classic_retransmit_synack(ctx: TracePointContext) -> u32 {
    seen(slot::RETRANSMIT_SYNACK);
    let f = fields();
    let listener = Line {
        record: ctx.as_ptr() as u64,
        sk: 0,
        at: Ends {
            sport: f.synack_sport(),
            dport: f.synack_dport(),
            saddr: f.synack_daddr(),
            daddr: f.synack_daddr(),
        },
    };
    tally::synack_retransmitted(&listener);
    0
}

#[tracepoint]
pub fn classic_receive_reset(ctx: TracePointContext) -> u32 {
    seen(slot::RECEIVE_RESET);
    let f = fields();
    let line = Line::of(
        &ctx,
        f.receive_sk(),
        Ends {
            sport: f.receive_sport(),
            dport: f.receive_dport(),
            saddr: f.receive_saddr(),
            daddr: f.receive_daddr(),
        },
    );
    emit(slot::RECEIVE_RESET, |r| {
        r.kind = Kind::ResetReceived as u32;
        line.describe(r);
        socket::owner(line.sk, r);
        r.cookie = loose(line.record, f.receive_cookie());
        r.reason = record::NO_REASON;
    });
    0
}

#[tracepoint]
pub fn classic_send_reset(ctx: TracePointContext) -> u32 {
    seen(slot::SEND_RESET);
    let f = fields();
    let line = Line::of(
        &ctx,
        f.send_sk(),
        Ends {
            sport: f.send_sport(),
            dport: f.send_dport(),
            saddr: f.send_saddr(),
            daddr: f.send_daddr(),
        },
    );
    emit(slot::SEND_RESET, |r| {
        r.kind = Kind::ResetSent as u32;
        r.unprovoked = u8::from(loose::<u64>(line.record, f.send_skb()) == 0);
        r.state = loose::<i32>(line.record, f.send_state()) as u8;
        if f.have_reset_reason() == 1 {
            r.reason = loose(line.record, f.send_reason());
            r.socket = line.sk;
            r.family = 6;
            (r.local, r.local_port) = sockaddr(line.record + f.send_saddr() as u64);
            (r.remote, r.remote_port) = sockaddr(line.record + f.send_daddr() as u64);
        } else {
            r.reason = record::NO_REASON;
            line.describe(r);
        }
        if line.sk != 0 {
            socket::owner(line.sk, r);
        }
    });
    0
}

/// A `sockaddr_in` or `sockaddr_in6`, as their definitions in POSIX and RFC 3493 lay them out.
#[inline(always)]
fn sockaddr(at: u64) -> ([u8; 16], u16) {
    let port = u16::from_be(loose(at, 2));
    if loose::<u16>(at, 0) == AF_INET {
        let [a, b, c, d]: [u8; 4] = loose(at, 4);
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d], port)
    } else {
        (loose(at, 8), port)
    }
}

#[tracepoint]
pub fn classic_destroy_sock(ctx: TracePointContext) -> u32 {
    let sk: u64 = loose(ctx.as_ptr() as u64, fields().destroy_sk());
    // Neither need be there.
    let _absent_is_fine = (CONNS.remove(sk), RESENT.remove(sk));
    0
}

#[tracepoint]
pub fn classic_drop_skb(ctx: TracePointContext) -> u32 {
    let reason: u32 = loose(ctx.as_ptr() as u64, fields().drop_reason());
    if !packet::matters(reason) {
        return 0;
    }
    seen(slot::DROP);
    if !packet::within_rate() {
        lost(slot::DROP);
        return 0;
    }
    // Whose packet it was the record does not say.
    emit(slot::DROP, |r| {
        r.kind = Kind::Dropped as u32;
        r.reason = reason;
    });
    0
}
