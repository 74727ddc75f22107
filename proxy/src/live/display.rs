//! The thread that prints frames to standard error.
//!
//! The cursor is never hidden and always rests below the table, so a process that is killed leaves a sane terminal.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::layout::{line, render};
use super::totals::LiveSource;

/// How often the table is drawn.
const REDRAW: Duration = Duration::from_millis(500);
/// How often a line is printed.
const LINE: Duration = Duration::from_secs(10);
/// The screen that is assumed when the terminal does not tell its size.
const USUAL: (usize, usize) = (80, 24);

/// How the run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A table that is drawn over itself.
    Table {
        /// Whether in colour.
        colour: bool,
    },
    /// A line every ten seconds.
    Lines,
    /// Not at all.
    Off,
}

impl Mode {
    /// A table where standard error is a terminal that can move its cursor, lines elsewhere.
    pub fn of_standard_error(colour: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        if std::io::stderr().is_terminal() && !dumb {
            Self::Table { colour }
        } else {
            Self::Lines
        }
    }
}

/// A running display; dropping it takes the table off the screen.
#[derive(Debug)]
pub struct Display {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Display {
    /// Shows frames on standard error until it is dropped. Without a thread to be had nothing is shown.
    pub fn start(source: LiveSource, mode: Mode) -> Self {
        Self::start_on(source, mode, Box::new(std::io::stderr()), screen)
    }

    pub(super) fn start_on(
        source: LiveSource,
        mode: Mode,
        mut out: Box<dyn Write + Send>,
        screen: fn() -> (usize, usize),
    ) -> Self {
        let (stop, stopped) = channel::<()>();
        let every = match mode {
            Mode::Table { .. } => REDRAW,
            Mode::Lines => LINE,
            Mode::Off => {
                return Self {
                    stop: None,
                    thread: None,
                };
            }
        };
        let shown = move || {
            let mut table = Table::default();
            let mut next = Instant::now() + every;
            while let Err(RecvTimeoutError::Timeout) =
                stopped.recv_timeout(next.saturating_duration_since(Instant::now()))
            {
                next += every;
                if mode == Mode::Lines && is_somebody_elses_screen() {
                    continue;
                }
                let frame = source.frame();
                let text = match mode {
                    Mode::Table { colour } => {
                        let (width, height) = screen();
                        table.over(&render(&frame, width, colour), height)
                    }
                    Mode::Lines | Mode::Off => line(&frame) + "\n",
                };
                // One write a frame. A screen that is gone is no reason to stop the run.
                if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
                    return;
                }
            }
            // The report is printed where the table was.
            drop(
                out.write_all(table.erased().as_bytes())
                    .and_then(|()| out.flush()),
            );
        };
        let thread = std::thread::Builder::new()
            .name("live".to_owned())
            .spawn(shown)
            .ok();
        Self {
            stop: Some(stop),
            thread,
        }
    }
}

/// Whether a full-screen program, such as a load generator's own display, has the terminal: it reads keys one by one
/// (termios(3), `ICANON`), and a line would be drawn into its picture.
fn is_somebody_elses_screen() -> bool {
    rustix::termios::tcgetattr(std::io::stderr())
        .is_ok_and(|modes| !modes.local_modes.contains(rustix::termios::LocalModes::ICANON))
}

impl Drop for Display {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the display has been printed and concerns nothing else.
            drop(thread.join());
        }
    }
}

/// What is on the screen.
#[derive(Debug, Default)]
pub(super) struct Table {
    lines: usize,
}

impl Table {
    /// The bytes that draw `text` over what was drawn before. Lines are cleared to their end as they are written, and
    /// the terminal is asked to show the whole frame at once (mode 2026), so nothing flickers.
    pub(super) fn over(&mut self, text: &str, height: usize) -> String {
        let mut out = String::from("\x1b[?2026h");
        out.push_str(&self.home());
        let fits = height.saturating_sub(1).max(1);
        self.lines = 0;
        for line in text.lines().take(fits) {
            out.push_str(line);
            out.push_str("\x1b[K\r\n");
            self.lines += 1;
        }
        out.push_str("\x1b[J\x1b[?2026l");
        out
    }

    /// The bytes that take it off the screen.
    pub(super) fn erased(&mut self) -> String {
        if self.lines == 0 {
            return String::new();
        }
        let erased = self.home() + "\x1b[J";
        self.lines = 0;
        erased
    }

    fn home(&self) -> String {
        if self.lines == 0 {
            String::new()
        } else {
            format!("\x1b[{}A\r", self.lines)
        }
    }
}

/// Columns and rows of the terminal behind standard error.
fn screen() -> (usize, usize) {
    terminal_size::terminal_size_of(std::io::stderr()).map_or(USUAL, |(width, height)| {
        (usize::from(width.0).max(1), usize::from(height.0).max(1))
    })
}
