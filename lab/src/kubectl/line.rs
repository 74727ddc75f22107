//! kubectl's own lines, in the three forms that its log has had.

use std::io;

use jiff::Timestamp;
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
    let now = Timestamp::now().strftime("%m%d %H:%M:%S%.6f");
    let pid = std::process::id();
    format!("E{now} {pid:>7} portforward.go:{source_line}] {message}")
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
    use super::value;

    #[test]
    fn quotes_are_gos_and_several_lines_are_a_block() {
        assert_eq!(value(r#"a "b"\"#), r#"="a \"b\"\\""#);
        assert_eq!(value("one\ntwo\n"), "=<\n\tone\n\ttwo\n >");
    }
}
