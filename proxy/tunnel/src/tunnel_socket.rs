//! Which of kubectl's connections is the tunnel, and how it is doing.
//!
//! kubectl has two connections to the API server: the REST one, idle after the start, and the tunnel, on which
//! something passes every 5 s (SPDY) or 10 s (WebSocket) at least. The busier one is taken for the tunnel; while
//! neither has moved, the younger one is, for the tunnel is opened last.

use std::collections::HashSet;
use std::net::SocketAddr;

use hopscope_attribution::evidence::{Observation, WhyUnseen};

use hopscope_host::process;
use hopscope_host::sock_diag::message::{Family, Query, SocketEntry, States};
use hopscope_host::sock_diag::tcp_info::TcpInfo;
use hopscope_host::sock_diag::{SockDiag, SockDiagError};

/// Samples between two searches while no connection is known.
const SEARCH_EVERY: u32 = 5;

/// Samples between two searches while one is known: another may have been opened since.
const SEARCH_AGAIN_EVERY: u32 = 50;

/// Connections that are followed; kubectl has two, or three for a moment.
const MOST_FOLLOWED: usize = 8;

/// One look at the tunnel's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sampled {
    pub(super) recv_queue: u32,
    pub(super) send_queue: u32,
    info: Option<TcpInfo>,
}

/// The far end of a tunnel that is asked answers sooner than this.
const SILENT_MS: u32 = 300;

impl Sampled {
    /// Whether nothing has come for long although something was sent since: its kernel acknowledged it.
    pub(super) fn unanswered(&self) -> bool {
        self.info.is_some_and(|info| {
            info.last_data_recv_ms >= SILENT_MS && info.last_ack_recv_ms < info.last_data_recv_ms
        })
    }

    /// A field of the kernel's account of it.
    pub(super) fn of<T>(&self, field: impl FnOnce(&TcpInfo) -> Option<T>) -> Observation<T> {
        self.info
            .as_ref()
            .and_then(field)
            .map_or(Observation::Unseen(WhyUnseen::NotSupported), Observation::Seen)
    }
}

/// The connections of kubectl that may be the tunnel.
#[derive(Debug, Default)]
pub(super) struct TunnelSocket {
    followed: Vec<Followed>,
    until_search: u32,
}

#[derive(Debug)]
struct Followed {
    local: SocketAddr,
    remote: SocketAddr,
    inode: u32,
    /// Bytes in both directions when it was first seen.
    bytes_at_first: u64,
}

impl TunnelSocket {
    /// Looks at every connection that is followed, and takes the one that is the tunnel.
    pub(super) fn sample(
        &mut self,
        diag: &mut SockDiag,
        pid: u32,
        forwarded_port: u16,
    ) -> Result<Observation<Sampled>, SockDiagError> {
        if self.until_search == 0 {
            let inodes = match process::socket_inodes(pid) {
                Observation::Seen(inodes) => inodes,
                Observation::Unseen(why) => return Ok(Observation::Unseen(why)),
            };
            self.search(diag, &inodes, forwarded_port)?;
            self.until_search = if self.followed.is_empty() {
                SEARCH_EVERY
            } else {
                SEARCH_AGAIN_EVERY
            };
        }
        self.until_search -= 1;
        let mut best: Option<((u64, u32), Sampled)> = None;
        let mut gone = false;
        for followed in &self.followed {
            match diag.find(followed.local, followed.remote)? {
                Some(entry) if entry.inode == followed.inode => {
                    let moved = bytes(&entry).saturating_sub(followed.bytes_at_first);
                    let rank = (moved, followed.inode);
                    if best.is_none_or(|(best, _)| rank > best) {
                        best = Some((rank, Sampled::from(&entry)));
                    }
                }
                Some(_) | None => gone = true,
            }
        }
        if gone {
            self.until_search = 0;
        }
        Ok(best.map_or(
            Observation::Unseen(WhyUnseen::OutsideTheWindow),
            |(_, sampled)| Observation::Seen(sampled),
        ))
    }

    /// Follows only these, for ever: in a test, the other tests' connections belong to the same process.
    #[cfg(test)]
    pub(super) fn following(diag: &mut SockDiag, inodes: &HashSet<u32>) -> Self {
        let mut socket = Self::default();
        socket.search(diag, inodes, 0).expect("the kernel answers");
        socket.until_search = u32::MAX;
        socket
    }

    /// Finds the connections of these inodes that are not the forward's own local ones.
    fn search(
        &mut self,
        diag: &mut SockDiag,
        inodes: &HashSet<u32>,
        forwarded_port: u16,
    ) -> Result<(), SockDiagError> {
        let mut found = Vec::new();
        for family in [Family::V4, Family::V6] {
            let query = Query {
                family,
                states: States::connected(),
                local_port: None,
                tcp_info: true,
            };
            diag.dump(query, |entry| {
                if entry.local.port() != forwarded_port && inodes.contains(&entry.inode) {
                    found.push(entry);
                }
            })?;
        }
        found.truncate(MOST_FOLLOWED);
        let known = std::mem::take(&mut self.followed);
        self.followed = found
            .iter()
            .map(|entry| Followed {
                local: entry.local,
                remote: entry.remote,
                inode: entry.inode,
                bytes_at_first: known
                    .iter()
                    .find(|followed| followed.inode == entry.inode)
                    .map_or_else(|| bytes(entry), |followed| followed.bytes_at_first),
            })
            .collect();
        Ok(())
    }
}

impl From<&SocketEntry> for Sampled {
    fn from(entry: &SocketEntry) -> Self {
        Self {
            recv_queue: entry.recv_queue,
            send_queue: entry.send_queue,
            info: entry.tcp_info,
        }
    }
}

fn bytes(entry: &SocketEntry) -> u64 {
    let info = entry.tcp_info.unwrap_or_default();
    let (acked, received) = (info.bytes_acked.unwrap_or(0), info.bytes_received.unwrap_or(0));
    acked.saturating_add(received)
}
