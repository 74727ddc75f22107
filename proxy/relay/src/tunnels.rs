//! The forwards that a session's paths run through: those that it runs, and those that it finds running.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use hopscope_attribution::evidence::{Moment, PathId, PathKind};

use super::clock::RunClock;
use super::session::{Config, StartError};
use hopscope_recording::{RecordingHandle, TunnelWatch};
use hopscope_tunnel::paths::Target;
use hopscope_tunnel::{Clock, Sink, Tunnel, TunnelReport, Watch};

/// All forwards of a session. They are ended, or no longer watched, when this is dropped.
#[derive(Debug)]
pub(super) struct Tunnels {
    /// One entry a path; `None` where hopscope does not run the forward.
    run: Vec<Option<Arc<Tunnel>>>,
    watched: Vec<Watch>,
}

impl Tunnels {
    /// Starts the forwards of the `kubectl:` paths and waits until they listen; begins to watch those that run
    /// already.
    pub(super) fn start(
        config: &Config,
        clock: RunClock,
        recording: &RecordingHandle,
    ) -> Result<Self, StartError> {
        let mut tunnels = Self {
            run: Vec::new(),
            watched: Vec::new(),
        };
        for (index, via) in config.vias.iter().enumerate() {
            let path = PathId(u8::try_from(index).unwrap_or(u8::MAX));
            let now: Clock = Arc::new(move || -> Moment { clock.now() });
            let sink = sink(path, recording.clone());
            let running = match &via.target {
                Target::Kubectl(target) => Some(Arc::new(Tunnel::start(
                    target.clone(),
                    config.tunnel_restart,
                    now,
                    sink,
                )?)),
                Target::Endpoint(endpoint) => {
                    if config.watch_forwards
                        && via.path().kind == PathKind::Tunnel
                        && let Some(address) = watched(&endpoint.host, endpoint.port)
                    {
                        let watch = Watch::start(address, now, sink);
                        tunnels.watched.push(watch.map_err(|source| StartError::System {
                            what: "start a thread",
                            source,
                        })?);
                    }
                    None
                }
            };
            tunnels.run.push(running);
        }
        Ok(tunnels)
    }

    /// The forward that hopscope runs for a path, if it does.
    pub(super) fn of(&self, path: usize) -> Option<Arc<Tunnel>> {
        self.run.get(path).cloned().flatten()
    }
}

/// The address of a forward that may run on this host. A name such as `localhost` has two, and a forward that got only
/// one of them is found by either; kubectl takes IPv4 first.
fn watched(host: &str, port: u16) -> Option<SocketAddr> {
    if let Ok(ip) = host.parse() {
        return Some(SocketAddr::new(ip, port));
    }
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().ok()?.collect();
    let of_this_host = addresses.iter().filter(|address| address.ip().is_loopback());
    of_this_host.min_by_key(|address| address.is_ipv6()).copied()
}

/// Hands what is seen of a path's forward to the recording.
fn sink(path: PathId, recording: RecordingHandle) -> Sink {
    Arc::new(move |report| match report {
        TunnelReport::Watched {
            kubectl_version,
            lines,
            gauges,
        } => recording.tunnel_watched(
            path,
            hopscope_attribution::evidence::Observation::Seen(TunnelWatch {
                kubectl_version,
                lines,
                gauges,
            }),
        ),
        TunnelReport::Line(line) => recording.tunnel_line(path, line),
        TunnelReport::Gauge(gauge) => recording.tunnel_gauge(path, gauge),
        TunnelReport::Life(event) => recording.tunnel_life(path, event),
        TunnelReport::Process(process) => recording.tunnel_process(path, process),
    })
}
