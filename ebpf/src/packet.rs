//! Reading a packet of which only the buffer is known.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use hopscope_abi::Record;

use crate::maps::{DROP_RATE, DROP_REASONS, layout};
use crate::socket::loose;

const IPPROTO_TCP: u8 = 6;
/// Drop records per second and CPU; the rest is counted as lost.
const DROPS_PER_SECOND: u64 = 1_000;

/// Whether this kernel's drop reason is evidence.
#[inline(always)]
pub fn matters(reason: u32) -> bool {
    DROP_REASONS.get(reason).is_some_and(|wanted| *wanted == 1)
}

/// Whether this second has room for one more drop.
#[inline(always)]
pub fn within_rate() -> bool {
    let Some(rate) = DROP_RATE.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: this CPU's own value.
    unsafe {
        let second = bpf_ktime_get_ns() / 1_000_000_000;
        if (*rate)[0] != second {
            *rate = [second, 0];
        }
        (*rate)[1] += 1;
        (*rate)[1] <= DROPS_PER_SECOND
    }
}

/// Segments that a packet of the retransmission queue becomes on the wire: with offload, more than one.
#[inline(always)]
pub fn segments(skb: u64) -> u64 {
    let at = layout().skb_segments();
    let told: u16 = if at == 0 { 0 } else { loose(skb, at) };
    if told == 0 { 1 } else { u64::from(told) }
}

/// Address of the IP header, when TCP follows it directly.
#[inline(always)]
pub fn tcp(skb: u64) -> Option<u64> {
    let head: u64 = loose(skb, layout().skb_head());
    let network: u16 = loose(skb, layout().skb_network());
    let ip = head + u64::from(network);
    let protocol: u8 = match loose::<u8>(ip, 0) >> 4 {
        4 => loose(ip, 9),
        6 => loose(ip, 6),
        _ => return None,
    };
    if protocol == IPPROTO_TCP { Some(ip) } else { None }
}

/// The packet's ends, sender first.
#[inline(always)]
pub fn fill(ip: u64, r: &mut Record) {
    let first: u8 = loose(ip, 0);
    let header = if first >> 4 == 4 {
        r.family = 4;
        let from: [u8; 4] = loose(ip, 12);
        let to: [u8; 4] = loose(ip, 16);
        r.local[..4].copy_from_slice(&from);
        r.remote[..4].copy_from_slice(&to);
        u64::from(first & 0xf) << 2
    } else {
        r.family = 6;
        r.local = loose(ip, 8);
        r.remote = loose(ip, 24);
        40
    };
    let tcp = ip + header;
    r.local_port = u16::from_be(loose(tcp, 0));
    r.remote_port = u16::from_be(loose(tcp, 2));
    r.tcp_flags = loose(tcp, 13);
}

/// The ends of the packet in `skb`, where it is TCP, and the namespace that it arrived in.
#[inline(always)]
pub fn describe(skb: u64, r: &mut Record) {
    if let Some(ip) = tcp(skb) {
        fill(ip, r);
        r.netns = netns(skb);
    }
}

/// Namespace of the device that a packet is on; 0 when it is on none.
#[inline(always)]
pub fn netns(skb: u64) -> u32 {
    loose(
        loose(loose(skb, layout().skb_dev()), layout().dev_net()),
        layout().inum(),
    )
}

/// An answer goes back where its question came from.
#[inline(always)]
pub fn swap_ends(r: &mut Record) {
    core::mem::swap(&mut r.local, &mut r.remote);
    core::mem::swap(&mut r.local_port, &mut r.remote_port);
}
