//! Text for a terminal: what is safe to print, and colour where it is wanted.

use std::borrow::Cow;
use std::io::IsTerminal;

use terminal_size::{Height, Width};

/// How wide a terminal is taken to be when it does not say.
const DEFAULT_WIDTH: usize = 100;
/// Text is laid out for no fewer columns: a split of a screen in two has about as many.
const NARROWEST: usize = 40;
/// And for no more: longer lines are hard to read.
const WIDEST: usize = 160;

/// What the text is laid out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Columns.
    pub width: usize,
    /// Whether escape sequences for colour may be written.
    pub colour: bool,
}

impl Screen {
    /// Neither colour nor a terminal's width: files and pipes.
    pub const PLAIN: Self = Self {
        width: DEFAULT_WIDTH,
        colour: false,
    };

    /// The screen behind standard output. `colour` is what the user decided; undecided, there is colour on a terminal
    /// alone, and not when `NO_COLOR` is set to anything or `TERM` is `dumb` (<https://no-color.org>).
    pub fn of_stdout(colour: Option<bool>) -> Self {
        Self::of(
            std::io::stdout().is_terminal(),
            terminal_size::terminal_size_of(std::io::stdout()),
            colour,
        )
    }

    /// The screen behind standard error.
    pub fn of_stderr(colour: Option<bool>) -> Self {
        Self::of(
            std::io::stderr().is_terminal(),
            terminal_size::terminal_size_of(std::io::stderr()),
            colour,
        )
    }

    fn of(is_terminal: bool, size: Option<(Width, Height)>, colour: Option<bool>) -> Self {
        let refused = || {
            std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
                || std::env::var_os("TERM").is_some_and(|term| term == "dumb")
        };
        let width = size.map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0));
        Self {
            width: if is_terminal {
                width.clamp(NARROWEST, WIDEST)
            } else {
                DEFAULT_WIDTH
            },
            colour: colour.unwrap_or_else(|| is_terminal && !refused()),
        }
    }

    /// The text in this ink. Escape sequences in the text itself do not survive.
    pub fn paint(self, ink: Ink, text: &str) -> String {
        let text = harmless(text);
        match (self.colour, ink.code()) {
            (true, Some(code)) => format!("\x1b[{code}m{text}\x1b[0m"),
            (true, None) | (false, _) => text.into_owned(),
        }
    }

    /// Adds a text, wrapped: its first line after `lead`, which alone is in this ink, the others as far in.
    pub fn hang(self, out: &mut String, lead: &str, ink: Ink, text: &str) {
        let indent = columns(lead);
        for (at, line) in wrap(&harmless(text), self.width.saturating_sub(indent))
            .iter()
            .enumerate()
        {
            if at == 0 {
                out.push_str(&self.paint(ink, lead));
            } else {
                out.push_str(&" ".repeat(indent));
            }
            out.push_str(line);
            out.push('\n');
        }
    }
}

/// What a text means, which decides its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ink {
    /// Running text.
    #[default]
    Plain,
    /// What the eye should find first.
    Strong,
    /// A heading.
    Heading,
    /// What is there to be looked up, not read.
    Faint,
    /// Blamed, missing, failed.
    Bad,
    /// Cleared, present, well.
    Good,
    /// Limited, uncertain.
    Doubt,
}

impl Ink {
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Strong => Some("1"),
            Self::Heading => Some("1;36"),
            Self::Faint => Some("2"),
            Self::Bad => Some("1;31"),
            Self::Good => Some("32"),
            Self::Doubt => Some("33"),
        }
    }
}

/// The text without anything that a terminal obeys: control characters, and the marks that turn the direction of
/// writing around. Route names come from whoever sent the requests.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if text.chars().any(obeyed) {
        Cow::Owned(
            text.chars()
                .map(|c| if obeyed(c) { char::REPLACEMENT_CHARACTER } else { c })
                .collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}

/// Control characters, and the directional formatting characters of Unicode TR 9.
fn obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Columns that the text takes, one a character.
pub fn columns(text: &str) -> usize {
    text.chars().count()
}

/// The text in at most so many columns, its end cut off where it does not fit.
pub fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(width.saturating_sub(1)).collect();
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

/// The text broken at spaces into lines of at most so many columns; a longer word stays whole.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut taken = 0;
    for word in text.split_whitespace() {
        let wide = columns(word);
        if taken > 0 && taken + 1 + wide > width {
            lines.push(std::mem::take(&mut line));
            taken = 0;
        }
        if taken > 0 {
            line.push(' ');
            taken += 1;
        }
        line.push_str(word);
        taken += wide;
    }
    if taken > 0 {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_in_a_route_never_reach_the_terminal() {
        let hostile = "/a\x1b]0;owned\x07\x1b[2J\r\n\u{202e}cod.exe\u{9b}31m";
        let screen = Screen {
            width: 80,
            colour: true,
        };
        let painted = screen.paint(Ink::Plain, hostile);
        assert!(!painted.chars().any(obeyed), "{painted:?}");
        assert!(painted.contains("owned"));
    }

    #[test]
    fn without_colour_nothing_is_added() {
        assert_eq!(Screen::PLAIN.paint(Ink::Bad, "tunnel"), "tunnel");
    }

    #[test]
    fn lines_break_at_spaces_and_long_words_stay_whole() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(
            wrap("a incomprehensibilities b", 5),
            ["a", "incomprehensibilities", "b"]
        );
        assert!(wrap("   ", 5).is_empty());
    }

    #[test]
    fn a_cut_says_that_it_cut() {
        assert_eq!(cut("backend reset", 9), "backend…");
        assert_eq!(cut("ünïcödé", 7), "ünïcödé");
    }
}
