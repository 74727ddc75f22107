//! The real Prometheus.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process::Process;
use crate::scrape::{eventually, get};
use crate::server::free_address;

/// A Prometheus that scrapes, and ends when dropped.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    _process: Process,
}

impl Prometheus {
    /// Starts one with these scrape configurations, a YAML list; what it writes goes to the folder.
    ///
    /// # Errors
    /// Where it is not installed, or the folder cannot be written.
    pub fn scraping(folder: &Path, jobs: &str) -> Result<Self> {
        let config = folder.join("prometheus.yml");
        let text = format!("global: {{scrape_interval: 1s}}\nscrape_configs:\n{jobs}");
        std::fs::write(&config, text).context("writing prometheus.yml")?;
        // It cannot be asked for a free port; this one was free a moment ago.
        let address = free_address()?;
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let process = Process::start(&mut command)?;
        Ok(Self {
            address,
            _process: process,
        })
    }

    /// The first series that answers a query, as soon as one does. The query is encoded for a URL.
    ///
    /// # Errors
    /// Where none does in time.
    pub fn first(&self, query: &str) -> Result<Value> {
        eventually(query, || {
            let Ok(text) = get(self.address, &format!("/api/v1/query?query={query}")) else {
                return Ok(Err("nobody answers yet".to_owned()));
            };
            let answer: Value = serde_json::from_str(&text)?;
            let first = answer["data"]["result"][0].clone();
            Ok(if first.is_null() { Err(text) } else { Ok(first) })
        })
    }
}
