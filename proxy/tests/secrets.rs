//! Nothing secret is at rest or on show: the real program is run with the corpus of secrets on its command line, in its
//! requests and from its kubectl, and every byte that it leaves behind or says is searched for them.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_hopscope");
const COMMANDS: &str = include_str!("../secret/tests/corpus/commands.txt");
const PATHS: &str = include_str!("../secret/tests/corpus/paths.txt");
const KUBECTL: &str = include_str!("../secret/tests/corpus/kubectl.txt");

/// What `⟦…⟧` marks, as far as chance does not write it: short words and numbers occur in any report.
fn secrets(corpus: &str) -> Vec<&str> {
    let marked = corpus.split('⟦').skip(1);
    marked
        .filter_map(|rest| Some(rest.split_once('⟧')?.0))
        .filter(|secret| {
            secret.len() >= 6
                && secret.bytes().any(|byte| byte.is_ascii_digit())
                && secret.bytes().any(|byte| byte.is_ascii_alphabetic())
        })
        .collect()
}

fn plain(line: &str) -> String {
    line.replace(['⟦', '⟧', '⟨', '⟩'], "")
}

/// Answers every request of every connection with a small 200 or 503, for as long as the test runs.
fn application() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(&stream));
        }
    });
    address
}

fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while lines.read_line(&mut line)? > 2 {
        line.clear();
    }
    stream.write_all(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
}

fn ask(address: SocketAddr, path: &str) {
    let mut stream = TcpStream::connect(address).expect("hopscope listens");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: shop.test\r\nAuthorization: Bearer hunter2hunter2\r\nCookie: sid=s3ss10ncookie\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
}

fn scrape(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("metrics are served");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answered");
    text
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes
        .windows(secret.len())
        .any(|window| window == secret.as_bytes())
}

/// Every file of the folder, whatever SQLite has left in it.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).expect("the folder").flatten();
    entries
        .filter(|entry| entry.path().is_file())
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).expect("a file"))
        })
        .collect()
}

/// Waits for `listens on http://ADDRESS`, and gives what was said until then.
fn address_of(child: &mut Child) -> (SocketAddr, BufReader<std::process::ChildStderr>, String) {
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut said = String::new();
    loop {
        let start = said.len();
        assert!(
            lines.read_line(&mut said).expect("it says where it listens") > 0,
            "{said}"
        );
        let line = said.get(start..).unwrap_or_default();
        if let Some((_, address)) = line.trim_end().split_once("listens on http://") {
            let address = address.parse().expect("an address");
            return (address, lines, said);
        }
    }
}

#[test]
fn no_secret_of_a_run_is_in_a_file_a_report_a_metric_or_a_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let metrics = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr());
    let metrics = metrics.expect("a free port").to_string();
    let words: Vec<String> = COMMANDS
        .lines()
        .flat_map(|line| plain(line).split(" ¦ ").map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let mut child = Command::new(PROGRAM)
        .args(["run", "--probes", "off", "--via"])
        .arg(format!("direct={}", application()))
        .args(["--metrics", &metrics, "--record"])
        .arg(at("run.sqlite"))
        .arg("--json")
        .arg(at("report.json"))
        .arg("--html")
        .arg(at("report.html"))
        .arg("--markdown")
        .arg(at("report.md"))
        .args(["--", "sh", "-c", "read -r line", "load"])
        .args(words)
        .env("RUST_LOG", "trace")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hopscope runs");
    let (address, mut lines, mut said) = address_of(&mut child);
    for path in PATHS.lines() {
        ask(address, &plain(path));
    }
    // What a commit has brought into the log is searched as well.
    std::thread::park_timeout(std::time::Duration::from_millis(1_200));
    let mut found = files(folder.path());
    found.push(("metrics".to_owned(), scrape(&metrics).into_bytes()));
    drop(child.stdin.take());
    lines.read_to_string(&mut said).expect("it says the rest");
    let ended = child.wait_with_output().expect("it ends");
    found.extend(files(folder.path()));
    found.push(("standard error".to_owned(), said.into_bytes()));
    found.push(("standard output".to_owned(), ended.stdout));
    let report = String::from_utf8_lossy(&std::fs::read(at("report.json")).expect("a report")).into_owned();
    assert!(
        report.contains("/reset/:token") && report.contains("\"sh\""),
        "{report}"
    );
    let cookies = ["hunter2hunter2", "s3ss10ncookie"];
    for secret in secrets(COMMANDS).into_iter().chain(secrets(PATHS)).chain(cookies) {
        for (name, bytes) in &found {
            assert!(!holds(bytes, secret), "{name} holds {secret}");
        }
    }
}

#[test]
fn no_secret_that_kubectl_writes_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    // A forward that stands is none that failed to start.
    let complaints = KUBECTL.lines().filter(|line| !line.contains("Forwarding from"));
    for (number, line) in complaints.enumerate() {
        let script = folder.path().join(format!("kubectl-{number}"));
        let text = folder.path().join(format!("text-{number}"));
        std::fs::write(&text, plain(line) + "\n").expect("a file");
        let program = format!("#!/bin/sh\ncat {} >&2\nexit 1\n", text.display());
        std::fs::write(&script, program).expect("a script");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("a mode");
        let recording = folder.path().join("run.sqlite");
        let ended = Command::new(PROGRAM)
            .args(["proxy", "--listen", "127.0.0.1:0", "--probes", "off", "--via"])
            .arg(format!("tunnel=kubectl:svc/shop:80?kubectl={}", script.display()))
            .arg("--record")
            .arg(&recording)
            .env("RUST_LOG", "trace")
            .output()
            .expect("hopscope runs");
        assert_eq!(ended.status.code(), Some(3), "{line}");
        assert!(!recording.exists(), "a start that failed leaves no recording");
        for secret in secrets(line) {
            assert!(
                !holds(&ended.stderr, secret),
                "{}",
                String::from_utf8_lossy(&ended.stderr)
            );
        }
    }
}

#[test]
fn a_target_with_a_password_is_refused_without_it() {
    let via = "lb=https://alice:hunter2hunter2@shop.test/x?token=abcdef99";
    let ended = Command::new(PROGRAM)
        .args(["proxy", "--via", via])
        .output()
        .expect("hopscope runs");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(!said.contains("hunter2") && !said.contains("abcdef99"), "{said}");
}

#[test]
fn a_recording_is_not_replaced_by_its_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("run.sqlite");
    let link = folder.path().join("link");
    std::fs::write(&file, "SQLite format 3\0 and the rest").expect("a file");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    for output in ["--json", "--html", "--markdown"] {
        let ended = Command::new(PROGRAM)
            .arg("report")
            .arg(&file)
            .arg(output)
            .arg(&link)
            .output()
            .expect("hopscope runs");
        assert_eq!(ended.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&ended.stderr).contains("name the same file"));
    }
    assert!(
        std::fs::read(&file)
            .expect("the file")
            .starts_with(b"SQLite format 3\0")
    );
}
