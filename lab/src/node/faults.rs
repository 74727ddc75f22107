//! The handle by which faults are set while the node runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use super::fault::{Selection, StreamFault, TunnelFault};
use super::truth::{Happening, Truth};
use crate::spdy::connection::{Connection, Ended, Valves};

/// How long a tunnel may take to end in good order.
const CEREMONY: Duration = Duration::from_secs(1);

/// Ends a connection as `end` does, or without ceremony when its far end does not read.
async fn in_time(connection: &Connection, end: impl Future<Output = ()>) {
    if timeout(CEREMONY, end).await.is_err() {
        connection.abort();
    }
}

/// The handle by which faults are set; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    rules: Arc<Mutex<Vec<(Selection, StreamFault)>>>,
    tunnels: Arc<Mutex<BTreeMap<u64, Connection>>>,
    valves: Arc<Valves>,
    truth: Truth,
}

impl Faults {
    /// Sets a fault for connections that begin from now on. The rule that was set first wins.
    pub fn stream(&self, selection: Selection, fault: StreamFault) {
        self.rules().push((selection, fault));
    }

    /// Takes all faults for connections away; connections that have one keep it.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// Strikes the tunnels now.
    pub async fn tunnel(&self, fault: TunnelFault) {
        self.truth.record(Happening::TunnelFault(fault));
        let connections: Vec<Connection> = self.tunnels().values().cloned().collect();
        match fault {
            TunnelFault::Reading(reads) => self.valves.set_reading(reads),
            TunnelFault::AnsweringPings(answers) => self.valves.set_answering_pings(answers),
            TunnelFault::Throttle(rate) => self.valves.set_bytes_per_second(rate),
            TunnelFault::Fin | TunnelFault::Reset => {
                for connection in connections {
                    let closed = if fault == TunnelFault::Fin {
                        connection.fin()
                    } else {
                        connection.reset()
                    };
                    if let Err(error) = closed {
                        tracing::error!(%error, %fault, "the tunnel was closed, but not as it was asked");
                    }
                }
            }
            TunnelFault::GoAway => {
                for connection in connections {
                    in_time(&connection, connection.go_away()).await;
                }
            }
            TunnelFault::WebSocketClose(code) => {
                for connection in connections {
                    in_time(&connection, connection.finish(Some(code))).await;
                }
            }
        }
    }

    /// Strikes the tunnels after `delay`.
    pub fn tunnel_after(&self, delay: Duration, fault: TunnelFault) {
        let faults = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            faults.tunnel(fault).await;
        });
    }

    /// Sets a fault for connections that begin after `delay`.
    pub fn stream_after(&self, delay: Duration, selection: Selection, fault: StreamFault) {
        let faults = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            faults.stream(selection, fault);
        });
    }

    /// What happened so far.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// Tunnels that are open now.
    pub fn open_tunnels(&self) -> usize {
        self.tunnels().len()
    }

    pub(crate) fn valves(&self) -> Arc<Valves> {
        Arc::clone(&self.valves)
    }

    pub(crate) fn opened(&self, tunnel: u64, connection: &Connection) {
        self.tunnels().insert(tunnel, connection.clone());
        self.truth.record(Happening::TunnelOpened { tunnel });
    }

    pub(crate) fn closed(&self, tunnel: u64, ended: Ended) {
        self.tunnels().remove(&tunnel);
        self.truth.record(Happening::TunnelEnded { tunnel, ended });
    }

    /// Closes every tunnel without a record: the cluster is going away.
    pub(crate) fn abandon(&self) {
        self.tunnels().values().for_each(Connection::abort);
    }

    /// The fault for a connection that begins now.
    pub(super) fn draw(&self, tunnel: u64, request: u64) -> Option<StreamFault> {
        let fault = self
            .rules()
            .iter_mut()
            .find_map(|(selection, fault)| selection.takes(request).then(|| fault.clone()))?;
        self.truth.record(Happening::StreamFault {
            tunnel,
            request,
            fault: fault.clone(),
        });
        Some(fault)
    }

    fn rules(&self) -> MutexGuard<'_, Vec<(Selection, StreamFault)>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tunnels(&self) -> MutexGuard<'_, BTreeMap<u64, Connection>> {
        self.tunnels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
