//! Reading a kernel socket: loads that the verifier checks against the kernel's types, at offsets from BTF.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_get_socket_cookie, bpf_skc_to_tcp_sock};
use aya_ebpf::helpers::{
    bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, bpf_get_current_task, bpf_probe_read_kernel,
    bpf_probe_read_kernel_buf,
};
use hopscope_abi::{Record, record};

use crate::maps::{CONNS, layout};
use crate::tally::Counted;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// A full TCP socket.
pub struct Sock {
    sk: *mut c_void,
    tcp: *const u8,
}

/// A load that the verifier checks: `$base` is a pointer whose kernel type it knows.
macro_rules! typed {
    ($base:expr, $offset:expr, $ty:ty) => {
        // SAFETY: the verifier refuses the program unless the offset is a field of this size.
        unsafe { core::ptr::read_volatile($base.cast::<u8>().add($offset).cast::<$ty>()) }
    };
}

/// A load that may fault, of a pointer without a type; zero when it does.
#[inline(always)]
pub fn loose<T: Copy + Default>(base: u64, offset: usize) -> T {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel((base + offset as u64) as *const T) }.unwrap_or_default()
}

impl Sock {
    /// The socket, when it is TCP and not a request or TIME_WAIT socket.
    #[inline(always)]
    pub fn tcp(sk: *mut c_void) -> Option<Self> {
        // SAFETY: sk comes from the tracepoint with its type.
        let tcp = unsafe { bpf_skc_to_tcp_sock(sk) };
        if tcp.is_null() {
            None
        } else {
            Some(Self {
                sk,
                tcp: tcp.cast::<u8>().cast_const(),
            })
        }
    }

    #[inline(always)]
    pub fn state(&self) -> u8 {
        typed!(self.sk, layout().state(), u8)
    }

    /// A positive errno, or 0.
    #[inline(always)]
    pub fn error(&self) -> u32 {
        typed!(self.sk, layout().error(), u32)
    }

    /// Whether the accept queue is full; a child's is its listener's when it was made.
    #[inline(always)]
    pub fn queue_is_full(&self) -> bool {
        typed!(self.sk, layout().backlog(), u32) >= typed!(self.sk, layout().max_backlog(), u32)
    }

    #[inline(always)]
    pub fn family(&self) -> u16 {
        typed!(self.sk, layout().family(), u16)
    }

    /// Who it is.
    #[inline(always)]
    pub fn describe(&self, r: &mut Record) {
        describe_full(self.key(), r);
        r.local_port = self.local_port();
        if layout().have_cookie() == 1 {
            // SAFETY: a socket with its type.
            r.cookie = unsafe { bpf_get_socket_cookie(self.sk) };
        }
    }

    /// What became of it.
    #[inline(always)]
    pub fn account(&self, r: &mut Record) {
        r.srtt_us = typed!(self.tcp, layout().srtt(), u32) >> 3;
        r.min_rtt_us = loose(self.tcp as u64, layout().rtt_min());
        r.retransmits = typed!(self.tcp, layout().total_retrans(), u32);
        r.bytes_acked = typed!(self.tcp, layout().bytes_acked(), u64);
        r.bytes_received = typed!(self.tcp, layout().bytes_received(), u64);
        r.shutdown = loose(self.key(), layout().shutdown());
    }

    /// Who opened it, where that was seen. Never the current task: in softirq that is whoever was interrupted.
    #[inline(always)]
    pub fn owner(&self, r: &mut Record) {
        owner(self.key(), r);
    }
}

impl Counted for Sock {
    #[inline(always)]
    fn key(&self) -> u64 {
        self.sk as u64
    }

    #[inline(always)]
    fn netns(&self) -> u32 {
        netns(self.key())
    }

    #[inline(always)]
    fn cgroup(&self) -> u64 {
        cgroup(self.key())
    }

    /// The near port, also after it was released.
    #[inline(always)]
    fn local_port(&self) -> u16 {
        u16::from_be(typed!(self.tcp, layout().sport(), u16))
    }

