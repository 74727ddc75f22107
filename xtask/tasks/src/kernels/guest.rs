//! One guest: its initrd, and what it said before it powered off.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::pool::Kernel;
use super::{Built, run as tool};

/// A guest that has not powered off by then hangs.
const PATIENCE: &str = "180";

/// What the guest does. A dummy interface asks nobody for addresses: what goes into it is never seen again.
const INIT: &str = "#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /tmp
ip link set lo up
insmod /dummy.ko
ip link add hole type dummy
ip addr add 10.9.9.1/24 dev hole
ip link set hole up
hopscope agent --rung RUNG --listen 127.0.0.1:9464 --workload-port 8080 --workload-port 8081 --workload-port 8082 --workload-port 8083 >/tmp/agent 2>&1 &
for i in $(seq 300); do grep -q 'listening on' /tmp/agent && break; usleep 100000; done
cat /tmp/agent
gateway listen 127.0.0.1:8081 16 linger >/dev/null 2>&1 &
# Never accepts; its input must stay open, or it ends.
mkfifo /tmp/never
gateway listen 127.0.0.1:8082 1 never-accept </tmp/never >/dev/null 2>&1 &
exec 9>/tmp/never
for port in 1F91 1F92; do
  for i in $(seq 300); do grep -q \"0100007F:$port 00000000:0000 0A\" /proc/net/tcp && break; usleep 100000; done
done
k6 connect 127.0.0.1:8080 2 3000
k6 talk 127.0.0.1:8081 question
k6 connect 127.0.0.1:8082 4 1600
k6 connect 10.9.9.9:8083 1 1600
for i in $(seq 100); do
  wget -qO /tmp/evidence 'http://127.0.0.1:9464/v1/evidence?since=0'
  grep -q '10.9.9.9:8083' /tmp/evidence && break
  usleep 100000
done
cat /tmp/evidence
wget -qO - http://127.0.0.1:9464/metrics | grep -v '^#'
poweroff -f
";

/// Boots a kernel and gives what the guest wrote to its console.
pub(super) fn run(root: &Path, kernel: &Kernel, built: &Built, rung: &str) -> Result<String> {
    let folder = root
        .join("target/kernels")
        .join(format!("guest-{}", kernel.release));
    let initrd = initrd(&folder, kernel, built, rung)?;
    let output = Command::new("timeout")
        .args([
            PATIENCE,
            "qemu-system-x86_64",
            "-accel",
            "tcg,thread=multi",
            "-machine",
            "q35",
            "-cpu",
            "max",
        ])
        .args([
            "-m",
            "1024",
            "-smp",
            "2",
            "-nographic",
            "-no-reboot",
            "-nodefaults",
            "-serial",
            "stdio",
            "-kernel",
        ])
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(&initrd)
        .args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off"])
        .stdin(Stdio::null())
        .output()
        .context("starting qemu-system-x86_64 (Debian package qemu-system-x86)")?;
    let said = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    ensure!(
        output.status.success(),
        "the guest of {} did not power off; it said:\n{said}",
        kernel.release
    );
    Ok(said)
}

fn initrd(folder: &Path, kernel: &Kernel, built: &Built, rung: &str) -> Result<PathBuf> {
    let tree = folder.join("tree");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    for part in ["bin", "proc", "sys", "dev", "tmp", "root"] {
        fs::create_dir_all(tree.join(part))?;
    }
    let busybox = tree.join("bin/busybox");
    let installed = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    fs::copy(
        installed.context("no busybox (Debian package busybox-static)")?,
        &busybox,
    )?;
    tool(
        Command::new(&busybox)
            .args(["--install", "-s"])
            .arg(tree.join("bin")),
    )?;
    // The links must be right within the guest.
    for entry in fs::read_dir(tree.join("bin"))? {
        let path = entry?.path();
        if path.is_symlink() {
            fs::remove_file(&path)?;
            std::os::unix::fs::symlink("busybox", &path)?;
        }
    }
    // Their line tables are ten times as large as they are, and of no use there.
    for (program, names) in [
        (&built.hopscope, &["hopscope"][..]),
        (&built.actor, &["gateway", "k6"]),
    ] {
        for name in names {
            let into = tree.join("bin").join(name);
            tool(
                Command::new("llvm-objcopy")
                    .arg("--strip-debug")
                    .arg(program)
                    .arg(&into),
            )?;
        }
        libraries(program, &tree)?;
    }
    module(kernel, &tree)?;
    fs::write(tree.join("init"), INIT.replace("RUNG", rung))?;
    fs::set_permissions(tree.join("init"), fs::Permissions::from_mode(0o755))?;
    let initrd = folder.join("initrd.gz");
    let pack = format!(
        "find . | cpio -o -H newc --quiet | gzip -1 > '{}'",
        initrd.display()
    );
    tool(Command::new("sh").current_dir(&tree).args(["-c", &pack]))?;
    Ok(initrd)
}

/// The shared libraries of a program, at the paths where its loader looks for them.
fn libraries(program: &Path, tree: &Path) -> Result<()> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .context("starting ldd")?;
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = listed
        .split_ascii_whitespace()
        .filter(|word| word.starts_with('/'));
    for path in paths {
        let into = tree.join(path.trim_start_matches('/'));
        if let Some(parent) = into.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(path, &into).with_context(|| format!("copying {path}"))?;
    }
    Ok(())
}

/// The dummy interface's module: plain, or packed by xz.
fn module(kernel: &Kernel, tree: &Path) -> Result<()> {
    let plain = kernel.modules.join("kernel/drivers/net/dummy.ko");
    let packed = plain.with_extension("ko.xz");
    if plain.exists() {
        fs::copy(&plain, tree.join("dummy.ko"))?;
        return Ok(());
    }
    let output = Command::new("xz")
        .args(["-dc"])
        .arg(&packed)
        .output()
        .context("starting xz (xz-utils)")?;
    ensure!(
        output.status.success(),
        "no dummy.ko in {}",
        kernel.modules.display()
    );
    fs::write(tree.join("dummy.ko"), output.stdout)?;
    Ok(())
}
