//! Bad input: one line that says what to do, the right exit code, and nothing lost.

use std::net::TcpListener;
use std::process::Command;

use anyhow::{Context as _, Result};
use hopscope_tests::program;

/// Runs hopscope to its end in an empty folder and gives its exit code and its complaint.
fn refused(arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let folder = tempfile::tempdir().context("a folder")?;
    let output = Command::new(program::hopscope()?)
        .args(arguments)
        .current_dir(folder.path())
        .output()?;
    Ok((
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_to_write() -> Result<()> {
    for (arguments, expected) in [
        (&["proxy"][..], "--via"),
        (&["proxy", "--bogus"], "--bogus"),
        (&["proxy", "--via", "127.0.0.1:1"], "NAME=TARGET"),
        (&["proxy", "--via", "lb=ftp://x:1"], "http://"),
        (&["proxy", "--via", "tunnel=kubectl:"], "kubectl:"),
        (
            &["proxy", "--via", "a=127.0.0.1:1", "--via", "a=127.0.0.1:2"],
            "own name",
        ),
        (
            &["proxy", "--via", "a=127.0.0.1:1", "--weights", "1,2"],
            "one a path",
        ),
        (
            &["proxy", "--via", "a=127.0.0.1:1", "--connect-timeout", "soon"],
            "seconds",
        ),
        (
            &["proxy", "--via", "a=127.0.0.1:1", "--fail-on", "gremlins>1%"],
            "gremlins",
        ),
        (&["run", "--via", "a=127.0.0.1:1"], "COMMAND"),
    ] {
        let (code, said) = refused(arguments)?;
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    Ok(())
}

#[test]
fn what_cannot_run_ends_with_3_in_one_line() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let taken = taken.local_addr()?.to_string();
    let via = ["--via", "direct=127.0.0.1:1"];
    for (arguments, expected) in [
        (
            &["proxy", "--listen", &taken, via[0], via[1]][..],
            "another program has that port",
        ),
        (
            &["proxy", "--listen", "203.0.113.1:0", via[0], via[1]],
            "not one of this host's",
        ),
        (
            &["proxy", "--via", "lb=http://no-such-host.invalid"],
            "does not resolve",
        ),
        (
            &["run", via[0], via[1], "--", "no-such-program-anywhere"],
            "is it installed",
        ),
        (&["report", "no-such-file"], "no recording"),
        (&["report", "/dev/null"], "not a hopscope recording"),
        (
            &[
                "proxy",
                via[0],
                via[1],
                "--upstream-ca",
                "no-such.pem",
                "--via",
                "lb=https://127.0.0.1",
            ],
            "no-such.pem",
        ),
    ] {
        let (code, said) = refused(arguments)?;
        assert_eq!(code, Some(3), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
        let complaint = said.lines().filter(|line| line.starts_with("hopscope: ")).count();
        assert_eq!(complaint, 1, "{arguments:?}: {said}");
    }
    Ok(())
}

#[test]
fn every_command_explains_itself_with_examples() -> Result<()> {
    for command in ["run", "proxy", "report", "explain", "doctor", "demo", "agent"] {
        let help = Command::new(program::hopscope()?)
            .args([command, "--help"])
            .output()?;
        let text = String::from_utf8_lossy(&help.stdout).into_owned();
        assert_eq!(help.status.code(), Some(0), "{command}");
        assert!(
            text.contains("Example") && text.contains(&format!("hopscope {command}")),
            "{command}:\n{text}"
        );
    }
    Ok(())
}
