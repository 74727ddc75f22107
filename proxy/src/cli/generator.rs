//! The load generator as a child of hopscope's: started, stopped and resumed, and waited for, as a shell treats a job.

mod placeholders;
mod terminal;

use std::ffi::OsString;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{
    Pid, Signal as Number, WaitId, WaitIdOptions, kill_current_process_group, kill_process_group, waitid,
};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::placeholders::VARIABLE;
use self::terminal::Terminal;
use super::conduct::ConductError;
use super::session::StopSignals;
use super::warn;

pub use placeholders::Reach;

/// What a generator finds around it.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// It reaches hopscope as its proxy, and need not name it.
    pub proxied: bool,
    /// What is to be said before it runs.
    pub doubts: Vec<String>,
    /// Variables that are set for it, or taken away.
    pub environment: Vec<(&'static str, Option<OsString>)>,
}

/// How long hopscope waits to be resumed after it has stopped itself together with the generator. Stopped, no time
/// passes for it; where nobody could resume it, the kernel does not stop it (setpgid(2), orphaned process group), and
/// the generator goes on after this.
const UNSTOPPED: Duration = Duration::from_millis(200);

/// Runs the load generator to its end and gives its exit code, as a shell counts it. Signals are passed on to it.
///
/// # Errors
/// When it cannot be started, or its end not be learnt.
pub async fn run(
    command: &[String],
    reach: Reach,
    surroundings: &Surroundings,
    signals: &mut StopSignals,
) -> Result<Option<i32>, ConductError> {
    let filled = reach.fill(command);
    let [program, arguments @ ..] = filled.words.as_slice() else {
        return Ok(None);
    };
    let doubts = filled.doubts.iter().filter(|_| !surroundings.proxied);
    for doubt in doubts.chain(&surroundings.doubts) {
        warn(&format!("hopscope: {doubt}"));
    }
    let failed = |source| ConductError::Command {
        program: program.clone(),
        source,
    };
    let turns = Turns::catch().map_err(failed)?;
    let terminal = Terminal::controlling();
    if terminal.is_some() {
        terminal::write_from_the_background().map_err(failed)?;
    }
    let ours = terminal.as_ref().filter(|terminal| terminal.is_ours());
    ours.inspect(|terminal| terminal.keep_modes());
    let lent = ours.map(AsRawFd::as_raw_fd);
    let mut prepared = Command::new(PathBuf::from(program));
    prepared
        .args(arguments)
        .env(VARIABLE, reach.url())
        // Its own group, as a job has: what the terminal sends reaches it once, and its own children with it.
        .process_group(0);
    for (name, value) in &surroundings.environment {
        match value {
            Some(value) => prepared.env(name, value),
            None => prepared.env_remove(name),
        };
    }
    #[expect(
        unsafe_code,
        reason = "what runs between fork and exec is the caller's promise"
    )]
    // SAFETY: `as_a_job` makes async-signal-safe calls alone, and neither allocates nor locks.
    unsafe {
        prepared.pre_exec(move || terminal::as_a_job(lent));
    }
    let child = prepared.spawn().map_err(failed)?;
    let group = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    if let (Some(terminal), Some(group)) = (ours, group) {
        // The child does it as well: whoever comes first.
        terminal.lend(group);
    }
    let job = Job { group, terminal };
    let status = job.ends(child, turns, signals).await.map_err(failed)?;
    Ok(exit_code(status))
}

/// Signals that tell of turns in a job's life.
struct Turns {
    /// A child stopped, went on or ended.
    child: Signal,
    /// hopscope itself was stopped, and goes on.
    resumed: Signal,
}

impl Turns {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            child: signal(SignalKind::child())?,
            resumed: signal(SignalKind::from_raw(libc::SIGCONT))?,
        })
    }
}

/// The generator and what it may have been lent.
struct Job {
    /// Its process group, which is also its process id.
    group: Option<Pid>,
    terminal: Option<Terminal>,
}

impl Job {
    async fn ends(
        self,
        mut child: Child,
        mut turns: Turns,
        signals: &mut StopSignals,
    ) -> io::Result<ExitStatus> {
        let mut warned = false;
        loop {
            tokio::select! {
                ended = child.wait() => return ended,
                signal = signals.next() => self.pass_on(signal),
                _turn = turns.child.recv() => {
                    if let Some(by) = self.stopped() {
                        self.stop_with_it(by, &mut turns.resumed, &mut warned).await;
                    }
                }
            }
        }
    }

    /// The signal that has stopped the generator, where one has since this was last asked.
    fn stopped(&self) -> Option<i32> {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        match waitid(WaitId::Pid(self.group?), options) {
            Ok(Some(status)) => status.stopping_signal(),
            Ok(None) | Err(_) => None,
        }
    }

    /// The generator was stopped: so is hopscope, and whoever stands beside it in a pipeline, until somebody resumes
    /// them.
    async fn stop_with_it(&self, by: i32, resumed: &mut Signal, warned: &mut bool) {
        let wants_terminal = matches!(by, libc::SIGTTOU | libc::SIGTTIN);
        if wants_terminal && self.terminal.as_ref().is_some_and(Terminal::is_ours) {
            // It touched the terminal just before it got it.
            self.resume();
            return;
        }
        if wants_terminal && !*warned {
            *warned = true;
            warn(
                "hopscope: the generator wants the terminal, and hopscope is not in its foreground: bring it there with \
                 `fg`, or send the generator's output to a file",
            );
        }
        if let Some(terminal) = &self.terminal {
            terminal.take_back();
        }
        if let Err(error) = kill_current_process_group(Number::TSTP) {
            tracing::debug!(%error, "hopscope could not stop together with the generator");
        }
        tokio::select! {
            _resumed = resumed.recv() => {}
            () = tokio::time::sleep(UNSTOPPED) => {}
        }
        self.resume();
    }

    /// Lets a stopped generator go on, with the terminal where hopscope has it.
    fn resume(&self) {
        if let (Some(terminal), Some(group)) = (&self.terminal, self.group)
            && terminal.is_ours()
        {
            terminal.keep_modes();
            terminal.lend(group);
        }
        self.send(Number::CONT);
    }

    /// Sends a signal on to the generator's group: generators such as `npm run k6` have children of their own.
    fn pass_on(&self, signal: SignalKind) {
        if let Some(signal) = Number::from_named_raw(signal.as_raw_value()) {
            self.send(signal);
            // A stopped one takes it only when it goes on.
            self.send(Number::CONT);
        }
    }

    fn send(&self, signal: Number) {
        if let Some(group) = self.group
            && let Err(error) = kill_process_group(group, signal)
        {
            tracing::debug!(%error, "a signal could not be passed on");
        }
    }
}

/// The exit code as a shell counts it: a signal's number plus 128.
fn exit_code(status: ExitStatus) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
}
