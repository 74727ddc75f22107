//! Which segments of a path are variable, and what they fold to.
//!
//! A name is kept, shown and becomes a metric's label: what has the shape of a secret folds as well, and what stands
//! behind a segment that announces one (`/reset/…`), whatever it looks like.

use hopscope_secret::address::{announces, is_extension, is_value};
use hopscope_secret::name::is_secret;
use hopscope_secret::shape::{self, Shape as Secret};

use super::NAME_LIMIT;

/// Segments beyond this many are folded into one `:rest`.
const SEGMENT_LIMIT: usize = 16;

/// A route's name in the making: printable ASCII, bounded, on the stack.
#[derive(Debug)]
pub(super) struct FoldedPath {
    bytes: [u8; NAME_LIMIT],
    len: usize,
}

impl FoldedPath {
    pub(super) const fn new() -> Self {
        Self {
            bytes: [0; NAME_LIMIT],
            len: 0,
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Appends what there is room for; what is not printable ASCII becomes a question mark.
    pub(super) fn push(&mut self, text: &[u8]) {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let count = room.len().min(text.len());
        for (to, from) in room.iter_mut().zip(text) {
            *to = if from.is_ascii_graphic() { *from } else { b'?' };
        }
        self.len += count;
    }
}

/// Writes the path with its variable segments folded.
pub(super) fn fold(path: &[u8], name: &mut FoldedPath) {
    let Some(path) = path.strip_prefix(b"/") else {
        name.push(path);
        return;
    };
    let mut announced = false;
    for (index, segment) in path.split(|byte| *byte == b'/').enumerate() {
        name.push(b"/");
        if index == SEGMENT_LIMIT {
            name.push(b":rest");
            return;
        }
        // Parameters within a segment (`;jsessionid=...`) are as variable as a query.
        let segment = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        fold_segment(segment, announced, name);
        announced = announces(segment);
    }
}

fn fold_segment(segment: &[u8], announced: bool, name: &mut FoldedPath) {
    let shape = Shape::of(segment);
    if !shape.may_vary() && !announced {
        name.push(segment);
    } else if let Some(word) = word_for(segment, shape) {
        name.push(word);
    } else if let Some((stem, extension)) = split_extension(segment)
        && let Some(word) = word_for(stem, Shape::of(stem)).or_else(|| secret_file(stem, extension))
    {
        name.push(word);
        name.push(extension);
    } else if let Some(word) = secret(segment) {
        name.push(word);
    } else if let Some(named) = assigned(segment) {
        name.push(named);
        name.push(b":token");
    } else if announced && is_value(segment) {
        name.push(b":token");
    } else if let Some(prefix) = numbered(segment) {
        name.push(prefix);
        name.push(b":id");
    } else {
        name.push(segment);
    }
}

/// The word for a segment that has the shape of a secret.
fn secret(segment: &[u8]) -> Option<&'static [u8]> {
    Some(match shape::of(segment)? {
        Secret::Token => b":token",
        Secret::Email => b":email",
    })
}

/// The word for the name of a file that has the shape of a secret; a signature behind a token is no ending of a file.
fn secret_file(stem: &[u8], extension: &[u8]) -> Option<&'static [u8]> {
    let extension = std::str::from_utf8(extension.get(1..)?).ok()?;
    secret(stem).filter(|word| is_extension(extension) && *word != b":email")
}

/// `token=` of `token=hunter2`.
fn assigned(segment: &[u8]) -> Option<&[u8]> {
    let at = segment.iter().position(|byte| matches!(byte, b'=' | b':'))?;
    let (name, value) = segment.split_at(at + 1);
    let secret = std::str::from_utf8(name).is_ok_and(is_secret);
    (secret && !value.is_empty()).then_some(name)
}

/// What a segment's bytes are, counted in one pass.
#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    length: usize,
    digits: usize,
    hex_letters: usize,
    upper: usize,
    lower: usize,
    dashes: usize,
    others: usize,
}

impl Shape {
    fn of(segment: &[u8]) -> Self {
        let mut shape = Self {
            length: segment.len(),
            ..Self::default()
        };
        for byte in segment {
            match byte {
                b'0'..=b'9' => shape.digits += 1,
                b'a'..=b'z' => shape.lower += 1,
                b'A'..=b'Z' => shape.upper += 1,
                b'-' => shape.dashes += 1,
                b'_' => {}
                _ => shape.others += 1,
            }
            if matches!(byte, b'a'..=b'f' | b'A'..=b'F') {
                shape.hex_letters += 1;
            }
        }
        shape
    }

    /// A name that varies holds a digit, a character that names do not have, or is too long or too mixed for a word.
    /// What is left is a word, and stays: most segments of most paths.
    const fn may_vary(self) -> bool {
        self.digits > 0 || self.others > 0 || self.length >= 20 || (self.upper > 1 && self.lower > 0)
    }
}

/// The word for a segment that is variable as a whole.
fn word_for(segment: &[u8], shape: Shape) -> Option<&'static [u8]> {
    let hex = shape.digits + shape.hex_letters;
    if shape.length == 0 || shape.digits == 0 {
        None
    } else if shape.digits == shape.length || is_long_number(segment, shape) {
        Some(b":id")
    } else if shape.length == 36 && shape.dashes == 4 && hex == 32 && dashes_of_a_uuid(segment) {
        Some(b":uuid")
    } else if hex == shape.length && shape.length >= 8 {
        Some(b":hex")
    } else if starts_with_a_date(segment) {
        Some(b":date")
    } else {
        None
    }
}

