//! Makes lines of what a pipe gives: bounded, without control characters, klog's values of several lines put together.

/// The longest line that is kept, in bytes; what is longer is cut. A node's error with two addresses has about 500.
pub const LONGEST_LINE: usize = 4096;

/// klog's values of several lines are put together up to this many lines: socat writes two.
const MOST_JOINED: usize = 16;

/// Collects bytes and gives whole lines.
#[derive(Debug, Default)]
pub struct Splitter {
    line: Vec<u8>,
    /// A line that ended in `=<`, and the lines that belong to it.
    open: Option<(String, usize)>,
}

impl Splitter {
    /// Takes the next bytes and shows `each` every line that they complete.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.line.extend(text.iter().take(room));
            if ended {
                self.end_line(&mut each);
            }
        }
    }

    /// The pipe has ended: shows `each` what had no line break yet.
    pub fn finish(&mut self, mut each: impl FnMut(&str)) {
        if !self.line.is_empty() {
            self.end_line(&mut each);
        }
        if let Some((open, _)) = self.open.take() {
            each(&open);
        }
    }

    fn end_line(&mut self, each: &mut impl FnMut(&str)) {
        let continues = self.line.first() == Some(&b'\t');
        let closes = self.line.starts_with(b" >");
        let text = clean(&self.line);
        self.line.clear();
        if let Some((mut open, joined)) = self.open.take() {
            if (continues || closes) && open.len() + text.len() <= LONGEST_LINE {
                open.push_str(&text);
                if closes || joined >= MOST_JOINED {
                    each(&open);
                } else {
                    self.open = Some((open, joined + 1));
                }
                return;
            }
            each(&open);
        }
        if text.ends_with("=<") {
            self.open = Some((text, 0));
        } else if !text.trim().is_empty() {
            each(&text);
        }
    }
}

/// The bytes as text that cannot command a terminal.
fn clean(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end_matches('\r')
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        for piece in pieces {
            splitter.push(piece, |line| lines.push(line.to_owned()));
        }
        splitter.finish(|line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn lines_are_whole_however_the_pipe_cuts_them() {
        assert_eq!(
            lines(&[b"one\ntw", b"o\r\n\nthr", b"ee"]),
            ["one", "two", "three"]
        );
    }

    #[test]
    fn a_value_of_several_lines_becomes_one_line() {
        let written = b"E1 \"An error\" err=<\n\tone\n\ttwo\n > localPort=8\nnext\n";
        assert_eq!(
            lines(&[written]),
            ["E1 \"An error\" err=< one two > localPort=8", "next"]
        );
    }

    #[test]
    fn an_open_value_does_not_swallow_the_line_after_it() {
        assert_eq!(lines(&[b"err=<\n\tone\nHandling\n"]), ["err=< one", "Handling"]);
        assert_eq!(lines(&[b"err=<\n"]), ["err=<"]);
    }

    #[test]
    fn escape_sequences_do_not_reach_a_terminal() {
        assert_eq!(lines(&[b"\x1b[31mred\x07\n"]), [" [31mred "]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn whatever_comes_lines_stay_short_and_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..10_000), cut in 1usize..500) {
            let pieces: Vec<&[u8]> = bytes.chunks(cut).collect();
            for line in lines(&pieces) {
                // A byte that is not UTF-8 becomes a character of three.
                prop_assert!(line.len() <= 3 * LONGEST_LINE);
                prop_assert!(!line.chars().any(char::is_control));
            }
        }
    }
}
