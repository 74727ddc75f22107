//! The proxy before real servers, healthy and failing: who is charged, and do the totals agree.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hopscope_tests::application::Application;
use hopscope_tests::client::{Outcome, get, get_at_once};
use hopscope_tests::hopscope::Hopscope;
use hopscope_tests::report::Report;
use hopscope_tests::server::{Server, certificate, free_address};
use hopscope_tests::{process, program};

const LIMIT: Duration = Duration::from_secs(20);

fn folder() -> Result<tempfile::TempDir> {
    tempfile::tempdir().context("a folder for the files of a run")
}

/// The reset meets the client while it reads, or while it still writes.
fn assert_reset(outcome: Outcome) {
    assert!(
        matches!(outcome, Outcome::Reset | Outcome::Refused),
        "{outcome:?}"
    );
}

/// What every report must say, whatever else it says.
fn assert_accounted(report: &Report) {
    assert!(report.said().contains("balanced"), "{}", report.shown());
}

/// wrk for two seconds with 16 connections: the report, and what was printed.
fn wrk(folder: &Path, upstream: SocketAddr, route: &str) -> Result<(Report, String)> {
    let json = folder.join("report.json");
    let run = Command::new(program::hopscope()?)
        .args(["run", "--via", &format!("direct={upstream}"), "--record"])
        .arg(folder.join("run.hopscope"))
        .arg("--json")
        .arg(&json)
        .args(["--", "wrk", "-t1", "-c16", "-d2s", &format!("{{url}}{route}")])
        .output()?;
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert_eq!(
        run.status.code(),
        Some(0),
        "{said}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    Ok((
        Report::parse(&std::fs::read_to_string(&json)?, said.clone())?,
        said,
    ))
}

#[test]
fn the_totals_of_wrk_and_of_the_report_agree() -> Result<()> {
    let folder = folder()?;
    let nginx = Server::nginx(folder.path(), "location / { return 200 hello; }")?;
    let (report, said) = wrk(folder.path(), nginx.address(), "/products/17")?;
    let counted = said
        .lines()
        .find(|line| line.contains(" requests in "))
        .context("wrk says how many")?;
    let counted: u64 = counted.trim().split(' ').next().context("a number")?.parse()?;
    // wrk counts nothing of what is under way on its 16 connections when its time is over: an answer that was on its way
    // to it is one more of ours, a request without one is cut off by the end.
    let seen = report.number("/totals/requests");
    let cut = report.number("/totals/cut_by_the_end");
    assert!(
        seen >= counted && seen + cut <= counted + 16,
        "wrk {counted}, hopscope {seen} and {cut} cut by the end"
    );
    assert_eq!(report.number("/totals/failed"), 0, "{}", report.shown());
    assert_eq!(report.field("/verdict/hop"), "none", "{}", report.shown());
    assert_accounted(&report);
    Ok(())
}

#[test]
fn a_run_whose_end_cut_requests_off_is_told_again_byte_for_byte() -> Result<()> {
    let folder = folder()?;
    // Two seconds are not a multiple: every connection waits for an answer when wrk ends.
    let application = Application::start()?;
    let (report, _) = wrk(folder.path(), application.address(), "/late/300")?;
    assert!(report.number("/totals/cut_by_the_end") > 0, "{}", report.shown());
    assert_eq!(report.number("/totals/failed"), 0, "{}", report.shown());
    let again = Report::again(&folder.path().join("run.hopscope"), &[])?;
    assert_eq!(again.text(), report.text());
    Ok(())
}

#[test]
fn complete_errors_are_the_applications_whatever_the_path_is_called() -> Result<()> {
    let folder = folder()?;
    let nginx = Server::nginx(
        folder.path(),
        "default_type application/json; location /ok { return 200 hello; } \
         location /broken { return 500 '{\"error\":\"no database\"}'; } location /much { return 429 '{}'; }",
    )?;
    let hopscope = Hopscope::proxy(&format!("direct={}", nginx.address()), folder.path(), &[])?;
    for (path, status) in [("/ok", 200), ("/broken", 500), ("/much", 429)] {
        for _ in 0..5 {
            assert_eq!(get(hopscope.address(), path, LIMIT), Outcome::Answered(status));
        }
    }
    let report = hopscope.finish()?;
    assert_eq!(report.charged("backend-error").failures, 5, "{}", report.shown());
    assert_eq!(
        report.charged("backend-rate-limited").failures,
        5,
        "{}",
        report.shown()
    );
    assert_eq!(report.number("/totals/delivered_errors"), 10);
    assert_eq!(report.number("/totals/undelivered"), 0);
    assert_accounted(&report);
    Ok(())
}

#[test]
fn an_upstream_that_is_not_there_is_seen_as_a_reset_and_charged_as_refused() -> Result<()> {
    let folder = folder()?;
    let hopscope = Hopscope::proxy(&format!("direct={}", free_address()?), folder.path(), &[])?;
    for _ in 0..5 {
        assert_reset(get(hopscope.address(), "/ok", LIMIT));
    }
    let report = hopscope.finish()?;
    assert_eq!(
        report.charged("backend-refused").failures,
        5,
        "{}",
        report.shown()
    );
    assert_accounted(&report);
    Ok(())
}

