//! Which generator's results an input holds, and in which form: lines are dealt to the readers of the table.

use std::io::{self, BufRead};

use serde_json::Value;
use thiserror::Error;

use super::document::{Collected, Document};
use super::input::Lines;
use super::k6_text::K6Text;
use super::readers::{self, How, READERS, TextReader};
use super::summary::Summary;
use super::tally::Keep;

/// A document is some kilobytes; what is larger is no summary.
const LARGEST_DOCUMENT: usize = 64 << 20;

/// Why a result cannot be explained.
#[derive(Debug, Error)]
pub enum Unrecognised {
    /// It could not be read.
    #[error("{0}")]
    Unreadable(io::Error),
    /// There is nothing in it.
    #[error("it is empty: give the result that the generator wrote")]
    Empty,
    /// It is compressed.
    #[error("it is compressed: use `gunzip -c FILE | hopscope explain -`")]
    Compressed,
    /// It is one of our recordings.
    #[error("it is a recording of hopscope's: use `hopscope report FILE`")]
    Recording,
    /// It is one of our reports.
    #[error("it is a report of hopscope's already; explain reads what a load generator wrote")]
    Report,
    /// It is a generator's, in a form that says too little.
    #[error("it is {what}: {advice}")]
    Named {
        /// What it is.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// k6's log, with failed requests in it, and no summary.
    #[error(
        "it is k6's log with {0} failed requests in it and no summary: give what k6 prints at the end as well (standard \
         output and standard error in one file)"
    )]
    LogOnly(u64),
    /// A document that does not end.
    #[error("it ends in the middle of a JSON document: give the whole file")]
    Cut,
    /// It is too large for a document.
    #[error("it holds a JSON document larger than {} MiB, and that is no generator's summary", LARGEST_DOCUMENT >> 20)]
    TooLarge,
    /// A list of requests without a request in it.
    #[error("there is no HTTP request in it")]
    NoRequests,
    /// Its totals contradict one another: it was altered, or cut.
    #[error("it states {failed} failures of {requests} requests: it is damaged, or not one run's result")]
    Contradiction {
        /// Failures that it states.
        failed: u64,
        /// Requests that it states.
        requests: u64,
    },
    /// None of the forms that are known.
    #[error("it is no result that explain knows ({})", readers::known())]
    Unknown,
}

/// Reads every result in an input, in its order.
///
/// # Errors
/// When it cannot be read, holds none that is known, or one contradicts itself.
pub(super) fn parse(input: impl BufRead, keep: Keep) -> Result<Vec<Summary>, Unrecognised> {
    let mut lines = Lines::new(input).map_err(Unrecognised::Unreadable)?;
    if lines.start().starts_with(&[0x1f, 0x8b]) {
        return Err(Unrecognised::Compressed);
    }
    if lines.start().starts_with(b"SQLite format 3\0") {
        return Err(Unrecognised::Recording);
    }
    let mut deal = Deal::new(keep);
    while let Some(piece) = lines.next().map_err(Unrecognised::Unreadable)? {
        if deal.wants_rows(piece.text).is_none() {
            deal.piece(piece.text, piece.ends)?;
            continue;
        }
        // Rows may run over several lines: their reader takes all that is left.
        if let Some(read) = deal.wants_rows(piece.text) {
            deal.seen = true;
            lines.again();
            let runs = read(&mut lines, keep)?;
            deal.without_requests |= runs.is_empty();
            deal.runs.extend(runs);
            break;
        }
    }
    let runs = deal.finish()?;
    for run in &runs {
        if let (Some(requests), Some(failed)) = (run.requests, run.failed)
            && failed > requests
        {
            return Err(Unrecognised::Contradiction { failed, requests });
        }
    }
    Ok(runs)
}

/// Lines on their way to readers.
struct Deal {
    keep: Keep,
    runs: Vec<Summary>,
    /// k6's text has no first line of its own, so its reader gets what no other claims.
    k6: Box<K6Text>,
    open: Option<(&'static readers::ResultReader, Box<dyn TextReader>)>,
    document: Document,
    named: Option<(&'static str, &'static str)>,
    seen: bool,
    /// A list of requests without a request in it was read.
    without_requests: bool,
    cut: bool,
}

impl Deal {
    fn new(keep: Keep) -> Self {
        Self {
            keep,
            runs: Vec::new(),
            k6: Box::default(),
            open: None,
            document: Document::default(),
            named: None,
            seen: false,
            without_requests: false,
            cut: false,
        }
    }

    /// The reader of a table that begins with this line.
    fn wants_rows(&self, line: &str) -> Option<readers::ReadRows> {
        if self.document.is_open() || self.open.as_ref().is_some_and(|(_, reader)| reader.takes_all()) {
            return None;
        }
        READERS.iter().find_map(|reader| match reader.how {
            How::Rows { begins, read } if begins(line) => Some(read),
            How::Rows { .. } | How::Text { .. } | How::Document(_) => None,
        })
    }