fn dashes_of_a_uuid(segment: &[u8]) -> bool {
    [8, 13, 18, 23].iter().all(|at| segment.get(*at) == Some(&b'-'))
}

/// `2026-11-22`, alone or with a time after it.
fn starts_with_a_date(segment: &[u8]) -> bool {
    let date = segment.len() == 10 || matches!(segment.get(10), Some(b'T' | b't' | b'_'));
    date && segment.iter().take(10).enumerate().all(|(at, byte)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    })
}

/// Digits in groups: of a card, a telephone, a person. `+` may be escaped.
fn is_long_number(segment: &[u8], shape: Shape) -> bool {
    let joints = shape.length - shape.digits;
    let escaped = segment
        .strip_prefix(b"%2B")
        .or_else(|| segment.strip_prefix(b"%2b"));
    let plain = escaped.unwrap_or(segment);
    let numeric = plain
        .iter()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b' ' | b'.' | b'(' | b')'));
    numeric && shape.digits >= 6 && joints <= 6 && !starts_with_a_date(segment) && !segment.contains(&b'.')
}

/// `17.json` is `17` and `.json`.
fn split_extension(segment: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = segment.iter().rposition(|byte| *byte == b'.')?;
    let (stem, extension) = segment.split_at(dot);
    let short = (2..=6).contains(&extension.len());
    (short && extension.iter().skip(1).all(u8::is_ascii_alphanumeric)).then_some((stem, extension))
}

/// The part before a number of four digits and more at the end, as in `order-10042`: `v2` and `utf-8` are names.
fn numbered(segment: &[u8]) -> Option<&[u8]> {
    let digits = segment
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (prefix, _) = segment.split_at(segment.len() - digits);
    (digits >= 4 && matches!(prefix.last(), Some(b'-' | b'_' | b':' | b'.' | b','))).then_some(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(path: &str) -> String {
        let mut name = FoldedPath::new();
        fold(path.as_bytes(), &mut name);
        String::from_utf8(name.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn variable_segments_fold_to_their_kind() {
        for (path, name) in [
            ("/products/17", "/products/:id"),
            ("/products/0", "/products/:id"),
            ("/u/6f1ed002-ab95-4df4-9f3e-0123456789ab/x", "/u/:uuid/x"),
            ("/o/507f1f77bcf86cd799439011", "/o/:hex"),
            ("/o/a1b2c3d4", "/o/:hex"),
            ("/d/2026-11-22/log", "/d/:date/log"),
            ("/d/2026-11-22T10:00:00Z", "/d/:date"),
            ("/t/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/t/:token"),
            ("/t/dGhpc2lzYXRva2VuMQ==", "/t/:token"),
            ("/img/10042.png", "/img/:id.png"),
            ("/orders/order-10042", "/orders/order-:id"),
            ("/cart;jsessionid=0123456789ABCDEF", "/cart"),
            ("/cc/4111-1111-1111-1111", "/cc/:id"),
            ("/tel/+491701234567", "/tel/:id"),
            ("/users/alice@example.com/cart", "/users/:email/cart"),
            ("/bot123:AAsecret/sendMessage", "/:token/sendMessage"),
            ("/t/eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln", "/t/:token"),
            ("/reset/hunter2", "/reset/:token"),
            ("/api/token=hunter2/x", "/api/token=:token/x"),
        ] {
            assert_eq!(folded(path), name);
        }
    }

    #[test]
    fn names_that_hold_digits_stay_names() {
        for path in [
            "/",
            "/v1/products",
            "/api/v2",
            "/oauth2/token",
            "/utf-8",
            "/feedface/facade",
            "/blog/ten-things-of-2026-a",
            "/s3/bucket",
            "/products/",
            "//x",
            "/k8s.io/api",
            "/a/http2-prior-knowledge",
        ] {
            assert_eq!(folded(path), path);
        }
    }

    #[test]
    fn no_secret_of_the_corpus_is_a_name() {
        for line in include_str!("../../../secret/tests/corpus/paths.txt").lines() {
            let path = line.replace(['⟦', '⟧', '⟨', '⟩'], "");
            let table = super::super::RouteTable::new(Vec::new(), false);
            let name = table.name(table.of_target(path.as_bytes())).unwrap().to_owned();
            let marked = |open, close| {
                let pieces = line.split(open).skip(1);
                pieces.filter_map(move |rest: &str| Some(rest.split_once(close)?.0))
            };
            for secret in marked('⟦', '⟧') {
                assert!(!name.contains(secret), "{path} is told as {name}");
            }
            for kept in marked('⟨', '⟩') {
                assert!(name.contains(kept), "{path} is told as {name}");
            }
        }
    }

    #[test]
    fn names_are_bounded_and_printable_whatever_the_path() {
        assert_eq!(folded("/a\u{7f}b é"), "/a?b???");
        assert!(folded(&"/x".repeat(40)).ends_with("/x/:rest"));
        assert_eq!(folded(&format!("/{}", "yy-".repeat(2_000))).len(), NAME_LIMIT);
    }
}
