//! Network namespaces that a scenario makes for itself, gone when it ends.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Runs a tool to its end, and fails with what it said.
///
/// # Errors
/// When it cannot be started, or fails.
pub fn tool(words: &[&str]) -> Result<String> {
    let (program, arguments) = words.split_first().context("no tool named")?;
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("starting {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", words.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A network namespace with its loopback up.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Makes one.
    ///
    /// # Errors
    /// Without root.
    pub fn new() -> Result<Self> {
        let name = format!(
            "hopscope-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        tool(&["ip", "netns", "add", &name]).context("scenarios need root")?;
        let made = Self { name };
        made.run(&["ip", "link", "set", "lo", "up"])?;
        Ok(made)
    }

    /// Its name, for `ip netns exec`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs a tool within it, to its end.
    ///
    /// # Errors
    /// When it cannot be started, or fails.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        tool(&[&["ip", "netns", "exec", &self.name], words].concat())
    }

    /// Joins it to the namespace of the scenario itself by a wire, and gives its address on it. The wire goes with it.
    ///
    /// # Errors
    /// Without root.
    pub fn reach(&self) -> Result<Ipv4Addr> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let [.., high, low] = (std::process::id().wrapping_mul(37).wrapping_add(number)).to_be_bytes();
        let near = format!("hs{:x}-{number}", std::process::id());
        tool(&[
            "ip", "link", "add", &near, "type", "veth", "peer", "name", "outside", "netns", &self.name,
        ])?;
        // 198.18.0.0/15 is set aside for tests (RFC 2544): nobody's network is in the way.
        let address = Ipv4Addr::new(198, 18 | (high & 1), high, low & 0xfc | 2);
        let outside = Ipv4Addr::new(198, 18 | (high & 1), high, low & 0xfc | 1);
        tool(&["ip", "address", "add", &format!("{outside}/30"), "dev", &near])?;
        tool(&["ip", "link", "set", &near, "up"])?;
        self.run(&["ip", "address", "add", &format!("{address}/30"), "dev", "outside"])?;
        self.run(&["ip", "link", "set", "outside", "up"])?;
        Ok(address)
    }

    /// Its number, as the kernel's records give it.
    ///
    /// # Errors
    /// When it is gone.
    pub fn inode(&self) -> Result<u64> {
        use std::os::unix::fs::MetadataExt;
        Ok(std::fs::metadata(format!("/run/netns/{}", self.name))?.ino())
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        drop(tool(&["ip", "netns", "del", &self.name]));
    }
}

/// Two namespaces and the wire between them.
#[derive(Debug)]
pub struct Pair {
    /// Where the load comes from.
    pub near: Netns,
    /// Where it goes to.
    pub far: Netns,
    /// The near side's address.
    pub near_address: Ipv4Addr,
    /// The far side's address.
    pub far_address: Ipv4Addr,
}

impl Pair {
    /// Makes the two and joins them.
    ///
    /// # Errors
    /// Without root.
    pub fn new() -> Result<Self> {
        let (near, far) = (Netns::new()?, Netns::new()?);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let [.., high, low] = (std::process::id().wrapping_mul(37).wrapping_add(number)).to_be_bytes();
        let near_address = Ipv4Addr::new(10, high, low, 1);
        let far_address = Ipv4Addr::new(10, high, low, 2);
        near.run(&[
            "ip",
            "link",
            "add",
            "wire",
            "type",
            "veth",
            "peer",
            "name",
            "wire",
            "netns",
            far.name(),
        ])?;
        for (side, address) in [(&near, near_address), (&far, far_address)] {
            side.run(&["ip", "address", "add", &format!("{address}/24"), "dev", "wire"])?;
            side.run(&["ip", "link", "set", "wire", "up"])?;
        }
        Ok(Self {
            near,
            far,
            near_address,
            far_address,
        })
    }
}
