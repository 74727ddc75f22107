//! A whole path on one host: application, cluster, real kubectl, hopscope; and the load on it.

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use hopscope_tests::application::Application;
use hopscope_tests::client::{self, Outcome};
use hopscope_tests::cluster::{Cluster, POD_PORT};
use hopscope_tests::hopscope::Hopscope;
use hopscope_tests::kubectl::Kubectl;
use hopscope_tests::process;
use hopscope_tests::report::{Charged, Report};

/// Long enough for anything that is to come, on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The parts of a path, up and proven to work.
pub(crate) struct Stage {
    pub(crate) application: Application,
    pub(crate) cluster: Cluster,
    pub(crate) hopscope: Hopscope,
}

impl Stage {
    /// Builds the path with this kubectl and these words for the cluster and for hopscope, and sends one request.
    pub(crate) fn build(kubectl: &Kubectl, cluster: &[&str], hopscope: &[&str]) -> Result<Self> {
        let application = Application::start()?;
        let cluster = Cluster::start(application.address(), cluster)?;
        let via = format!(
            "tunnel=kubectl:pod/web:{POD_PORT}?kubeconfig={}&kubectl={}",
            cluster.kubeconfig().display(),
            kubectl.path.display()
        );
        let hopscope = Hopscope::proxy(&via, cluster.folder(), hopscope)?;
        let stage = Self {
            application,
            cluster,
            hopscope,
        };
        stage.expect_ok()?;
        Ok(stage)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.hopscope.address()
    }

    /// One request that must succeed.
    pub(crate) fn expect_ok(&self) -> Result<()> {
        let outcome = client::get(self.address(), "/ok", PATIENCE);
        ensure!(
            outcome == Outcome::Answered(200),
            "a plain request was not answered: {outcome:?}"
        );
        Ok(())
    }

    /// Requests that are under way until the path fails, each on a thread of its own; they have reached the
    /// application when this returns.
    pub(crate) fn waiting(&self, count: usize) -> Result<Waiting> {
        let (sender, outcomes) = mpsc::channel();
        let before = self.application.asked();
        for _ in 0..count {
            let (address, sender) = (self.address(), sender.clone());
            thread::spawn(move || sender.send(client::get(address, "/silent", Duration::from_mins(2))));
        }
        self.application
            .wait_until_asked(before + count as u64, PATIENCE)?;
        Ok(Waiting { outcomes, count })
    }

    /// Waits until the cluster's list of what happened names something.
    pub(crate) fn eventually_lists(&mut self, what: &str) -> Result<()> {
        eventually(what, PATIENCE, || {
            Ok(self.cluster.order("truth")?.to_string().contains(what))
        })
    }

    /// The kubectl that hopscope runs.
    pub(crate) fn kubectl_pid(&self) -> Result<u32> {
        match process::children(self.hopscope.id(), &["port-forward"])?.as_slice() {
            [pid] => Ok(*pid),
            found => bail!("hopscope runs {} kubectls", found.len()),
        }
    }

    /// Stops hopscope and checks what it says.
    pub(crate) fn judge(self, expected: &[Expected]) -> Result<()> {
        let Self {
            hopscope,
            application,
            cluster,
        } = self;
        let report = hopscope.finish()?;
        let verdict = check(&report, expected);
        drop((application, cluster));
        verdict
    }
}

/// Requests that are under way.
pub(crate) struct Waiting {
    outcomes: Receiver<Outcome>,
    count: usize,
}

impl Waiting {
    /// Waits until all of them are over, none answered.
    pub(crate) fn all_fail(self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        for _ in 0..self.count {
            let outcome = self
                .outcomes
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))?;
            ensure!(
                !matches!(outcome, Outcome::Answered(_) | Outcome::TimedOut),
                "{outcome:?}"
            );
        }
        Ok(())
    }
}

/// What the report must say.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// Hop and cause of the verdict.
    Verdict(&'static str),
    /// Failures of a cause, and how many of them were victims.
    Charged(&'static str, Charged),
    /// At least so many failures of a cause.
    AtLeast(&'static str, u64),
    /// Nothing is charged with it.
    Innocent(&'static str),
}

fn check(report: &Report, expected: &[Expected]) -> Result<()> {
    for expected in expected {
        let holds = match *expected {
            Expected::Verdict(verdict) => report.verdict() == verdict,
            Expected::Charged(cause, charged) => report.charged(cause) == charged,
            Expected::AtLeast(cause, failures) => report.charged(cause).failures >= failures,
            Expected::Innocent(cause) => report.charged(cause).failures == 0,
        };
        ensure!(
            holds,
            "the report does not say {expected:?}; it says\n{}",
            report.shown()
        );
    }
    Ok(())
}

/// Failures, and how many of them were victims.
pub(crate) const fn of(failures: u64, victims: u64) -> Charged {
    Charged { failures, victims }
}

/// Asks again until something holds.
pub(crate) fn eventually(what: &str, limit: Duration, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !holds()? {
        ensure!(Instant::now() < deadline, "{what}: not within {limit:?}");
        thread::park_timeout(Duration::from_millis(50));
    }
    Ok(())
}
