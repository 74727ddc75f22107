//! Where the parts of a play stand: this host, or network namespaces of their own.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hopscope_tests::netns::{Netns, Pair, Row};
use hopscope_tests::process::Process;
use hopscope_tests::server::free_address;

use crate::play::{Place, Play};
use crate::scripts;

const START: Duration = Duration::from_secs(20);

/// The near end of a slow wire, and its far end: namespaces of their own, so the numbers are free.
const WIRE: [&str; 2] = ["10.99.0.1", "10.99.0.2"];

/// The port of the first part of a path in a namespace of its own; the others follow.
const FIRST_PORT: u16 = 18_180;

/// The place of a play.
#[derive(Debug)]
pub(crate) struct Ground {
    spaces: Spaces,
    /// The hosts file of the generator's namespace, which goes with it.
    hosts: Option<PathBuf>,
}

#[derive(Debug)]
enum Spaces {
    Host,
    One(Netns, IpAddr),
    Pair(Pair),
    Wire {
        near: Netns,
        far: Netns,
        /// Held for as long as packets shall pass.
        _wire: Process,
    },
    Row(Row),
}

impl Ground {
    pub(crate) fn lay(play: &Play) -> Result<Self> {
        let spaces = match play.place {
            Place::Host => Spaces::Host,
            Place::One(address, commands) => {
                let one = Netns::new()?;
                if !address.starts_with("127.") {
                    one.run(&["ip", "address", "add", address, "dev", "lo"])?;
                }
                for command in commands {
                    one.run(command)?;
                }
                Spaces::One(one, address.parse()?)
            }
            Place::Pair(commands) => {
                let pair = Pair::new()?;
                for command in commands {
                    pair.far.run(command)?;
                }
                Spaces::Pair(pair)
            }
            Place::Wire(delay_ms) => {
                let (near, far) = (Netns::new()?, Netns::new()?);
                let delay = delay_ms.to_string();
                let mut wire =
                    Process::start(Command::new("python3").arg(scripts::path("wire.py")?).args([
                        near.name(),
                        WIRE[0],
                        far.name(),
                        WIRE[1],
                        &delay,
                    ]))?;
                wire.wait_for(START, "a wire", |line| (line == "up").then_some(()))?;
                Spaces::Wire {
                    near,
                    far,
                    _wire: wire,
                }
            }
            Place::Row(rules) => {
                let row = Row::new()?;
                row.middle.run(&["nft", &rules(&row)])?;
                Spaces::Row(row)
            }
        };
        let mut ground = Self { spaces, hosts: None };
        if let Some((name, addresses)) = play.hosts {
            ground.write_hosts(name, addresses)?;
        }
        Ok(ground)
    }

    fn near(&self) -> Option<&Netns> {
        match &self.spaces {
            Spaces::Host => None,
            Spaces::One(one, _) => Some(one),
            Spaces::Pair(pair) => Some(&pair.near),
            Spaces::Wire { near, .. } => Some(near),
            Spaces::Row(row) => Some(&row.near),
        }
    }

    fn far(&self) -> Option<&Netns> {
        match &self.spaces {
            Spaces::Host => None,
            Spaces::One(one, _) => Some(one),
            Spaces::Pair(pair) => Some(&pair.far),
            Spaces::Wire { far, .. } => Some(far),
            Spaces::Row(row) => Some(&row.far),
        }
    }

    /// `ip netns exec` mounts this file over /etc/hosts.
    fn write_hosts(&mut self, name: &str, addresses: &[&str]) -> Result<()> {
        let near = self.near().context("a hosts file needs a namespace of its own")?;
        let folder = PathBuf::from("/etc/netns").join(near.name());
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let lines: Vec<String> = addresses
            .iter()
            .map(|address| format!("{address} {name}"))
            .collect();
        let text = lines.join("\n") + "\n";
        std::fs::write(folder.join("hosts"), text)?;
        self.hosts = Some(folder);
        Ok(())
    }

    /// What stands before a command of the generator's side.
    pub(crate) fn near_words(&self) -> Vec<String> {
        words(self.near())
    }

    /// A command of the application's side.
    pub(crate) fn far_command(&self, program: &str) -> Command {
        let mut before = words(self.far()).into_iter();
        match before.next() {
            None => Command::new(program),
            Some(first) => {
                let mut command = Command::new(first);
                command.args(before).arg(program);
                command
            }
        }
    }

    /// Where the part with this number listens.
    pub(crate) fn address(&self, number: usize) -> Result<SocketAddr> {
        let port = FIRST_PORT + u16::try_from(number).context("a path of too many parts")?;
        let ip: IpAddr = match &self.spaces {
            Spaces::Host => return free_address(),
            Spaces::One(_, ip) => *ip,
            Spaces::Pair(pair) => pair.far_address.into(),
            Spaces::Wire { .. } => WIRE[1].parse()?,
            Spaces::Row(row) => row.far_address.into(),
        };
        Ok(SocketAddr::new(ip, port))
    }

    /// The address that stands for the application.
    pub(crate) fn service(&self) -> Result<SocketAddr> {
        match &self.spaces {
            Spaces::Row(row) => Ok(SocketAddr::new(row.middle_address.into(), 80)),
            Spaces::Host | Spaces::One(..) | Spaces::Pair(_) | Spaces::Wire { .. } => {
                bail!("a service needs a middle namespace")
            }
        }
    }

    /// Runs a command on the application's side.
    pub(crate) fn in_far(&self, command: &[&str]) -> Result<()> {
        self.far().context("no namespace")?.run(command)?;
        Ok(())
    }

    /// Runs a command in the middle.
    pub(crate) fn in_middle(&self, command: &[&str]) -> Result<()> {
        match &self.spaces {
            Spaces::Row(row) => row.middle.run(command).map(drop),
            Spaces::Host | Spaces::One(..) | Spaces::Pair(_) | Spaces::Wire { .. } => bail!("no middle"),
        }
    }
}

fn words(space: Option<&Netns>) -> Vec<String> {
    space.map_or_else(Vec::new, |space| {
        ["ip", "netns", "exec", space.name()]
            .map(ToOwned::to_owned)
            .to_vec()
    })
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Some(folder) = &self.hosts {
            // What is left would be a file that nothing reads.
            drop(std::fs::remove_dir_all(folder));
        }
    }
}
