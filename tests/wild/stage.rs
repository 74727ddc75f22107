//! The parts of a play as real processes, each in front of the one before it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hopscope_tests::cluster::Cluster;
use hopscope_tests::process::{self, Process};
use hopscope_tests::server::certificate;

use crate::freezer::Frozen;
use crate::ground::Ground;
use crate::parts::Spot;
use crate::play::{Deed, Part, Play};

const START: Duration = Duration::from_mins(1);

/// Everything behind hopscope.
#[derive(Debug)]
pub(crate) struct Stage {
    ground: Ground,
    folder: PathBuf,
    /// Before what it holds: a frozen process cannot be killed.
    frozen: Vec<Frozen>,
    standing: Vec<Standing>,
    cluster: Option<Cluster>,
    /// Whether hopscope runs the kubectl of this path.
    hopscope_runs_kubectl: bool,
}

/// One part.
#[derive(Debug)]
struct Standing {
    part: Part,
    process: Option<Process>,
    address: SocketAddr,
    /// Of the part before it.
    target: SocketAddr,
}

impl Stage {
    /// Sets every part up; `through` says whether hopscope will stand in front.
    pub(crate) fn set(play: &Play, folder: &Path, through: bool) -> Result<Self> {
        let mut stage = Self {
            ground: Ground::lay(play)?,
            folder: folder.to_owned(),
            frozen: Vec::new(),
            standing: Vec::new(),
            cluster: None,
            hopscope_runs_kubectl: through && matches!(play.path.last(), Some(Part::Kubectl)),
        };
        if play.url == "https" || play.path.iter().any(with_tls) {
            certificate(folder)?;
        }
        for (number, part) in play.path.iter().enumerate() {
            let target = stage
                .standing
                .last()
                .map_or(SocketAddr::from(([127, 0, 0, 1], 9)), |before| before.address);
            let address = if matches!(part, Part::Service) {
                stage.ground.service()?
            } else {
                stage.ground.address(number)?
            };
            let mut standing = Standing {
                part: *part,
                process: None,
                address,
                target,
            };
            stage
                .raise(&mut standing)
                .with_context(|| format!("part {number}: {part:?}"))?;
            stage.standing.push(standing);
        }
        Ok(stage)
    }

    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Where the generator would go without hopscope.
    pub(crate) fn front(&self) -> Result<SocketAddr> {
        Ok(self.standing.last().context("a path without a part")?.address)
    }

    /// Where the application is.
    pub(crate) fn application(&self) -> Result<SocketAddr> {
        Ok(self.standing.first().context("a path without a part")?.address)
    }

    /// What hopscope is told of the path.
    pub(crate) fn via(&self, play: &Play) -> Result<String> {
        if self.hopscope_runs_kubectl {
            let kubeconfig = self.cluster.as_ref().context("no cluster")?.kubeconfig();
            return Ok(format!(
                "tunnel=kubectl:svc/web:80?kubeconfig={}",
                kubeconfig.display()
            ));
        }
        let front = self.front()?;
        let host = play.hosts.map_or_else(
            || front.to_string(),
            |(name, _)| format!("{name}:{}", front.port()),
        );
        Ok(format!("{}={}{host}", play.kind(), play.scheme))
    }

    fn raise(&mut self, standing: &mut Standing) -> Result<()> {
        let part = standing.part;
        if matches!(part, Part::Nobody | Part::Service) {
            return Ok(());
        }
        if matches!(part, Part::Kubectl | Part::OwnKubectl) {
            if self.cluster.is_none() {
                self.cluster = Some(Cluster::start(standing.target, &[])?);
            }
            if self.hopscope_runs_kubectl {
                return Ok(());
            }
        }
        let spot = Spot {
            ground: &self.ground,
            folder: &self.folder,
            cluster: self.cluster.as_ref(),
            address: standing.address,
            target: standing.target,
        };
        let mut command = spot.command(part)?;
        let mut process = Process::start(&mut command)?;
        if matches!(part, Part::Kubectl | Part::OwnKubectl) {
            process.wait_for(START, "a forward", |line| {
                line.contains("Forwarding from").then_some(())
            })?;
        } else {
            wait_until_it_listens(&mut process, standing.address)?;
        }
        standing.process = Some(process);
        Ok(())
    }

    /// The process of a part.
    fn process(&self, part: usize) -> Result<u32> {
        let standing = self.standing.get(part).context("no such part")?;
        Ok(standing.process.as_ref().context("no such process")?.id())
    }

    /// Does what the play has at this moment. `hopscope` is the process that runs kubectl, if one does.
    pub(crate) fn does(&mut self, deed: Deed, hopscope: Option<u32>) -> Result<()> {
        match deed {
            Deed::Signal(part, signal) => {
                to_group(self.process(part)?, signal)?;
            }
            Deed::Hang(part) => self.frozen.push(Frozen::new(self.process(part)?)?),
            Deed::Again(part) => {
                ensure!(part < self.standing.len(), "no part {part}");
                let mut standing = self.standing.remove(part);
                drop(standing.process.take());
                self.raise(&mut standing)?;
                self.standing.insert(part, standing);
            }
            Deed::Cluster(command) => {
                self.cluster.as_mut().context("no cluster")?.order(command)?;
            }
            Deed::Kubectl(signal) => {
                if let Some(hopscope) = hopscope {
                    for kubectl in process::children(hopscope, &["port-forward"])? {
                        process::signal_to(kubectl, signal)?;
                    }
                } else {
                    let kubectl = self.standing.last().and_then(|last| last.process.as_ref());
                    kubectl.context("no kubectl")?.signal(signal)?;
                }
            }
            Deed::Far(command) => self.ground.in_far(command)?,
            Deed::Middle(command) => self.ground.in_middle(command)?,
        }
        Ok(())
    }
}

fn with_tls(part: &Part) -> bool {
    matches!(part, Part::NginxApp(text) | Part::Nginx(_, text) if text.contains("ssl_certificate"))
}

/// The whole group: servers have workers.
fn to_group(leader: u32, signal: &str) -> Result<()> {
    let status = Command::new("kill")
        .args([&format!("-{signal}"), "--", &format!("-{leader}")])
        .status()
        .context("running kill")?;
    ensure!(status.success(), "process group {leader} is gone");
    Ok(())
}

/// Waits for a listening socket in the kernel's table of the process's own namespace: nobody has to connect.
fn wait_until_it_listens(process: &mut Process, address: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + START;
    let wanted = format!(":{:04X}", address.port());
    while !listens(process.id(), &wanted) {
        if Instant::now() > deadline {
            bail!("nothing listens on {address}");
        }
        if !Path::new(&format!("/proc/{}/exe", process.id())).exists() {
            // Its end is waited for, so that what it said is read.
            let status = process.wait(Duration::from_secs(5))?;
            bail!(
                "it ended ({status}) before it listened on {address}; it said:\n{}",
                process.heard()
            );
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    Ok(())
}

fn listens(pid: u32, port: &str) -> bool {
    ["tcp", "tcp6"].iter().any(|table| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        text.lines().any(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            fields.next().is_some_and(|local| local.ends_with(port)) && fields.nth(1) == Some("0A")
        })
    })
}
