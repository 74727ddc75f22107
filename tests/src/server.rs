//! nginx and HAProxy as upstreams: configured by a text, waited for until they answer.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::process::Process;

/// A server may take its time on a loaded machine.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Process,
    address: SocketAddr,
}

impl Server {
    /// nginx with one worker and this text inside its `server { ... }`.
    ///
    /// # Errors
    /// Where nginx is missing or refuses the text.
    pub fn nginx(folder: &Path, server: &str) -> Result<Self> {
        let address = free_address()?;
        let place = folder.display();
        let text = format!(
            "worker_processes 1;\ndaemon off;\npid {place}/nginx.pid;\nerror_log {place}/nginx.log;\n\
             events {{ worker_connections 2048; }}\n\
             http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {place};\n\
             proxy_temp_path {place}; fastcgi_temp_path {place}; uwsgi_temp_path {place}; scgi_temp_path {place};\n\
             server {{ listen {address} %TLS%;\n{server}\n}} }}\n"
        );
        let tls = if server.contains("ssl_certificate") {
            "ssl"
        } else {
            ""
        };
        let file = folder.join("nginx.conf");
        std::fs::write(&file, text.replace("%TLS%", tls)).context("writing nginx.conf")?;
        Self::start(Command::new("nginx").arg("-c").arg(&file), address)
    }

    /// HAProxy in HTTP mode with this text as its one backend's lines.
    ///
    /// # Errors
    /// Where haproxy is missing or refuses the text.
    pub fn haproxy(folder: &Path, backend: &str) -> Result<Self> {
        let address = free_address()?;
        let text = format!(
            "global\n  nbthread 1\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n\
             frontend front\n  bind {address}\n  default_backend back\nbackend back\n{backend}\n"
        );
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, text).context("writing haproxy.cfg")?;
        Self::start(Command::new("haproxy").arg("-db").arg("-f").arg(&file), address)
    }

    fn start(command: &mut Command, address: SocketAddr) -> Result<Self> {
        let process = Process::start(command)?;
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                bail!(
                    "{command:?} does not listen on {address}; it said:\n{}",
                    process.heard()
                );
            }
            std::thread::yield_now();
        }
        Ok(Self { process, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills the server and its workers at once.
    ///
    /// # Errors
    /// Where it is gone already.
    pub fn kill(self) -> Result<()> {
        let group = format!("-{}", self.process.id());
        let status = Command::new("kill").args(["-KILL", "--", &group]).status()?;
        if !status.success() {
            bail!("the server was gone already");
        }
        Ok(())
    }
}

/// An address of this host on which nothing listens.
///
/// # Errors
/// Where there is none.
pub fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port")?;
    Ok(listener.local_addr()?)
}

/// A key and a self-signed certificate for `127.0.0.1`, as `key.pem` and `cert.pem` in the folder.
///
/// # Errors
/// Where openssl is missing.
pub fn certificate(folder: &Path) -> Result<()> {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
        ])
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(folder.join("cert.pem"))
        .output()
        .context("running openssl")?;
    if !made.status.success() {
        bail!("openssl: {}", String::from_utf8_lossy(&made.stderr));
    }
    Ok(())
}
