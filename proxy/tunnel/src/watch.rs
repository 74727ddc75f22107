//! A forward that somebody else runs: found by its port, then watched as far as that goes without its output.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;
use std::time::Duration;

use hopscope_attribution::evidence::tunnel::{TunnelLife, TunnelProcess};
use hopscope_attribution::evidence::{Observation, WhyUnseen};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::gauge::{self, Sampling};
use super::kubectl;
use super::owner::{self, Listener};
use super::report::{Clock, Reporter, Sink, TunnelReport};
use hopscope_host::process;

/// How often it is looked whether the same process still listens.
const LOOK: Duration = Duration::from_millis(250);

/// How long the end of a watch waits for what is being found out.
const LAST_DESCRIPTION: Duration = Duration::from_secs(2);

/// A watch over a forward that somebody else runs. It ends when this is dropped; the forward does not.
pub struct Watch {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches whatever listens at `address` on this host, on a thread of its own, from now on. Nothing about the
    /// forward is an error here: what cannot be seen is reported as unseen, with the reason.
    ///
    /// # Errors
    /// Where there is no thread to be had.
    pub fn start(address: SocketAddr, clock: Clock, sink: Sink) -> io::Result<Self> {
        let (stop, stopping) = watch::channel(false);
        let reporter = Reporter::new(clock, sink, 0);
        let gauges = if !cfg!(target_os = "linux") {
            Observation::Unseen(WhyUnseen::NotSupported)
        } else if !(address.ip().is_loopback() || address.ip().is_unspecified()) {
            // It may be on another host, where nothing can be seen from here.
            Observation::Unseen(WhyUnseen::NotWatched)
        } else {
            Observation::Seen(())
        };
        reporter.tell(watched(Observation::default(), gauges));
        let thread = match gauges {
            Observation::Seen(()) => {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                let watcher = Watcher {
                    address,
                    reporter,
                    present: None,
                    descriptions: JoinSet::new(),
                };
                let thread = std::thread::Builder::new().name("tunnel-watch".to_owned());
                Some(thread.spawn(move || runtime.block_on(watcher.live(stopping)))?)
            }
            Observation::Unseen(_) => None,
        };
        Ok(Self { stop, thread })
    }

    /// Ends the watch and returns when its last report is out.
    pub fn stop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watches a forward has panicked");
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

fn watched(kubectl_version: Observation<String>, gauges: Observation<()>) -> TunnelReport {
    TunnelReport::Watched {
        kubectl_version,
        lines: Observation::Unseen(WhyUnseen::NotWatched),
        gauges,
    }
}

/// Which process listens, and how the two loopback addresses are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Subject {
    /// The forward's process, where it is ours to look at.
    pid: Option<u32>,
    on_ipv4: Listener,
    on_ipv6: Listener,
}

struct Watcher {
    address: SocketAddr,
    reporter: Reporter,
    present: Option<(Subject, Sampling)>,
    descriptions: JoinSet<()>,
}

