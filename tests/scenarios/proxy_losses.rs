//! What may go wrong around a run: its end, its disk, its own death. Nothing is lost without being counted.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hopscope_tests::application::Application;
use hopscope_tests::client::{self, Outcome, get};
use hopscope_tests::hopscope::Hopscope;
use hopscope_tests::report::Report;
use hopscope_tests::server::Server;
use hopscope_tests::{process, program};

const LIMIT: Duration = Duration::from_secs(30);

/// `hopscope report` of a recording: its exit code, and the report.
fn told(recording: &Path) -> Result<(Option<i32>, Report)> {
    let json = recording.with_extension("json");
    let told = Command::new(program::hopscope()?)
        .arg("report")
        .arg(recording)
        .arg("--json")
        .arg(&json)
        .output()?;
    let said = String::from_utf8_lossy(&told.stdout).into_owned();
    let text = std::fs::read_to_string(&json)
        .with_context(|| format!("no report: {}", String::from_utf8_lossy(&told.stderr)))?;
    Ok((told.status.code(), Report::parse(&text, said)?))
}

#[test]
fn connections_that_wait_to_be_accepted_when_a_run_stops_are_served_and_recorded() -> Result<()> {
    const WAITING: u64 = 60;
    let folder = tempfile::tempdir()?;
    let application = Application::start()?;
    let via = format!("direct={}", application.address());
    let hopscope = Hopscope::proxy(&via, folder.path(), &["--grace=20"])?;
    // Frozen, it accepts nothing, and the kernel does so in its name.
    process::signal_to(hopscope.id(), "STOP")?;
    let waiting = (0..WAITING)
        .map(|_| client::open(hopscope.address(), "/ok"))
        .collect::<Result<Vec<TcpStream>>>()?;
    process::signal_to(hopscope.id(), "INT")?;
    process::signal_to(hopscope.id(), "CONT")?;
    for connection in waiting {
        assert_eq!(client::read(connection, LIMIT), Outcome::Answered(200));
    }
    let report = hopscope.wait()?;
    assert_eq!(
        report.number("/totals/connections"),
        WAITING,
        "{}",
        report.shown()
    );
    assert_eq!(report.number("/totals/requests"), WAITING, "{}", report.shown());
    assert_eq!(report.number("/totals/failed"), 0, "{}", report.shown());
    assert!(report.said().contains("balanced"), "{}", report.shown());
    Ok(())
}

#[test]
fn a_limit_on_the_size_of_files_costs_rows_and_not_the_run() -> Result<()> {
    const REQUESTS: u64 = 4_000;
    let folder = tempfile::tempdir()?;
    let nginx = Server::nginx(folder.path(), "location / { return 200 hello; }")?;
    let limited = ["prlimit", "--fsize=500000"];
    let hopscope = Hopscope::launched(
        &limited,
        &format!("direct={}", nginx.address()),
        folder.path(),
        &[],
    )?;
    for _ in 0..REQUESTS {
        assert_eq!(get(hopscope.address(), "/ok", LIMIT), Outcome::Answered(200));
    }
    let report = hopscope.finish()?;
    // What is lost is rows; the counts are exact.
    assert_eq!(report.number("/totals/requests"), REQUESTS, "{}", report.shown());
    assert!(report.number("/observer/events_lost") > 0, "{}", report.shown());
    assert!(report.said().contains("balanced"), "{}", report.shown());
    assert!(
        report.said().contains("the recording is incomplete"),
        "{}",
        report.shown()
    );
    let size = std::fs::metadata(folder.path().join("run.hopscope"))?.len();
    assert!(size <= 500_000, "{size} bytes");
    let (code, again) = told(&folder.path().join("run.hopscope"))?;
    assert_eq!(code, Some(0));
    assert!(again.flag("/run/complete"), "its last words were written");
    Ok(())
}

