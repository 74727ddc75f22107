//! The parts of a play, each a real process, and what is done to them.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use hopscope_tests::cluster::Cluster;
use hopscope_tests::process::{self, Process};
use hopscope_tests::server::Server;
use hopscope_tests::{kubectl, program};

use super::plays::{Between, Deed, Play};

const START: Duration = Duration::from_mins(1);

/// k6's script: the routes of the case that hopscope was written for.
const SCRIPT: &str = r"
import http from 'k6/http';
import { sleep } from 'k6';
const mix = [['/health', 5], ['/search', 5], ['/categories', 10], ['/products', 30], ['/products/7', 40], ['/banners', 10]];
const routes = mix.flatMap(([route, weight]) => Array(weight).fill(route));
export const options = { vus: 20, duration: __ENV.SECONDS + 's', noConnectionReuse: __ENV.FRESH === '1', gracefulStop: '6s' };
export default function () {
  const route = routes[Math.floor(Math.random() * routes.length)];
  http.get(__ENV.HOPSCOPE_URL + route, { timeout: __ENV.PATIENCE + 'ms', tags: { name: route } });
  sleep(0.1 + Math.random() * 0.1);
}
";

/// Everything behind hopscope.
pub(super) struct Stage {
    shop: Option<Process>,
    balancer: Option<Server>,
    cluster: Option<Cluster>,
    via: Vec<String>,
    /// The connection of a client that does not read.
    hog: Option<TcpStream>,
}

/// hopscope and k6 below it.
pub(super) struct Run {
    pub(super) process: Process,
    address: SocketAddr,
}

impl Stage {
    pub(super) fn set(play: &Play, folder: &Path) -> Result<Self> {
        let mut shop = Process::start(Command::new(program::shop()?).args(play.shop))?;
        let target: SocketAddr = shop.wait_for(START, "address", |line| {
            line.strip_prefix("{\"addr\":\"")?
                .strip_suffix("\"}")?
                .parse()
                .ok()
        })?;
        let mut stage = Self {
            shop: Some(shop),
            balancer: None,
            cluster: None,
            via: Vec::new(),
            hog: None,
        };
        let millis = |millis: u32| Duration::from_millis(millis.into());
        let balancer = match play.between {
            Between::HaProxy { patience_ms } => {
                let server = format!(
                    "  timeout server {patience_ms}ms\n  retries 0\n  server only {target} check inter 200ms fall 1 rise 1\n"
                );
                Some(Server::haproxy(folder, &server)?)
            }
            Between::HaProxyTcp { idle_ms } => Some(Server::haproxy_tcp(folder, target, millis(idle_ms))?),
            Between::Nginx { patience_s } => {
                let location =
                    format!("location / {{ proxy_pass http://{target}; proxy_read_timeout {patience_s}s; }}");
                Some(Server::nginx(folder, &location)?)
            }
            Between::Envoy { patience_ms, empty } => {
                Some(Server::envoy(folder, target, millis(patience_ms), empty)?)
            }
            Between::Nothing | Between::Kubectl | Between::KubectlAndDirect => None,
        };
        if matches!(play.between, Between::Kubectl | Between::KubectlAndDirect) {
            let cluster = Cluster::start(target, &[])?;
            let kubeconfig = cluster.kubeconfig();
            stage.via.push(format!(
                "tunnel=kubectl:svc/web:80?kubeconfig={}",
                kubeconfig.display()
            ));
            stage.cluster = Some(cluster);
        }
        if matches!(play.between, Between::Nothing | Between::KubectlAndDirect) {
            stage.via.push(format!("direct={target}"));
        }
        if let Some(balancer) = balancer {
            stage.via.push(format!("lb={}", balancer.address()));
            stage.balancer = Some(balancer);
        }
        Ok(stage)
    }

    pub(super) fn start_hopscope(&self, play: &Play, folder: &Path) -> Result<Run> {
        let script = folder.join("script.js");
        std::fs::write(&script, SCRIPT).context("writing the script of k6")?;
        let mut command = Command::new(program::hopscope()?);
        command.args(["run", "--grace=1"]);
        for via in &self.via {
            command.args(["--via", via]);
        }
        if self.cluster.is_some() {
            let folder = kubectl::youngest()?.path;
            let folder = folder.parent().context("kubectl lies in a folder")?;
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
            command.env("PATH", std::env::join_paths(folders)?);
        }
        command
            .arg("--record")
            .arg(folder.join("run.sqlite"))
            .arg("--json")
            .arg(folder.join("report.json"))
            .args(["--", "k6", "run", "--quiet", "--no-usage-report", "--out"])
            .arg(format!("json={}", folder.join("k6.json").display()))
            .arg(&script)
            .env("SECONDS", play.seconds.to_string())
            .env("PATIENCE", play.patience_ms.to_string())
            .env("FRESH", if play.fresh { "1" } else { "0" })
            // kubectl and k6 keep files under HOME.
            .env("HOME", folder)
            .env_remove("http_proxy")
            .env_remove("https_proxy");
        let mut process = Process::start(&mut command)?;
        let address = process.wait_for(START, "address", |line| {
            let address = line.split("hopscope listens on http://").nth(1)?;
            address.split_whitespace().next()?.parse().ok()
        })?;
        Ok(Run { process, address })
    }

    pub(super) fn does(&mut self, deed: &Deed, run: &Run) -> Result<()> {
        match deed {
            // Dropped, it is killed.
            Deed::KillShop => drop(self.shop.take()),
            Deed::KillBalancer => {
                if let Some(balancer) = self.balancer.take() {
                    balancer.kill()?;
                }
            }
            Deed::Cluster(command) => {
                self.cluster
                    .as_mut()
                    .context("there is no cluster")?
                    .order(command)?;
            }
            Deed::Kubectl(signal) => {
                for kubectl in process::children(run.process.id(), &["port-forward"])? {
                    process::signal_to(kubectl, signal)?;
                }
            }
            Deed::Hog => {
                let mut client = TcpStream::connect(run.address).context("one more client")?;
                client.write_all(b"GET /export HTTP/1.1\r\nhost: shop\r\n\r\n")?;
                self.hog = Some(client);
            }
        }
        Ok(())
    }
}
