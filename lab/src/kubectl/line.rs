//! kubectl's own lines, in the three forms that its log has had.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

use super::Version;

/// One line that kubectl wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whether to standard error.
    pub is_stderr: bool,
    /// Without the line's end.
    pub text: String,
}

/// What went wrong with one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    CreatingErrorStream,
    CreatingForwardingStream,
    CopyingFromRemote,
    CopyingFromLocal,
    Forwarding,
}

/// The pipe into which kubectl writes. A full pipe holds up whoever writes.
#[derive(Debug)]
pub struct Output {
    lines: mpsc::Sender<Line>,
    version: Version,
}

impl Output {
    pub(super) fn new(lines: mpsc::Sender<Line>, version: Version) -> Self {
        Self { lines, version }
    }

    pub(super) async fn stdout(&self, text: String) {
        self.write(Line {
            is_stderr: false,
            text,
        })
        .await;
    }

    /// A text of several lines arrives as several.
    async fn stderr(&self, text: String) {
        for line in text.lines() {
            self.write(Line {
                is_stderr: true,
                text: line.to_owned(),
            })
            .await;
        }
    }

    async fn write(&self, line: Line) {
        if self.lines.send(line).await.is_err() {
            tracing::trace!("nobody reads kubectl's lines");
        }
    }

    /// The forward is over.
    pub(super) async fn lost(&self) {
        let text = if self.version.fails_when_lost() {
            "error: lost connection to pod".to_owned()
        } else {
            logged(174, "lost connection to pod")
        };
        self.stderr(text).await;
    }

    /// The accept loop is over.
    pub(super) async fn accept_failed(&self, local: u16, cause: String) {
        let text = match self.version.minor() {
            37.. => logged(
                441,
                &format!(
                    "\"Error accepting connection\" err={} localPort={local}",
                    quoted(&cause)
                ),
            ),
            minor => unstructured(
                minor,
                322,
                &format!("error accepting connection on port {local}: {cause}"),
            ),
        };
        self.stderr(text).await;
    }

    /// A connection has a problem.
    pub(super) async fn trouble(&self, trouble: Trouble, local: u16, remote: u16, cause: &str) {
        let text = match self.version.minor() {
            37.. => {
                let message = trouble.structured();
                let cause = value(cause);
                let fields = format!("\"{message}\" err{cause} localPort={local} remotePort={remote}");
                logged(trouble.source_line(37), &fields)
            }
            minor => {
                let sentence = match trouble {
                    Trouble::CreatingErrorStream => {
                        format!("error creating error stream for port {local} -> {remote}: {cause}")
                    }
                    Trouble::CreatingForwardingStream => {
                        format!("error creating forwarding stream for port {local} -> {remote}: {cause}")
                    }
                    Trouble::CopyingFromRemote => {
                        format!("error copying from remote stream to local connection: {cause}")
                    }
                    Trouble::CopyingFromLocal => {
                        format!("error copying from local connection to remote stream: {cause}")
                    }
                    Trouble::Forwarding => {
                        format!("an error occurred forwarding {local} -> {remote}: {cause}")
                    }
                };
                unstructured(minor, trouble.source_line(minor), &sentence)
            }
        };
        self.stderr(text).await;
    }
}

impl Trouble {
    /// The message of the structured form (kubectl 1.37).
    const fn structured(self) -> &'static str {
        match self {
            Self::CreatingErrorStream => "Error creating error stream",
            Self::CreatingForwardingStream => "Error creating forwarding stream",
            Self::CopyingFromRemote => "Error copying from remote stream to local connection",
            Self::CopyingFromLocal => "Error copying from local connection to remote stream",
            Self::Forwarding => "An error occurred forwarding",
        }
    }

    /// The line of client-go's portforward.go that writes it, as 1.28, 1.31, 1.32 and 1.37 have it.
    const fn source_line(self, minor: u16) -> u16 {
        let [v28, v30, v32, v37] = match self {
            Self::CreatingErrorStream => [347, 351, 357, 476],
            Self::CreatingForwardingStream => [370, 374, 380, 501],
            Self::CopyingFromRemote => [381, 385, 391, 512],
            Self::CopyingFromLocal => [394, 398, 404, 525],
            Self::Forwarding => [409, 413, 424, 549],
        };
        match minor {
            37.. => v37,
            32.. => v32,
            30.. => v30,
            _ => v28,
        }
    }
}

fn unstructured(minor: u16, source_line: u16, sentence: &str) -> String {
    if minor >= 31 {
        logged(
            source_line,
            &format!("\"Unhandled Error\" err{}", value(sentence)),
        )
    } else {
        logged(source_line, sentence)
    }
}

/// klog's head in front of a message.
fn logged(source_line: u16, message: &str) -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (since_epoch.as_secs(), since_epoch.subsec_micros());
    let (month, day) = month_and_day(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let pid = std::process::id();
    format!(
        "E{month:02}{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06} {pid:>7} portforward.go:{source_line}] {message}"
    )
}

/// Month and day of the month, in UTC, of a day counted from 1970.
fn month_and_day(day: u64) -> (u64, u64) {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut left) = (1970, day);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    for (month, length) in (1..).zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
        if left < length {
            return (month, left + 1);
        }
        left -= length;
    }
    (12, 31)
}

/// `=VALUE` as klog writes a string: in Go's quotes, or as a block when it has more than one line.
fn value(text: &str) -> String {
    if !text.contains('\n') {
        return format!("={}", quoted(text));
    }
    let lines: String = text.lines().flat_map(|line| ["\t", line, "\n"]).collect();
    format!("=<\n{lines} >")
}

/// A string in Go's quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Go's words for a failed accept.
pub(super) fn accept_cause(local: &str, error: &io::Error) -> String {
    let words = error.to_string();
    let words = words
        .split(" (os error")
        .next()
        .unwrap_or_default()
        .to_lowercase();
    format!("accept tcp4 {local}: accept4: {words}")
}

#[cfg(test)]
mod tests {
    use super::{month_and_day, value};

    #[test]
    fn days_since_1970_become_a_date() {
        assert_eq!(month_and_day(0), (1, 1));
        assert_eq!(month_and_day(59), (3, 1));
        assert_eq!(month_and_day(365 + 365 + 59), (2, 29), "1972 was a leap year");
        assert_eq!(month_and_day(20_779), (11, 22), "22 November 2026");
    }

    #[test]
    fn quotes_are_gos_and_several_lines_are_a_block() {
        assert_eq!(value(r#"a "b"\"#), r#"="a \"b\"\\""#);
        assert_eq!(value("one\ntwo\n"), "=<\n\tone\n\ttwo\n >");
    }
}