impl Watcher {
    async fn live(mut self, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _tick = ticks.tick() => self.look(),
                told = stop.wait_for(|stop| *stop) => {
                    drop(told);
                    // A short run shall not lose what was found out at its start.
                    let described = async { while self.descriptions.join_next().await.is_some() {} };
                    if tokio::time::timeout(LAST_DESCRIPTION, described).await.is_err() {
                        tracing::debug!("the forward's process did not tell its version in time");
                    }
                    return;
                }
            }
        }
    }

    fn look(&mut self) {
        let listeners = match owner::listeners(self.address.port()) {
            Ok(listeners) => listeners,
            Err(error) => {
                tracing::debug!(%error, "the forward's listener could not be looked up");
                return;
            }
        };
        let subject = subject(self.address, listeners);
        let before = self.present.as_ref().map(|(subject, _)| *subject);
        if subject == before {
            return;
        }
        if self.present.take().is_some() {
            self.reporter.life(TunnelLife::Exited(None));
        }
        // The listener of a process that is just ending belongs to nobody who can be looked at: it is gone by the next look.
        let ending =
            |subject: &Subject| subject.pid.is_none() && before.is_some_and(|before| before.pid.is_some());
        if let Some(subject) = subject.filter(|subject| !ending(subject)) {
            self.reporter.life(TunnelLife::Found);
            self.describe(subject);
            let sampling = gauge::sample_found(subject.pid, self.address.port(), &self.reporter);
            self.present = Some((subject, sampling));
        }
    }

    /// Tells what the process is, on a task of its own: asking it for its version takes time.
    fn describe(&mut self, subject: Subject) {
        let (reporter, port, at) = (self.reporter.clone(), self.address.port(), self.reporter.now());
        self.descriptions.spawn(async move {
            let hidden = Observation::Unseen(WhyUnseen::NotPermitted);
            let is_kubectl = subject.pid.map_or(hidden, owner::is_kubectl);
            let version = match (is_kubectl, subject.pid) {
                (Observation::Seen(true), Some(pid)) => kubectl::version(&process::program(pid)).await,
                (Observation::Seen(_), _) => Observation::Unseen(WhyUnseen::NeverHappened),
                (Observation::Unseen(why), _) => Observation::Unseen(why),
            };
            // A stranger's pid is never equal to that of a forward that we cannot see.
            let forward = subject.pid.unwrap_or_default();
            reporter.tell(watched(version.clone(), Observation::Seen(())));
            reporter.tell(TunnelReport::Process(TunnelProcess {
                at,
                member: 0,
                pid: subject
                    .pid
                    .map_or(Observation::Unseen(WhyUnseen::NotPermitted), Observation::Seen),
                command: subject
                    .pid
                    .map_or(Observation::Unseen(WhyUnseen::NotPermitted), process::command)
                    // Somebody else's command line may hold a token.
                    .map(|words| hopscope_secret::command::redacted(&words).join(" ")),
                is_kubectl,
                version,
                local_port: port,
                on_ipv4: Observation::Seen(subject.on_ipv4.seen_from(forward)),
                on_ipv6: Observation::Seen(subject.on_ipv6.seen_from(forward)),
                // The API is not asked on behalf of whoever runs it: its command line says what it says.
                pod: subject
                    .pid
                    .map_or(Observation::Unseen(WhyUnseen::NotPermitted), process::command)
                    .seen()
                    .filter(|_| is_kubectl == Observation::Seen(true))
                    .and_then(|words| owner::named_pod(words))
                    .map_or(Observation::Unseen(WhyUnseen::NotWatched), Observation::Seen),
                node: Observation::Unseen(WhyUnseen::NotWatched),
                runtime: Observation::Unseen(WhyUnseen::NotWatched),
            }));
        });
    }
}

/// The forward among the listeners. Where the address that is used belongs to something else and the other loopback
/// address to a kubectl, that kubectl is meant, and its connections go astray.
fn subject(address: SocketAddr, (on_ipv4, on_ipv6): (Listener, Listener)) -> Option<Subject> {
    let uses_ipv4 = match address {
        SocketAddr::V4(_) => true,
        SocketAddr::V6(address) => address.ip().to_ipv4_mapped() == Some(Ipv4Addr::LOCALHOST),
    };
    let (used, other) = if uses_ipv4 {
        (on_ipv4, on_ipv6)
    } else {
        (on_ipv6, on_ipv4)
    };
    let is_kubectl = |listener| match listener {
        Listener::Process(pid) => owner::is_kubectl(pid) == Observation::Seen(true),
        Listener::Nobody | Listener::Stranger => false,
    };
    let forward = if !is_kubectl(used) && is_kubectl(other) {
        other
    } else {
        used
    };
    let pid = match forward {
        Listener::Nobody => return None,
        Listener::Process(pid) => Some(pid),
        Listener::Stranger => None,
    };
    Some(Subject {
        pid,
        on_ipv4,
        on_ipv6,
    })
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
