//! JSON documents among lines of text: collected from the line that begins one to the bracket that ends it.

use serde_json::Value;

/// A document that is being collected.
#[derive(Debug, Default)]
pub(super) struct Document {
    text: String,
    depth: usize,
    within: Within,
    open: bool,
    ended: bool,
}

/// Where in a document the next byte lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Within {
    #[default]
    Structure,
    Text,
    /// Behind a backslash in a text.
    Escape,
}

/// What has been collected.
#[derive(Debug)]
pub(super) enum Collected {
    /// It goes on; so many bytes are held.
    Open(usize),
    /// A whole document, and its text.
    Value(Value, String),
    /// It only looked like one.
    Text(String),
}

impl Document {
    /// Whether a line may begin a document. A bracket alone is no reason to hold lines back: text has many.
    pub(super) fn begins(line: &str) -> bool {
        let line = line.trim();
        let Some(rest) = line.strip_prefix(['{', '[']) else {
            return false;
        };
        let rest = rest.trim_start();
        rest.is_empty() || rest.starts_with(['{', '"', '}', ']', '['])
    }

    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    /// Begins a document.
    pub(super) fn open(&mut self) {
        *self = Self {
            open: true,
            ..Self::default()
        };
    }

    /// Adds a piece of a line, up to the document's end; what stands behind that is given back.
    pub(super) fn push<'a>(&mut self, piece: &'a str, ends: bool) -> Option<&'a str> {
        let mut end = None;
        for (at, byte) in piece.bytes().enumerate() {
            match (self.within, byte) {
                (Within::Text, b'\\') => self.within = Within::Escape,
                (Within::Text, b'"') => self.within = Within::Structure,
                (Within::Escape, _) | (Within::Structure, b'"') => self.within = Within::Text,
                (Within::Structure, b'{' | b'[') => self.depth += 1,
                (Within::Structure, b'}' | b']') => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        self.ended = true;
                        end = Some(at + 1);
                        break;
                    }
                }
                (Within::Text | Within::Structure, _) => {}
            }
        }
        if let Some((document, rest)) = end.and_then(|end| piece.split_at_checked(end)) {
            self.text.push_str(document);
            return Some(rest);
        }
        self.text.push_str(piece);
        if ends {
            self.text.push('\n');
            // No string of JSON runs over a line's end.
            self.ended |= self.within != Within::Structure;
        }
        None
    }

    /// What has been collected so far; it is no longer held unless it goes on.
    pub(super) fn take(&mut self) -> Collected {
        if !self.ended {
            return Collected::Open(self.text.len());
        }
        let text = std::mem::take(self).text;
        match serde_json::from_str(&text) {
            Ok(value) => Collected::Value(value, text),
            Err(_) => Collected::Text(text),
        }
    }

    /// The text of a document that never ended.
    pub(super) fn rest(&mut self) -> Option<String> {
        self.open.then(|| std::mem::take(self).text)
    }
}