    fn piece(&mut self, text: &str, ends: bool) -> Result<(), Unrecognised> {
        self.seen |= !text.trim().is_empty();
        if self.document.is_open() {
            return self.documents(text, ends);
        }
        if let Some((_, reader)) = &mut self.open
            && reader.takes_all()
        {
            reader.line(text);
            return Ok(());
        }
        // A container runtime's file: a JSON object around each line.
        if text.starts_with("{\"log\":\"")
            && let Some(line) = logged_line(text)
        {
            let mut inner = String::new();
            super::prefixes::clean(line.trim_end_matches(['\n', '\r']), &mut inner);
            return self.piece(&inner, true);
        }
        if self.opens(text) {
            return Ok(());
        }
        if Document::begins(text) {
            self.document.open();
            return self.documents(text, ends);
        }
        self.line(text);
        Ok(())
    }

    /// A piece of the document that is open, and of those that follow it on the same line.
    fn documents(&mut self, text: &str, ends: bool) -> Result<(), Unrecognised> {
        let mut rest = text;
        while let Some(left) = self.document.push(rest, ends) {
            self.take_document()?;
            rest = left;
            if !Document::begins(rest) {
                if !rest.trim().is_empty() {
                    self.line(rest);
                }
                return Ok(());
            }
            self.document.open();
        }
        self.take_document()
    }

    /// Opens the reader of a form whose first line this is.
    fn opens(&mut self, text: &str) -> bool {
        let found = READERS.iter().find(|reader| match reader.how {
            How::Text { begins, .. } => begins(text),
            How::Rows { .. } | How::Document(_) => false,
        });
        let Some(reader) = found else {
            return false;
        };
        let How::Text { open, .. } = reader.how else {
            return false;
        };
        // A run has several lines that may be its first, should the text be cut before it.
        let goes_on = self
            .open
            .as_ref()
            .is_some_and(|(current, state)| std::ptr::eq(*current, reader) && !state.is_complete());
        if !goes_on {
            self.close();
            self.close_k6();
            self.open = Some((reader, open(self.keep)));
        }
        if let Some((_, reader)) = &mut self.open {
            reader.line(text);
        }
        true
    }

    fn line(&mut self, text: &str) {
        if self.named.is_none() {
            self.named = readers::named_text(text);
        }
        if let Some((_, reader)) = &mut self.open {
            reader.line(text);
        }
        self.k6.line(text);
    }

    fn close(&mut self) {
        if let Some((_, reader)) = self.open.take() {
            let all = reader.takes_all();
            let runs = reader.finish();
            self.without_requests |= all && runs.is_empty();
            if self.runs.len() < super::MOST_RUNS {
                self.runs.extend(runs);
            }
        }
    }

    /// Ends k6's run, should one be complete: another generator's result follows.
    fn close_k6(&mut self) {
        if self.k6.found() {
            self.runs.extend(std::mem::take(&mut self.k6).finish());
            self.runs.truncate(super::MOST_RUNS);
        }
    }

    fn take_document(&mut self) -> Result<(), Unrecognised> {
        match self.document.take() {
            Collected::Open(size) if size > LARGEST_DOCUMENT => return Err(Unrecognised::TooLarge),
            Collected::Open(_) => {}
            Collected::Value(value, text) => {
                if value
                    .get("schema")
                    .and_then(Value::as_str)
                    .is_some_and(|schema| schema.starts_with("hopscope."))
                {
                    return Err(Unrecognised::Report);
                }
                let found = READERS.iter().find_map(|reader| match reader.how {
                    How::Document(read) => read(&value, self.keep),
                    How::Rows { .. } | How::Text { .. } => None,
                });
                if found.is_some() {
                    self.close();
                    self.close_k6();
                }
                match found {
                    Some(summary) if self.runs.len() < super::MOST_RUNS => self.runs.push(summary),
                    Some(_) => {}
                    None => {
                        self.named = self.named.or_else(|| readers::named_document(&value));
                        self.lines(&text);
                    }
                }
            }
            Collected::Text(text) => self.lines(&text),
        }
        Ok(())
    }

    fn lines(&mut self, text: &str) {
        for line in text.lines() {
            self.line(line);
        }
    }

    fn finish(mut self) -> Result<Vec<Summary>, Unrecognised> {
        if let Some(text) = self.document.rest() {
            self.cut = true;
            self.lines(&text);
        }
        self.close();
        let warnings = self.k6.warnings();
        let mut runs = self.runs;
        if self.k6.found() || warnings > 0 {
            runs.extend(self.k6.finish());
        }
        runs.truncate(super::MOST_RUNS);
        runs.iter_mut().for_each(Summary::settle);
        if !runs.is_empty() {
            return Ok(runs);
        }
        Err(if !self.seen {
            Unrecognised::Empty
        } else if warnings > 0 {
            Unrecognised::LogOnly(warnings)
        } else if let Some((what, advice)) = self.named {
            Unrecognised::Named { what, advice }
        } else if self.without_requests {
            Unrecognised::NoRequests
        } else if self.cut {
            Unrecognised::Cut
        } else {
            Unrecognised::Unknown
        })
    }
}

/// The line in `{"log":"line\n","stream":"stdout","time":"…"}`.
fn logged_line(text: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Logged {
        log: String,
        #[expect(dead_code, reason = "it has to be there")]
        stream: String,
    }
    serde_json::from_str::<Logged>(text).ok().map(|logged| logged.log)
}
