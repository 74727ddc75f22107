//! A whole path on one host: application, cluster, real kubectl, hopscope; and the load on it.

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hopscope_tests::application::Application;
use hopscope_tests::client::{self, Outcome};
use hopscope_tests::cluster::{Cluster, POD_PORT};
use hopscope_tests::hopscope::Hopscope;
use hopscope_tests::kubectl::{self, Kubectl};
use hopscope_tests::process;
use hopscope_tests::report::{Charged, Report};
use tempfile::TempDir;

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
        Self::build_to(&format!("pod/web:{POD_PORT}"), "", kubectl, cluster, hopscope)
    }

    /// The same with another object to forward to, and more in the target's query.
    pub(crate) fn build_to(
        object: &str,
        query: &str,
        kubectl: &Kubectl,
        cluster: &[&str],
        hopscope: &[&str],
    ) -> Result<Self> {
        let application = Application::start()?;
        let cluster = Cluster::start(application.address(), cluster)?;
        let via = format!(
            "tunnel=kubectl:{object}?kubeconfig={}&kubectl={}{query}",
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

    /// The process of hopscope itself.
    pub(crate) fn pid(&self) -> u32 {
        self.hopscope.id()
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
        match self.kubectl_pids()?.as_slice() {
            [pid] => Ok(*pid),
            found => bail!("hopscope runs {} kubectls", found.len()),
        }
    }

    /// All kubectls that hopscope runs.
    pub(crate) fn kubectl_pids(&self) -> Result<Vec<u32>> {
        process::children(self.hopscope.id(), &["port-forward"])
    }

    /// Stops hopscope and gives its report; application and cluster are there until it is written.
    pub(crate) fn finish(self) -> Result<Report> {
        let report = self.hopscope.finish()?;
        drop((self.application, self.cluster));
        Ok(report)
    }

    /// Stops hopscope and checks what it says.
    pub(crate) fn judge(self, expected: &[Expected]) -> Result<()> {
        check(&self.finish()?, expected)
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

/// Ways to the pod: kubectls, each over what it speaks.
pub(crate) struct Ways {
    ways: Vec<(String, Kubectl)>,
    _scripts: TempDir,
}

impl Ways {
    /// Every kubectl at hand, in its own way, and over plain SPDY too where that is another.
    pub(crate) fn all() -> Result<Self> {
        Self::of(kubectl::all()?)
    }

    /// The oldest and the youngest: plain and structured lines, SPDY and WebSocket.
    pub(crate) fn extremes() -> Result<Self> {
        let mut all = kubectl::all()?;
        let youngest = all.split_off(all.len().saturating_sub(1));
        all.truncate(1);
        all.extend(youngest);
        Self::of(all)
    }

    fn of(kubectls: Vec<Kubectl>) -> Result<Self> {
        let scripts = TempDir::new()?;
        let mut ways = Vec::new();
        for kubectl in kubectls {
            let minor = kubectl.minor;
            if kubectl.speaks_websocket() {
                ways.push((
                    format!("kubectl 1.{minor} over SPDY"),
                    kubectl.over_spdy(scripts.path())?,
                ));
            }
            ways.push((format!("kubectl 1.{minor}"), kubectl));
        }
        Ok(Self {
            ways,
            _scripts: scripts,
        })
    }

    /// Plays a row over each.
    pub(crate) fn each(&self, row: impl Fn(&Kubectl) -> Result<()>) -> Result<()> {
        for (way, kubectl) in &self.ways {
            row(kubectl).with_context(|| format!("with {way}"))?;
        }
        Ok(())
    }
}

/// An outcome without an answer, which was not the client's own patience either.
pub(crate) fn failed(outcome: Outcome) -> Result<()> {
    ensure!(
        !matches!(outcome, Outcome::Answered(_) | Outcome::TimedOut),
        "{outcome:?}"
    );
    Ok(())
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
    /// The report says this somewhere.
    Says(&'static str),
}

pub(crate) fn check(report: &Report, expected: &[Expected]) -> Result<()> {
    for expected in expected {
        let holds = match *expected {
            Expected::Verdict(verdict) => report.verdict() == verdict,
            Expected::Charged(cause, charged) => report.charged(cause) == charged,
            Expected::AtLeast(cause, failures) => report.charged(cause).failures >= failures,
            Expected::Innocent(cause) => report.charged(cause).failures == 0,
            Expected::Says(words) => report.mentions(words),
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
