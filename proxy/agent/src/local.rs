//! The same probes on this machine for the length of a run: what `run` and `proxy` use where they may.

use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hopscope_attribution::evidence::{NodeEvidence, Observation, Span, WhyUnseen};
use tokio::sync::oneshot;

use super::evidence::Journal;
use super::join::{self, Clock, Recorded, join};
use super::{Agent, Config};

/// Loading that takes longer is told: the run began so much later.
const LONG: Duration = Duration::from_millis(200);

/// An agent in a thread of its own, that answers nobody.
#[derive(Debug)]
pub struct LocalProbes {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Journal>,
    told: Vec<String>,
    attached: bool,
    took: Duration,
}

impl LocalProbes {
    /// Loads the probes and begins to watch. Without the privilege it watches nothing, and says so.
    ///
    /// # Errors
    /// When no thread or event loop can be had.
    pub fn start(config: Config) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (started, starting) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("local-probes".to_owned())
            .spawn(move || {
                let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        // The caller waits for this, and goes on without us.
                        drop(started.send(Err(error)));
                        return Journal::default();
                    }
                };
                let agent = Agent::watch(config);
                drop(started.send(Ok((agent.told(), agent.has_probes()))));
                if !agent.has_probes() {
                    // What /proc alone tells is of no use to a recording, and costs.
                    return Journal::default();
                }
                let stop = async {
                    // A caller that is gone wants us to stop as well.
                    drop(stopped.await);
                };
                tokio::task::LocalSet::new().block_on(&runtime, agent.run(stop))
            })?;
        let began = Instant::now();
        let answer = starting.recv().map_err(io::Error::other)?;
        let (told, attached) = answer?;
        Ok(Self {
            stop,
            thread,
            told,
            attached,
            took: began.elapsed(),
        })
    }

    /// What works here and what does not, a line each.
    pub fn told(&self) -> &[String] {
        &self.told
    }

    /// Whether any probe runs.
    pub const fn attached(&self) -> bool {
        self.attached
    }

    /// What works here and what does not, in one line.
    pub fn summary(&self) -> String {
        let refused: Vec<_> = self
            .told
            .iter()
            .filter(|line| line.contains(": not attached"))
            .collect();
        let attached = self.told.iter().filter(|line| line.ends_with(": attached"));
        let all = attached.count() + refused.len();
        let took = if self.took > LONG {
            format!(", loaded in {} ms", self.took.as_millis())
        } else {
            String::new()
        };
        match refused.as_slice() {
            // The best rung's reason; the others want more, not less.
            _ if !self.attached => format!(
                "this host's kernel is not watched: {}",
                self.told
                    .first()
                    .map_or("no probe could be loaded", String::as_str)
            ),
            [] => format!("this host's kernel is watched by {all} probes{took}"),
            [first, ..] => format!(
                "this host's kernel is watched by {} of {all} probes{took}; {first}",
                all - refused.len()
            ),
        }
    }

    /// Stops, and joins what was seen to the connections of the recording, which began at `began_unix_us`.
    pub fn finish(self, recorded: Recorded<'_>, began_unix_us: u64) -> Observation<NodeEvidence> {
        // A thread that is gone already is found out by its join.
        let _gone_already = self.stop.send(());
        let Ok(journal) = self.thread.join() else {
            return Observation::Unseen(WhyUnseen::EvidenceLost);
        };
        if !self.attached {
            return Observation::Unseen(WhyUnseen::NotPermitted);
        }
        let (lines, forgotten) = journal.into_lines();
        // One host, one clock.
        let clock = Clock {
            began_unix_us,
            error: Span::ZERO,
        };
        let (mut evidence, _) = join(&lines, None, recorded, clock);
        evidence.windows.extend(join::given_up(&forgotten, clock));
        Observation::Seen(evidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_probes_nothing_is_claimed_and_the_reason_is_told() {
        let config = Config {
            rung: super::super::rung::Rung::Procfs,
            ..Config::default()
        };
        let local = LocalProbes::start(config).unwrap();
        assert!(local.told()[0].contains("without eBPF"), "{:?}", local.told());
        assert!(
            local.summary().contains("is not watched: "),
            "{}",
            local.summary()
        );
        let nothing = Recorded {
            connections: &hopscope_attribution::evidence::Connections::default(),
            paths: &[],
        };
        let seen = local.finish(nothing, 0);
        assert!(matches!(seen, Observation::Unseen(WhyUnseen::NotPermitted)));
    }
}
