//! The chunked coding (RFC 9112, section 7.1), followed byte by byte without keeping any.

/// Where in a chunked body the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    /// In [`State::Size`] the size so far; in [`State::Data`] the bytes of data still to come.
    count: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    SizeStart,
    /// In the digits of a size.
    Size,
    /// After them: an extension, up to the line's end.
    Extension,
    Data,
    /// After a chunk's data: an optional carriage return, then a line feed.
    DataEnd,
    /// At the start of a line of the trailer section.
    TrailerStart,
    /// At the start of such a line, after a carriage return: a line feed ends the body.
    TrailerReturn,
    /// Within a line of the trailer section.
    Trailer,
}

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All bytes belong to the body, and it goes on.
    More,
    /// The body ended after this many of the bytes.
    Ended(usize),
    /// After this many of the bytes, it is not the chunked coding.
    Broken(usize),
}

impl Chunked {
    pub(super) const START: Self = Self {
        count: 0,
        state: State::SizeStart,
    };

    /// Bytes of data that are certain to come next.
    pub(super) const fn run(self) -> u64 {
        match self.state {
            State::Data => self.count,
            State::SizeStart
            | State::Size
            | State::Extension
            | State::DataEnd
            | State::TrailerStart
            | State::TrailerReturn
            | State::Trailer => 0,
        }
    }

    /// Passes over `count` bytes, at most [`Self::run`], of data.
    pub(super) const fn skip(&mut self, count: u64) {
        if matches!(self.state, State::Data) {
            self.count = self.count.saturating_sub(count);
            if self.count == 0 {
                self.state = State::DataEnd;
            }
        }
    }

    /// Follows the body through `bytes`, showing `data` each piece of its decoded content.
    pub(super) fn advance(&mut self, bytes: &[u8], mut data: impl FnMut(&[u8])) -> Progress {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match (self.state, byte) {
                (State::Data, _) => {
                    let rest = bytes.get(at..).unwrap_or_default();
                    let here = usize::try_from(self.count).unwrap_or(usize::MAX).min(rest.len());
                    data(rest.get(..here).unwrap_or_default());
                    self.skip(here as u64);
                    at += here;
                    continue;
                }
                (State::SizeStart | State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                    let digit = char::from(*byte).to_digit(16).unwrap_or_default();
                    let Some(count) = self.count.checked_mul(16) else {
                        return Progress::Broken(at);
                    };
                    *self = Self {
                        count: count + u64::from(digit),
                        state: State::Size,
                    };
                }
                (State::Size | State::Extension, b'\n') => {
                    self.state = if self.count == 0 {
                        State::TrailerStart
                    } else {
                        State::Data
                    };
                }
                (State::Size, b' ' | b'\t' | b'\r' | b';') => self.state = State::Extension,
                (State::DataEnd, b'\n') => *self = Self::START,
                (State::DataEnd | State::Extension | State::Trailer, b'\r') => {}
                (State::SizeStart | State::Size | State::DataEnd, _) => return Progress::Broken(at),
                (State::TrailerStart, b'\r') => self.state = State::TrailerReturn,
                (State::TrailerStart | State::TrailerReturn, b'\n') => return Progress::Ended(at + 1),
                (State::Trailer, b'\n') => self.state = State::TrailerStart,
                (State::TrailerStart | State::TrailerReturn, _) => self.state = State::Trailer,
                (State::Extension | State::Trailer, _) => {}
            }
            at += 1;
        }
        Progress::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, pieces: usize) -> (Progress, usize, String) {
        let mut chunked = Chunked::START;
        let mut content = Vec::new();
        let mut before = 0;
        for piece in body.as_bytes().chunks(pieces) {
            match chunked.advance(piece, |data| content.extend_from_slice(data)) {
                Progress::More => before += piece.len(),
                Progress::Ended(here) => {
                    return (
                        Progress::Ended(before + here),
                        before + here,
                        String::from_utf8(content).unwrap(),
                    );
                }
                Progress::Broken(_) => {
                    return (Progress::Broken(0), before, String::from_utf8(content).unwrap());
                }
            }
        }
        (Progress::More, before, String::from_utf8(content).unwrap())
    }

    #[test]
    fn a_body_with_extensions_and_trailers_ends_where_it_ends_however_it_is_split() {
        let body = "5;name=\"v\"\r\nhello\r\n006 \r\n world\r\n0\r\nExpires: never\r\nX: y\r\n\r\nGET /next";
        let end = body.find("GET").unwrap();
        for pieces in 1..=body.len() {
            assert_eq!(
                read(body, pieces),
                (Progress::Ended(end), end, "hello world".to_owned()),
                "{pieces}"
            );
        }
    }

    #[test]
    fn bare_line_feeds_are_line_ends() {
        assert_eq!(read("2\nok\n0\n\n", 3).0, Progress::Ended(8));
    }

    #[test]
    fn what_is_not_chunked_is_broken() {
        for body in [
            "\r\n",
            "x\r\n",
            "5 \r\nhelloX",
            "-1\r\n",
            "fffffffffffffffff\r\n",
            "5!\r\nhello\r\n",
        ] {
            assert_eq!(read(body, 2).0, Progress::Broken(0), "{body:?}");
        }
    }

    #[test]
    fn data_can_be_skipped_but_not_what_frames_it() {
        let mut chunked = Chunked::START;
        assert_eq!(chunked.run(), 0);
        assert_eq!(chunked.advance(b"10\r\nabc", |_| {}), Progress::More);
        assert_eq!(chunked.run(), 13);
        chunked.skip(13);
        assert_eq!(chunked.run(), 0);
        assert_eq!(chunked.advance(b"\r\n0\r\n\r\n", |_| {}), Progress::Ended(7));
    }
}
