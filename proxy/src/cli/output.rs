//! Where a diagnosis goes: the options that every command ending in one shares.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use thiserror::Error;

use super::Exit;
use super::files::{self, Named, SameFile};
use super::manner;
use hopscope_recording::LEAST_BYTES;
use hopscope_report::condition::Judgement;
use hopscope_report::terminal;
use hopscope_report::{Condition, Report, html, json, markdown};
use hopscope_text::figures::rfc3339;

/// Options of the commands that make a recording and end in its diagnosis.
#[derive(Clone, Debug, Default, Args)]
pub struct OutputOptions {
    /// Write the recording to FILE [default: a new file in the current folder, named in the output]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub record: Option<PathBuf>,

    /// Keep the recording below SIZE, such as 500M or 2G. Near it, whole connections are left out, more and more of them,
    /// evenly; counts per second stay exact, and the report says what was left out
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Output")]
    pub record_limit: Option<u64>,

    /// Where the diagnosis goes.
    #[command(flatten)]
    pub report: ReportOptions,
}

/// Options of every command that ends in a diagnosis.
#[derive(Clone, Debug, Default, Args)]
pub struct ReportOptions {
    /// Also write the report as JSON (hopscope.report/1); `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub json: Option<Destination>,

    /// Also write the report as Markdown, to paste into a ticket; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub markdown: Option<Destination>,

    /// Also write the report as one self-contained HTML page; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub html: Option<Destination>,

    /// Exit with 1 when CONDITION holds, and with 4 when it cannot be judged (no traffic, or traffic that was not read):
    /// SUBJECT>LIMIT or SUBJECT>=LIMIT, where SUBJECT is any, undelivered, a hop (client, observer, tunnel, lb, backend,
    /// unknown), several hops joined by + (lb+backend, which counts what is left open between them as well) or
    /// cause:WORD, and LIMIT is a count (10) or a share of all
    /// attempts (0.5%). May be given more than once; one that holds is enough
    #[arg(long, value_name = "CONDITION", help_heading = "Output")]
    pub fail_on: Vec<Condition>,
}

/// A size in bytes: a number, alone or with K, M, G or T for powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let refused = || format!("`{text}` is no size: give a number with K, M or G, such as 500M or 2G");
    let upper = text.to_ascii_uppercase();
    let short = upper.trim_end_matches('B').trim_end_matches('I');
    let digits = short.trim_end_matches(['K', 'M', 'G', 'T']);
    let factor: u64 = match short.get(digits.len()..) {
        Some("") => 1,
        Some("K") => 1 << 10,
        Some("M") => 1 << 20,
        Some("G") => 1 << 30,
        Some("T") => 1 << 40,
        Some(_) | None => return Err(refused()),
    };
    let bytes = digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor));
    match bytes.ok_or_else(refused)? {
        bytes if bytes < LEAST_BYTES => {
            Err(format!("`{text}` is too small for a recording: give at least 4M"))
        }
        bytes => Ok(bytes),
    }
}

/// Where one form of the report goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// `-`
    Stdout,
    /// A file, replaced when it exists.
    File(PathBuf),
}

impl FromStr for Destination {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" {
            Self::Stdout
        } else {
            Self::File(text.into())
        })
    }
}

/// The forms of a report that go into files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Markdown,
    Html,
}

impl Form {
    /// Its option's name.
    const fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Markdown => "markdown",
            Self::Html => "html",
        }
    }

    /// Its option as it is typed.
    const fn flag(self) -> &'static str {
        match self {
            Self::Json => "--json",
            Self::Markdown => "--markdown",
            Self::Html => "--html",
        }
    }

    fn render(self, report: &Report) -> Result<String, OutputError> {
        match self {
            Self::Json => json::render(report).map_err(OutputError::Json),
            Self::Markdown => Ok(markdown::render(report)),
            Self::Html => Ok(html::render(report)),
        }
    }
}

/// Why a report cannot go where it was asked to.
#[derive(Debug, Error)]
pub enum OutputError {
    /// Two forms on one stream could not be told apart.
    #[error("--{0} and --{1} both ask for standard output: give one of them a file")]
    StdoutTwice(&'static str, &'static str),
    /// Two forms in one file, or a report over what it is made of.
    #[error(transparent)]
    SameFile(#[from] SameFile),
    /// The file cannot be written.
    #[error("cannot write the --{form} file {file}: {error}; name a file in a folder that you may write to", file = .path.display())]
    File {
        /// Which option named it.
        form: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Standard output or standard error is gone.
    #[error("cannot write the report to the terminal: {0}")]
    Stream(io::Error),
    /// The report could not be serialised.
    #[error("cannot write the report as JSON: {0}")]
    Json(serde_json::Error),
}

impl OutputError {
    /// How the program ends on it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::StdoutTwice(..) | Self::SameFile(_) => Exit::Usage,
            Self::File { .. } | Self::Stream(_) | Self::Json(_) => Exit::CouldNotRun,
        }
    }
}

