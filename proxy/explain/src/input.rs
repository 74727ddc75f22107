//! The input as lines of clean UTF-8: UTF-16 decoded, terminal codes and the prefixes of log collectors taken off.
//!
//! Lines are read one by one in bounded memory: a result of many gigabytes needs no more than a small one.

use std::borrow::Cow;
use std::io::{self, BufRead, Chain, Cursor, Read};

use super::prefixes;

/// Bytes that are looked at for what the input is: as many as SQLite's magic has.
const START: usize = 16;
/// A line is taken up to this length; what is longer comes in several pieces.
const LONGEST_PIECE: u64 = 1 << 20;

/// How the bytes stand for characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

/// Lines of an input.
pub(super) struct Lines<R> {
    input: Chain<Cursor<Vec<u8>>, R>,
    start: Vec<u8>,
    encoding: Encoding,
    raw: Vec<u8>,
    text: String,
    /// Whether the next piece begins a line.
    at_start: bool,
    /// Of a cleaned line, what [`Read`] has given out already.
    given: usize,
    ended: bool,
}

/// A line, or a piece of a very long one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// Without its line end.
    pub(super) text: &'a str,
    /// Whether the line ends here.
    pub(super) ends: bool,
}

impl<R: BufRead> Lines<R> {
    /// Lines from the start of the input on.
    pub(super) fn new(mut input: R) -> io::Result<Self> {
        // What it is shows in the first bytes; a reader may give them one at a time.
        let mut start = [0_u8; START];
        let mut held = 0;
        while held < start.len() {
            let read = input.read(start.get_mut(held..).unwrap_or_default())?;
            if read == 0 {
                break;
            }
            held += read;
        }
        let start = start.get(..held).unwrap_or_default();
        let (encoding, mark) = match start {
            [0xff, 0xfe, ..] => (Encoding::Utf16Le, 2),
            [0xfe, 0xff, ..] => (Encoding::Utf16Be, 2),
            [first, 0, ..] if *first != 0 => (Encoding::Utf16Le, 0),
            [0, second, ..] if *second != 0 => (Encoding::Utf16Be, 0),
            _ => (Encoding::Utf8, 0),
        };
        Ok(Self {
            input: Cursor::new(start.get(mark..).unwrap_or_default().to_vec()).chain(input),
            start: start.to_vec(),
            encoding,
            raw: Vec::new(),
            text: String::new(),
            at_start: true,
            given: 0,
            ended: false,
        })
    }

    /// The first bytes of the input, as they are.
    pub(super) fn start(&self) -> &[u8] {
        &self.start
    }

    /// The next line or piece; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        let Some(ends) = self.fill()? else {
            return Ok(None);
        };
        let begins = std::mem::replace(&mut self.at_start, ends);
        self.clean(begins);
        Ok(Some(Piece {
            text: &self.text,
            ends,
        }))
    }

    /// Reads raw bytes up to a line's end; whether it was reached. `None` when there are none left.
    fn fill(&mut self) -> io::Result<Option<bool>> {
        let newline: &[u8] = match self.encoding {
            Encoding::Utf8 => b"\n",
            Encoding::Utf16Le => b"\n\0",
            Encoding::Utf16Be => b"\0\n",
        };
        let width = newline.len();
        let last = newline.last().copied().unwrap_or(b'\n');
        let mut ends = false;
        // The last byte of a line end may also be half of another character.
        while !ends && (self.raw.len() as u64) < LONGEST_PIECE {
            let read = self
                .input
                .by_ref()
                .take(LONGEST_PIECE)
                .read_until(last, &mut self.raw)?;
            ends = self.raw.len().is_multiple_of(width) && self.raw.ends_with(newline);
            if read == 0 {
                break;
            }
        }
        Ok((!self.raw.is_empty()).then_some(ends))
    }

    /// Turns the raw bytes into text.
    fn clean(&mut self, begins: bool) {
        let raw = std::mem::take(&mut self.raw);
        self.text.clear();
        let decoded: Cow<'_, str> = match self.encoding {
            Encoding::Utf8 => {
                let bytes = raw
                    .strip_prefix(b"\xef\xbb\xbf")
                    .filter(|_| begins)
                    .unwrap_or(&raw);
                String::from_utf8_lossy(bytes)
            }
            Encoding::Utf16Le => Cow::Owned(utf16(&raw, u16::from_le_bytes)),
            Encoding::Utf16Be => Cow::Owned(utf16(&raw, u16::from_be_bytes)),
        };
        let line = decoded.strip_suffix('\n').unwrap_or(&decoded);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if begins && !line.starts_with("{\"") {
            prefixes::clean(line, &mut self.text);
        } else {
            self.text.push_str(line);
        }
        // The buffer is kept: it is as long as the longest line.
        self.raw = raw;
        self.raw.clear();
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks_exact(2).map(|pair| match pair {
        [first, second] => unit([*first, *second]),
        _ => 0,
    });
    char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .filter(|c| *c != '\u{feff}')
        .collect()
}

/// Cleaned lines as bytes, for a reader that splits them by itself.
impl<R: BufRead> Read for Lines<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.given >= self.text.len() {
            if self.ended {
                return Ok(0);
            }
            self.given = 0;
            match self.next()?.map(|piece| piece.ends) {
                None => {
                    self.text.clear();
                    self.ended = true;
                    return Ok(0);
                }
                Some(true) => self.text.push('\n'),
                // A piece of a long line may be empty only at the end of the input.
                Some(false) if self.text.is_empty() => {
                    self.ended = true;
                    return Ok(0);
                }
                Some(false) => {}
            }
        }
        let left = self.text.as_bytes().get(self.given..).unwrap_or_default();
        let count = left.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), left.get(..count)) {
            to.copy_from_slice(from);
        }
        self.given += count;
        Ok(count)
    }
}

impl<R: BufRead> Lines<R> {
    /// Gives the line that was read last to [`Read`] once more.
    pub(super) fn again(&mut self) {
        self.given = 0;
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<String> {
        let mut lines = Lines::new(bytes).expect("bytes in memory can be read");
        let mut out = Vec::new();
        while let Some(piece) = lines.next().expect("bytes in memory can be read") {
            out.push(piece.text.to_owned());
        }
        out
    }

    #[test]
    fn text_in_utf_16_is_read_whichever_byte_comes_first() {
        let text = "a µ\r\nž Ċ ਊ\n";
        for mark in ["\u{feff}", ""] {
            let units: Vec<u16> = format!("{mark}{text}").encode_utf16().collect();
            let le: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
            let be: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
            assert_eq!(lines(&le), ["a µ", "ž Ċ ਊ"]);
            assert_eq!(lines(&be), ["a µ", "ž Ċ ਊ"]);
        }
    }

    #[test]
    fn short_and_odd_inputs_end() {
        for bytes in [
            &b""[..],
            b"a",
            b"\n",
            b"a\n",
            b"\xff\xfe",
            b"\xff\xfea",
            b"a\0b",
            b"\0a\0",
        ] {
            lines(bytes);
        }
        assert_eq!(lines(b"a"), ["a"]);
        assert_eq!(lines(b"\n\na\n"), ["", "", "a"]);
    }
}
