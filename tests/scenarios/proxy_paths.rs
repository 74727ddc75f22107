//! Paths of every kind: several at once, over IPv6, over TLS, through real balancers that fail in their own ways.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hopscope_tests::application::Application;
use hopscope_tests::cast::{Cast, all_of};
use hopscope_tests::client::{Outcome, get};
use hopscope_tests::hopscope::Hopscope;
use hopscope_tests::netns::Pair;
use hopscope_tests::program;
use hopscope_tests::report::Report;
use hopscope_tests::server::{Server, certificate_for, free_address};

/// How long Envoy waits for its target.
const HALF_A_SECOND: Duration = Duration::from_millis(500);

const LIMIT: Duration = Duration::from_secs(20);

/// Asks over a connection of its own and gives all that came back.
fn ask(address: SocketAddr, request: &str) -> Result<String> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(LIMIT))?;
    connection.write_all(request.as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn several_paths_share_the_load_by_their_weights_and_are_told_apart() -> Result<()> {
    const CONNECTIONS: u64 = 400;
    let folder = tempfile::tempdir()?;
    let nginx = Server::nginx(folder.path(), "location / { return 200 hello; }")?;
    let broken = TcpListener::bind("127.0.0.1:0")?;
    let broken_address = broken.local_addr()?;
    std::thread::spawn(move || {
        for mut connection in broken.incoming().flatten() {
            // The client may be gone.
            drop(connection.read(&mut [0; 1024]));
            drop(
                connection.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"),
            );
        }
    });
    let second = format!("direct-b={broken_address}");
    let hopscope = Hopscope::proxy(
        &format!("direct-a={}", nginx.address()),
        folder.path(),
        &["--via", &second, "--weights", "3,1"],
    )?;
    for _ in 0..CONNECTIONS {
        let outcome = get(hopscope.address(), "/ok", LIMIT);
        assert!(matches!(outcome, Outcome::Answered(200 | 500)), "{outcome:?}");
    }
    let report = hopscope.finish()?;
    let (a, b) = (
        report.of_path("direct-a", "connections"),
        report.of_path("direct-b", "connections"),
    );
    assert_eq!(a + b, CONNECTIONS, "{}", report.shown());
    // Binomial with a share of 3/4: the standard deviation is 8.7, and 60 is seven of them.
    assert!(
        a.abs_diff(300) < 60,
        "{a} of {CONNECTIONS} with three quarters of the weight"
    );
    assert_eq!(report.of_path("direct-a", "failed"), 0, "{}", report.shown());
    assert_eq!(report.of_path("direct-b", "failed"), b, "{}", report.shown());
    assert_eq!(report.charged("backend-error").failures, b, "{}", report.shown());
    Ok(())
}

#[test]
fn ipv6_on_both_sides() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let application = TcpListener::bind("[::1]:0")?;
    let address = application.local_addr()?;
    std::thread::spawn(move || {
        for mut connection in application.incoming().flatten() {
            drop(connection.read(&mut [0; 1024]));
            drop(
                connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"),
            );
        }
    });
    let via = format!("direct={address}");
    let hopscope = Hopscope::proxy(&via, folder.path(), &["--listen=[::1]:0"])?;
    assert!(hopscope.address().is_ipv6());
    assert_eq!(get(hopscope.address(), "/ok", LIMIT), Outcome::Answered(200));
    let report = hopscope.finish()?;
    assert_eq!(report.number("/totals/requests"), 1, "{}", report.shown());
    assert_eq!(report.verdict(), "none", "{}", report.shown());
    Ok(())
}

#[test]
fn one_header_is_added_when_asked_for_and_no_byte_otherwise() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nginx = Server::nginx(
        folder.path(),
        "location / { return 200 \"id=$http_x_hopscope_id;\"; }",
    )?;
    let via = format!("direct={}", nginx.address());
    let request =
        "GET /a HTTP/1.1\r\nhost: web\r\n\r\nGET /b HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n";
    for (options, expected) in [
        (&["--inject-id"][..], ["id=0-0;", "id=0-1;"]),
        (&[], ["id=;", "id=;"]),
    ] {
        let folder = tempfile::tempdir()?;
        let hopscope = Hopscope::proxy(&via, folder.path(), options)?;
        let answer = ask(hopscope.address(), request)?;
        let ids: Vec<_> = answer.match_indices("id=").map(|(at, _)| &answer[at..]).collect();
        assert_eq!(ids.len(), 2, "{answer}");
        for (id, expected) in ids.iter().zip(expected) {
            assert!(id.starts_with(expected), "{answer}");
        }
        assert_eq!(hopscope.finish()?.number("/totals/requests"), 2);
    }
    Ok(())
}

