//! What the proxies stand in front of: nginx for what is fetched, a plain sink for what is sent.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result};

use super::process::{Running, loopback};

/// Where nginx listens.
pub(super) const NGINX: u16 = 3000;
/// Where the sink listens.
pub(super) const SINK: u16 = 3001;
/// Bytes of a long body.
pub(super) const BODY: u64 = 64 << 20;

/// The upstreams, until dropped.
#[derive(Debug)]
pub(super) struct Upstream {
    _nginx: Running,
    files: PathBuf,
}

impl Upstream {
    /// Starts both.
    pub(super) fn start(core: u32, folder: &Path) -> Result<Self> {
        // In memory: a disk is not what is measured.
        let files = PathBuf::from(format!("/dev/shm/hopscope-bench-{}", std::process::id()));
        fs::create_dir_all(&files)?;
        File::create(files.join("body"))?.write_all(&vec![b'x'; usize::try_from(BODY)?])?;
        let page = "x".repeat(1024);
        let configuration = folder.join("upstream.conf");
        fs::write(
            &configuration,
            format!(
                "daemon off; master_process off; worker_processes 1; error_log /dev/null; pid nginx-upstream.pid;\n\
                 events {{ worker_connections 18000; }}\n\
                 http {{\n access_log off; sendfile on; keepalive_requests 1000000000; keepalive_timeout 300s;\n \
                 server {{ listen 127.0.0.1:{NGINX} backlog=8192; root {files};\n \
                 location = / {{ return 200 \"{page}\"; }}\n }}\n}}\n",
                files = files.display()
            ),
        )?;
        let nginx = Running::start(
            Path::new("nginx"),
            &[
                OsStr::new("-p"),
                folder.as_os_str(),
                OsStr::new("-c"),
                configuration.as_os_str(),
            ],
            core,
            None,
            folder,
        )?
        .listening(NGINX)
        .context("the upstream nginx")?;
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
