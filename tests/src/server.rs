//! nginx, HAProxy and Envoy as upstreams: configured by a text, waited for until they answer.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

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
    /// nginx with one worker and this text inside its `server { ... }`. Where that says `# http2`, it listens for HTTP/2.
    ///
    /// # Errors
    /// Where nginx is missing or refuses the text.
    pub fn nginx(folder: &Path, server: &str) -> Result<Self> {
        let address = free_address()?;
        let place = folder.display();
        let text = format!(
            "worker_processes 1;\nworker_rlimit_nofile 12500;\ndaemon off;\npid {place}/nginx.pid;\n\
             error_log {place}/nginx.log;\nevents {{ worker_connections 12288; }}\n\
             http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {place};\n\
             proxy_temp_path {place}; fastcgi_temp_path {place}; uwsgi_temp_path {place}; scgi_temp_path {place};\n\
             server {{ listen {address} %TLS%;\n{server}\n}} }}\n"
        );
        let tls = if server.contains("ssl_certificate") && server.contains("# http2") {
            "ssl http2"
        } else if server.contains("ssl_certificate") {
            "ssl"
        } else if server.contains("# http2") {
            "http2"
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

    /// HAProxy in TCP mode in front of one target; it cuts a connection on which nothing moves for `idle`.
    ///
    /// # Errors
    /// Where haproxy is missing.
    pub fn haproxy_tcp(folder: &Path, target: SocketAddr, idle: Duration) -> Result<Self> {
        let address = free_address()?;
        let idle = idle.as_millis();
        let text = format!(
            "global\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 1s\n  timeout client {idle}ms\n  \
             timeout server {idle}ms\nlisten front\n  bind {address}\n  server only {target}\n"
        );
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, text).context("writing haproxy.cfg")?;
        Self::start(Command::new("haproxy").arg("-db").arg("-f").arg(&file), address)
    }

    /// Envoy in front of one target that it waits for `patience`; requests under `/products` go to a cluster without an
    /// endpoint where `empty` says so.
    ///
    /// # Errors
    /// Where envoy is missing or refuses its configuration.
    pub fn envoy(folder: &Path, target: SocketAddr, patience: Duration, empty: bool) -> Result<Self> {
        let address = free_address()?;
        let (host, port) = (target.ip(), target.port());
        let endpoint =
            json!({"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}});
        let cluster = |name: &str, endpoints: &[Value]| {
            json!({
                "name": name, "type": "STATIC", "connect_timeout": "1s",
                "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
            })
        };
        let route = |prefix: &str, cluster: &str| {
            let timeout = format!("{}s", patience.as_secs_f64());
            json!({"match": {"prefix": prefix}, "route": {"cluster": cluster, "timeout": timeout}})
        };
        let mut routes = vec![route("/", "target")];
        if empty {
            routes.insert(0, route("/products", "empty"));
        }
        let manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "front",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
            "http_filters": [{
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }],
        });
        let config = json!({"static_resources": {
            "listeners": [{
                "name": "front",
                "address": {"socket_address": {"address": address.ip(), "port_value": address.port()}},
                "filter_chains": [{"filters": [{
                    "name": "envoy.filters.network.http_connection_manager", "typed_config": manager,
                }]}],
            }],
            "clusters": [cluster("target", &[endpoint]), cluster("empty", &[])],
        }});
        let file = folder.join("envoy.json");
        std::fs::write(&file, config.to_string()).context("writing envoy.json")?;
        let mut command = Command::new("envoy");
        command
            .args([
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "--log-level",
                "error",
                "-c",
            ])
            .arg(&file);
        Self::start(&mut command, address)
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
    certificate_for(folder, "IP:127.0.0.1", 2)
}

/// The same for another name (`IP:...` or `DNS:...`), valid for so many days; -1 is over already.
///
/// # Errors
/// Where openssl is missing.
pub fn certificate_for(folder: &Path, name: &str, days: i32) -> Result<()> {
    let openssl = |words: &[&str]| -> Result<()> {
        let made = Command::new("openssl")
            .args(words)
            .current_dir(folder)
            .output()
            .context("running openssl")?;
        if !made.status.success() {
            bail!("openssl: {}", String::from_utf8_lossy(&made.stderr));
        }
        Ok(())
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem";
    let asked = format!("req -new {key} -subj /CN=scenario -out request.pem");
    openssl(&asked.split(' ').collect::<Vec<_>>())?;
    let extensions = format!("subjectAltName={name}\nbasicConstraints=critical,CA:FALSE\n");
    std::fs::write(folder.join("extensions"), extensions).context("writing a certificate's extensions")?;
    let signed =
        format!("x509 -req -in request.pem -signkey key.pem -days {days} -extfile extensions -out cert.pem");
    openssl(&signed.split(' ').collect::<Vec<_>>())
}
