//! Bad input: one line that says what to do, the right exit code, and nothing lost.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use hopscope_tests::hopscope::Hopscope;
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
            &["run", via[0], via[1], "--", "no-such-program-anywhere", "{url}"],
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

/// Runs hopscope behind another program, in this folder, and gives its exit code and its complaint.
fn refused_behind(launcher: &[&str], folder: &Path, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let (first, rest) = launcher.split_first().context("a launcher")?;
    let output = Command::new(first)
        .args(rest)
        .arg(program::hopscope()?)
        .args(arguments)
        .current_dir(folder)
        .output()?;
    Ok((
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}

/// A recording of a run in which nothing came by.
fn recording(folder: &Path) -> Result<PathBuf> {
    drop(Hopscope::proxy("direct=127.0.0.1:1", folder, &[])?.finish()?);
    Ok(folder.join("run.hopscope"))
}

#[test]
fn places_that_cannot_be_written_are_named_before_the_run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let there = folder.path().join("there.sqlite");
    std::fs::write(&there, "")?;
    let there = there.display().to_string();
    let proxy = ["proxy", "--listen=127.0.0.1:0", "--via", "direct=127.0.0.1:1"];
    let direct = ["env"];
    // Root may write anywhere but where nobody may.
    let read_only = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs -o ro none /mnt && cd /mnt && exec \"$@\"",
        "sh",
    ];
    let few = ["prlimit", "--nofile=6:6"];
    let tiny = ["prlimit", "--fsize=100000"];
    for (launcher, more, expected) in [
        (
            &direct[..],
            &["--record", "no-such-folder/run.sqlite"][..],
            "--record",
        ),
        (&direct, &["--record", &there], "exists already"),
        (&direct, &["--json", "no-such-folder/report.json"], "--json"),
        (&direct, &["--html", "/"], "--html"),
        (&direct, &["--metrics", "203.0.113.1:1"], "--metrics"),
        (&read_only, &[], "Read-only file system"),
        (&few, &[], "ulimit -n"),
        (
            &tiny,
            &["--record", "tiny.sqlite"],
            "cannot make the recording tiny.sqlite",
        ),
    ] {
        let arguments = [&proxy, more].concat();
        let (code, said) = refused_behind(launcher, folder.path(), &arguments)?;
        assert_eq!(code, Some(3), "{more:?}: {said}");
        assert!(said.contains(expected), "{more:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{more:?}: {said}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path())?
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|name| name != "there.sqlite")
        .collect();
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

#[test]
fn a_command_that_cannot_be_run_leaves_nothing_behind() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let arguments = [
        "run",
        "--via",
        "direct=127.0.0.1:1",
        "--",
        "no-such-program-anywhere",
    ];
    let (code, said) = refused_behind(&["env"], folder.path(), &arguments)?;
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 0, "{said}");
    Ok(())
}

#[test]
fn recordings_that_cannot_be_read_are_refused_in_one_line() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let sound = std::fs::read(recording(folder.path())?)?;
    // `PRAGMA user_version` is the big-endian number at offset 60 of an SQLite file (sqlite.org/fileformat.html, 1.3).
    let mut newer = sound.clone();
    newer.splice(60..64, 9_u32.to_be_bytes());
    let mut damaged = sound.clone();
    damaged.truncate(sound.len() / 2);
    for (bytes, expected) in [
        (newer, "upgrade hopscope"),
        (damaged, "cannot read the recording"),
        (b"k6 summary".to_vec(), "not a hopscope recording"),
    ] {
        std::fs::write(folder.path().join("bad.sqlite"), bytes)?;
        let (code, said) = refused_behind(&["env"], folder.path(), &["report", "bad.sqlite"])?;
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains(expected), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
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
