//! What the proxies stand in front of: nginx for what is fetched, a plain sink for what is sent.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result};

use super::place::Cores;
use super::process::{Running, loopback};
use super::workload::Workload;

/// Where nginx listens that shares the generator's core.
const NGINX: u16 = 3000;
/// Where the sink listens.
const SINK: u16 = 3001;
/// Where nginx listens that is not pinned.
const NGINX_UNPINNED: u16 = 3002;
/// Bytes of a long body.
pub(super) const BODY: u64 = 64 << 20;

/// The port of the upstream for a workload.
pub(super) const fn port(workload: Workload) -> u16 {
    match workload {
        Workload::Up => SINK,
        Workload::FixedRateUnpinned => NGINX_UNPINNED,
        Workload::KeepAlive64
        | Workload::KeepAlive200
        | Workload::FixedRate
        | Workload::ConnectionPerRequest
        | Workload::Down
        | Workload::Idle => NGINX,
    }
}

/// The upstreams, until dropped.
#[derive(Debug)]
pub(super) struct Upstream {
    _nginx: [Running; 2],
    files: PathBuf,
}

impl Upstream {
    /// Starts all.
    pub(super) fn start(cores: Cores, folder: &Path) -> Result<Self> {
        // In memory: a disk is not what is measured.
        let files = PathBuf::from(format!("/dev/shm/hopscope-bench-{}", std::process::id()));
        fs::create_dir_all(&files)?;
        File::create(files.join("body"))?.write_all(&vec![b'x'; usize::try_from(BODY)?])?;
        let nginx = [
            nginx(Workload::KeepAlive64, cores, &files, folder)?,
            nginx(Workload::FixedRateUnpinned, cores, &files, folder)?,
        ];
        let listener = TcpListener::bind(loopback(SINK)).context("binding the sink")?;
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                thread::spawn(move || drop(swallow(connection)));
            }
        });
        Ok(Self { _nginx: nginx, files })
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.files));
    }
}

/// Starts nginx for loads of that kind: with 1 KiB for `/`, and the long body beside it.
fn nginx(workload: Workload, cores: Cores, files: &Path, folder: &Path) -> Result<Running> {
    let port = port(workload);
    let page = "x".repeat(1024);
    let configuration = folder.join(format!("upstream-{port}.conf"));
    fs::write(
        &configuration,
        format!(
            "daemon off; master_process off; worker_processes 1; error_log /dev/null; pid nginx-{port}.pid;\n\
             events {{ worker_connections 18000; }}\n\
             http {{\n access_log off; sendfile on; keepalive_requests 1000000000; keepalive_timeout 300s;\n \
             server {{ listen 127.0.0.1:{port} backlog=8192; root {files};\n \
             location = / {{ return 200 \"{page}\"; }}\n }}\n}}\n",
            files = files.display()
        ),
    )?;
    Running::start(
        Path::new("nginx"),
        &[
            OsStr::new("-p"),
            folder.as_os_str(),
            OsStr::new("-c"),
            configuration.as_os_str(),
        ],
        &cores.of_load(workload),
        None,
        folder,
    )?
    .listening(port)
    .context("the upstream nginx")
}

/// Reads requests with a body of [`BODY`] bytes, one after the other, and answers each when it has all of it.
fn swallow(mut connection: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        let mut head = Vec::new();
        let mut left = BODY;
        while left == BODY {
            let read = connection.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            head.extend_from_slice(&buffer[..read]);
            if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                left -= (head.len() - end - 4) as u64;
                break;
            }
        }
        while left > 0 {
            let read = connection.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            left = left.saturating_sub(read as u64);
        }
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}
