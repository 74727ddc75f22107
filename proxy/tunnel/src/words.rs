//! Drains kubectl's two pipes for ever, reads what comes and keeps what matters.
//!
//! An undrained pipe stops kubectl after some two thousand connections, so nothing in here
//! waits for anything but the pipe itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hopscope_attribution::evidence::tunnel::{StartFailure, TunnelLine, TunnelMeaning};
use hopscope_attribution::evidence::{Moment, Span};
use hopscope_secret::text;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::watch;

use super::lines::chatter::{self, Upgrade};
use super::lines::splitter::Splitter;
use super::lines::{self, Reading};
use super::report::{Reporter, TunnelReport};

/// Lines recorded singly in one second; what is beyond is counted. An error for each of 200 connections fits.
const MOST_RECORDED_A_SECOND: u32 = 400;

/// The longest text that is recorded of a line, in bytes.
const LONGEST_RECORDED: usize = 600;

/// What kubectl has said so far, as far as its supervisor must know it.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    /// Where it listens on IPv4.
    pub(super) listening: Option<SocketAddr>,
    /// A stream had timed out, or its accept loop has ended: it is damaged from then on.
    pub(super) damaged: bool,
    /// What it said that explains best why it ends or must be replaced, and when: a line of the last seconds only, for
    /// an older forward survived what it said.
    pub(super) explanation: Option<(TunnelMeaning, Moment)>,
    /// The line that says best why it would not start, and what it says.
    pub(super) complaint: Option<(TunnelMeaning, String)>,
    /// The pod that it forwards to, and how.
    pub(super) upgraded: Option<Upgrade>,
    /// How many of its pipes have ended.
    pub(super) ended: u8,
}

/// The node drains for a second before it tells why, and kubectl ends right after: what it said longer ago is past.
const EXPLAINS_FOR: Span = Span::from_micros(3_000_000);

impl Said {
    fn explain(&mut self, meaning: TunnelMeaning, at: Moment) {
        let weight = meaning.explains_an_end();
        let outdone = |(kept, then): (TunnelMeaning, Moment)| {
            kept.explains_an_end() < weight || at.since(then) > EXPLAINS_FOR
        };
        if weight > 0 && self.explanation.is_none_or(outdone) {
            self.explanation = Some((meaning, at));
        }
    }

    /// What explains an end, or a replacement, at this moment.
    pub(super) fn reason(&self, at: Moment) -> Option<TunnelMeaning> {
        let (meaning, then) = self.explanation?;
        (at.since(then) <= EXPLAINS_FOR).then_some(meaning)
    }
}

/// Counts that are too frequent to be recorded singly.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) handled: AtomicU64,
    pub(super) omitted: AtomicU64,
}

/// Reads one pipe until it ends.
pub(super) async fn drain(
    mut pipe: impl AsyncRead + Unpin,
    reporter: Reporter,
    counts: Arc<Counts>,
    said: Arc<watch::Sender<Said>>,
) {
    let mut splitter = Splitter::default();
    let mut gate = Gate::default();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => length,
        };
        let at = reporter.now();
        splitter.push(buffer.get(..length).unwrap_or_default(), |line| {
            hear(line, at, &reporter, &counts, &said, &mut gate);
        });
    }
    let at = reporter.now();
    splitter.finish(|line| hear(line, at, &reporter, &counts, &said, &mut gate));
    said.send_modify(|said| said.ended += 1);
}

fn hear(
    line: &str,
    at: Moment,
    reporter: &Reporter,
    counts: &Counts,
    said: &watch::Sender<Said>,
    gate: &mut Gate,
) {
    let reading = lines::read(line);
    if reading.meaning == TunnelMeaning::Handling {
        counts.handled.fetch_add(1, Ordering::Relaxed);
        return;
    }
    if chatter::is(line) && reading.meaning != TunnelMeaning::Fallback {
        if let Some(upgrade) = chatter::upgrade(line) {
            said.send_modify(|said| said.upgraded = Some(upgrade));
        }
        return;
    }
    said.send_if_modified(|said| {
        said.explain(reading.meaning, at);
        note(&reading, line, said)
    });
    if !gate.admits(at) {
        counts.omitted.fetch_add(1, Ordering::Relaxed);
        return;
    }
    // What it means has been read; what is kept of it must not hold a token.
    let text = shortened(&text::redacted(line));
    tracing::debug!(member = reporter.member(), line = text, "kubectl");
    reporter.tell(TunnelReport::Line(TunnelLine {
        at,
        member: reporter.member(),
        meaning: reading.meaning,
        local_port: reading.local_port,
        remote_port: reading.remote_port,
        text,
    }));
}

/// Notes what the supervisor waits for, and says whether that changed anything.
fn note(reading: &Reading, line: &str, said: &mut Said) -> bool {
    if let Some(address) = reading.listening.filter(SocketAddr::is_ipv4) {
        said.listening = Some(address);
        return true;
    }
    let damage = matches!(
        reading.meaning,
        TunnelMeaning::StreamTimeout | TunnelMeaning::NoDescriptor
    );
    if damage && !said.damaged {
        said.damaged = true;
        return true;
    }
    // A later line is kept when it says more than an earlier one: the log comes first, the reason last.
    if said.listening.is_none()
        && weight(reading.meaning) >= said.complaint.as_ref().map_or(0, |kept| weight(kept.0))
    {
        let words = reading.inner.as_deref().unwrap_or(line);
        said.complaint = Some((reading.meaning, shortened(&text::redacted(words))));
    }
    false
}

/// How much a line explains of a start that failed.
fn weight(meaning: TunnelMeaning) -> u8 {
    match meaning.start_failure() {
        // Both follow from something that another line may name.
        Some(StartFailure::ApiUnreachable | StartFailure::LostAtOnce) => 2,
        Some(_) => 3,
        None => u8::from(meaning == TunnelMeaning::Unrecognised),
    }
}

fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(LONGEST_RECORDED);
    text.get(..end).unwrap_or(text).to_owned()
}

/// Lets so many lines a second pass.
#[derive(Debug, Default)]
struct Gate {
    second: u32,
    passed: u32,
}

impl Gate {
    fn admits(&mut self, at: Moment) -> bool {
        if at.second() != self.second {
            *self = Self {
                second: at.second(),
                passed: 0,
            };
        }
        self.passed += 1;
        self.passed <= MOST_RECORDED_A_SECOND
    }
}
