//! `--front https` and `--front proxy`: the generator's TLS ends at hopscope, whichever generator it is, and what passes is read.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use hopscope_tests::program;
use hopscope_tests::report::Report;
use hopscope_tests::server::{Server, certificate};

const SITE: &str = "location / { return 200 hello; } location /bad { return 503 no; }";
/// k6 makes 200 requests, and fails unless all came over this protocol.
const SCRIPT: &str = "import http from 'k6/http';\n\
    export const options = { vus: 5, iterations: 200, thresholds: { checks: ['rate==1'] } };\n\
    import { check } from 'k6';\n\
    export default function () { const r = http.get(__ENV.BASE + '/products/17');\n\
    check(r, { ok: (r) => r.status === 200 && r.proto === __ENV.PROTO }); }\n";

/// nginx with TLS; `http2` says whether it speaks that.
fn nginx(folder: &Path, http2: bool) -> Result<Server> {
    certificate(folder)?;
    let place = folder.display();
    let marker = if http2 { "# http2\n" } else { "" };
    let keys = format!("{marker}ssl_certificate {place}/cert.pem; ssl_certificate_key {place}/key.pem; ");
    Server::nginx(folder, &(keys + SITE))
}

/// `hopscope run` with these words before `--`: whether the command went well, and the report.
fn run(folder: &Path, words: &[&str], command: &[&str]) -> Result<(i64, Report)> {
    let json = folder.join("report.json");
    let run = Command::new(program::hopscope()?)
        .args(["run", "--record"])
        .arg(folder.join("run.hopscope"))
        .arg("--json")
        .arg(&json)
        .args(words)
        .arg("--")
        .args(command)
        .env("TMPDIR", folder)
        .output()?;
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    ensure!(json.exists(), "{said}");
    let report = Report::parse(&std::fs::read_to_string(&json)?, said)?;
    std::fs::remove_file(folder.join("run.hopscope"))?;
    let code = report.field("/run/exit_code").as_i64().unwrap_or(-1);
    Ok((code, report))
}

#[test]
fn every_generator_trusts_the_front_and_all_that_it_sends_is_read() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().to_string_lossy().into_owned();
    std::fs::write(folder.path().join("test.js"), SCRIPT)?;
    let nginx = nginx(folder.path(), true)?;
    let via = format!("lb=https://{}", nginx.address());
    let ca = format!("{place}/cert.pem");
    let front = ["--front", "https", "--via", &via, "--upstream-ca", &ca];
    let script = format!("{place}/test.js");
    let python = "import urllib.request\nfor i in range(50): assert urllib.request.urlopen('{url}/products/17').read() == b'hello'";
    let node = "(async () => { for (let i = 0; i < 50; i++) { const r = await fetch('{url}/products/17'); \
                if (await r.text() !== 'hello') process.exit(1) } })()";
    let loads: [(&[&str], u64); 7] = [
        (
            &[
                "k6",
                "run",
                "-q",
                "-e",
                "BASE={url}",
                "-e",
                "PROTO=HTTP/2.0",
                &script,
            ],
            200,
        ),
        (
            &[
                "curl",
                "-sSf",
                "--http1.1",
                "{url}/products/1",
                "{url}/products/2",
            ],
            2,
        ),
        (&["curl", "-sSf", "--http2", "{url}/products/1"], 1),
        (
            &[
                "hey",
                "-n",
                "200",
                "-c",
                "4",
                "-host",
                "localhost",
                "{url}/products/1",
            ],
            200,
        ),
        (
            &["h2load", "-n", "400", "-c", "4", "-m", "10", "{url}/products/1"],
            400,
        ),
        (&["python3", "-c", python], 50),
        (&["node", "-e", node], 50),
    ];
    for (command, requests) in loads {
        let (code, report) = run(folder.path(), &front, command)?;
        assert_eq!(code, 0, "{command:?}: {}", report.shown());
        assert_eq!(report.number("/totals/requests"), requests, "{}", report.shown());
        assert_eq!(report.verdict(), "none", "{command:?}: {}", report.shown());
        assert_eq!(report.field("/observer/not_read"), serde_json::json!([]));
        ensure!(report.said().contains("/products/:id"), "{}", report.shown());
        ensure!(
            report.said().contains("TLS ended at hopscope"),
            "{}",
            report.shown()
        );
    }
    let left: Vec<_> = std::fs::read_dir(folder.path())?
        .flatten()
        .filter(|file| file.file_name().to_string_lossy().contains("authorities"))
        .collect();
    ensure!(left.is_empty(), "the authorities' file stays: {left:?}");
    Ok(())
}

