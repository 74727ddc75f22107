//! A long run at full rate: `cargo xtask endurance --seconds 600`. Memory stays flat, the recording small, and every
//! connection and request is accounted for.
//!
//! The real binary in front of nginx, wrk as its child, all on loopback. Beside wrk's connections, which last as long as
//! the run, a thread here opens some that last for one request, every tenth of which fails.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::workspace::{self, root, say};

/// How long, and how wide.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long wrk runs.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Connections that wrk keeps.
    #[arg(long, default_value_t = 64)]
    connections: u64,
}

/// The recording of ten minutes may have so many bytes.
const LARGEST_RECORDING: u64 = 200 << 20;
/// Memory may grow by so much between the first quarter and the end: caches of SQLite and of the allocator settle late.
const GROWTH: f64 = 1.10;
const GROWTH_KIB: u64 = 4 << 10;
/// Time between two of the connections that last for one request.
const EVERY: Duration = Duration::from_millis(20);
const SETUP: Duration = Duration::from_secs(20);
/// For the diagnosis, when the load has ended.
const AFTERWARDS: Duration = Duration::from_mins(3);

/// Runs, measures, and fails where something grows or is missing.
pub(crate) fn execute(args: &Args) -> Result<()> {
    let hopscope = match std::env::var_os("HOPSCOPE_BIN") {
        Some(named) => PathBuf::from(named),
        None => workspace::dist(&root()?)?,
    };
    let folder = std::env::temp_dir().join(format!("hopscope-endurance-{}", std::process::id()));
    std::fs::create_dir_all(&folder).context("a folder for the files of the run")?;
    let outcome =
        run(args, &hopscope, &folder).with_context(|| format!("its files are in {}", folder.display()))?;
    for line in outcome.told() {
        say(&line);
    }
    outcome.check(args)?;
    std::fs::remove_dir_all(&folder).context("removing the files of the run")
}

/// A process that is killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already is as good.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What a run came to.
struct Outcome {
    /// Proportional set size, KiB, at each second.
    memory_kib: Vec<u64>,
    recording_bytes: u64,
    wrk_requests: u64,
    single_requests: u64,
    nginx_requests: u64,
    report: Value,
    seconds: f64,
}

fn run(args: &Args, hopscope: &Path, folder: &Path) -> Result<Outcome> {
    let (nginx, upstream) = start_nginx(folder)?;
    let listen = free_address()?;
    let script = format!(
        "exec wrk -t1 -c{} -d{}s --latency \"$0/products/17\" >wrk.txt",
        args.connections, args.seconds
    );
    let mut hopscope = Running(
        Command::new(hopscope)
            .args([
                "run",
                "--listen",
                &listen.to_string(),
                "--via",
                &format!("direct={upstream}"),
            ])
            .args(["--record", "run.sqlite", "--json", "report.json"])
            .args(["--", "sh", "-c", &script, "{url}"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(folder.join("report.txt"))?)
            .stderr(std::fs::File::create(folder.join("live.txt"))?)
            .spawn()
            .context("starting hopscope")?,
    );
    wait_until_it_listens(listen)?;
    let began = Instant::now();
    let (over, single) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let asking = std::thread::spawn({
        let (over, single) = (Arc::clone(&over), Arc::clone(&single));
        let until = began + Duration::from_secs(args.seconds.saturating_sub(2));
        move || ask_singly(listen, until, &over, &single)
    });
    let mut memory_kib = Vec::new();
    let limit = began + Duration::from_secs(args.seconds) + AFTERWARDS;
    let status = loop {
        if let Some(status) = hopscope.0.try_wait().context("waiting for hopscope")? {
            break status;
        }
        ensure!(Instant::now() < limit, "hopscope did not end");
        // While the load lasts; the diagnosis reads the whole recording into memory.
        if began.elapsed() < Duration::from_secs(args.seconds) {
            memory_kib.extend(pss_kib(hopscope.0.id()));
        }
        std::thread::park_timeout(Duration::from_secs(1));
    };
    over.store(true, Ordering::Relaxed);
    asking
        .join()
        .map_err(|_panicked| anyhow::anyhow!("the thread that asks singly failed"))?;
    ensure!(status.success(), "hopscope ended with {status}");
    let nginx_requests = requests_of(upstream)?;
    drop(nginx);
    let text = std::fs::read_to_string(folder.join("wrk.txt")).context("what wrk wrote")?;
    Ok(Outcome {
        memory_kib,
        recording_bytes: std::fs::metadata(folder.join("run.sqlite"))?.len(),
        wrk_requests: first_number(&text, " requests in ").context("wrk says how many requests it made")?,
        single_requests: single.load(Ordering::Relaxed),
        nginx_requests,
        report: serde_json::from_str(&std::fs::read_to_string(folder.join("report.json"))?)?,
        seconds: began.elapsed().as_secs_f64(),
    })
}

fn start_nginx(folder: &Path) -> Result<(Running, SocketAddr)> {
    let address = free_address()?;
    let text = format!(
        "daemon off; master_process off; error_log {0}/nginx.log; pid {0}/nginx.pid;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {0}; proxy_temp_path {0};\n\
         fastcgi_temp_path {0}; uwsgi_temp_path {0}; scgi_temp_path {0};\n\
         server {{ listen {address} backlog=4096; location / {{ return 200 \"{1}\"; }}\n\
         location = /broken {{ return 503 broken; }} location = /status {{ stub_status; }} }} }}\n",
        folder.display(),
        "x".repeat(1024),
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, text).context("writing nginx.conf")?;
    let nginx = Command::new("nginx")
        .arg("-c")
        .arg(&file)
        .spawn()
        .context("starting nginx")?;
    let nginx = Running(nginx);
    wait_until_it_listens(address)?;
    Ok((nginx, address))
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn wait_until_it_listens(address: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + SETUP;
    while !listens(address)? {
        ensure!(Instant::now() < deadline, "nobody listens on {address}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok(())
}

/// Asks the kernel, not the address: a connection to find out would be one of the run's.
fn listens(address: SocketAddr) -> Result<bool> {
    let table = std::fs::read_to_string("/proc/net/tcp").context("reading /proc/net/tcp")?;
    let port = format!(":{:04X}", address.port());
    Ok(table.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|local| local.ends_with(&port)) && words.nth(1) == Some("0A")
    }))
}

fn ask_singly(address: SocketAddr, until: Instant, over: &AtomicBool, asked: &AtomicU64) {
    let mut number = 0_u64;
    while Instant::now() < until && !over.load(Ordering::Relaxed) {
        let path = if number.is_multiple_of(10) {
            "/broken"
        } else {
            "/cart"
        };
        if ask(address, path).is_ok() {
            asked.fetch_add(1, Ordering::Relaxed);
        }
        number += 1;
        std::thread::park_timeout(EVERY);
    }
}

fn ask(address: SocketAddr, path: &str) -> Result<String> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(SETUP))?;
    write!(
        connection,
        "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 "), "no answer");
    Ok(answer)
}

