//! `hopscope run` in a terminal: its generator has the terminal as it would have it from a shell, and gives it back.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here is the test")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Longer than anything here takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_mins(1);

/// A terminal, and a program in its foreground.
struct Stage {
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
    program: Child,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// A shell's command in a new session, whose terminal is ours to type on.
    fn shell(script: &str) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let stdio = || Stdio::from(slave.try_clone().unwrap());
        let mut command = Command::new("bash");
        command
            .args(["--norc", "--noprofile", "-c", script])
            .env("HOPSCOPE", env!("CARGO_BIN_EXE_hopscope"))
            .current_dir(folder.path())
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio());
        #[expect(unsafe_code, reason = "a new session is made between fork and exec")]
        // SAFETY: two system calls, which neither allocate nor lock.
        unsafe {
            command.pre_exec(|| {
                setsid()?;
                ioctl_tiocsctty(std::io::stdin())?;
                Ok(())
            });
        }
        let program = command.spawn().unwrap();
        drop((command, slave));
        Self {
            screen: watch(&master),
            keyboard: File::from(master),
            seen: String::new(),
            program,
            _folder: folder,
        }
    }

    fn types(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).unwrap();
    }

    /// Waits until the screen shows a text, after what was waited for before.
    fn shows(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("{text:?} was not shown ({error}); the screen has {:?}", self.seen),
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.program.kill());
        drop(self.program.wait());
    }
}

fn watch(master: &OwnedFd) -> Receiver<Vec<u8>> {
    let mut screen = File::from(master.try_clone().unwrap());
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = vec![0; 4096];
        while let Ok(read @ 1..) = screen.read(&mut bytes) {
            if sender.send(bytes[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Runs a generator, given as a shell's command, behind which nothing listens.
fn run(generator: &str) -> String {
    format!(
        "$HOPSCOPE run --probes off --via direct=127.0.0.1:9 -- bash -c '{generator}'; echo shell goes on $?"
    )
}

#[test]
fn a_generator_may_change_the_terminals_modes() {
    let mut stage = Stage::shell(&run("stty -echo && stty echo && echo modes changed {url}"));
    stage.shows("modes changed http://127.0.0.1:");
    stage.shows("shell goes on 0");
}

#[test]
fn a_generator_may_read_from_the_terminal() {
    let mut stage = Stage::shell(&run("echo ready {url}; read line; echo read $line"));
    stage.shows("ready");
    stage.types(b"a word\n");
    stage.shows("read a word");
    stage.shows("shell goes on 0");
}

#[test]
fn the_modes_that_a_killed_generator_left_are_undone() {
    let script = run("stty -echo -icanon; echo {url}; kill -9 $$") + "; stty -a";
    let mut stage = Stage::shell(&script);
    stage.shows("shell goes on 0");
    let modes = stage.shows("echoke");
    assert!(modes.contains(" icanon") && modes.contains(" echo "), "{modes}");
}

#[test]
fn ctrl_c_ends_the_generator_and_the_diagnosis_follows() {
    let mut stage = Stage::shell(&run("echo ready {url}; exec sleep 1000"));
    stage.shows("ready");
    stage.types(b"\x03");
    stage.shows("hopscope itself");
    stage.shows("recording: hopscope-");
}

#[test]
fn ctrl_z_stops_both_and_the_shell_resumes_both() {
    let script = format!(
        "set -m; {}; echo shell again; fg >/dev/null; echo shell goes on $?",
        run("echo ready {url}; read line; echo read $line").replace("; echo shell goes on $?", "")
    );
    let mut stage = Stage::shell(&script);
    stage.shows("ready");
    stage.types(b"\x1a");
    stage.shows("shell again");
    stage.types(b"a word\n");
    stage.shows("read a word");
    stage.shows("shell goes on 0");
}

#[test]
fn where_nobody_can_resume_hopscope_ctrl_z_is_undone() {
    // No job control: the shell's own group is the only one, and orphaned.
    let mut stage = Stage::shell(&run("echo ready {url}; read line; echo read $line"));
    stage.shows("ready");
    stage.types(b"\x1a");
    stage.types(b"a word\n");
    stage.shows("read a word");
    stage.shows("shell goes on 0");
}

#[test]
fn a_generator_in_the_background_that_wants_the_terminal_is_stopped_and_resumed_by_fg() {
    let script = format!(
        "set -m; {} & until jobs -s | grep -q .; do sleep 0.05; done; \
         echo shell has the terminal; fg >/dev/null; echo shell goes on $?",
        run("echo ready {url}; read line; echo read $line").replace("; echo shell goes on $?", "")
    );
    let mut stage = Stage::shell(&script);
    stage.shows("the generator wants the terminal");
    stage.shows("shell has the terminal");
    stage.types(b"a word\n");
    stage.shows("read a word");
    stage.shows("shell goes on 0");
}
