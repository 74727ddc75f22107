//! Ten samples a second of a forwarder's sockets and process: how the tunnel is doing, without any privilege.
//!
//! Cheap by design: the listener and the tunnel's own connection are asked for every time, which costs the kernel a
//! hash look-up; the forward's local connections, which cost it a walk over its whole table, only while the tunnel's
//! connection, or one of them, has bytes that nobody reads, or the tunnel's far end is silent, and else once a second.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hopscope_attribution::evidence::tunnel::TunnelGauge;
use hopscope_attribution::evidence::{Observation, Span, WhyUnseen};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::report::{Reporter, TunnelReport};
use super::tunnel_socket::{Sampled, TunnelSocket};
use super::words::Counts;
use hopscope_host::process;
use hopscope_host::sock_diag::message::{Family, Query, SocketEntry, States};
use hopscope_host::sock_diag::{SockDiag, SockDiagError};

/// Time between two samples.
const INTERVAL: Duration = Duration::from_millis(100);

/// The local connections are counted at every so many samples at least.
const COUNT_EVERY: u32 = 10;

/// Sampling that goes on until this is dropped.
#[derive(Debug)]
pub(super) struct Sampling(JoinHandle<()>);

impl Drop for Sampling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Samples a kubectl of ours and reports what is seen.
pub(super) fn sample(pid: u32, port: u16, counts: Arc<Counts>, reporter: &Reporter) -> Sampling {
    run(Sampler::new(Some(pid), port, Some(counts)), reporter.clone())
}

/// Samples a forwarder that somebody else runs; `pid` where its process is ours to look at.
pub(super) fn sample_found(pid: Option<u32>, port: u16, reporter: &Reporter) -> Sampling {
    run(Sampler::new(pid, port, None), reporter.clone())
}

fn run(mut sampler: Sampler, reporter: Reporter) -> Sampling {
    Sampling(tokio::spawn(async move {
        let mut diag = match SockDiag::open() {
            Ok(diag) => diag,
            Err(error) => {
                tracing::info!(%error, "the tunnel's sockets cannot be watched");
                return;
            }
        };
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            match sampler.take(&mut diag, &reporter) {
                Ok(gauge) => reporter.tell(TunnelReport::Gauge(gauge)),
                Err(error) => tracing::debug!(%error, "a sample of the tunnel's sockets was lost"),
            }
        }
    }))
}

/// How many local connections of a forward stand; `None` where the system does not tell.
pub(super) fn local_connections(port: u16) -> Option<u32> {
    let mut diag = SockDiag::open().ok()?;
    let mut readers = Readers::default();
    diag.dump(Readers::query(port), |entry| readers.count(&entry))
        .ok()?;
    Some(readers.connections)
}

/// The forward's local connections, and those of them whose reader does not read.
#[derive(Clone, Copy, Debug, Default)]
struct Readers {
    connections: u32,
    stalled: u32,
    /// Those with bytes that the forwarder has not read, and those of them that the other side has closed.
    unread: u32,
    abandoned: u32,
    /// Bytes unread and remote port of the worst.
    worst: Option<(u32, u16)>,
}

impl Readers {
    fn query(port: u16) -> Query {
        Query {
            family: Family::V4,
            states: States::connected(),
            local_port: Some(port),
            tcp_info: false,
        }
    }

    fn count(&mut self, entry: &SocketEntry) {
        self.connections += 1;
        self.unread += u32::from(entry.unread());
        self.abandoned += u32::from(entry.abandoned());
        if entry.send_queue > 0 {
            self.stalled += 1;
            let this = (entry.send_queue, entry.remote.port());
            self.worst = Some(self.worst.map_or(this, |worst| worst.max(this)));
        }
    }
}

/// What is remembered from sample to sample.
#[derive(Debug)]
struct Sampler {
    pid: Option<u32>,
    port: u16,
    counts: Option<Arc<Counts>>,
    tunnel: TunnelSocket,
    readers: Readers,
    descriptor_limit: Observation<u32>,
    output_blocked: Observation<bool>,
    until_count: u32,
}

impl Sampler {
    fn new(pid: Option<u32>, port: u16, counts: Option<Arc<Counts>>) -> Self {
        Self {
            pid,
            port,
            counts,
            tunnel: TunnelSocket::default(),
            readers: Readers::default(),
            descriptor_limit: Observation::default(),
            output_blocked: Observation::default(),
            until_count: 0,
        }
    }