#[test]
fn a_target_that_chose_http_1_is_what_the_generator_is_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("test.js"), SCRIPT)?;
    let nginx = nginx(folder.path(), false)?;
    let via = format!("lb=https://{}", nginx.address());
    let script = folder.path().join("test.js");
    let k6 = [
        "k6",
        "run",
        "-q",
        "-e",
        "BASE={url}",
        "-e",
        "PROTO=HTTP/1.1",
        &script.to_string_lossy(),
    ];
    let (code, report) = run(
        folder.path(),
        &["--front", "https", "--via", &via, "--insecure"],
        &k6,
    )?;
    assert_eq!(code, 0, "{}", report.shown());
    assert_eq!(report.number("/totals/requests"), 200);
    Ok(())
}

#[test]
fn a_generator_that_does_not_trust_the_front_is_charged_with_its_own_alert() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nginx = nginx(folder.path(), true)?;
    let via = format!("lb=https://{}", nginx.address());
    let distrusting = "for i in 1 2 3; do curl -sS --cacert cert.pem {url}/a; done";
    let load = [
        "sh",
        "-c",
        &format!("cd {}; {distrusting}", folder.path().display()),
    ];
    let (_, report) = run(
        folder.path(),
        &["--front", "https", "--via", &via, "--insecure"],
        &load,
    )?;
    assert_eq!(report.verdict(), "client client-tls", "{}", report.shown());
    ensure!(report.said().contains("with an alert × 3"), "{}", report.shown());
    Ok(())
}

#[test]
fn a_target_whose_certificate_is_not_trusted_is_charged_and_the_generator_sees_no_tls() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nginx = nginx(folder.path(), true)?;
    let via = format!("lb=https://{}", nginx.address());
    let curl = ["curl", "-sS", "{url}/a"];
    let (code, report) = run(folder.path(), &["--front", "https", "--via", &via], &curl)?;
    assert_eq!(code, 35, "TLS: {}", report.shown());
    assert_eq!(report.verdict(), "lb lb-tls", "{}", report.shown());
    let front = ["--front", "https", "--via", &via, "--on-refusal", "502"];
    let (code, report) = run(folder.path(), &front, &curl)?;
    assert_eq!(code, 0, "{}", report.shown());
    ensure!(
        report.said().contains("no upstream connection on path lb"),
        "{}",
        report.shown()
    );
    assert_eq!(report.verdict(), "lb lb-tls", "{}", report.shown());
    Ok(())
}

#[test]
fn tls_that_passes_through_is_the_targets_own_and_not_read() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nginx = nginx(folder.path(), true)?;
    let via = format!("lb=https://{}", nginx.address());
    let ca = folder.path().join("cert.pem");
    let curl = ["curl", "-sSf", "--cacert", &ca.to_string_lossy(), "{url}/a"];
    let front = ["--front", "https", "--tls-passthrough", "--via", &via];
    let (code, report) = run(folder.path(), &front, &curl)?;
    assert_eq!(code, 0, "{}", report.shown());
    assert_eq!(report.verdict(), "unknown not-read", "{}", report.shown());
    assert_eq!(report.field("/observer/not_read/0/reason"), "tls");
    Ok(())
}

#[test]
fn plain_http_to_a_tls_front_is_the_generators_mistake() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nginx = nginx(folder.path(), true)?;
    let via = format!("lb=https://{}", nginx.address());
    let load = ["curl", "-s", "http://{addr}/a"];
    let (_, report) = run(
        folder.path(),
        &["--front", "https", "--via", &via, "--insecure"],
        &load,
    )?;
    assert_eq!(report.verdict(), "client client-tls", "{}", report.shown());
    Ok(())
}

