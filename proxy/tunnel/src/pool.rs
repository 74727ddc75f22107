//! The tunnel as the proxy sees it: started, asked for an upstream, stopped.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use hopscope_attribution::evidence::{Observation, WhyUnseen};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::kubectl;
use super::member::{DESCRIPTION_LIMIT, Member, RestartPolicy};
use super::report::{Clock, Reporter, Sink, TunnelReport};
use super::start_error::TunnelStartError;
use super::target::Target;
use super::upstreams::Upstreams;

/// A running pool of kubectls. They end when this is dropped, and when hopscope dies in whatever way.
pub struct Tunnel {
    upstreams: Arc<Upstreams>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Tunnel {
    /// Starts the pool on a thread of its own, so that no load on the proxy can keep kubectl's pipes from being
    /// drained, and waits until every member listens: some 100 ms, at most 75 s.
    ///
    /// # Errors
    /// Where a kubectl cannot be run or does not open the forward. Then none is left running.
    pub fn start(
        target: Target,
        policy: RestartPolicy,
        clock: Clock,
        sink: Sink,
    ) -> Result<Self, TunnelStartError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(TunnelStartError::NoThread)?;
        let upstreams = Arc::new(Upstreams::new(target.pool.get()));
        let (stop, stopping) = watch::channel(false);
        let (started, outcome) = mpsc::channel();
        let pool = Pool {
            target: Arc::new(target),
            policy,
            clock,
            sink,
            upstreams: upstreams.clone(),
            stop: stopping,
        };
        let thread = std::thread::Builder::new()
            .name("tunnel".to_owned())
            .spawn(move || runtime.block_on(pool.live(started)))
            .map_err(TunnelStartError::NoThread)?;
        let tunnel = Self {
            upstreams,
            stop,
            thread: Some(thread),
        };
        match outcome.recv() {
            Ok(Ok(())) => Ok(tunnel),
            Ok(Err(error)) => Err(error),
            Err(mpsc::RecvError) => Err(TunnelStartError::NoThread(io::Error::other("it ended at once"))),
        }
    }

    /// Where the next connection goes, and which member that is; `None` while no kubectl listens, which a client of
    /// the forward itself would meet as a refused connection. Costs a few atomic operations.
    pub fn upstream(&self) -> Option<(SocketAddr, u16)> {
        self.upstreams.pick()
    }

    /// How many members of the pool are up.
    pub fn up(&self) -> usize {
        self.upstreams.up()
    }

    /// Ends every kubectl, and returns once they are gone and their last words are reported: about a second at most.
    pub fn stop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watches kubectl has panicked");
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel")
            .field("upstreams", &self.upstreams)
            .finish_non_exhaustive()
    }
}

/// What the pool's thread owns.
struct Pool {
    target: Arc<Target>,
    policy: RestartPolicy,
    clock: Clock,
    sink: Sink,
    upstreams: Arc<Upstreams>,
    stop: watch::Receiver<bool>,
}

impl Pool {
    async fn live(self, started: mpsc::Sender<Result<(), TunnelStartError>>) {
        self.tell_watched(Observation::default());
        let (version, known) = watch::channel(Observation::default());
        let mut members = JoinSet::new();
        let mut firsts = Vec::new();
        for member in 0..self.target.pool.get() {
            let (first, outcome) = oneshot::channel();
            firsts.push(outcome);
            let member = Member {
                target: self.target.clone(),
                policy: self.policy,
                reporter: Reporter::new(self.clock.clone(), self.sink.clone(), member),
                upstreams: self.upstreams.clone(),
                version: known.clone(),
                stop: self.stop.clone(),
                because: None,
            };
            members.spawn(member.live(first));
        }
        let asking = async {
            let answer = kubectl::version(&self.target.kubectl).await;
            self.tell_watched(answer.clone());
            version.send_replace(answer);
        };
        let starting = async {
            let mut outcome = Ok(());
            for first in firsts {
                outcome = outcome.and(first.await.unwrap_or(Ok(())));
            }
            if started.send(outcome).is_err() {
                tracing::debug!("nobody waits for the tunnel any more");
            }
        };
        let mut stop = self.stop.clone();
        let living = async {
            while let Some(ended) = members.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a task that watches kubectl has panicked");
                }
            }
            // Members that were left down have ended; their words and replaced ones may still come.
            let told = stop.wait_for(|stop| *stop).await;
            drop(told);
        };
        tokio::join!(starting, living, async {
            let mut stop = self.stop.clone();
            tokio::select! {
                () = asking => {}
                // The end of a short run leaves it some time still.
                () = async {
                    drop(stop.wait_for(|stop| *stop).await);
                    tokio::time::sleep(DESCRIPTION_LIMIT).await;
                } => {}
            }
        });
    }

    fn tell_watched(&self, kubectl_version: Observation<String>) {
        let gauges = if cfg!(target_os = "linux") {
            Observation::Seen(())
        } else {
            Observation::Unseen(WhyUnseen::NotSupported)
        };
        (self.sink)(TunnelReport::Watched {
            kubectl_version,
            lines: Observation::Seen(()),
            gauges,
        });
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