    fn take(&mut self, diag: &mut SockDiag, reporter: &Reporter) -> Result<TunnelGauge, SockDiagError> {
        let at = reporter.now();
        let tunnel = match self.pid {
            Some(pid) => self.tunnel.sample(diag, pid, self.port)?,
            None => Observation::Unseen(WhyUnseen::NotPermitted),
        };
        // What was unread at the last count may have just arrived then.
        let unread = self.readers.unread > 0
            || tunnel
                .seen()
                .is_some_and(|tunnel| tunnel.recv_queue > 0 || tunnel.unanswered());
        if unread || self.until_count == 0 {
            let mut readers = Readers::default();
            diag.dump(Readers::query(self.port), |entry| readers.count(&entry))?;
            self.readers = readers;
            self.until_count = COUNT_EVERY;
            self.descriptor_limit = self.of_process(process::descriptor_limit);
            self.output_blocked = self.of_process(process::output_blocked);
        }
        self.until_count -= 1;
        let listening = Query {
            states: States::listening(),
            ..Readers::query(self.port)
        };
        let mut accept_queue = 0;
        diag.dump(listening, |entry| {
            accept_queue = entry.recv_queue.max(accept_queue);
        })?;
        let stat = self.of_process(process::stat);
        let of = |field: fn(&Sampled) -> Observation<u32>| match &tunnel {
            Observation::Seen(tunnel) => field(tunnel),
            Observation::Unseen(why) => Observation::Unseen(*why),
        };
        let counted = self.counts.as_deref();
        Ok(TunnelGauge {
            at,
            member: reporter.member(),
            handled: counted.map_or(Observation::default(), |counts| {
                Observation::Seen(counts.handled.load(Ordering::Relaxed))
            }),
            lines_omitted: counted.map_or(0, |counts| counts.omitted.load(Ordering::Relaxed)),
            accept_queue,
            tunnel_recv_queue: of(|tunnel| Observation::Seen(tunnel.recv_queue)),
            tunnel_send_queue: of(|tunnel| Observation::Seen(tunnel.send_queue)),
            tunnel_unacked: of(|tunnel| tunnel.of(|info| Some(info.unacked))),
            tunnel_peer_window: of(|tunnel| tunnel.of(|info| info.snd_wnd)),
            tunnel_retransmits: of(|tunnel| tunnel.of(|info| Some(info.total_retrans))),
            tunnel_last_ack: of(|tunnel| tunnel.of(|info| Some(info.last_ack_recv_ms)))
                .map(|millis| Span::from_millis(millis.into())),
            tunnel_last_received: of(|tunnel| tunnel.of(|info| Some(info.last_data_recv_ms)))
                .map(|millis| Span::from_millis(millis.into())),
            tunnel_rwnd_limited_ms: of(|tunnel| tunnel.of(|info| millis(info.rwnd_limited_us))),
            tunnel_busy_ms: of(|tunnel| tunnel.of(|info| millis(info.busy_us))),
            tunnel_rtt: of(|tunnel| tunnel.of(|info| Some(info.rtt_us)))
                .map(|micros| Span::from_micros(micros.into())),
            local_connections: self.readers.connections,
            stalled_readers: self.readers.stalled,
            worst_reader: self
                .readers
                .worst
                .map_or(Observation::Unseen(WhyUnseen::NeverHappened), |(_, port)| {
                    Observation::Seen(port)
                }),
            descriptors: self.of_process(process::descriptors),
            descriptor_limit: self.descriptor_limit,
            stopped: stat.map(|stat| stat.stopped),
            cpu_ms: stat.map(|stat| stat.cpu_ms),
            cpu_wait_ms: self.of_process(process::cpu_wait),
            output_blocked: self.output_blocked,
            abandoned: Observation::Seen(self.readers.abandoned),
            unread_connections: Observation::Seen(self.readers.unread),
        })
    }

    fn of_process<T>(&self, look: fn(u32) -> Observation<T>) -> Observation<T> {
        self.pid
            .map_or(Observation::Unseen(WhyUnseen::NotPermitted), look)
    }
}

fn millis(micros: Option<u64>) -> Option<u32> {
    Some(u32::try_from(micros? / 1000).unwrap_or(u32::MAX))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
