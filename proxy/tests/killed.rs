//! A recording outlives the process that makes it, and a full disk does not reach the traffic.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use hopscope_recording::Recording;

const BOUND: Duration = Duration::from_secs(30);
/// Connections whose rows the small disk has room for, and more than it has room for.
const FITS: u64 = 100;
const FITS_NOT: u64 = 5_000;
const PROGRAM: &str = env!("CARGO_BIN_EXE_hopscope");

/// A process that does not outlive its test.
struct Proxy {
    process: Child,
    address: SocketAddr,
    /// Kept open: what it says later must not fail.
    _said: Lines<BufReader<ChildStderr>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // With what a launcher has started. It may be dead already.
        let group = format!("-{}", self.process.id());
        drop(
            Command::new("kill")
                .args(["-KILL", "--", &group])
                .stderr(Stdio::null())
                .status(),
        );
        drop(self.process.wait());
    }
}

/// Answers every connection's one request with a small 200, for as long as the test runs.
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
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
}

/// hopscope on a port that it chooses itself. A port that is sought here and given back may still be listened on in a
/// process that another test is about to start: it inherits what is open until it has become another program.
fn proxy(recording: &Path, launcher: &[&str]) -> Proxy {
    let mut words = launcher.to_vec();
    words.push(PROGRAM);
    let mut process = Command::new(words[0])
        .process_group(0)
        .args(&words[1..])
        .args(["proxy", "--listen", "127.0.0.1:0"])
        .args(["--via", &format!("direct={}", application())])
        .arg("--record")
        .arg(recording)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hopscope starts");
    let mut said = BufReader::new(process.stderr.take().expect("a pipe")).lines();
    let address = said
        .find_map(|line| {
            let line = line.expect("text");
            let address = line.strip_prefix("hopscope listens on http://")?;
            Some(address.parse().expect("an address"))
        })
        .expect("it says where it listens");
    Proxy {
        process,
        address,
        _said: said,
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

fn request(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream
        .write_all(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    answer
}

fn report(recording: &Path) -> (String, bool) {
    let said = Command::new(PROGRAM)
        .arg("report")
        .arg(recording)
        .output()
        .expect("hopscope runs");
    (
        String::from_utf8_lossy(&said.stdout).into_owned(),
        said.status.success(),
    )
}

#[test]
fn a_killed_process_leaves_a_readable_recording_that_says_where_it_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("killed.hopscope");
    let mut proxy = proxy(&file, &[]);
    for _ in 0..20 {
        assert!(request(proxy.address).ends_with("ok"));
    }
    let requests = |recording: &Recording| recording.total().requests;
    until("what happened is committed", || {
        Recording::open(&file).is_ok_and(|recording| requests(&recording) == 20)
    });
    let open = TcpStream::connect(proxy.address).expect("it listens");
    until("the accept is committed", || {
        Recording::open(&file).is_ok_and(|recording| recording.cut_off().is_some_and(|cut| cut.in_flight > 0))
    });
    // SIGKILL: nothing of the process runs after it.
    proxy.process.kill().expect("it ran");
    proxy.process.wait().expect("it ends");
    drop(open);

    let recording = Recording::open(&file).expect("a readable recording");
    let cut = recording.cut_off().expect("it was not closed");
    assert!(cut.at.0 > 0 && cut.in_flight > 0, "{cut:?}");
    assert!(recording.evidence().observer.accounting.balanced());
    assert_eq!(requests(&recording), 20);
    let (text, well) = report(&file);
    assert!(well && text.contains("not closed properly"), "{text}");
    assert_eq!(report(&file).0, text, "the same recording gives the same bytes");
}

/// Needs a mount of its own, so it asks for a user namespace; where there is none it says so and ends.
#[test]
fn a_full_disk_does_not_reach_the_traffic() {
    let folder = tempfile::tempdir().expect("a folder");
    let (disk, copy) = (folder.path().join("disk"), folder.path().join("copy"));
    std::fs::create_dir(&disk).expect("a folder");
    std::fs::create_dir(&copy).expect("a folder");
    let alone = ["unshare", "--user", "--map-root-user", "--mount"];
    let (disk_word, copy_word) = (disk.to_str().expect("text"), copy.to_str().expect("text"));
    let mount = "mount -t tmpfs -o size=600k none \"$0\"";
    let tried = Command::new(alone[0])
        .args(&alone[1..])
        .args(["sh", "-c", mount, disk_word])
        .status();
    if !tried.is_ok_and(|tried| tried.success()) {
        println!("no mount namespace to be had here: a full disk was not tried");
        return;
    }
    // The small disk goes with the namespace, so what is on it is copied when hopscope has ended.
    let script = format!("trap : INT; {mount}; copy=$1; shift; \"$@\"; cp \"$0\"/full* \"$copy\"");
    let mut launcher = alone.to_vec();
    launcher.extend(["sh", "-c", &script, disk_word, copy_word]);
    let mut proxy = proxy(&disk.join("full.hopscope"), &launcher);
    let ask = |times| {
        for _ in 0..times {
            assert!(request(proxy.address).ends_with("ok"), "the traffic goes on");
        }
    };
    ask(FITS);
    // The disk is there for the processes of the namespace alone.
    let process = proxy.process.id().to_string();
    until("what fits is committed", || {
        let report = Command::new("nsenter")
            .args(["--target", &process, "--user", "--mount", PROGRAM, "report"])
            .arg(disk.join("full.hopscope"))
            .output()
            .expect("nsenter runs");
        String::from_utf8_lossy(&report.stdout).contains(&format!("{FITS} connections"))
    });
    ask(FITS_NOT);
    let group = format!("-{}", proxy.process.id());
    assert!(
        Command::new("kill")
            .args(["-INT", "--", &group])
            .status()
            .expect("kill runs")
            .success()
    );
    until("it ends", || {
        proxy.process.try_wait().is_ok_and(|ended| ended.is_some())
    });

    let recording = Recording::open(&copy.join("full.hopscope")).expect("a readable recording");
    let accounting = recording.evidence().observer.accounting;
    assert!(
        accounting.connections_lost > 0 && accounting.connection_rows > 0,
        "{accounting:?}"
    );
    assert!(
        accounting.accepts == FITS + FITS_NOT && accounting.balanced(),
        "{accounting:?}"
    );
    assert_eq!(recording.cut_off(), None, "its last words were written");
}
