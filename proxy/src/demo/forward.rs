//! Watching the forward of a demo: what [`hopscope_tunnel`] does for a kubectl, for the stand-in in this process.
//!
//! Its lines are read as kubectl's, and its sockets are looked at in the kernel; what belongs to a process (descriptors,
//! CPU, whether it is stopped) is left unseen, because the process is hopscope's own.

use std::net::SocketAddr;
use std::time::Duration;

use hopscope_attribution::evidence::tunnel::{
    TunnelGauge, TunnelLife, TunnelLifeEvent, TunnelLine, TunnelMeaning,
};
use hopscope_attribution::evidence::{Moment, Observation, PathId, Span, WhyUnseen};
use hopscope_lab::scenario::{Forward, News};
use tokio::time::MissedTickBehavior;

use hopscope_host::sock_diag::message::{Family, Query, SocketEntry, States};
use hopscope_host::sock_diag::{SockDiag, SockDiagError};
use hopscope_recording::{RecordingHandle, TunnelWatch};
use hopscope_relay::RunClock;
use hopscope_tunnel::lines;

/// The only forwarder.
const MEMBER: u16 = 0;
/// Time between two looks at its sockets, as for a real kubectl.
const INTERVAL: Duration = Duration::from_millis(100);

/// Records what becomes known of a forward, until it is dropped.
pub(super) async fn watch(mut forward: Forward, path: PathId, clock: RunClock, recording: RecordingHandle) {
    let mut sockets = SockDiag::open().ok();
    recording.tunnel_watched(
        path,
        Observation::Seen(TunnelWatch {
            kubectl_version: Observation::Seen(forward.version.clone()),
            lines: Observation::Seen(()),
            gauges: match sockets {
                Some(_) => Observation::Seen(()),
                None => Observation::Unseen(WhyUnseen::NotSupported),
            },
        }),
    );
    let mut handled = 0;
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            news = forward.news.recv() => match news {
                Some(news) => record(news, &mut handled, path, clock.now(), &recording),
                None => return,
            },
            _ = ticks.tick() => {
                let looked = sockets.as_mut().map(|diag| look(diag, forward.local, forward.server, clock.now(), handled));
                match looked {
                    Some(Ok(gauge)) => recording.tunnel_gauge(path, gauge),
                    Some(Err(error)) => tracing::debug!(%error, "a sample of the tunnel's sockets was lost"),
                    None => {}
                }
            }
        }
    }
}

fn record(news: News, handled: &mut u64, path: PathId, at: Moment, recording: &RecordingHandle) {
    let turn = |kind| TunnelLifeEvent {
        at,
        kind,
        member: MEMBER,
        reason: None,
    };
    match news {
        News::Started => recording.tunnel_life(path, turn(TunnelLife::Started)),
        News::Ready => recording.tunnel_life(path, turn(TunnelLife::Ready)),
        News::Exited(code) => recording.tunnel_life(path, turn(TunnelLife::Exited(Some(code)))),
        News::Line(line) => {
            let reading = lines::read(&line.text);
            if reading.meaning == TunnelMeaning::Handling {
                // Counted, as for a real kubectl: thousands of them say nothing that the count does not.
                *handled += 1;
                return;
            }
            recording.tunnel_line(
                path,
                TunnelLine {
                    at,
                    member: MEMBER,
                    meaning: reading.meaning,
                    local_port: reading.local_port,
                    remote_port: reading.remote_port,
                    text: line.text,
                },
            );
        }
    }
}

