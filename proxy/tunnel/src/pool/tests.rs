//! The supervisor against scripts that speak as kubectl does.

use std::io::Write as _;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use hopscope_attribution::evidence::Moment;
use hopscope_attribution::evidence::tunnel::{TunnelLife, TunnelMeaning};
use tempfile::TempDir;

use super::*;

/// Far longer than anything here takes, even on a loaded machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A script in the place of kubectl. `$turn` counts its starts from 1; `forward PORT` says that it listens.
struct Script {
    folder: TempDir,
}

impl Script {
    fn new(body: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let text = format!(
            r#"#!/bin/sh
cd "{folder}"
if [ "$1" = version ]; then echo '{{"clientVersion":{{"gitVersion":"v1.99.0"}}}}'; exit 0; fi
until mkdir lock 2>/dev/null; do :; done
turn=$(($(cat turns 2>/dev/null || echo 0) + 1))
echo $turn > turns
rmdir lock
forward() {{ echo "Forwarding from 127.0.0.1:$1 -> 80"; }}
{body}
"#,
            folder = folder.path().display()
        );
        // Another process writes it: were it open for writing here while another test forks, it could not be run.
        let mut writer = std::process::Command::new("sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(folder.path().join("kubectl"))
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("sh runs");
        let mut pipe = writer.stdin.take().expect("a pipe");
        pipe.write_all(text.as_bytes()).expect("writable");
        drop(pipe);
        assert!(writer.wait().expect("it ends").success());
        Self { folder }
    }

    fn start(&self, policy: RestartPolicy, more: &str) -> (Result<Tunnel, TunnelStartError>, Heard) {
        let path = self.folder.path().join("kubectl");
        start(
            &format!("kubectl:svc/web:80?kubectl={}{more}", path.display()),
            policy,
        )
    }
}

fn start(target: &str, policy: RestartPolicy) -> (Result<Tunnel, TunnelStartError>, Heard) {
    let (sender, reports) = mpsc::channel();
    let begin = Instant::now();
    let clock: Clock = Arc::new(move || Moment(u64::try_from(begin.elapsed().as_micros()).expect("short")));
    let sink: Sink = Arc::new(move |report| drop(sender.send(report)));
    let target = Target::parse(target).expect("a good target");
    (Tunnel::start(target, policy, clock, sink), Heard(reports))
}

/// What the tunnel reported.
struct Heard(Receiver<TunnelReport>);

impl Heard {
    /// Reports up to the first that `wanted` makes something of.
    fn until<T>(&self, wanted: impl Fn(&TunnelReport) -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let report = self.0.recv_timeout(left).expect("the report that is waited for");
            if let Some(found) = wanted(&report) {
                return found;
            }
        }
    }

    fn until_life(&self, wanted: TunnelLife) {
        self.until(|report| {
            matches!(report, TunnelReport::Life(event) if event.kind == wanted).then_some(())
        });
    }

    /// The reason of the next turn of this kind.
    fn reason_of(&self, wanted: TunnelLife) -> Option<TunnelMeaning> {
        let event = self.until(|report| match report {
            TunnelReport::Life(event) => (event.kind == wanted).then(|| event.clone()),
            TunnelReport::Watched { .. }
            | TunnelReport::Line(_)
            | TunnelReport::Gauge(_)
            | TunnelReport::Process(_) => None,
        });
        event.reason
    }

    fn until_line(&self, wanted: TunnelMeaning) -> String {
        self.until(|report| {
            let TunnelReport::Line(line) = report else {
                return None;
            };
            (line.meaning == wanted).then(|| line.text.clone())
        })
    }
}

fn port(tunnel: &Tunnel) -> Option<u16> {
    tunnel.upstream().map(|(address, _)| address.port())
}

