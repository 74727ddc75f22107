//! One kubectl from its start to its end.

use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use hopscope_attribution::evidence::Moment;
use hopscope_attribution::evidence::tunnel::TunnelMeaning;
use tokio::process::Child;
use tokio::sync::watch;

use super::child;
use super::kubectl;
use super::report::Reporter;
use super::start_error::TunnelStartError;
use super::target::Target;
use super::words::{self, Counts, Said};

/// kubectl waits up to 60 s for a pod to run (`--pod-running-timeout`), and the API calls come on top.
pub(super) const READY_LIMIT: Duration = Duration::from_secs(75);

/// After its end its last words are still in the pipes; they come at once.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(2);

/// How long it may take to end when it is asked to.
const END_LIMIT: Duration = Duration::from_millis(500);

/// A running kubectl. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Forward {
    running: Child,
    pid: u32,
    pub(super) command: String,
    pub(super) counts: Arc<Counts>,
    said: watch::Receiver<Said>,
}

impl Forward {
    /// Starts kubectl and reads it from its first word on.
    pub(super) fn start(target: &Target, reporter: &Reporter) -> Result<Self, TunnelStartError> {
        let mut command = kubectl::port_forward(target);
        let shown = kubectl::shown(&command);
        let mut running = child::spawn(&mut command).map_err(|source| cannot_run(&target.kubectl, source))?;
        let (sender, said) = watch::channel(Said::default());
        let (sender, counts) = (Arc::new(sender), Arc::<Counts>::default());
        if let Some(pipe) = running.stdout.take() {
            tokio::spawn(words::drain(
                pipe,
                reporter.clone(),
                counts.clone(),
                sender.clone(),
            ));
        }
        if let Some(pipe) = running.stderr.take() {
            tokio::spawn(words::drain(pipe, reporter.clone(), counts.clone(), sender));
        }
        Ok(Self {
            // Only a child that was waited for has none, and this one was not.
            pid: running.id().unwrap_or_default(),
            running,
            command: shown,
            counts,
            said,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it listens on IPv4 and gives the local port.
    pub(super) async fn ready(&mut self, target: &Target) -> Result<u16, TunnelStartError> {
        let resource = format!("{}:{}", target.resource, target.port);
        let mut said = self.said.clone();
        let listens = async {
            let said = said.wait_for(|said| said.listening.is_some()).await.ok()?;
            said.listening
        };
        tokio::select! {
            biased;
            listening = listens => {
                if let Some(address) = listening {
                    return Ok(address.port());
                }
            }
            _status = self.running.wait() => {}
            () = tokio::time::sleep(READY_LIMIT) => {
                let words = self.said.borrow().complaint.clone().map(|(_, words)| words);
                return Err(TunnelStartError::Late { resource, after: READY_LIMIT, words });
            }
        }
        // Its pipes end a moment before it does: its exit code is wanted.
        let ended = tokio::time::timeout(LAST_WORDS_LIMIT, self.running.wait()).await;
        tracing::debug!(?ended, "kubectl ended before it listened");
        self.last_words().await;
        let complaint = self.said.borrow().complaint.clone();
        let meaning = complaint
            .as_ref()
            .map_or(TunnelMeaning::Unrecognised, |(meaning, _)| *meaning);
        Err(TunnelStartError::Refused {
            resource,
            meaning,
            words: complaint.map(|(_, words)| words),
        })
    }

    /// Waits until it has ended by itself and its last words are read; gives its exit code where it had one.
    pub(super) async fn ended(&mut self) -> Option<i32> {
        let status = self.running.wait().await;
        self.last_words().await;
        status.ok().as_ref().and_then(ExitStatus::code)
    }

    /// What it has said so far, and will say.
    pub(super) fn said(&self) -> watch::Receiver<Said> {
        self.said.clone()
    }

    /// What it said that explains why it ends, or must be replaced, at this moment.
    pub(super) fn reason(&self, at: Moment) -> Option<TunnelMeaning> {
        self.said.borrow().reason(at)
    }

    /// What it said that explains why it did not open the forward.
    pub(super) fn complaint(&self) -> Option<TunnelMeaning> {
        let said = self.said.borrow();
        said.complaint.as_ref().map(|(meaning, _)| *meaning)
    }

    /// Its exit code, when it has ended and had one.
    pub(super) fn exit_code(&mut self) -> Option<i32> {
        let status = self.running.try_wait().ok().flatten()?;
        status.code()
    }

    /// Waits until a forward has shown that new connections on it will fail from now on. May never return.
    pub(super) async fn damaged(mut said: watch::Receiver<Said>) {
        let damaged = said.wait_for(|said| said.damaged).await.is_ok();
        if !damaged {
            // Its pipes have ended: its end will be noticed elsewhere.
            std::future::pending::<()>().await;
        }
    }

    /// Ends it and everything that it started.
    pub(super) async fn end(mut self) {
        child::signal_group(self.pid, libc::SIGTERM);
        if tokio::time::timeout(END_LIMIT, self.running.wait())
            .await
            .is_err()
        {
            child::signal_group(self.pid, libc::SIGKILL);
            if tokio::time::timeout(END_LIMIT, self.running.wait())
                .await
                .is_err()
            {
                tracing::warn!(pid = self.pid, "kubectl does not end");
            }
        }
        self.last_words().await;
    }

    async fn last_words(&mut self) {
        let both = self.said.wait_for(|said| said.ended >= 2);
        // A grandchild may hold the pipes open for longer: its words are not kubectl's.
        if tokio::time::timeout(LAST_WORDS_LIMIT, both).await.is_err() {
            tracing::debug!(pid = self.pid, "kubectl's pipes outlive it");
        }
    }
}

fn cannot_run(program: &Path, source: std::io::Error) -> TunnelStartError {
    let program = program.to_owned();
    if source.kind() == std::io::ErrorKind::NotFound {
        TunnelStartError::KubectlMissing { program }
    } else {
        TunnelStartError::CannotRun { program, source }
    }
}
