//! What recording costs: CPU of worker and writer together, per exchange and per connection, size of the file, and
//! what it takes to read it back.
//!
//! `cargo bench -p hopscope --bench recorder` prints the figures; `-- 1000000` records that many connections.

use std::error::Error;
use std::time::Instant;

use hopscope_attribution::evidence::{
    Author, Connection, ConnectionId, Delivery, Ending, Exchange, FourTuple, Method, Moment, Observation,
    Path, PathId, PathKind, Phases, Protocol, RouteId, RunFacts, SideEnd, Span, TcpFacts, Upstream,
};
use hopscope_recording::{FinalFacts, Options, Recording, create};

/// Exchanges of the first part: a minute and forty seconds at 20,000 a second.
const EXCHANGES: u64 = 2_000_000;
/// Microseconds of the run between two exchanges: 20,000 a second.
const PACE_US: u64 = 50;
const ROUTES: u16 = 10;

#[expect(clippy::print_stdout, reason = "printing the figures is what a bench is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().collect();
    if let Some(file) = words
        .iter()
        .position(|word| word == READ)
        .and_then(|at| words.get(at + 1))
    {
        return read_back(file.as_ref());
    }
    let connections = words.iter().find_map(|word| word.parse().ok()).unwrap_or(300_000);
    let folder = std::env::temp_dir().join(format!("hopscope-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;

    let file = folder.join("exchanges.hopscope");
    let run = exchanges(&file)?;
    println!("{EXCHANGES} exchanges over {ROUTES} routes, 20,000 a second:");
    println!(
        "  on the worker          {:>8.0} ns each",
        run.worker_ns / float(EXCHANGES)
    );
    println!(
        "  worker and writer CPU  {:>8.0} ns each",
        run.cpu_ns / float(EXCHANGES)
    );
    println!(
        "  file                   {:>8.1} MB for ten minutes",
        float(run.bytes) / 1e6 * 6.0
    );

    let file = folder.join("connections.hopscope");
    let run = record_connections(&file, connections)?;
    println!("{connections} connections of one exchange:");
    println!(
        "  on the worker          {:>8.0} ns each",
        run.worker_ns / float(connections)
    );
    println!(
        "  worker and writer CPU  {:>8.0} ns each",
        run.cpu_ns / float(connections)
    );
    println!(
        "  file                   {:>8.0} bytes each",
        float(run.bytes) / float(connections)
    );
    println!("  a connection in memory {:>8} bytes", size_of::<Connection>());
    // In a process of its own, so that its memory is that of the reading alone.
    let reader = std::process::Command::new(std::env::current_exe()?)
        .arg(READ)
        .arg(&file)
        .status()?;
    std::fs::remove_dir_all(&folder)?;
    if reader.success() {
        Ok(())
    } else {
        Err("the recording could not be read back".into())
    }
}

/// The word that makes this program read a recording back and say what that took.
const READ: &str = "read-back";

#[expect(clippy::print_stdout, reason = "printing the figures is what a bench is for")]
fn read_back(file: &std::path::Path) -> Result<(), Box<dyn Error>> {
    let before = Instant::now();
    let recording = Recording::open(file)?;
    println!(
        "  read back in           {:>8.2} s",
        before.elapsed().as_secs_f64()
    );
    println!("  memory at most         {:>8.0} MB", peak_mb().unwrap_or(0.0));
    let before = Instant::now();
    let diagnosis = hopscope_attribution::attribute(recording.evidence());
    println!(
        "  judged in              {:>8.2} s: {}",
        before.elapsed().as_secs_f64(),
        diagnosis.verdict.headline
    );
    println!("  memory at most         {:>8.0} MB", peak_mb().unwrap_or(0.0));
    Ok(())
}

struct Cost {
    worker_ns: f64,
    cpu_ns: f64,
    bytes: u64,
}

fn facts() -> RunFacts {
    let path = Path {
        name: "direct".to_owned(),
        kind: PathKind::Direct,
        target: "127.0.0.1:3000".to_owned(),
    };
    RunFacts {
        notes: Vec::new(),
        paths: vec![path],
        ..RunFacts::default()
    }
}

/// Records faster than time passes, so the queue must hold what would otherwise have been written long since.
fn options() -> Options {
    Options {
        queue: 1 << 16,
        ..Options::default()
    }
}

fn exchanges(file: &std::path::Path) -> Result<Cost, Box<dyn Error>> {
    let (handle, closing) = create(file, &facts(), &options(), Vec::new())?;
    let mut recorder = handle.recorder();
    let (cpu, begun) = (cpu_ns()?, Instant::now());
    for number in 0..EXCHANGES {
        recorder.exchange(&exchange(number));
        if number % 2_000 == 0 {
            recorder.tick(Moment(number * PACE_US));
        }
    }
    let worker_ns = begun.elapsed().as_nanos();
    drop(recorder);
    let summary = closing.finish(FinalFacts {
        ended: Moment(EXCHANGES * PACE_US),
        exit_code: None,
        exited: None,
    })?;
    let cpu_ns = cpu_ns()? - cpu;
    Ok(Cost {
        worker_ns: float(u64::try_from(worker_ns)?),
        cpu_ns,
        bytes: summary.bytes,
    })
}

fn record_connections(file: &std::path::Path, connections: u64) -> Result<Cost, Box<dyn Error>> {
    let (handle, closing) = create(file, &facts(), &options(), Vec::new())?;
    let mut recorder = handle.recorder();
    let (cpu, begun) = (cpu_ns()?, Instant::now());
    for number in 0..connections {
        recorder.accepted(PathId(0));
        recorder.exchange(&exchange(number));
        recorder.connection(connection(number));
        if number % 700 == 0 {
            recorder.tick(Moment(number * PACE_US));
        }
    }
    let worker_ns = begun.elapsed().as_nanos();
    drop(recorder);
    let summary = closing.finish(FinalFacts {
        ended: Moment(connections * PACE_US),
        exit_code: None,
        exited: None,
    })?;
    let cpu_ns = cpu_ns()? - cpu;
    assert!(summary.accounting.balanced(), "{summary:?}");
    Ok(Cost {
        worker_ns: float(u64::try_from(worker_ns)?),
        cpu_ns,
        bytes: summary.bytes,
    })
}

/// Latencies that spread over two decades without asking for random numbers.
fn exchange(number: u64) -> Exchange {
    let total = 300 + number.wrapping_mul(2_654_435_761) % 30_000;
    Exchange {
        connection: ConnectionId(number % 200),
        path: PathId(0),
        ordinal: 1,
        method: Method::Get,
        route: RouteId(u16::try_from(number % u64::from(ROUTES)).unwrap_or(0)),
        began: Moment(number * PACE_US),
        phases: Phases {
            idle: Some(Span::from_micros(40)),
            request_sent: Some(Span::from_micros(20)),
            first_byte: Some(Span::from_micros(total - 50)),
            total: Span::from_micros(total),
        },
        bytes_up: 120,
        bytes_down: 1_180,
        request_complete: true,
        answered_early: false,
        delivery: Delivery::Complete {
            status: 200,
            author: Author::Unstated,
        },
    }
}

fn connection(number: u64) -> Connection {
    let opened = number * PACE_US;
    let port = u16::try_from(number % 28_000).unwrap_or(0) + 32_768;
    let tuple = |local, remote| FourTuple {
        local: ([127, 0, 0, 1], local).into(),
        remote: ([127, 0, 0, 1], remote).into(),
    };
    let tcp = TcpFacts {
        rtt_us: 90 + u32::from(port) % 50,
        min_rtt_us: 20,
        busy_ms: 1,
        ..TcpFacts::default()
    };
    Connection {
        id: ConnectionId(number),
        path: PathId(0),
        opened: Moment(opened),
        closed: Observation::Seen(Moment(opened + 1_200)),
        upstream: Upstream::Connected {
            tcp: Span::from_micros(140),
            tls: None,
        },
        downstream_tuple: tuple(8_080, port),
        upstream_tuple: Some(tuple(port, 3_000)),
        downstream_end: SideEnd {
            at: Moment(opened + 1_100),
            how: Ending::Fin,
        },
        upstream_end: SideEnd {
            at: Moment(opened + 1_200),
            how: Ending::EndedByRelay,
        },
        bytes_up: 120,
        bytes_down: 1_180,
        first_byte_up: Some(Span::from_micros(30)),
        first_byte_down: Some(Span::from_micros(900)),
        last_byte: Some(Moment(opened + 1_000)),
        blocked_up: Span::ZERO,
        blocked_down: Span::ZERO,
        protocol: Protocol::Http1,
        unread: None,
        exchanges: 1,
        downstream_tcp: Observation::Seen(tcp),
        upstream_tcp: Observation::Seen(tcp),
    }
}

/// CPU time of the whole process, threads that have ended included, to a hundredth of a second.
fn cpu_ns() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    Ok(float(ticks) * 1e7)
}

fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(float(kib) * 1_024.0 / 1e6)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench stay far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}
