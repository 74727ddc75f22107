//! What a line of kubectl's says. Pure, bounded, and safe on any bytes.
//!
//! Three shapes are read: kubectl up to 1.30 (`error creating error stream for port 8080 -> 80: Timeout occurred`),
//! 1.31 to 1.36 (the same text inside `"Unhandled Error" err="..."`) and from 1.37 on (a fixed sentence with `err=`,
//! `localPort=` and `remotePort=`). The texts are those of client-go `tools/portforward`, of the kubelet and of the
//! container runtimes; [`splitter`] makes lines of what a pipe gives, [`klog`] takes a log line apart,
//! [`cause`] reads the error inside, and [`chatter`] what kubectl says of itself when it is asked to be talkative.

mod cause;
pub mod chatter;
mod klog;
pub mod splitter;

use std::net::SocketAddr;

use hopscope_attribution::evidence::tunnel::TunnelMeaning;

use klog::Logged;

/// What a line says, and what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What it says.
    pub meaning: TunnelMeaning,
    /// The forward's local port, where it states it.
    pub local_port: Option<u16>,
    /// The pod's port, where it states it.
    pub remote_port: Option<u16>,
    /// The address of a `Forwarding from` line.
    pub listening: Option<SocketAddr>,
    /// The error inside the line, without kubectl's own words around it.
    pub inner: Option<String>,
}

/// Reads one line, without its line break.
pub fn read(line: &str) -> Reading {
    if let Some(port) = line.strip_prefix("Handling connection for ") {
        return Reading {
            local_port: port.trim_end().parse().ok(),
            ..Reading::of(TunnelMeaning::Handling)
        };
    }
    if let Some(rest) = line.strip_prefix("Forwarding from ") {
        return listening(rest);
    }
    let logged = klog::parse(line);
    forwarding(&logged)
        .or_else(|| ending(&logged))
        .unwrap_or_else(|| Reading::of(TunnelMeaning::Unrecognised))
}

impl Reading {
    fn of(meaning: TunnelMeaning) -> Self {
        Self {
            meaning,
            local_port: None,
            remote_port: None,
            listening: None,
            inner: None,
        }
    }
}

/// `127.0.0.1:8080 -> 80`
fn listening(rest: &str) -> Reading {
    let Some((address, remote)) = rest.split_once(" -> ") else {
        return Reading::of(TunnelMeaning::Unrecognised);
    };
    let address: Option<SocketAddr> = address.parse().ok();
    Reading {
        local_port: address.map(|address| address.port()),
        remote_port: remote.trim_end().parse().ok(),
        listening: address,
        ..Reading::of(TunnelMeaning::Listening)
    }
}

/// What a sentence of `portforward.go` is about, before the error inside it is read.
enum Subject {
    StreamCreation,
    Forwarding,
    TowardsLocal,
    FromLocal,
    Accepting,
}

/// How the sentences of `portforward.go` begin, in lower case: 1.37 begins them with a capital.
const SENTENCES: [(&str, Subject); 6] = [
    ("error creating error stream", Subject::StreamCreation),
    ("error creating forwarding stream", Subject::StreamCreation),
    ("an error occurred forwarding", Subject::Forwarding),
    (
        "error copying from remote stream to local connection",
        Subject::TowardsLocal,
    ),
    (
        "error copying from local connection to remote stream",
        Subject::FromLocal,
    ),
    ("error accepting connection", Subject::Accepting),
];

/// Lines about one forwarded connection.
fn forwarding(logged: &Logged) -> Option<Reading> {
    let (subject, rest) = SENTENCES.iter().find_map(|(sentence, subject)| {
        Some((subject, strip_prefix_ignoring_case(&logged.message, sentence)?))
    })?;
    let (ports, told) = ports(rest);
    let inner = logged.error.as_deref().unwrap_or(told);
    let meaning = match subject {
        Subject::StreamCreation => cause::of_stream_creation(inner),
        Subject::Forwarding => cause::of_node(inner),
        Subject::TowardsLocal => TunnelMeaning::ClientGone,
        Subject::FromLocal => TunnelMeaning::ClientReset,
        Subject::Accepting => cause::of_accepting(inner),
    };
    Some(Reading {
        meaning,
        local_port: logged.local_port.or(ports.0),
        remote_port: logged.remote_port.or(ports.1),
        listening: None,
        inner: (!inner.is_empty()).then(|| inner.to_owned()),
    })
}

/// Takes ` for port 8080 -> 80: text`, ` 8080 -> 80: text`, ` on port 8080: text` or `: text` apart.
fn ports(rest: &str) -> ((Option<u16>, Option<u16>), &str) {
    let (head, told) = match rest.strip_prefix(':') {
        Some(told) => ("", told),
        None => rest.split_once(": ").unwrap_or((rest, "")),
    };
    let last_word = |words: &str| words.rsplit(' ').next().and_then(|word| word.parse().ok());
    let ports = match head.split_once(" -> ") {
        Some((local, remote)) => (last_word(local), remote.trim().parse().ok()),
        None => (last_word(head), None),
    };
    (ports, told.trim())
}

/// Lines about the forward as a whole: how it ended, or why it never stood.
fn ending(logged: &Logged) -> Option<Reading> {
    let whole = match &logged.error {
        Some(error) => format!("{}: {error}", logged.message),
        None => logged.message.clone(),
    };
    let meaning = cause::of_ending(&whole)?;
    let local_port = strip_prefix_ignoring_case(&whole, "unable to listen on port ")
        .and_then(|rest| rest.split(':').next()?.parse().ok());
    let inner = whole.strip_prefix("error: ").unwrap_or(&whole).to_owned();
    Some(Reading {
        local_port,
        inner: Some(inner),
        ..Reading::of(meaning)
    })
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| text.get(prefix.len()..))?
}

#[cfg(test)]
mod tests;