/// `--front proxy` in front of nginx, whose address stands in the command as `TARGET`.
fn proxied(folder: &Path, more: &[&str], command: &str) -> Result<(i64, Report)> {
    let server = nginx(folder, true)?;
    let target = server.address();
    let ca = folder.join("cert.pem");
    let ca = ca.to_string_lossy();
    let via = format!("lb=https://{target}");
    let words = [&["--front", "proxy", "--via", &via, "--upstream-ca", &ca], more].concat();
    let command = command.replace("TARGET", &target.to_string());
    run(folder, &words, &["sh", "-c", &command])
}

#[test]
fn what_is_for_the_host_of_a_path_is_served_by_it_and_the_rest_passes_and_is_listed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let other = tempfile::tempdir()?;
    let elsewhere = Server::nginx(other.path(), SITE)?;
    let command = format!(
        "curl -sSf https://TARGET/products/1 https://TARGET/products/2 && curl -sSf http://{0}/x && \
         curl -sSf http://{0}/y",
        elsewhere.address()
    );
    let (code, report) = proxied(folder.path(), &[], &command)?;
    assert_eq!(code, 0, "{}", report.shown());
    assert_eq!(report.number("/totals/requests"), 2, "{}", report.shown());
    assert_eq!(report.number("/totals/connections"), 1, "{}", report.shown());
    assert_eq!(report.verdict(), "none", "{}", report.shown());
    let notes = report.field("/run/notes").to_string();
    ensure!(notes.contains("TLS ended at hopscope on path lb"), "{notes}");
    ensure!(
        notes.contains(&format!("{} (2 connections", elsewhere.address())),
        "{notes}"
    );
    Ok(())
}

#[test]
fn tls_through_the_proxy_can_be_left_end_to_end() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ca = folder.path().join("cert.pem");
    let command = format!("curl -sSf --cacert {} https://TARGET/products/1", ca.display());
    let (code, report) = proxied(folder.path(), &["--tls-passthrough"], &command)?;
    assert_eq!(code, 0, "{}", report.shown());
    assert_eq!(report.verdict(), "unknown not-read", "{}", report.shown());
    Ok(())
}

#[test]
fn requests_for_two_origins_on_one_connection_reach_each_its_own() -> Result<()> {
    let (folder, one, two) = (tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?);
    let one = Server::nginx(one.path(), "location / { return 200 one; }")?;
    let two = Server::nginx(two.path(), "location / { return 200 two; }")?;
    let (a, b) = (one.address(), two.address());
    let vias = [format!("lb-a=http://{a}"), format!("lb-b=http://{b}")];
    // One connection to the proxy, as Go's HTTP client keeps it.
    let script = format!(
        "import http.client, os\nh, p = os.environ['http_proxy'][7:].split(':')\n\
         c = http.client.HTTPConnection(h, int(p))\n\
         for target, body in [('{a}', b'one'), ('{b}', b'two'), ('{b}', b'two'), ('{a}', b'one')]:\n\
         \x20   c.request('GET', f'http://{{target}}/products/17')\n\
         \x20   assert c.getresponse().read() == body\n"
    );
    let words = ["--front", "proxy", "--via", &vias[0], "--via", &vias[1]];
    let (code, report) = run(folder.path(), &words, &["python3", "-c", &script])?;
    assert_eq!(code, 0, "{}", report.shown());
    assert_eq!(report.number("/totals/requests"), 4, "{}", report.shown());
    assert_eq!(report.number("/totals/connections"), 3, "{}", report.shown());
    assert_eq!(report.verdict(), "none", "{}", report.shown());
    Ok(())
}

#[test]
fn a_dead_target_behind_the_proxy_is_charged_to_its_path() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let words = ["--front", "proxy", "--via", "direct=https://127.0.0.1:9"];
    let curl = ["curl", "-sS", "https://127.0.0.1:9/a"];
    let (code, report) = run(folder.path(), &words, &curl)?;
    assert_eq!(code, 35, "{}", report.shown());
    assert_eq!(report.verdict(), "backend backend-refused", "{}", report.shown());
    Ok(())
}