/// One look at the listener, the tunnel's connection and the forward's local connections.
fn look(
    diag: &mut SockDiag,
    local: SocketAddr,
    server: SocketAddr,
    at: Moment,
    handled: u64,
) -> Result<TunnelGauge, SockDiagError> {
    let of_port = |port, states, tcp_info| Query {
        family: Family::V4,
        states,
        local_port: Some(port),
        tcp_info,
    };
    let mut accept_queue = 0;
    diag.dump(of_port(local.port(), States::listening(), false), |entry| {
        accept_queue = entry.recv_queue.max(accept_queue);
    })?;
    let (mut local_connections, mut stalled_readers, mut worst) = (0, 0, None);
    let (mut abandoned, mut unread_connections) = (0, 0);
    diag.dump(of_port(local.port(), States::connected(), false), |entry| {
        local_connections += 1;
        abandoned += u32::from(entry.abandoned());
        unread_connections += u32::from(entry.unread());
        if entry.send_queue > 0 {
            stalled_readers += 1;
            worst = worst.max(Some((entry.send_queue, entry.remote.port())));
        }
    })?;
    let tunnel = tunnel_socket(diag, server, of_port)?;
    let info = tunnel.as_ref().and_then(|tunnel| tunnel.tcp_info.as_ref());
    let of_tunnel =
        |value: Option<u32>| value.map_or(Observation::Unseen(WhyUnseen::NeverHappened), Observation::Seen);
    let millis = |micros: Option<u64>| micros.map(|micros| u32::try_from(micros / 1_000).unwrap_or(u32::MAX));
    Ok(TunnelGauge {
        at,
        member: MEMBER,
        handled: Observation::Seen(handled),
        lines_omitted: 0,
        accept_queue,
        tunnel_recv_queue: of_tunnel(tunnel.as_ref().map(|tunnel| tunnel.recv_queue)),
        tunnel_send_queue: of_tunnel(tunnel.as_ref().map(|tunnel| tunnel.send_queue)),
        tunnel_unacked: of_tunnel(info.map(|info| info.unacked)),
        tunnel_peer_window: of_tunnel(info.and_then(|info| info.snd_wnd)),
        tunnel_retransmits: of_tunnel(info.map(|info| info.total_retrans)),
        tunnel_last_ack: of_tunnel(info.map(|info| info.last_ack_recv_ms))
            .map(|ms| Span::from_millis(ms.into())),
        tunnel_last_received: of_tunnel(info.map(|info| info.last_data_recv_ms))
            .map(|ms| Span::from_millis(ms.into())),
        tunnel_rwnd_limited_ms: of_tunnel(millis(info.and_then(|info| info.rwnd_limited_us))),
        tunnel_busy_ms: of_tunnel(millis(info.and_then(|info| info.busy_us))),
        tunnel_rtt: of_tunnel(info.map(|info| info.rtt_us)).map(|micros| Span::from_micros(micros.into())),
        local_connections,
        stalled_readers,
        worst_reader: worst.map_or(Observation::Unseen(WhyUnseen::NeverHappened), |(_, port)| {
            Observation::Seen(port)
        }),
        descriptors: Observation::Unseen(WhyUnseen::NotWatched),
        descriptor_limit: Observation::Unseen(WhyUnseen::NotWatched),
        stopped: Observation::Unseen(WhyUnseen::NotWatched),
        cpu_ms: Observation::Unseen(WhyUnseen::NotWatched),
        cpu_wait_ms: Observation::Unseen(WhyUnseen::NotWatched),
        output_blocked: Observation::Unseen(WhyUnseen::NotWatched),
        abandoned: Observation::Seen(abandoned),
        unread_connections: Observation::Seen(unread_connections),
    })
}

/// kubectl's end of the tunnel: of the connections to the API server, which all end in this process, the one that
/// carried most.
fn tunnel_socket(
    diag: &mut SockDiag,
    server: SocketAddr,
    of_port: impl Fn(u16, States, bool) -> Query,
) -> Result<Option<SocketEntry>, SockDiagError> {
    let mut far_ports = Vec::new();
    diag.dump(of_port(server.port(), States::connected(), false), |entry| {
        far_ports.push(entry.remote.port());
    })?;
    let mut tunnel: Option<(u64, SocketEntry)> = None;
    for port in far_ports {
        diag.dump(of_port(port, States::connected(), true), |entry| {
            let carried = entry.tcp_info.as_ref().map_or(0, |info| {
                info.bytes_acked.unwrap_or(0) + info.bytes_received.unwrap_or(0)
            });
            if entry.remote == server && tunnel.as_ref().is_none_or(|(most, _)| carried > *most) {
                tunnel = Some((carried, entry));
            }
        })?;
    }
    Ok(tunnel.map(|(_, entry)| entry))
}