#[test]
fn on_refusal_502_names_the_failure() -> Result<()> {
    let folder = folder()?;
    let via = format!("lb={}", free_address()?);
    let hopscope = Hopscope::proxy(&via, folder.path(), &["--on-refusal", "502"])?;
    assert_eq!(get(hopscope.address(), "/ok", LIMIT), Outcome::Answered(502));
    let report = hopscope.finish()?;
    assert_eq!(report.verdict(), "unknown undetermined", "{}", report.shown());
    Ok(())
}

#[test]
fn an_address_that_never_answers_is_unreachable_after_the_connect_time_out() -> Result<()> {
    let folder = folder()?;
    // A listener whose accept queue is full drops what comes: to a client it is a black hole.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>()?.into())?;
    listener.listen(0)?;
    let address = listener.local_addr()?.as_socket().context("an address")?;
    let _first = TcpStream::connect(address)?;
    let via = format!("lb={address}");
    let hopscope = Hopscope::proxy(&via, folder.path(), &["--connect-timeout", "0.5"])?;
    assert_reset(get(hopscope.address(), "/ok", LIMIT));
    let report = hopscope.finish()?;
    assert_eq!(report.charged("undetermined").failures, 1, "{}", report.shown());
    Ok(())
}

#[test]
fn a_server_killed_in_the_middle_of_a_body_truncates() -> Result<()> {
    let folder = folder()?;
    std::fs::write(folder.path().join("large"), vec![b'x'; 4 << 20])?;
    let root = folder.path().display();
    let nginx = Server::nginx(folder.path(), &format!("root {root}; limit_rate 64k;"))?;
    let hopscope = Hopscope::proxy(&format!("direct={}", nginx.address()), folder.path(), &[])?;
    let mut connection = TcpStream::connect(hopscope.address())?;
    connection.write_all(b"GET /large HTTP/1.1\r\nhost: web\r\n\r\n")?;
    let mut first = [0; 1024];
    std::io::Read::read_exact(&mut connection, &mut first)?;
    nginx.kill()?;
    assert!(matches!(
        hopscope_tests::client::read(connection, LIMIT),
        Outcome::Ended(_) | Outcome::Reset
    ));
    let report = hopscope.finish()?;
    let charged = report.charged("backend-truncated").failures + report.charged("backend-reset").failures;
    assert_eq!(charged, 1, "{}", report.shown());
    assert_accounted(&report);
    Ok(())
}

#[test]
fn a_slow_server_is_slow_and_nobody_failed() -> Result<()> {
    let folder = folder()?;
    std::fs::write(folder.path().join("large"), vec![b'x'; 192 << 10])?;
    let root = folder.path().display();
    // The first 64 KiB at once, the rest in two seconds.
    let nginx = Server::nginx(
        folder.path(),
        &format!("root {root}; limit_rate_after 64k; limit_rate 64k;"),
    )?;
    let hopscope = Hopscope::proxy(&format!("direct={}", nginx.address()), folder.path(), &[])?;
    for outcome in get_at_once(hopscope.address(), "/large", 4, LIMIT) {
        assert_eq!(outcome, Outcome::Answered(200));
    }
    let report = hopscope.finish()?;
    assert_eq!(report.verdict(), "none", "{}", report.shown());
    assert_eq!(report.number("/totals/requests"), 4, "{}", report.shown());
    assert_eq!(report.number("/totals/failed"), 0, "{}", report.shown());
    for median in ["/latency/ok/p50", "/paths/0/latency/p50", "/routes/0/latency/p50"] {
        assert!(
            report.seconds(median) >= Some(1.0),
            "{median}: {}",
            report.shown()
        );
    }
    assert_accounted(&report);
    Ok(())
}

#[test]
fn a_load_balancer_killed_in_the_middle_of_a_body_is_nobody_elses_failure() -> Result<()> {
    let folder = folder()?;
    std::fs::write(folder.path().join("large"), vec![b'x'; 4 << 20])?;
    let root = folder.path().display();
    let nginx = Server::nginx(folder.path(), &format!("root {root}; limit_rate 64k;"))?;
    let haproxy = Server::haproxy(folder.path(), &format!("  server web {}", nginx.address()))?;
    let hopscope = Hopscope::proxy(&format!("lb={}", haproxy.address()), folder.path(), &[])?;
    let mut connection = TcpStream::connect(hopscope.address())?;
    connection.write_all(b"GET /large HTTP/1.1\r\nhost: web\r\n\r\n")?;
    let mut first = [0; 1024];
    std::io::Read::read_exact(&mut connection, &mut first)?;
    haproxy.kill()?;
    assert!(matches!(
        hopscope_tests::client::read(connection, LIMIT),
        Outcome::Ended(_) | Outcome::Reset
    ));
    let report = hopscope.finish()?;
    assert_eq!(report.number("/totals/undelivered"), 1, "{}", report.shown());
    // From here the end of the balancer and an end that it hands on look alike: it or nobody is charged, and it is asked.
    let verdict = report.verdict();
    assert!(
        verdict.starts_with("lb ") || verdict == "unknown undetermined",
        "{}",
        report.shown()
    );
    assert_accounted(&report);
    Ok(())
}