/// Requests that nginx has answered, but for the one that asks.
fn requests_of(nginx: SocketAddr) -> Result<u64> {
    let status = ask(nginx, "/status")?;
    let counts = status
        .lines()
        .skip_while(|line| !line.starts_with("server accepts"))
        .nth(1);
    let requests = counts.and_then(|counts| counts.split_whitespace().nth(2)?.parse::<u64>().ok());
    Ok(requests.context("nginx tells its counts")?.saturating_sub(1))
}

fn pss_kib(process: u32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// The number before a phrase.
fn first_number(text: &str, phrase: &str) -> Option<u64> {
    let (before, _) = text.split_once(phrase)?;
    before.split_whitespace().last()?.parse().ok()
}

impl Outcome {
    fn number(&self, pointer: &str) -> u64 {
        self.report.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Requests that the report tells, those too that wrk left when its time was over: nginx was asked them all.
    fn requests(&self) -> u64 {
        self.number("/totals/requests") + self.number("/totals/cut_by_the_end")
    }

    /// Median of the memory in a tenth of the run that ends at this share of it.
    fn memory_at(&self, share: f64) -> u64 {
        let all = self.memory_kib.len();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of some hundred samples"
        )]
        let end = ((all as f64 * share) as usize).max(1);
        let mut tenth = self
            .memory_kib
            .get(end.saturating_sub(all / 10 + 1)..end)
            .unwrap_or_default()
            .to_vec();
        tenth.sort_unstable();
        tenth.get(tenth.len() / 2).copied().unwrap_or(0)
    }

    fn told(&self) -> Vec<String> {
        let requests = self.requests();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = requests as f64 / self.seconds;
        vec![
            format!("| requests | {requests} ({rate:.0}/s) |"),
            format!(
                "| of them wrk's, one a connection, and nginx's count of all | {}, {}, {} |",
                self.wrk_requests, self.single_requests, self.nginx_requests
            ),
            format!(
                "| connections on record, and counted as lost | {}, {} |",
                self.number("/totals/connections"),
                self.number("/observer/events_lost")
            ),
            format!(
                "| memory (PSS) after a quarter, and at the end | {} KiB, {} KiB |",
                self.memory_at(0.25),
                self.memory_at(1.0)
            ),
            format!(
                "| memory at each tenth of the run, MiB | {} |",
                self.memory_course()
            ),
            format!("| recording | {:.1} MiB |", self.recording_mib()),
        ]
    }

    fn memory_course(&self) -> String {
        let tenths = (1..=10).map(|tenth| self.memory_at(f64::from(tenth) / 10.0));
        #[expect(clippy::cast_precision_loss, reason = "a size for people")]
        let tenths: Vec<_> = tenths.map(|kib| format!("{:.1}", kib as f64 / 1024.0)).collect();
        tenths.join(" ")
    }

    #[expect(clippy::cast_precision_loss, reason = "a size for people")]
    fn recording_mib(&self) -> f64 {
        self.recording_bytes as f64 / f64::from(1 << 20)
    }

    fn check(&self, args: &Args) -> Result<()> {
        let (early, late) = (self.memory_at(0.25), self.memory_at(1.0));
        #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 KiB")]
        let grew = late as f64 > early as f64 * GROWTH && late > early + GROWTH_KIB;
        ensure!(!grew, "memory grew from {early} KiB to {late} KiB");
        ensure!(
            self.recording_bytes <= LARGEST_RECORDING,
            "the recording has {:.0} MiB",
            self.recording_mib()
        );
        if self.report.pointer("/observer/accounted") != Some(&Value::Bool(true)) {
            bail!(
                "connections are unaccounted for: {:?}",
                self.report.pointer("/observer")
            );
        }
        let requests = self.requests();
        ensure!(
            requests == self.nginx_requests,
            "hopscope counted {requests} requests, nginx {}",
            self.nginx_requests
        );
        // What is under way on its connections when its time is over, wrk does not count.
        let known = self.wrk_requests + self.single_requests;
        ensure!(
            (known..=known + args.connections).contains(&requests),
            "the generators made {known} requests, and {requests} are on record"
        );
        Ok(())
    }
}