/// What a report says of a TLS path with this certificate; `trusted` when hopscope is given it as an authority.
fn with_certificate(name: &str, days: i32, trusted: bool) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    certificate_for(folder.path(), name, days)?;
    let files = folder.path().display();
    let nginx = Server::nginx(
        folder.path(),
        &format!(
            "ssl_certificate {files}/cert.pem; ssl_certificate_key {files}/key.pem; location / {{ return 200 ok; }}"
        ),
    )?;
    let authority = folder.path().join("cert.pem");
    let authority = ["--upstream-ca", authority.to_str().context("a path in UTF-8")?];
    let options = if trusted { &authority[..] } else { &[] };
    let hopscope = Hopscope::proxy(&format!("lb=https://{}", nginx.address()), folder.path(), options)?;
    let outcome = get(hopscope.address(), "/ok", LIMIT);
    assert!(
        matches!(outcome, Outcome::Reset | Outcome::Refused),
        "{outcome:?}"
    );
    hopscope.finish()
}

#[test]
fn certificate_errors_are_told_apart() -> Result<()> {
    for (name, days, trusted, expected) in [
        ("IP:127.0.0.1", -1, true, "certificate expired"),
        ("DNS:elsewhere.test", 2, true, "certificate for another name"),
        ("IP:127.0.0.1", 2, false, "certificate of no trusted authority"),
    ] {
        let report = with_certificate(name, days, trusted)?;
        assert_eq!(report.verdict(), "lb lb-tls", "{}", report.shown());
        assert!(report.mentions(expected), "{expected}: {}", report.shown());
    }
    Ok(())
}

#[test]
fn what_does_not_speak_tls_is_said_not_to() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nginx = Server::nginx(folder.path(), "location / { return 200 ok; }")?;
    let hopscope = Hopscope::proxy(&format!("lb=https://{}", nginx.address()), folder.path(), &[])?;
    get(hopscope.address(), "/ok", LIMIT);
    let report = hopscope.finish()?;
    assert_eq!(report.verdict(), "lb lb-tls", "{}", report.shown());
    assert!(report.mentions("not TLS"), "{}", report.shown());
    Ok(())
}

/// Five requests to this path of a balancer, and what the report says.
fn five(balancer: &Server, path: &str, status: u16, folder: &Path) -> Result<Report> {
    let folder = folder.join("run");
    std::fs::create_dir_all(&folder)?;
    let hopscope = Hopscope::proxy(&format!("lb={}", balancer.address()), &folder, &[])?;
    for _ in 0..5 {
        assert_eq!(get(hopscope.address(), path, LIMIT), Outcome::Answered(status));
    }
    let report = hopscope.finish()?;
    std::fs::remove_dir_all(&folder)?;
    Ok(report)
}

/// What a balancer reports of a refusal behind it: this host's kernel may have seen who refused it, and else it is open.
fn refused_behind_it(report: &Report) -> u64 {
    report.charged("backend-refused").failures + report.charged("undetermined").failures
}

#[test]
fn haproxys_own_answers_are_told_from_those_of_the_application_behind_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let application = Application::start()?;
    let haproxy = Server::haproxy(
        folder.path(),
        &format!("  timeout server 300ms\n  server one {}", application.address()),
    )?;
    let report = five(&haproxy, "/silent", 504, folder.path())?;
    assert_eq!(report.charged("undetermined").failures, 5, "{}", report.shown());
    let report = five(&haproxy, "/missing", 404, folder.path())?;
    assert_eq!(
        report.charged("lb-gateway-timeout").failures,
        0,
        "{}",
        report.shown()
    );
    assert_eq!(report.number("/totals/delivered_errors"), 5, "{}", report.shown());
    drop(haproxy);

    let haproxy = Server::haproxy(folder.path(), &format!("  server one {}", free_address()?))?;
    let report = five(&haproxy, "/ok", 503, folder.path())?;
    assert_eq!(refused_behind_it(&report), 5, "{}", report.shown());
    Ok(())
}

#[test]
fn envoys_own_answers_are_told_from_those_of_the_application_behind_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let application = Application::start()?;
    let envoy = Server::envoy(folder.path(), application.address(), HALF_A_SECOND, false)?;
    let report = five(&envoy, "/silent", 504, folder.path())?;
    assert_eq!(report.charged("undetermined").failures, 5, "{}", report.shown());
    let report = five(&envoy, "/missing", 404, folder.path())?;
    assert_eq!(
        report.charged("lb-gateway-timeout").failures,
        0,
        "{}",
        report.shown()
    );
    assert_eq!(report.number("/totals/delivered_errors"), 5, "{}", report.shown());
    drop(envoy);

    let envoy = Server::envoy(folder.path(), free_address()?, HALF_A_SECOND, false)?;
    let report = five(&envoy, "/ok", 503, folder.path())?;
    assert_eq!(refused_behind_it(&report), 5, "{}", report.shown());
    Ok(())
}