    #[inline(always)]
    fn remote_port(&self) -> u16 {
        u16::from_be(typed!(self.sk, layout().dport(), u16))
    }

    #[inline(always)]
    fn remote(&self) -> [u8; 16] {
        if self.family() == AF_INET {
            let [a, b, c, d] = typed!(self.sk, layout().daddr(), u32).to_ne_bytes();
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
        } else {
            loose(self.key(), layout().daddr6())
        }
    }
}

#[inline(always)]
fn netns(sk: u64) -> u32 {
    loose(loose(sk, layout().net()), layout().inum())
}

#[inline(always)]
fn cgroup(sk: u64) -> u64 {
    loose(
        loose(loose(sk, layout().cgroup()), layout().kn()),
        layout().kn_id(),
    )
}

/// Who opened a socket, where that was seen.
#[inline(always)]
pub fn owner(sk: u64, r: &mut Record) {
    // SAFETY: entries are written once and replaced whole.
    if let Some(owner) = unsafe { CONNS.get(sk) } {
        r.direction = record::ACTIVE;
        r.opened = owner.opened;
        r.connect_us = owner.connect_us;
        r.pid = owner.pid;
        r.comm = owner.comm;
        r.cgroup = owner.cgroup;
    }
}

/// Addresses and ports of anything that begins with `sock_common`.
#[inline(always)]
fn describe_mini(sk: u64, r: &mut Record) {
    let family: u16 = loose(sk, layout().family());
    r.socket = sk;
    r.state = loose(sk, layout().state());
    r.netns = netns(sk);
    if family == AF_INET {
        r.family = 4;
        let local: [u8; 4] = loose(sk, layout().saddr());
        let remote: [u8; 4] = loose(sk, layout().daddr());
        r.local[..4].copy_from_slice(&local);
        r.remote[..4].copy_from_slice(&remote);
    } else if family == AF_INET6 {
        r.family = 6;
        r.local = loose(sk, layout().saddr6());
        r.remote = loose(sk, layout().daddr6());
    }
    r.local_port = loose(sk, layout().num());
    r.remote_port = u16::from_be(loose(sk, layout().dport()));
}

#[inline(always)]
fn describe_full(sk: u64, r: &mut Record) {
    describe_mini(sk, r);
    r.cgroup = cgroup(sk);
}

/// A socket of which not even the type is certain, or none at all.
#[inline(always)]
pub fn describe_loosely(sk: u64, r: &mut Record) {
    use hopscope_abi::state::{LISTEN, TIME_WAIT};
    if sk == 0 {
        return;
    }
    describe_mini(sk, r);
    // A request socket (12) or a TIME_WAIT one is too short to hold a cgroup.
    if r.state != TIME_WAIT && r.state <= LISTEN + 1 {
        r.cgroup = cgroup(sk);
        owner(sk, r);
        if r.local_port == 0 {
            // Closed already, and its port released.
            r.local_port = u16::from_be(loose(sk, layout().sport()));
        }
    }
}

/// Process and cgroup of whoever is calling: only where the kernel runs in the owner's context.
#[inline(always)]
pub fn caller() -> (u32, u64) {
    // SAFETY: a helper without arguments.
    ((bpf_get_current_pid_tgid() >> 32) as u32, unsafe {
        bpf_get_current_cgroup_id()
    })
}

/// The process that is calling, into a record.
#[inline(always)]
pub fn current(r: &mut Record) {
    (r.pid, r.cgroup) = caller();
    comm(&mut r.comm);
}

/// The name of the calling process: its main thread's, because thread names are many and mean little.
#[inline(always)]
pub fn comm(into: &mut [u8; 16]) {
    // SAFETY: no arguments.
    let task = unsafe { bpf_get_current_task() };
    let leader: u64 = loose(task, layout().leader());
    // SAFETY: the helper checks the address; on failure the name stays as it was.
    if unsafe { bpf_probe_read_kernel_buf((leader + layout().comm() as u64) as *const u8, into) }.is_err() {
        *into = [0; 16];
    }
}
