//! Which segments of a path are variable, and what they fold to.

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
    for (index, segment) in path.split(|byte| *byte == b'/').enumerate() {
        name.push(b"/");
        if index == SEGMENT_LIMIT {
            name.push(b":rest");
            return;
        }
        fold_segment(segment, name);
    }
}

fn fold_segment(segment: &[u8], name: &mut FoldedPath) {
    // Parameters within a segment (`;jsessionid=...`) are as variable as a query.
    let segment = segment.split(|byte| *byte == b';').next().unwrap_or_default();
    let shape = Shape::of(segment);
    if !shape.may_vary() {
        name.push(segment);
    } else if let Some(word) = word_for(segment, shape) {
        name.push(word);
    } else if let Some((stem, extension)) = split_extension(segment)
        && let Some(word) = word_for(stem, Shape::of(stem))
    {
        name.push(word);
        name.push(extension);
    } else if let Some(prefix) = numbered(segment) {
        name.push(prefix);
        name.push(b":id");
    } else {
        name.push(segment);
    }
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
    underscores: usize,
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
                b'_' | b'=' => shape.underscores += 1,
                _ => shape.others += 1,
            }
            if matches!(byte, b'a'..=b'f' | b'A'..=b'F') {
                shape.hex_letters += 1;
            }
        }
        shape
    }

    /// A name that varies holds a digit; without one it is a word, and stays.
    const fn may_vary(self) -> bool {
        self.digits > 0
    }
}

/// The word for a segment that is variable as a whole.
fn word_for(segment: &[u8], shape: Shape) -> Option<&'static [u8]> {
    let hex = shape.digits + shape.hex_letters;
    if shape.length == 0 || shape.digits == 0 {
        None
    } else if shape.digits == shape.length {
        Some(b":id")
    } else if shape.length == 36 && shape.dashes == 4 && hex == 32 && dashes_of_a_uuid(segment) {
        Some(b":uuid")
    } else if hex == shape.length && shape.length >= 8 {
        Some(b":hex")
    } else if starts_with_a_date(segment) {
        Some(b":date")
    } else if is_token(shape) {
        Some(b":token")
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

/// A long run without words: base64url of random bytes, a ULID, a nanoid. A slug (`my-post-about-2026`) is none:
/// it has one case and dashes.
const fn is_token(shape: Shape) -> bool {
    let letters = shape.upper + shape.lower;
    let mixed = shape.upper > 0 && shape.lower > 0 && shape.digits > 0;
    let unbroken = shape.dashes + shape.underscores == 0 && shape.digits >= 4;
    shape.length >= 16 && shape.others == 0 && letters > 0 && (mixed || unbroken)
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
    fn names_are_bounded_and_printable_whatever_the_path() {
        assert_eq!(folded("/a\u{7f}b é"), "/a?b???");
        assert!(folded(&"/x".repeat(40)).ends_with("/x/:rest"));
        assert_eq!(folded(&format!("/{}", "y".repeat(5_000))).len(), NAME_LIMIT);
    }
}