/// There is no ALB but AWS's: its page, byte by byte as documented and captured, stands in for it.
#[test]
fn an_albs_own_503_is_told_from_one_of_the_application_behind_it() -> Result<()> {
    let page = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n\
                <center><h1>503 Service Temporarily Unavailable</h1></center>\r\n</body>\r\n</html>\r\n";
    for (server, cause) in [("awselb/2.0", "undetermined"), ("gunicorn", "backend-error")] {
        let folder = tempfile::tempdir()?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (body, kind) = match server {
            "awselb/2.0" => (page, "text/html"),
            _ => ("{\"error\":\"busy\"}", "application/json"),
        };
        let answer = format!(
            "HTTP/1.1 503 Service Temporarily Unavailable\r\nServer: {server}\r\n\
             Date: Sun, 22 Nov 2026 22:10:57 GMT\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        );
        std::thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                drop(connection.read(&mut [0; 1024]));
                drop(connection.write_all(answer.as_bytes()));
            }
        });
        let hopscope = Hopscope::proxy(&format!("lb={address}"), folder.path(), &[])?;
        for _ in 0..5 {
            assert_eq!(get(hopscope.address(), "/ok", LIMIT), Outcome::Answered(503));
        }
        let report = hopscope.finish()?;
        assert_eq!(report.charged(cause).failures, 5, "{server}: {}", report.shown());
    }
    Ok(())
}

#[test]
fn a_host_that_swallows_everything_is_unreachable_and_one_that_does_so_later_is_silent() -> Result<()> {
    let pair = Pair::new()?;
    let folder = tempfile::tempdir()?;
    // Nobody listens, and the kernel says nothing of it: packets to this port are dropped.
    pair.far.filter("input", "tcp dport 9 drop")?;
    let via = format!("lb={}:9", pair.far_address);
    let within = ["ip", "netns", "exec", pair.near.name()];
    let hopscope = Hopscope::launched(&within, &via, folder.path(), &["--connect-timeout", "0.5"])?;
    let asked = pair.near.run(&[
        "sh",
        "-c",
        &format!(
            "for i in 1 2 3; do wrk -t1 -c1 -d1s http://{}/ >/dev/null; done",
            hopscope.address()
        ),
    ]);
    drop(asked);
    let report = hopscope.finish()?;
    assert_eq!(report.verdict(), "unknown undetermined", "{}", report.shown());
    assert!(report.said().contains("LB OR BACKEND"), "{}", report.shown());
    assert!(report.said().contains("balanced"), "{}", report.shown());
    Ok(())
}

#[test]
fn nginx_and_hopscope_count_the_same_requests() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nginx = Server::nginx(
        folder.path(),
        "location / { return 200 hello; } location = /status { stub_status; }",
    )?;
    let json = folder.path().join("report.json");
    let run = Command::new(program::hopscope()?)
        .args(["run", "--via", &format!("direct={}", nginx.address()), "--record"])
        .arg(folder.path().join("run.hopscope"))
        .arg("--json")
        .arg(&json)
        .args(["--", "wrk", "-t2", "-c32", "-d2s", "{url}/products/17"])
        .output()?;
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    let report = Report::parse(&std::fs::read_to_string(&json)?, said)?;
    let status = ask(
        nginx.address(),
        "GET /status HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n",
    )?;
    // ` 4 4 1237`: accepted, handled, requests; this one is among them.
    let counts: Vec<u64> = status
        .lines()
        .skip_while(|line| !line.starts_with("server accepts"))
        .nth(1)
        .context("nginx tells its counts")?
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let requests = counts.get(2).context("three counts")? - 1;
    // nginx was asked those too that wrk left when its time was over.
    let seen = report.number("/totals/requests") + report.number("/totals/cut_by_the_end");
    assert_eq!(seen, requests, "{}", report.shown());
    Ok(())
}

#[test]
fn local_ports_that_run_out_are_hopscopes_own_fault() -> Result<()> {
    const PORTS: u64 = 12;
    const CONNECTIONS: u64 = 30;
    let pair = Pair::new()?;
    let folder = tempfile::tempdir()?;
    let cast = Cast::of(env!("CARGO_BIN_EXE_actor"))?;
    let upstream = format!("{}:8080", pair.far_address);
    let mut application = cast.play("application", &pair.far, &["listen", &upstream, "128", "keep"])?;
    application.wait_for(LIMIT, "word that it listens", |line| {
        (line == "listening").then_some(())
    })?;
    pair.near.set("net.ipv4.ip_local_port_range=40000 40011")?;
    let within = ["ip", "netns", "exec", pair.near.name()];
    let listen = format!("--listen={}:9000", pair.near_address);
    let hopscope = Hopscope::launched(
        &within,
        &format!("direct=tcp://{upstream}"),
        folder.path(),
        &[&listen, "--grace=0"],
    )?;
    // The generator is on the other side, where there are ports enough.
    let (address, times) = (hopscope.address().to_string(), CONNECTIONS.to_string());
    let others = (CONNECTIONS - PORTS).to_string();
    // Those that found a port hold it until all others were turned away.
    all_of(cast.play("generator", &pair.far, &["outstay", &address, &times, &others])?)?;
    let report = hopscope.finish()?;
    assert_eq!(
        report.verdict(),
        "observer observer-ports-exhausted",
        "{}",
        report.shown()
    );
    assert_eq!(
        report.charged("observer-ports-exhausted").failures,
        CONNECTIONS - PORTS,
        "{}",
        report.shown()
    );
    drop(application);
    Ok(())
}