#[test]
fn killed_at_any_moment_under_load_the_recording_is_readable() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nginx = Server::nginx(
        folder.path(),
        "location / { return 200 hello; } location /bad { return 503 no; }",
    )?;
    let via = format!("direct={}", nginx.address());
    let mut seen = 0;
    // Spread over the commits, every half second, and over the checkpoint that comes after ten of them.
    for (round, after_ms) in [40, 310, 700, 1_270, 2_450, 5_330].into_iter().enumerate() {
        let folder = folder.path().join(round.to_string());
        std::fs::create_dir(&folder)?;
        let hopscope = Hopscope::proxy(&via, &folder, &[])?;
        let mut load = [
            load(hopscope.address(), "/ok")?,
            load(hopscope.address(), "/bad")?,
        ];
        let deadline = Instant::now() + Duration::from_millis(after_ms);
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
        process::signal_to(hopscope.id(), "KILL")?;
        drop(hopscope);
        for load in &mut load {
            load.signal("INT")?;
            load.wait(LIMIT)?;
        }
        let (code, report) = told(&folder.join("run.hopscope"))?;
        assert_eq!(code, Some(0), "{}", report.shown());
        assert!(!report.flag("/run/complete"), "{}", report.shown());
        assert!(report.said().contains("balanced"), "{}", report.shown());
        ensure!(report.number("/totals/failed") <= report.number("/totals/requests"));
        seen += report.number("/totals/requests");
    }
    assert!(seen > 0, "nothing was ever committed");
    Ok(())
}

fn load(address: SocketAddr, path: &str) -> Result<process::Process> {
    process::Process::start(Command::new("wrk").args([
        "-t1",
        "-c4",
        "-d20s",
        &format!("http://{address}{path}"),
    ]))
}

#[test]
fn a_second_ctrl_c_ends_at_once_and_nothing_recorded_is_lost() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let application = Application::start()?;
    let via = format!("direct={}", application.address());
    let hopscope = Hopscope::proxy(&via, folder.path(), &["--grace=600"])?;
    assert_eq!(get(hopscope.address(), "/ok", LIMIT), Outcome::Answered(200));
    let under_way = client::open(hopscope.address(), "/silent")?;
    application.wait_until_asked(2, LIMIT)?;
    hopscope.signal("INT")?;
    // The first one has been taken in when nothing more is accepted.
    let deadline = Instant::now() + LIMIT;
    while TcpStream::connect_timeout(&hopscope.address(), Duration::from_millis(200)).is_ok() {
        ensure!(Instant::now() < deadline, "it goes on accepting");
    }
    hopscope.signal("INT")?;
    let began = Instant::now();
    let report = hopscope.wait()?;
    assert!(began.elapsed() < LIMIT, "it waited for its grace");
    assert!(matches!(
        client::read(under_way, LIMIT),
        Outcome::Reset | Outcome::Ended(0)
    ));
    assert_eq!(report.number("/totals/requests"), 2, "{}", report.shown());
    assert!(report.said().contains("balanced"), "{}", report.shown());
    Ok(())
}

#[test]
fn the_generators_exit_code_is_passed_on_when_asked_for() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nginx = Server::nginx(folder.path(), "location / { return 500 no; }")?;
    let via = format!("direct={}", nginx.address());
    let request =
        "exec 3<>/dev/tcp/${HOPSCOPE_URL##*/}; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3 >/dev/null";
    let asked = format!(
        "{}; exit 42",
        request.replace("${HOPSCOPE_URL##*/}", "${0%:*}/${0##*:}")
    );
    let killed = "kill -TERM $$".to_owned();
    for (options, script, expected) in [
        (&[][..], &asked, 0),
        (&["--pass-exit-code"], &asked, 42),
        (&["--pass-exit-code"], &killed, 143),
        (&["--pass-exit-code", "--fail-on", "any>0"], &asked, 1),
    ] {
        let run = Command::new(program::hopscope()?)
            .args(["run", "--via", &via, "--json"])
            .arg(folder.path().join("report.json"))
            .args(options)
            .args(["--", "bash", "-c", script, "{addr}"])
            .current_dir(folder.path())
            .output()?;
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(expected), "{options:?}: {said}");
        let report = Report::parse(&std::fs::read_to_string(folder.path().join("report.json"))?, said)?;
        let own = if script == &killed { 143 } else { 42 };
        assert_eq!(report.number("/run/exit_code"), own, "{}", report.shown());
    }
    Ok(())
}
