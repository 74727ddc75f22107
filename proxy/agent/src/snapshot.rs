//! Every TCP socket that lives on the host now, by sock_diag in each network namespace.
//!
//! A thread enters the namespaces one after the other and asks there; it keeps nothing open, because a socket would keep
//! a namespace alive. What may not be entered (that takes CAP_SYS_ADMIN) is read from /proc instead, with less to it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use hopscope_attribution::evidence::FourTuple;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::parse::Process;
use hopscope_host::procfs::{self, Netns};
use hopscope_host::sock_diag::message::{Family, Query, SocketEntry, States, TcpState};
use hopscope_host::sock_diag::{SockDiag, SockDiagError};

/// A live socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Its namespace.
    pub netns: Netns,
    /// Its addresses.
    pub ends: FourTuple,
    /// Its TCP state (include/net/tcp_states.h).
    pub state: u8,
    /// Its inode, as in `/proc/PID/fd`; 0 when no process holds it.
    pub inode: u64,
    /// Whose it is; `None` where we may not look, or nobody has accepted it.
    pub owner: Option<Arc<Process>>,
    /// What its kernel knows of how it goes; `None` of what was read from /proc.
    pub going: Option<Going>,
}

/// How a live socket goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Going {
    /// The kernel's identity of it.
    pub cookie: u64,
    /// Smoothed round-trip time, microseconds; 0 before the first.
    pub rtt_us: u32,
    /// Payload bytes that the other end acknowledged.
    pub bytes_acked: u64,
    /// Payload bytes received.
    pub bytes_received: u64,
    /// The other end takes nothing: its window is closed, and probes are sent.
    pub stalled: bool,
}

/// Sockets that are taken over; more than that are left alone.
pub const LIMIT: usize = 131_072;

/// Lists the sockets of these namespaces, each seen through one of its processes.
pub fn look(proc: &Path, namespaces: &[(Netns, u32)]) -> Vec<Live> {
    // Whoever enters a namespace stays there: a thread that is not needed afterwards.
    let looked = thread::scope(|scope| scope.spawn(|| look_from_here(proc, namespaces)).join());
    let mut found = looked.unwrap_or_default();
    let owners = procfs::owners(proc);
    let mut processes: HashMap<u32, Option<Arc<Process>>> = HashMap::new();
    for live in &mut found {
        if let Some(pid) = owners.get(&live.inode).copied() {
            let known = processes.entry(pid).or_insert_with(|| {
                let comm = procfs::comm(proc, pid)?;
                Some(Arc::new(Process { pid, comm }))
            });
            live.owner.clone_from(known);
        }
    }
    found
}

fn look_from_here(proc: &Path, namespaces: &[(Netns, u32)]) -> Vec<Live> {
    let mut found = Vec::new();
    let home = procfs::netns(Path::new("/proc"), "thread-self").ok();
    // Home first: it needs no privilege as long as nothing else was entered.
    let mut order = namespaces.to_vec();
    order.sort_unstable_by_key(|(netns, _)| home != Some(*netns));
    for (netns, pid) in order {
        let before = found.len();
        if let Err(error) = dump(proc, netns, pid, home == Some(netns), &mut found) {
            tracing::debug!(%error, netns, "a namespace is read from /proc");
            found.truncate(before);
            let room = LIMIT.saturating_sub(found.len());
            found.extend(listed(proc, netns, pid).take(room));
        }
    }
    found
}

/// Why a namespace could not be asked.
#[derive(Debug, thiserror::Error)]
enum Unasked {
    #[error("it cannot be entered: {0}")]
    Entering(#[from] io::Error),
    #[error(transparent)]
    Asking(#[from] SockDiagError),
}

fn dump(proc: &Path, netns: Netns, pid: u32, home: bool, found: &mut Vec<Live>) -> Result<(), Unasked> {
    if !home {
        let door = File::open(proc.join(pid.to_string()).join("ns/net"))?;
        move_into_link_name_space(door.as_fd(), Some(LinkNameSpaceType::Network)).map_err(io::Error::from)?;
    }
    let mut diag = SockDiag::open()?;
    for family in [Family::V4, Family::V6] {
        let query = Query {
            family,
            states: States::living(),
            local_port: None,
            tcp_info: true,
        };
        diag.dump(query, |entry| {
            if found.len() < LIMIT {
                found.push(live(netns, &entry));
            }
        })?;
    }
    Ok(())
}

fn live(netns: Netns, entry: &SocketEntry) -> Live {
    let going = entry.tcp_info.filter(|_| entry.state != TcpState::Listen);
    Live {
        netns,
        ends: FourTuple {
            local: entry.local,
            remote: entry.remote,
        },
        state: entry.state as u8,
        inode: u64::from(entry.inode),
        owner: None,
        going: going.map(|told| Going {
            cookie: entry.cookie,
            rtt_us: told.rtt_us,
            bytes_acked: told.bytes_acked.unwrap_or(0),
            bytes_received: told.bytes_received.unwrap_or(0),
            stalled: told.snd_wnd.map_or(told.probes > 0, |window| window == 0)
                && told.notsent_bytes.is_none_or(|waiting| waiting > 0),
        }),
    }
}

fn listed(proc: &Path, netns: Netns, pid: u32) -> impl Iterator<Item = Live> {
    /// `TCP_TIME_WAIT`: the remains of a connection, no socket.
    const TIME_WAIT: u8 = hopscope_abi::state::TIME_WAIT;
    let all = procfs::sockets(proc, pid).into_iter();
    all.filter(|listed| listed.state != TIME_WAIT)
        .map(move |listed| Live {
            netns,
            ends: listed.ends,
            state: listed.state,
            inode: listed.inode,
            owner: None,
            going: None,
        })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_socket_of_ours_is_found_with_what_passed_through_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let mut near = TcpStream::connect(at).unwrap();
        let (far, _) = listener.accept().unwrap();
        near.write_all(&[7; 100]).unwrap();
        let proc = Path::new("/proc");
        let here = procfs::netns(proc, "self").unwrap();
        let found = look(proc, &[(here, std::process::id())]);
        let listening = found
            .iter()
            .find(|live| live.ends.local == at && live.state == 10);
        assert!(listening.unwrap().going.is_none());
        let ours = found
            .iter()
            .find(|live| live.ends.local == at && live.state == 1)
            .unwrap();
        assert_eq!(ours.ends.remote, near.local_addr().unwrap());
        assert_eq!(ours.going.unwrap().bytes_received, 100);
        assert_eq!(ours.owner.as_ref().unwrap().pid, std::process::id());
        assert!(!ours.going.unwrap().stalled);
        drop(far);
    }

    #[test]
    fn a_namespace_that_is_not_there_is_passed_over() {
        assert_eq!(look(Path::new("/nowhere"), &[(1, 1)]), []);
    }
}
