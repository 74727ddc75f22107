//! Whole paths with a fault in them, and the truth about each: what the demo shows and the scorecard scores.
//!
//! A [`Scenario`] knows what it breaks and what a diagnosis should say. [`Scenario::stage`] builds the path, without
//! the generator: whoever stages it puts hopscope before [`Staged::paths`] and lets [`Staged::load`] run against it.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use hopscope_attribution::cause::Cause;

use crate::fault::{GroundTruth, Window};
use crate::generator::{Load, Totals};

mod application;
mod balancers;
mod clients;
mod forward;
mod paths;
mod seed;
mod shop;
mod stage;
mod tunnels;

pub use forward::{Forward, News};
pub use stage::{Parameters, Stage};

/// What a diagnosis should say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing fails.
    Healthy,
    /// Most failures have this cause.
    Cause(Cause),
}

/// A path, the fault in it, and the truth about it.
pub struct Scenario {
    /// The word that chooses it.
    pub name: String,
    /// What is broken, for a person.
    pub broken: String,
    /// What the verdict should be.
    pub answer: Answer,
    /// Whether `hopscope demo` offers it.
    pub shown: bool,
    /// What can be known of it from where hopscope stands, where that is less than the truth: the best possible charge,
    /// and why no better one is.
    pub knowable: Option<(Cause, &'static str)>,
    /// Constants that are shorter than real ones, for a person.
    pub scaled: Option<&'static str>,
    /// How long it runs at speed 1.
    pub length: Duration,
    /// Whether it takes its time at any speed: what it shows needs waits that the evidence can tell from noise.
    pub unhurried: bool,
    build: Build,
}

type Building = Pin<Box<dyn Future<Output = io::Result<Staged>> + Send>>;
type Build = Box<dyn Fn(Stage) -> Building + Send + Sync>;

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scenario")
            .field("name", &self.name)
            .field("answer", &self.answer)
            .finish_non_exhaustive()
    }
}

/// One way to the application, ready to be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedPath {
    /// Its name, which says its kind: `tunnel`, `lb` or `direct`.
    pub name: &'static str,
    /// Where it begins.
    pub address: SocketAddr,
}

/// What is done to hopscope itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ordeal {
    /// Nothing.
    #[default]
    None,
    /// Its threads get only the CPU time that nobody else wants, and others want all of it.
    Starved(Window),
}

/// A path that is ready. Everything on it ends when this is dropped.
pub struct Staged {
    /// The ways to the application.
    pub paths: Vec<StagedPath>,
    /// The load; its address is for whoever puts hopscope in between.
    pub load: Load,
    /// The cause of failures that no part could note, because no request reached it: refused, dropped, cut off.
    pub unseen: Option<Cause>,
    /// What is done to hopscope.
    pub ordeal: Ordeal,
    /// The forward of the path called `tunnel`, where there is one.
    pub forward: Option<Forward>,
    /// When one more client asks for a large answer and does not read it.
    pub hog: Option<Window>,
    /// Where hits are noted.
    pub truth: GroundTruth,
    parts: Vec<Box<dyn Any + Send>>,
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged")
            .field("paths", &self.paths)
            .field("parts", &self.parts.len())
            .finish_non_exhaustive()
    }
}

impl Scenario {
    fn new<F>(name: &str, broken: &str, answer: Answer, build: F) -> Self
    where
        F: Fn(Stage) -> Building + Send + Sync + 'static,
    {
        Self {
            name: name.to_owned(),
            broken: broken.to_owned(),
            answer,
            shown: false,
            knowable: None,
            scaled: None,
            length: Duration::from_secs(12),
            unhurried: false,
            build: Box::new(build),
        }
    }

    fn shown(mut self) -> Self {
        self.shown = true;
        self
    }

    const fn known_as(mut self, charge: Cause, why: &'static str) -> Self {
        self.knowable = Some((charge, why));
        self
    }

    fn scaled(mut self, constants: &'static str) -> Self {
        self.scaled = Some(constants);
        self
    }

    fn unhurried(mut self) -> Self {
        self.unhurried = true;
        self
    }

    const fn lasting(mut self, seconds: u64) -> Self {
        self.length = Duration::from_secs(seconds);
        self
    }

    /// Builds the path, for a run that is so many times shorter than the scenario's own length. To be called on the
    /// event loop that is to run it.
    ///
    /// # Errors
    /// When the machine has no port or descriptor left.
    pub async fn stage(
        &self,
        seed: u64,
        level: f64,
        times_faster: f64,
        parameters: Parameters,
    ) -> io::Result<Staged> {
        let times_faster = if self.unhurried {
            1.0
        } else {
            times_faster.clamp(0.1, 100.0)
        };
        let stage = Stage {
            seed,
            level,
            length: self.length.div_f64(times_faster),
            parameters,
            truth: GroundTruth::new(),
        };
        (self.build)(stage).await
    }
}

impl Staged {
    fn keep(mut self, part: impl Any + Send) -> Self {
        self.parts.push(Box::new(part));
        self
    }

    /// The true cause of every failure that the client saw: what the parts noted, and the rest as [`Self::unseen`].
    ///
    /// More may be noted than was seen to fail, when the client gave up first or a flow that nobody used was cut; then
    /// the noted causes share what was seen.
    pub fn true_causes(&self, totals: &Totals) -> BTreeMap<Cause, u64> {
        let failed = totals.failed();
        let mut causes = BTreeMap::new();
        let mut left = failed;
        let noted = self.truth.counts();
        let all_noted: u64 = noted.values().sum();
        for (cause, count) in noted {
            let count = if all_noted > failed {
                count * failed / all_noted
            } else {
                count
            };
            if count > 0 {
                causes.insert(cause, count);
                left -= count;
            }
        }
        if left > 0 {
            let rest = self.unseen.or_else(|| {
                causes
                    .iter()
                    .max_by_key(|(_, count)| **count)
                    .map(|(cause, _)| *cause)
            });
            if let Some(rest) = rest {
                *causes.entry(rest).or_default() += left;
            }
        }
        causes
    }
}

/// A client that asks for `path` and reads none of the answer until the window closes; then it goes away.
///
/// # Errors
/// When it gets no connection.
pub async fn hog(address: SocketAddr, path: &str, truth: &GroundTruth, window: Window) -> io::Result<()> {
    tokio::time::sleep(window.from.saturating_sub(truth.now())).await;
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await?;
    let until = window.until.unwrap_or(Duration::MAX);
    tokio::time::sleep(until.saturating_sub(truth.now())).await;
    Ok(())
}

/// Every scenario, in the order in which a list shows them.
pub fn all() -> Vec<Scenario> {
    let mut all = vec![seed::seed()];
    all.extend(tunnels::scenarios());
    all.extend(application::scenarios());
    all.extend(balancers::scenarios());
    all.extend(paths::scenarios());
    all.extend(clients::scenarios());
    all
}

/// The scenario of that name.
pub fn find(name: &str) -> Option<Scenario> {
    all().into_iter().find(|scenario| scenario.name == name)
}

#[cfg(test)]
mod tests;
