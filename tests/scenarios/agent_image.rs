//! The image as a cluster runs it: one static binary in an empty, read-only root, two capabilities, a network of its
//! own. The host's processes are in sight, as `hostPID` gives them.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use hopscope_tests::cast::{Cast, PATIENCE, all_of};
use hopscope_tests::netns::{Netns, Pair};
use hopscope_tests::process::Process;
use hopscope_tests::program::image;
use hopscope_tests::scrape::{ask, eventually, get, sum};

use crate::agent_stage::ACTOR;

pub(crate) const BPF: u32 = 39;
pub(crate) const PERFMON: u32 = 38;
pub(crate) const SYS_PTRACE: u32 = 19;

/// What deploy/base/daemonset.yaml mounts, and nothing else; then everything is read-only, and the chroot is left to
/// who gives up the capability for it.
const MOUNT: &str = r#"
set -e
mount --bind "$IMAGE" "$IMAGE"
mount -t proc -o nosuid,nodev,noexec proc "$IMAGE/proc"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$IMAGE/sys"
mount --rbind /sys/fs/cgroup "$IMAGE/host/cgroup"
mount -o remount,bind,ro "$IMAGE/host/cgroup"
[ -z "$ACCOUNT" ] || mount --bind "$ACCOUNT" "$IMAGE/var/run/secrets/kubernetes.io/serviceaccount"
mount -o remount,bind,ro "$IMAGE"
exec "$@"
"#;

/// A command within the image, with these capabilities and no way to others, on a network of its own.
fn within(network: &Netns, capabilities: &[u32], words: &[&str]) -> Result<Command> {
    let enter = format!("--net=/run/netns/{}", network.name());
    contain(&["nsenter", &enter, "--"], capabilities, words)
}

/// The same, on the network that `enter` leads to: on the host's own, where it leads nowhere.
pub(crate) fn contain(enter: &[&str], capabilities: &[u32], words: &[&str]) -> Result<Command> {
    let kept: Vec<_> = capabilities.iter().map(|bit| format!("+cap_{bit}")).collect();
    let isolate = [
        "unshare",
        "--mount",
        "--propagation=private",
        "--ipc",
        "--uts",
        "--",
    ];
    let whole = [enter, &isolate].concat();
    let (program, first) = whole.split_first().context("a program")?;
    let mut command = Command::new(program);
    command
        .args(first)
        .env_clear()
        .env("IMAGE", image()?)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .args(["sh", "-c", MOUNT, "sh", "setpriv"])
        .arg(format!(
            "--bounding-set=-all,{},+sys_chroot,+setpcap",
            kept.join(",")
        ))
        .args(["--inh-caps=-all", "--no-new-privs", "--clear-groups", "--"])
        .arg("capsh")
        .arg(format!("--chroot={}", image()?.display()))
        .args(["--drop=cap_sys_chroot,cap_setpcap", "--shell=/hopscope", "--"])
        .args(words);
    Ok(command)
}

/// The agent of the image, answering on an address that the scenario reaches from outside.
struct Contained {
    process: Process,
    address: SocketAddr,
    _network: Netns,
}

impl Contained {
    fn start(capabilities: &[u32]) -> Result<Self> {
        let network = Netns::new()?;
        let listen = format!("{}:0", network.reach()?);
        let words = [
            "agent",
            "--listen",
            &listen,
            "--open=metrics,evidence",
            "--cgroup=/host/cgroup",
            "--workload-port=8080",
        ];
        let mut process = Process::start(&mut within(&network, capabilities, &words)?)?;
        let address = process
            .wait_for(PATIENCE, "its address", |line| {
                line.split_once("listening on ")?.1.parse().ok()
            })
            .context("capsh (libcap2-bin), setpriv, nsenter and unshare (util-linux) make the container")?;
        Ok(Self {
            process,
            address,
            _network: network,
        })
    }

    fn status(&self, field: &str) -> Result<String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        Ok(line.context("no such field")?.trim().to_owned())
    }
}

fn bits(capabilities: &[u32]) -> String {
    format!(
        "{:016x}",
        capabilities.iter().fold(0_u64, |all, bit| all | 1 << bit)
    )
}