#[test]
fn a_forward_that_listens_is_given_as_upstream_and_ends_with_the_tunnel() {
    let script = Script::new("forward 1234; echo $$ > pid; exec sleep 600");
    let (tunnel, heard) = script.start(RestartPolicy::WhenLost, "");
    let mut tunnel = tunnel.expect("it listens");
    assert_eq!(port(&tunnel), Some(1234));
    let process = heard.until(|report| {
        let TunnelReport::Process(process) = report else {
            return None;
        };
        Some(process.clone())
    });
    assert_eq!(
        (process.local_port, process.version),
        (1234, Observation::Seen("v1.99.0".to_owned()))
    );
    let pid = *process.pid.seen().expect("its id");
    tunnel.stop();
    heard.until_life(TunnelLife::Stopped);
    assert_eq!(tunnel.upstream(), None);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_cluster_that_forbids_it_is_told_in_one_line_with_what_to_ask_for() {
    let script = Script::new(
        r#"echo 'error: error upgrading connection: pods "web" is forbidden: User "dev" cannot create resource "pods/portforward"' >&2; exit 1"#,
    );
    let (tunnel, heard) = script.start(RestartPolicy::WhenLost, "");
    let told = tunnel.expect_err("it is forbidden").to_string();
    assert!(
        told.contains("RBAC verbs") && told.contains("User \"dev\""),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1);
    heard.until_line(TunnelMeaning::Forbidden);
    heard.until_life(TunnelLife::Exited(Some(1)));
}

#[test]
fn the_reason_is_taken_from_the_line_that_explains_most() {
    let script = Script::new(
        "echo 'E0102 15:04:05.000000 7 memcache.go:2] couldnt' >&2; echo 'error: You must be logged in to the server (Unauthorized)' >&2; echo hello >&2; exit 1",
    );
    let (tunnel, _heard) = script.start(RestartPolicy::WhenLost, "");
    assert!(
        tunnel
            .expect_err("not logged in")
            .to_string()
            .contains("log in again")
    );
}

#[test]
fn a_missing_kubectl_is_named_with_the_remedy() {
    let (tunnel, heard) = start(
        "kubectl:svc/web:80?kubectl=/no/such/kubectl",
        RestartPolicy::WhenLost,
    );
    let error = tunnel.expect_err("it is missing");
    assert!(
        error
            .to_string()
            .contains("`/no/such/kubectl` was not found: install kubectl")
    );
    heard.until_life(TunnelLife::LeftDown);
}

#[test]
fn a_lost_forward_is_started_again() {
    let script = Script::new(
        "forward $((1000 + turn)); [ $turn -gt 1 ] && exec sleep 600; read wait < gate; echo 'error: lost connection to pod' >&2; exit 1",
    );
    let gate = script.folder.path().join("gate");
    let made = std::process::Command::new("mkfifo")
        .arg(&gate)
        .status()
        .expect("mkfifo runs");
    assert!(made.success());
    let (tunnel, heard) = script.start(RestartPolicy::WhenLost, "");
    let tunnel = tunnel.expect("it listens");
    assert_eq!(port(&tunnel), Some(1001));
    std::fs::write(&gate, "go\n").expect("the script reads");
    heard.until_line(TunnelMeaning::Lost);
    heard.until_life(TunnelLife::Exited(Some(1)));
    heard.until_life(TunnelLife::Started);
    heard.until_life(TunnelLife::Ready);
    assert_eq!(port(&tunnel), Some(1002));
}

#[test]
fn a_loss_and_the_start_after_it_carry_what_kubectl_said_of_it() {
    let script = Script::new(
        "forward $((1000 + turn)); [ $turn = 2 ] && exec sleep 600; echo 'E0102 15:04:05.000000 7 portforward.go:413] an error occurred forwarding 1001 -> 80: error forwarding port 80 to pod 6e9d, uid : failed to connect to localhost:80 inside namespace: dial tcp4 127.0.0.1:80: connect: connection refused' >&2; echo 'error: lost connection to pod' >&2; exit 1",
    );
    let (tunnel, heard) = script.start(RestartPolicy::WhenLost, "");
    let _tunnel = tunnel.expect("it listens");
    let reason = |kind| heard.reason_of(kind);
    assert_eq!(reason(TunnelLife::Started), None);
    assert_eq!(
        reason(TunnelLife::Exited(Some(1))),
        Some(TunnelMeaning::PodRefused)
    );
    assert_eq!(reason(TunnelLife::Started), Some(TunnelMeaning::PodRefused));
}

#[test]
fn a_lost_forward_is_left_down_when_told_so() {
    let script = Script::new("forward 1001; exit 1");
    let (tunnel, heard) = script.start(RestartPolicy::Never, "");
    let tunnel = tunnel.expect("it listens");
    heard.until_life(TunnelLife::Exited(Some(1)));
    heard.until_life(TunnelLife::LeftDown);
    assert_eq!(tunnel.upstream(), None);
}

#[test]
fn a_forward_with_a_timed_out_stream_is_replaced_and_drained() {
    let script = Script::new(
        "forward $((1000 + turn)); [ $turn = 1 ] && echo 'E0102 15:04:05.000000 7 portforward.go:357] error creating error stream for port 1001 -> 80: Timeout occurred' >&2; exec sleep 600",
    );
    let (tunnel, heard) = script.start(RestartPolicy::WhenLost, "");
    let tunnel = tunnel.expect("it listens");
    heard.until_line(TunnelMeaning::StreamTimeout);
    let reason = |kind| heard.reason_of(kind);
    assert_eq!(reason(TunnelLife::Started), Some(TunnelMeaning::StreamTimeout));
    assert_eq!(reason(TunnelLife::Replaced), Some(TunnelMeaning::StreamTimeout));
    assert_eq!(port(&tunnel), Some(1002));
    // Nothing is connected to the old one, so it goes at once.
    heard.until_life(TunnelLife::Drained);
    assert_eq!(tunnel.up(), 1);
}

#[test]
fn a_forward_with_a_timed_out_stream_is_left_alone_when_told_so() {
    let script = Script::new(
        "forward 1001; echo 'E0102 15:04:05.000000 7 portforward.go:357] error creating error stream for port 1001 -> 80: Timeout occurred' >&2; exec sleep 600",
    );
    let (tunnel, heard) = script.start(RestartPolicy::Never, "");
    let mut tunnel = tunnel.expect("it listens");
    heard.until_line(TunnelMeaning::StreamTimeout);
    assert_eq!(port(&tunnel), Some(1001));
    tunnel.stop();
    let after: Vec<TunnelReport> = heard.0.try_iter().collect();
    assert!(
        !after
            .iter()
            .any(|report| matches!(report, TunnelReport::Life(event) if event.kind == TunnelLife::Replaced))
    );
}

#[test]
fn kubectls_words_are_drained_however_many_there_are() {
    // Row A6: 64 KiB undrained would stop it before its last words.
    let script = Script::new(
        "forward 1001; i=0; while [ $i -lt 20000 ]; do echo 'Handling connection for 1001'; i=$((i+1)); done; echo 'error: lost connection to pod' >&2; exec sleep 600",
    );
    let (tunnel, heard) = script.start(RestartPolicy::Never, "");
    let _tunnel = tunnel.expect("it listens");
    heard.until_line(TunnelMeaning::Lost);
    heard.until(|report| {
        matches!(report, TunnelReport::Gauge(gauge) if gauge.handled == Observation::Seen(20_000))
            .then_some(())
    });
}

#[test]
fn a_pool_deals_connections_over_all_its_kubectls() {
    let script = Script::new("forward $((1000 + turn)); exec sleep 600");
    let (tunnel, _heard) = script.start(RestartPolicy::WhenLost, "&pool=3");
    let tunnel = tunnel.expect("all listen");
    assert_eq!(tunnel.up(), 3);
    let mut ports: Vec<u16> = (0..3).filter_map(|_| port(&tunnel)).collect();
    ports.sort_unstable();
    assert_eq!(ports, [1001, 1002, 1003]);
}

#[test]
fn one_member_that_cannot_start_fails_the_pool_and_leaves_none_running() {
    let script =
        Script::new("[ $turn = 2 ] && exit 7; echo $$ > pid$turn; forward $((1000 + turn)); exec sleep 600");
    let (tunnel, _heard) = script.start(RestartPolicy::WhenLost, "&pool=2");
    tunnel.expect_err("one of two failed");
    let pid = std::fs::read_to_string(script.folder.path().join("pid1")).expect("the first ran");
    assert!(!std::path::Path::new(&format!("/proc/{}", pid.trim())).exists());
}
