//! A shell's script as words: enough to find the arguments of the commands in it, and to write it again.

/// A piece of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Blanks.
    Blank(&'a str),
    /// What ends a command: `;`, `|`, `&&`, a line's end, brackets.
    Break(&'a str),
    /// A word: as it is written, and what it means.
    Word(&'a str, String),
}

/// Takes a script apart. Nothing is lost: the pieces as they are written, one behind the other, are the script.
pub(crate) fn pieces(script: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = script;
    while let Some(first) = rest.chars().next() {
        let (piece, length) = if first == '\n' || is_break(first) {
            let length = run(rest, |character| character == '\n' || is_break(character));
            (Piece::Break(head(rest, length)), length)
        } else if first.is_whitespace() {
            let length = run(rest, |character| character.is_whitespace() && character != '\n');
            (Piece::Blank(head(rest, length)), length)
        } else {
            let (length, meant) = word(rest);
            (Piece::Word(head(rest, length), meant), length)
        };
        pieces.push(piece);
        rest = rest.get(length..).unwrap_or_default();
    }
    pieces
}

/// A word as a shell takes it for itself.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=@%+,{}*".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

fn head(text: &str, length: usize) -> &str {
    text.get(..length).unwrap_or(text)
}

const fn is_break(character: char) -> bool {
    matches!(character, ';' | '|' | '&' | '(' | ')' | '`')
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|character| !belongs(character)).unwrap_or(text.len())
}

/// The length of the word at the beginning, and what it means without its quotation marks.
fn word(text: &str) -> (usize, String) {
    let mut meant = String::new();
    let mut quote = None;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if escaped {
            meant.push(character);
            escaped = false;
            continue;
        }
        match (quote, character) {
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (None, end) if end.is_whitespace() || is_break(end) => return (at, meant),
            (_, other) => meant.push(other),
        }
    }
    (text.len(), meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_its_pieces() {
        let script = "TOKEN='a b' curl -H \"X: \\\"y\\\"\" http://h/p?a=1|wc\n-l";
        let pieces = pieces(script);
        let written: String = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Blank(text) | Piece::Break(text) | Piece::Word(text, _) => *text,
            })
            .collect();
        assert_eq!(written, script);
        let words: Vec<&str> = pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Word(_, meant) => Some(meant.as_str()),
                Piece::Blank(_) | Piece::Break(_) => None,
            })
            .collect();
        assert_eq!(
            words,
            [
                "TOKEN=a b",
                "curl",
                "-H",
                "X: \"y\"",
                "http://h/p?a=1",
                "wc",
                "-l"
            ]
        );
    }

    #[test]
    fn what_is_not_closed_is_a_word_all_the_same() {
        assert_eq!(pieces("'a b").len(), 1);
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted("a=b"), "a=b");
    }
}