impl OutputOptions {
    /// Finds out before the run whether its outcome can be kept: seven minutes later is too late.
    ///
    /// # Errors
    /// When two outputs collide, one would take the place of a file of `others`, or a file cannot be written.
    pub fn check(&self, others: &[Named<'_>]) -> Result<(), OutputError> {
        let record = self.record.iter().map(|file| Named::write("--record", file));
        let files: Vec<_> = others.iter().copied().chain(record).collect();
        self.report.check(&files)
    }

    /// The recording's file: the one that was named, or a new one in the current folder.
    pub fn recording_file(&self, started_unix_us: u64) -> PathBuf {
        self.record.clone().unwrap_or_else(|| {
            let stamp: String = rfc3339(started_unix_us)
                .chars()
                .take("2026-01-31T23:59:59".len())
                .filter(|c| *c != '-' && *c != ':')
                .collect();
            let name = |suffix: &str| PathBuf::from(format!("hopscope-{stamp}{suffix}.sqlite"));
            std::iter::once(name(""))
                .chain((2..1_000).map(|next| name(&format!("-{next}"))))
                .find(|file| !file.exists())
                .unwrap_or_else(|| name(""))
        })
    }
}

impl ReportOptions {
    /// Finds out whether the report can be kept where it was asked to go, and leaves everything as it was. `others` are the
    /// files that the command reads and writes besides.
    ///
    /// # Errors
    /// When two outputs collide, one would take the place of another file, or a file cannot be written.
    pub fn check(&self, others: &[Named<'_>]) -> Result<(), OutputError> {
        let destinations = self.destinations();
        for (at, (form, destination)) in destinations.iter().enumerate() {
            for (earlier, before) in &destinations[..at] {
                if destination == before && **destination == Destination::Stdout {
                    return Err(OutputError::StdoutTwice(earlier.word(), form.word()));
                }
            }
        }
        let mut named = others.to_vec();
        for (form, destination) in &destinations {
            if let Destination::File(path) = destination {
                named.push(Named::write(form.flag(), path));
            }
        }
        files::distinct(&named)?;
        for (form, destination) in destinations {
            if let Destination::File(path) = destination {
                files::writable(path).map_err(|error| failed(form, path, error))?;
            }
        }
        Ok(())
    }

    /// Writes the report everywhere it was asked to go, and for a person to the terminal: standard output, or standard
    /// error when a form has taken that. Then evaluates the conditions.
    ///
    /// # Errors
    /// When a file or stream cannot be written; those before it have been.
    pub fn deliver(&self, report: &Report) -> Result<Exit, OutputError> {
        let stdout_taken = self
            .destinations()
            .iter()
            .any(|(_, to)| **to == Destination::Stdout);
        let outcomes: Vec<_> = self
            .fail_on
            .iter()
            .map(|condition| condition.evaluate(report))
            .collect();
        let screen = if stdout_taken {
            manner::stderr()
        } else {
            manner::stdout()
        };
        let mut text = terminal::render(report, screen);
        for outcome in &outcomes {
            text.push_str(&outcome.statement);
            text.push('\n');
        }
        if stdout_taken {
            to_stream(io::stderr(), &text)?;
        } else {
            to_stream(io::stdout(), &text)?;
        }
        for (form, destination) in self.destinations() {
            let text = form.render(report)?;
            match destination {
                Destination::Stdout => to_stream(io::stdout(), &text)?,
                Destination::File(path) => {
                    files::replace(path, &text).map_err(|error| failed(form, path, error))?;
                }
            }
        }
        let judgements = outcomes.iter().map(|outcome| outcome.judgement);
        Ok(match Judgement::of_all(judgements) {
            Judgement::Holds => Exit::ConditionHolds,
            Judgement::CannotBeJudged => Exit::CannotBeJudged,
            Judgement::DoesNotHold => Exit::Ran,
        })
    }

    fn destinations(&self) -> Vec<(Form, &Destination)> {
        [
            (Form::Json, &self.json),
            (Form::Markdown, &self.markdown),
            (Form::Html, &self.html),
        ]
        .into_iter()
        .filter_map(|(form, destination)| Some((form, destination.as_ref()?)))
        .collect()
    }
}

fn failed(form: Form, path: &Path, error: io::Error) -> OutputError {
    OutputError::File {
        form: form.word(),
        path: path.to_owned(),
        error,
    }
}

/// A reader that has seen enough (`| head`) is not a failure.
pub(super) fn to_stream(mut stream: impl Write, text: &str) -> Result<(), OutputError> {
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(OutputError::Stream(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
