//! `hopscope run` before real servers: which address it reaches, by which name, and what it refuses to reach.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here is the test")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};

/// A server that answers every request with 200, and tells the `Host` of each.
fn server(on: &str) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind(on).unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, hosts) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let host = head.iter().find_map(|line| line.strip_prefix("Host: "));
            if sender.send(host.unwrap_or_default().to_owned()).is_err() {
                return;
            }
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"));
        }
    });
    (address, hosts)
}

/// A generator in bash that makes three requests, each on its own connection.
const GENERATOR: &str = r"for i in 1 2 3; do exec 3<>/dev/tcp/{host}/{port}
printf 'GET /a HTTP/1.1\r\nHost: {addr}\r\n\r\n' >&3; cat <&3; exec 3>&-; done";

struct Ran {
    output: Output,
    report: String,
}

fn run(arguments: &[&str], generator: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let output = Command::new(env!("CARGO_BIN_EXE_hopscope"))
        .args(["run", "--probes", "off"])
        .args(arguments)
        .arg("--json")
        .arg(&json)
        .args(["--", "bash", "-c", generator])
        .current_dir(folder.path())
        .output()
        .unwrap();
    Ran {
        report: std::fs::read_to_string(&json).unwrap_or_default(),
        output,
    }
}

impl Ran {
    fn said(&self) -> String {
        String::from_utf8_lossy(&[self.output.stdout.clone(), self.output.stderr.clone()].concat())
            .into_owned()
    }

    fn field(&self, pointer: &str) -> serde_json::Value {
        let report: serde_json::Value =
            serde_json::from_str(&self.report).unwrap_or_else(|error| panic!("{error}: {}", self.said()));
        report.pointer(pointer).cloned().unwrap_or_default()
    }
}

#[test]
fn localhost_is_reached_where_the_server_has_only_one_of_its_addresses() {
    let stands_for: Vec<SocketAddr> = ("localhost", 0).to_socket_addrs().unwrap().collect();
    for on in ["127.0.0.1:0", "[::1]:0"] {
        // Not every host's localhost has both; where it has, the other one refuses.
        if !stands_for.contains(&on.parse().unwrap()) {
            continue;
        }
        let (address, _hosts) = server(on);
        let ran = run(
            &["--via", &format!("tunnel=localhost:{}", address.port())],
            GENERATOR,
        );
        assert_eq!(ran.field("/totals/requests"), 3, "{on}: {}", ran.said());
        assert_eq!(ran.field("/totals/failed"), 0, "{on}: {}", ran.said());
        assert_eq!(ran.field("/verdict/hop"), "none", "{on}: {}", ran.said());
    }
}

#[test]
fn a_name_that_refuses_on_every_address_is_refused() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let ran = run(&["--via", &format!("direct=localhost:{port}")], GENERATOR);
    assert_eq!(ran.field("/verdict/cause"), "backend-refused", "{}", ran.said());
    let notes = ran.field("/run/notes").to_string();
    assert!(
        notes.contains("connection reset by peer") && notes.contains("connection refused"),
        "{notes}"
    );
}

#[test]
fn a_path_to_hopscopes_own_listener_is_refused_at_the_start() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    for target in ["127.0.0.1", "localhost", "0.0.0.0"] {
        let ran = run(
            &[
                "--listen",
                &format!("127.0.0.1:{port}"),
                "--via",
                &format!("direct={target}:{port}"),
            ],
            "exit 0",
        );
        assert_eq!(ran.output.status.code(), Some(3), "{}", ran.said());
        assert!(
            ran.said().contains("where hopscope itself listens"),
            "{}",
            ran.said()
        );
    }
}

#[test]
fn own_hosts_become_the_targets_name_and_the_report_says_so_first() {
    let (address, hosts) = server("127.0.0.1:0");
    let name = format!("localhost:{}", address.port());
    let ran = run(&["--via", &format!("lb=http://{name}")], GENERATOR);
    assert_eq!(hosts.try_iter().collect::<Vec<_>>(), [name.as_str(); 3]);
    let said = ran.said();
    let first: Vec<&str> = said
        .lines()
        .skip_while(|line| !line.contains("3 requests"))
        .take(8)
        .collect();
    assert!(
        first.iter().any(|line| line.contains("was replaced by")),
        "{first:?}"
    );
}

#[test]
fn the_host_is_kept_given_or_left_alone_as_it_is_wished() {
    let (address, hosts) = server("127.0.0.1:0");
    let target = format!("lb=http://localhost:{}", address.port());
    let literal = format!("lb=http://{address}");
    let sent = |arguments: &[&str]| {
        let ran = run(arguments, GENERATOR);
        assert_eq!(ran.field("/totals/failed"), 0, "{}", ran.said());
        hosts.try_iter().last().unwrap()
    };
    assert!(sent(&["--via", &target, "--host-header", "keep"]).starts_with("127.0.0.1:"));
    assert!(sent(&["--via", &literal]).starts_with("127.0.0.1:"));
    assert_eq!(
        sent(&["--via", &literal, "--host-header", "shop.test"]),
        "shop.test"
    );
    assert_eq!(
        sent(&["--via", &literal, "--host-header", "target"]),
        address.to_string()
    );
}

#[test]
fn a_command_that_names_no_address_is_doubted_before_it_runs() {
    let ran = run(&["--via", "direct=127.0.0.1:9"], "echo the generator runs >&2");
    let said = String::from_utf8_lossy(&ran.output.stderr).into_owned();
    let doubt = said.find("its load does not pass through hopscope").unwrap();
    assert!(doubt < said.find("the generator runs").unwrap(), "{said}");
}

#[test]
fn a_name_that_is_nearly_a_kind_is_asked_about() {
    let ran = run(&["--via", "tunl=127.0.0.1:9"], "exit 0");
    assert_eq!(ran.output.status.code(), Some(2));
    assert!(ran.said().contains("write tunnel=127.0.0.1:9"), "{}", ran.said());
}