#[test]
fn the_image_runs_with_two_capabilities_and_a_read_only_root_and_names_the_hop() -> Result<()> {
    let held = [BPF, PERFMON];
    let agent = Contained::start(&held)?;
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        assert_eq!(agent.status(set)?, bits(&held), "{set}");
    }
    assert_eq!(agent.status("NoNewPrivs:")?, "1");
    let id = agent.process.id();
    let root = format!("/proc/{id}/root");
    let mut held: Vec<_> = std::fs::read_dir(&root)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    held.sort();
    assert_eq!(held, ["dev", "etc", "hopscope", "host", "proc", "sys", "var"]);
    let wrote = std::fs::write(Path::new(&root).join("written"), "");
    ensure!(
        wrote.is_err_and(|error| error.kind() == std::io::ErrorKind::ReadOnlyFilesystem),
        "the root can be written to"
    );
    let maps = std::fs::read_to_string(format!("/proc/{id}/maps"))?;
    assert!(!maps.contains(".so"), "a shared library is loaded:\n{maps}");

    let ready = get(agent.address, "/readyz")?;
    // Without a third capability it does not know the host's namespace, and says so.
    let (probes, others): (Vec<_>, Vec<_>) = ready.lines().partition(|line| line.ends_with(": attached"));
    assert_eq!(probes.len(), 7, "{ready}");
    let host = "the host's network namespace is not known";
    assert!(others.iter().all(|line| line.starts_with(host)), "{ready}");
    let pair = Pair::new()?;
    let target = format!("{}:8080", pair.far_address);
    let cast = Cast::of(ACTOR)?;
    let refused = cast.play("k6", &pair.near, &["connect", &target, "3", "5000"])?;
    assert_eq!(all_of(refused)?, ["ConnectionRefused"; 3]);
    let labels = [("hop", "backend"), ("cause", "backend-refused")];
    eventually("the refusals", || {
        let metrics = get(agent.address, "/metrics")?;
        let counted = sum(&metrics, "hopscope_node_failures_total", &labels);
        Ok((counted >= 3.0).then_some(()).ok_or(metrics))
    })
}

#[test]
fn the_capability_of_the_daemonset_beside_the_two_lets_it_see_namespaces() -> Result<()> {
    let agent = Contained::start(&[BPF, PERFMON, SYS_PTRACE])?;
    let pair = Pair::new()?;
    let cast = Cast::of(ACTOR)?;
    let target = format!("{}:8080", pair.far_address);
    let mut tenant = cast.play("gateway", &pair.far, &["listen", &target, "1", "never-accept"])?;
    crate::agent_stage::ready(&mut tenant, "listening")?;
    all_of(cast.play("k6", &pair.near, &["connect", &target, "4", "1600"])?)?;
    // The counters of a namespace are read by way of a process that lives in it.
    eventually("the overflow", || {
        let metrics = get(agent.address, "/metrics")?;
        let counted = sum(
            &metrics,
            "hopscope_node_accept_queue_overflows_total",
            &[("workload", "gateway")],
        );
        Ok((counted > 0.0).then_some(()).ok_or(metrics))
    })
}

#[test]
fn a_capability_that_is_missing_is_named_by_the_agent_and_by_doctor() -> Result<()> {
    let agent = Contained::start(&[PERFMON])?;
    let ready = get(agent.address, "/readyz")?;
    assert!(ready.contains("CAP_BPF"), "{ready}");
    assert_eq!(ask(agent.address, "/healthz", "")?.0, 200);
    assert!(sum(&get(agent.address, "/metrics")?, "hopscope_probe_attached", &[]) < 1.0);

    let network = Netns::new()?;
    let output = within(&network, &[PERFMON], &["doctor", "--json"])?.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let told: serde_json::Value = serde_json::from_str(&said)
        .with_context(|| format!("{said}{}", String::from_utf8_lossy(&output.stderr)))?;
    let state = |subject: &str| {
        told["findings"]
            .as_array()
            .and_then(|all| all.iter().find(|finding| finding["subject"] == subject))
            .map(|finding| finding["state"].clone())
    };
    assert_eq!(state("CAP_BPF"), Some("missing".into()), "{told}");
    assert_eq!(state("CAP_PERFMON"), Some("ok".into()), "{told}");
    assert_eq!(state("probes"), Some("missing".into()), "{told}");
    Ok(())
}
