//! Network namespaces that a scenario makes for itself, gone when it ends.

use std::net::{Ipv4Addr, Ipv6Addr};
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
        // A network of four addresses each.
        let place = std::process::id().wrapping_mul(37).wrapping_add(number) << 2;
        let [.., high, low] = place.to_be_bytes();
        let near = format!("hs{:x}-{number}", std::process::id());
        tool(&[
            "ip", "link", "add", &near, "type", "veth", "peer", "name", "outside", "netns", &self.name,
        ])?;
        // 198.18.0.0/15 is set aside for tests (RFC 2544): nobody's network is in the way.
        let address = Ipv4Addr::new(198, 18, high, low | 2);
        let outside = Ipv4Addr::new(198, 18, high, low | 1);
        tool(&["ip", "address", "add", &format!("{outside}/30"), "dev", &near])?;
        tool(&["ip", "link", "set", &near, "up"])?;
        self.run(&["ip", "address", "add", &format!("{address}/30"), "dev", "outside"])?;
        self.run(&["ip", "link", "set", "outside", "up"])?;
        Ok(address)
    }

    /// Adds one rule to a chain on a hook of its packet filter, for both IP versions.
    ///
    /// # Errors
    /// When nft refuses it.
    pub fn filter(&self, hook: &str, rule: &str) -> Result<()> {
        self.run(&["nft", &format!(
            "add table inet stage; add chain inet stage {hook} {{ type filter hook {hook} priority 0 ; }}; \
             add rule inet stage {hook} {rule}"
        )])?;
        Ok(())
    }

    /// Takes every rule of the packet filter away.
    ///
    /// # Errors
    /// When nft refuses.
    pub fn open(&self) -> Result<()> {
        self.run(&["nft", "flush ruleset"])?;
        Ok(())
    }

    /// Sets a kernel parameter, as `net.ipv4.tcp_syncookies=0`.
    ///
    /// # Errors
    /// When the kernel has none of that name in a namespace.
    pub fn set(&self, parameter: &str) -> Result<()> {
        self.run(&["sysctl", "-qw", parameter])?;
        Ok(())
    }

    /// Does something on a thread within it: sockets that it opens and processes that it starts are in there.
    ///
    /// # Errors
    /// When it cannot be entered, or what was done fails.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let place = std::fs::File::open(format!("/run/netns/{}", self.name))?;
        // A thread of its own, so that nobody who comes later is in there without knowing.
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                enter(&place)?;
                work()
            });
            inside.join().map_err(|_panic| anyhow::anyhow!("it panicked"))?
        })
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

#[expect(unsafe_code, reason = "setns(2) has no safe form in std")]
fn enter(place: &std::fs::File) -> Result<()> {
    use std::os::fd::AsRawFd as _;
    // SAFETY: setns takes a descriptor, which is open for as long as `place` is, and touches no memory.
    let entered = unsafe { libc::setns(place.as_raw_fd(), libc::CLONE_NEWNET) };
    ensure!(entered == 0, "setns: {}", std::io::Error::last_os_error());
    Ok(())
}

impl Drop for Netns {
    fn drop(&mut self) {
        drop(tool(&["ip", "netns", "del", &self.name]));
    }
}

/// Lays a wire between two namespaces and gives its ends these names and addresses (IPv4 and its IPv6 twin).
fn wire(one: (&Netns, &str, Ipv4Addr), other: (&Netns, &str, Ipv4Addr)) -> Result<()> {
    one.0.run(&[
        "ip",
        "link",
        "add",
        one.1,
        "type",
        "veth",
        "peer",
        "name",
        other.1,
        "netns",
        other.0.name(),
    ])?;
    for (side, name, address) in [one, other] {
        side.run(&["ip", "address", "add", &format!("{address}/24"), "dev", name])?;
        side.run(&[
            "ip",
            "address",
            "add",
            &format!("{}/112", twin(address)),
            "dev",
            name,
            "nodad",
        ])?;
        side.run(&["ip", "link", "set", name, "up"])?;
    }
    Ok(())
}

/// The IPv6 address that a wire's end has beside its IPv4 one.
pub fn twin(address: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = address.octets().map(u16::from);
    Ipv6Addr::new(0xfd00, 0, 0, 0, a, b, c, d)
}

/// The addresses of a fresh /24, by their last number.
fn subnet() -> impl Fn(u8) -> Ipv4Addr {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let [.., high, low] = (std::process::id().wrapping_mul(37).wrapping_add(number)).to_be_bytes();
    move |last| Ipv4Addr::new(10, high, low, last)
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
        let address = subnet();
        let (near_address, far_address) = (address(1), address(2));
        wire((&near, "wire", near_address), (&far, "wire", far_address))?;
        Ok(Self {
            near,
            far,
            near_address,
            far_address,
        })
    }
}

/// Three namespaces in a row, the middle one forwarding.
#[derive(Debug)]
pub struct Row {
    /// Where the load comes from.
    pub near: Netns,
    /// A router, or a node that forwards to its pods.
    pub middle: Netns,
    /// Where the load goes to.
    pub far: Netns,
    /// The middle's address towards the near side.
    pub middle_address: Ipv4Addr,
    /// The far side's address.
    pub far_address: Ipv4Addr,
}

impl Row {
    /// Makes the three and joins them.
    ///
    /// # Errors
    /// Without root.
    pub fn new() -> Result<Self> {
        let (near, middle, far) = (Netns::new()?, Netns::new()?, Netns::new()?);
        let (front, back) = (subnet(), subnet());
        wire((&near, "wire", front(1)), (&middle, "front", front(2)))?;
        wire((&middle, "back", back(1)), (&far, "wire", back(2)))?;
        for (side, via) in [(&near, front(2)), (&far, back(1))] {
            side.run(&["ip", "route", "add", "default", "via", &via.to_string()])?;
        }
        middle.set("net.ipv4.ip_forward=1")?;
        Ok(Self {
            near,
            middle,
            far,
            middle_address: front(2),
            far_address: back(2),
        })
    }
}
