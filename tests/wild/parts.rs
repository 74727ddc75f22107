//! How each part of a path is called.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use hopscope_tests::cluster::Cluster;
use hopscope_tests::kubectl;

use crate::balancer;
use crate::ground::Ground;
use crate::play::Part;
use crate::scripts;

/// Where a part is to stand.
#[derive(Debug)]
pub(crate) struct Spot<'a> {
    pub(crate) ground: &'a Ground,
    /// For its configuration.
    pub(crate) folder: &'a Path,
    pub(crate) cluster: Option<&'a Cluster>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The part before it.
    pub(crate) target: SocketAddr,
}

impl Spot<'_> {
    /// The command that starts this part here.
    pub(crate) fn command(&self, what: Part) -> Result<Command> {
        match what {
            Part::Node(words) => self.script("node", "app.js", &["--listen", &self.listen()], words),
            Part::Python(words) => self.script("python3", "app.py", &["--listen", &self.listen()], words),
            Part::Grpc(share) => {
                self.script("python3", "grpc_app.py", &["serve", &self.listen(), share], &[])
            }
            Part::Forwarder(fault) => {
                let target = self.target.to_string();
                let words = ["--listen", &self.listen(), "--to", &target, "--fault", fault];
                self.script("python3", "forwarder.py", &words, &[])
            }
            Part::Gunicorn(words) => {
                let mut command = self.far("gunicorn");
                command
                    .args(["--bind", &self.listen()])
                    .args(words)
                    .arg("web:wsgi");
                command.current_dir(scripts::folder()?);
                Ok(command)
            }
            Part::Uvicorn(words) => {
                let mut command = self.far("uvicorn");
                command
                    .args(["--host", &self.address.ip().to_string(), "--port", &self.port()])
                    .arg("--no-access-log")
                    .args(words)
                    .arg("web:asgi")
                    .current_dir(scripts::folder()?);
                Ok(command)
            }
            Part::Nghttpd(words) => {
                std::fs::write(self.folder.join("products"), "ok".repeat(100))?;
                let mut command = self.far("nghttpd");
                command
                    .args(["--no-tls", "--address", &self.address.ip().to_string(), "-d"])
                    .arg(self.folder)
                    .args(words)
                    .arg(self.port());
                Ok(command)
            }
            Part::NginxApp(within) => self.nginx("", within),
            Part::Nginx(beside, within) => self.nginx(beside, within),
            Part::HaProxy(frontend, backend) => {
                let config = balancer::haproxy(self.address, &self.filled(frontend), &self.filled(backend));
                self.haproxy(&config)
            }
            Part::HaProxyTcp(lines) => self.haproxy(&balancer::haproxy_tcp(
                self.address,
                self.target,
                &self.filled(lines),
            )),
            Part::Envoy(how) => {
                // Envoy knows what a file holds by its ending.
                let config = balancer::envoy(self.address, self.target, how).to_string();
                let place = self.folder.join(format!("envoy-{}.json", self.port()));
                std::fs::write(&place, config).context("writing envoy.json")?;
                let mut command = self.far("envoy");
                command
                    .args([
                        "--concurrency",
                        "1",
                        "--disable-hot-restart",
                        "--log-level",
                        "error",
                        "-c",
                    ])
                    .arg(place);
                Ok(command)
            }
            Part::Kubectl | Part::OwnKubectl => {
                let cluster = self.cluster.context("no cluster")?;
                let mut command = Command::new(kubectl::youngest()?.path);
                command
                    .arg("--kubeconfig")
                    .arg(cluster.kubeconfig())
                    .args(["port-forward", "svc/web", &format!("{}:80", self.port())])
                    .env("HOME", self.folder)
                    .env_remove("http_proxy")
                    .env_remove("https_proxy");
                Ok(command)
            }
            Part::Socat => {
                let mut command = self.far("socat");
                let (port, ip) = (self.port(), self.address.ip());
                command.args([
                    format!("TCP-LISTEN:{port},bind={ip},reuseaddr,fork,backlog=512"),
                    format!("TCP:{}", self.target),
                ]);
                Ok(command)
            }
            Part::Ssh => self.ssh(),
            Part::Nobody | Part::Service => bail!("{what:?} is no process"),
        }
    }

    fn far(&self, program: &str) -> Command {
        self.ground.far_command(program)
    }

    fn listen(&self) -> String {
        self.address.to_string()
    }

    fn port(&self) -> String {
        self.address.port().to_string()
    }

    /// A configuration's text with the addresses of this spot.
    fn filled(&self, text: &str) -> String {
        text.replace("TARGET", &self.target.to_string())
            .replace("FOLDER", &self.folder.display().to_string())
    }

    fn file(&self, name: &str, content: &str) -> Result<PathBuf> {
        let file = self.folder.join(format!("{name}-{}", self.port()));
        std::fs::write(&file, content).with_context(|| format!("writing {}", file.display()))?;
        Ok(file)
    }

    fn script(&self, program: &str, script: &str, words: &[&str], more: &[&str]) -> Result<Command> {
        let mut command = self.far(program);
        command.arg(scripts::path(script)?).args(words).args(more);
        Ok(command)
    }

    fn nginx(&self, beside: &str, within: &str) -> Result<Command> {
        let config = balancer::nginx(
            self.folder,
            self.address,
            &self.filled(beside),
            &self.filled(within),
        );
        let mut command = self.far("nginx");
        command.arg("-c").arg(self.file("nginx.conf", &config)?);
        Ok(command)
    }

    fn haproxy(&self, config: &str) -> Result<Command> {
        let mut command = self.far("haproxy");
        command.args(["-db", "-f"]).arg(self.file("haproxy.cfg", config)?);
        Ok(command)
    }

    /// An sshd for this connection alone (`ProxyCommand`), with keys of its own, and ssh in front of it.
    fn ssh(&self) -> Result<Command> {
        let folder = self.folder.display();
        for key in ["host", "user"] {
            let place = self.folder.join(key);
            if !place.exists() {
                let made = Command::new("ssh-keygen")
                    .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                    .arg(&place)
                    .status()
                    .context("running ssh-keygen")?;
                ensure!(made.success(), "ssh-keygen: {made}");
            }
        }
        std::fs::copy(self.folder.join("user.pub"), self.folder.join("authorized"))?;
        // sshd wants its folder for privilege separation.
        std::fs::create_dir_all("/run/sshd").context("making /run/sshd")?;
        let daemon = format!(
            "/usr/sbin/sshd -i -o HostKey={folder}/host -o AuthorizedKeysFile={folder}/authorized -o StrictModes=no \
             -o PermitRootLogin=yes -o UsePAM=no -o PidFile=none"
        );
        let mut command = self.far("ssh");
        command
            .args(["-N", "-F", "none", "-i"])
            .arg(self.folder.join("user"))
            .args([
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
            ])
            .arg(format!("ProxyCommand={daemon}"))
            .args([
                "-L",
                &format!("{}:{}", self.address, self.target),
                "root@application",
            ]);
        Ok(command)
    }
}
