//! Takes a log line of klog's apart: `E0102 15:04:05.000000   1234 file.go:12] ` and what follows, plain or structured.

/// What a line holds once the logger's own decoration is off.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Logged {
    /// The sentence: all of a plain line; the quoted message of a structured one.
    pub(super) message: String,
    /// `err=` of a structured line whose message is its own sentence.
    pub(super) error: Option<String>,
    /// `localPort=`.
    pub(super) local_port: Option<u16>,
    /// `remotePort=`.
    pub(super) remote_port: Option<u16>,
}

/// The message under which kubectl 1.31 to 1.36 logs every error that has no other caller.
const UNHANDLED: &str = "Unhandled Error";

/// Reads a line of any shape; one that is not klog's becomes its own message.
pub(super) fn parse(line: &str) -> Logged {
    let body = without_header(line);
    structured(body).unwrap_or_else(|| Logged {
        message: body.trim().to_owned(),
        ..Logged::default()
    })
}

/// Whether it is a log line of severity `I`: kubectl speaking of itself, because it was asked to.
pub(super) fn is_talk(line: &str) -> bool {
    line.starts_with('I') && without_header(line).len() < line.len()
}

/// The part after `] `, where the line begins as klog's do: a severity and the month and day.
fn without_header(line: &str) -> &str {
    let bytes = line.as_bytes();
    let dated = matches!(bytes.first(), Some(b'E' | b'W' | b'I' | b'F'))
        && bytes
            .get(1..5)
            .is_some_and(|date| date.iter().all(u8::is_ascii_digit))
        && bytes.get(5) == Some(&b' ');
    match line.split_once("] ") {
        Some((_, body)) if dated => body,
        _ => line,
    }
}

/// `"message" key=value key="value" key=<lines>`
fn structured(body: &str) -> Option<Logged> {
    let (message, mut rest) = quoted(body)?;
    let mut logged = Logged {
        message,
        ..Logged::default()
    };
    while let Some((key, after)) = rest.trim_start().split_once('=') {
        let (value, left) = value(after);
        rest = left;
        match key {
            "err" => logged.error = Some(value),
            "localPort" => logged.local_port = value.parse().ok(),
            "remotePort" => logged.remote_port = value.parse().ok(),
            _ => {}
        }
    }
    if logged.message == UNHANDLED
        && let Some(error) = logged.error.take()
    {
        logged.message = error;
    }
    Some(logged)
}

fn value(text: &str) -> (String, &str) {
    if let Some((value, rest)) = quoted(text) {
        return (value, rest);
    }
    // A value of several lines stands between angle brackets; the splitter has put its lines together.
    if let Some((value, rest)) = text.strip_prefix('<').and_then(|text| text.split_once(" >")) {
        return (value.trim().to_owned(), rest);
    }
    let end = text.find(' ').unwrap_or(text.len());
    let (value, rest) = text.split_at(end);
    (value.to_owned(), rest)
}

/// A Go-quoted string at the start of `text`, and what follows it.
/// One that was cut off by the length limit ends where the text ends.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inside = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut characters = inside.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, inside.get(at + 1..).unwrap_or_default())),
            '\\' => match characters.next() {
                Some((_, 'n' | 't' | 'r')) => value.push(' '),
                Some((_, escaped)) => value.push(escaped),
                None => break,
            },
            plain => value.push(plain),
        }
    }
    Some((value, ""))
}