#[test]
fn a_load_balancers_own_503_is_told_from_the_applications() -> Result<()> {
    let folder = folder()?;
    let nobody = free_address()?;
    let haproxy = Server::haproxy(
        folder.path(),
        &format!("  server dead {nobody} check inter 100ms fall 1"),
    )?;
    let hopscope = Hopscope::proxy(&format!("lb={}", haproxy.address()), folder.path(), &[])?;
    for _ in 0..5 {
        assert_eq!(get(hopscope.address(), "/ok", LIMIT), Outcome::Answered(503));
    }
    let report = hopscope.finish()?;
    assert_eq!(report.charged("undetermined").failures, 5, "{}", report.shown());
    Ok(())
}

#[test]
fn an_untrusted_certificate_is_an_outcome_and_a_trusted_one_works() -> Result<()> {
    let folder = folder()?;
    certificate(folder.path())?;
    let files = folder.path().display();
    let nginx = Server::nginx(
        folder.path(),
        &format!(
            "ssl_certificate {files}/cert.pem; ssl_certificate_key {files}/key.pem; location / {{ return 200 ok; }}"
        ),
    )?;
    let via = format!("lb=https://{}", nginx.address());
    let hopscope = Hopscope::proxy(&via, folder.path(), &[])?;
    assert_reset(get(hopscope.address(), "/ok", LIMIT));
    let report = hopscope.finish()?;
    assert_eq!(report.verdict(), "lb lb-tls", "{}", report.shown());

    let again = tempfile::tempdir()?;
    let authority = folder.path().join("cert.pem");
    let authority = authority.to_str().context("a path in UTF-8")?;
    let hopscope = Hopscope::proxy(&via, again.path(), &["--upstream-ca", authority])?;
    assert_eq!(get(hopscope.address(), "/ok", LIMIT), Outcome::Answered(200));
    assert_eq!(hopscope.finish()?.verdict(), "none");
    Ok(())
}

#[test]
fn a_killed_hopscope_leaves_a_recording_that_says_where_it_stops() -> Result<()> {
    let folder = folder()?;
    let nginx = Server::nginx(folder.path(), "location / { return 200 hello; }")?;
    let hopscope = Hopscope::proxy(&format!("direct={}", nginx.address()), folder.path(), &[])?;
    for _ in 0..50 {
        assert_eq!(get(hopscope.address(), "/ok", LIMIT), Outcome::Answered(200));
    }
    let recording = folder.path().join("run.hopscope");
    let report = |recording: &std::path::Path| -> Result<(Option<i32>, String)> {
        let told = Command::new(program::hopscope()?)
            .arg("report")
            .arg(recording)
            .output()?;
        Ok((
            told.status.code(),
            String::from_utf8_lossy(&told.stdout).into_owned(),
        ))
    };
    // Committed at least every second: wait until the rows are there, reading the growing file.
    let deadline = std::time::Instant::now() + LIMIT;
    while !report(&recording)?.1.contains("50 requests") {
        assert!(std::time::Instant::now() < deadline, "{:?}", report(&recording)?);
    }
    process::signal_to(hopscope.id(), "KILL")?;
    let (code, text) = report(&recording)?;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("cut off") || text.contains("not closed"), "{text}");
    Ok(())
}

#[test]
fn beyond_the_descriptor_limit_connections_are_turned_away_and_the_observer_is_named() -> Result<()> {
    let folder = folder()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || listener.incoming().flatten().collect::<Vec<_>>());
    let json = folder.path().join("report.json");
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 200; exec \"$@\"", "sh"])
        .arg(program::hopscope()?);
    command.args([
        "proxy",
        "--listen=127.0.0.1:0",
        "--grace=0",
        "--via",
        &format!("direct={address}"),
        "--record",
    ]);
    command
        .arg(folder.path().join("run.hopscope"))
        .arg("--json")
        .arg(&json);
    let mut hopscope = process::Process::start(&mut command)?;
    let listening = hopscope.wait_for(LIMIT, "address", |line| {
        line.split("listens on http://")
            .nth(1)?
            .trim()
            .parse::<std::net::SocketAddr>()
            .ok()
    })?;
    let open: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(listening))
        .collect::<Result<_, _>>()?;
    let mut turned_away = 0;
    for connection in &open {
        connection.set_read_timeout(Some(Duration::from_millis(100)))?;
        if connection
            .peek(&mut [0])
            .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
        {
            turned_away += 1;
        }
    }
    assert!(turned_away > 0, "none of {} was turned away", open.len());
    hopscope.signal("INT")?;
    hopscope.wait(LIMIT)?;
    let report = Report::parse(&std::fs::read_to_string(&json)?, hopscope.heard())?;
    assert_eq!(
        report.charged("observer-fd-limit").failures,
        turned_away,
        "{}",
        report.shown()
    );
    Ok(())
}
