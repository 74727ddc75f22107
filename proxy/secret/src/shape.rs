//! Whether a word has the shape of a secret: a token, a digest, a key or an e-mail address.
//!
//! Names are made by people: they are words of one case, joined by dashes, with a short number. A secret is made by a
//! machine: its classes of characters change from one to the next as those of random characters do.

/// What sort of secret a word looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Random characters: a token, a key, a signature, a JWT.
    Token,
    /// An e-mail address, or another name at a host.
    Email,
}

/// Longer words are judged by their beginning.
const LONGEST: usize = 512;

/// How tokens of well-known issuers begin, and how long what follows is at least.
const PREFIXES: &[(&str, usize)] = &[
    ("ghp_", 8),
    ("gho_", 8),
    ("ghu_", 8),
    ("ghs_", 8),
    ("ghr_", 8),
    ("github_pat_", 8),
    ("glpat-", 8),
    ("gldt-", 8),
    ("xoxa-", 6),
    ("xoxb-", 6),
    ("xoxp-", 6),
    ("xoxr-", 6),
    ("xoxs-", 6),
    ("xapp-", 6),
    ("sk_live_", 6),
    ("sk_test_", 6),
    ("rk_live_", 6),
    ("rk_test_", 6),
    ("pk_live_", 6),
    ("pk_test_", 6),
    ("whsec_", 6),
    ("sk-", 16),
    ("AKIA", 12),
    ("ASIA", 12),
    ("AIza", 16),
    ("ya29.", 6),
    ("1//0", 12),
    ("k8s-aws-v1.", 6),
    ("npm_", 16),
    ("pypi-", 16),
    ("dop_v1_", 8),
    ("hvs.", 8),
    ("hvb.", 8),
    ("SG.", 12),
    ("shpat_", 8),
    ("shpss_", 8),
    ("dckr_pat_", 8),
    ("lin_api_", 8),
    ("AGE-SECRET-KEY-", 8),
    ("eyJ", 8),
    ("v1.local.", 8),
    ("v2.local.", 8),
    ("v3.local.", 8),
    ("v4.local.", 8),
    ("v2.public.", 8),
    ("v4.public.", 8),
];

/// The shape of a word without spaces and slashes; `None` for what looks like a name or a number.
pub fn of(word: &[u8]) -> Option<Shape> {
    let mut decoded = [0; LONGEST];
    let word = if word.contains(&b'%') {
        unescaped(word, &mut decoded)
    } else {
        word.get(..LONGEST).unwrap_or(word)
    };
    if is_email(word) {
        Some(Shape::Email)
    } else if has_prefix(word)
        || is_bot(word)
        || holds_uuid(word)
        || word.split(|byte| is_joint(*byte)).any(is_opaque)
    {
        Some(Shape::Token)
    } else {
        None
    }
}

/// The same for text.
pub fn of_text(word: &str) -> Option<Shape> {
    of(word.as_bytes())
}

/// Resolves `%41`; what does not fit is left away.
fn unescaped<'a>(word: &[u8], into: &'a mut [u8; LONGEST]) -> &'a [u8] {
    let mut rest = word;
    let mut length = 0;
    while let (Some((first, behind)), Some(slot)) = (rest.split_first(), into.get_mut(length)) {
        let hex = |at: usize| char::from(*behind.get(at)?).to_digit(16);
        if let (b'%', Some(high), Some(low)) = (first, hex(0), hex(1)) {
            *slot = u8::try_from(high * 16 + low).unwrap_or(b'?');
            rest = behind.get(2..).unwrap_or_default();
        } else {
            *slot = *first;
            rest = behind;
        }
        length += 1;
    }
    into.get(..length).unwrap_or_default()
}

/// What joins parts of which each may be a secret of its own.
const fn is_joint(byte: u8) -> bool {
    matches!(
        byte,
        b'.' | b'~'
            | b':'
            | b','
            | b';'
            | b'&'
            | b'!'
            | b'$'
            | b'*'
            | b'\''
            | b'('
            | b')'
            | b'|'
            | b'@'
            | b'{'
            | b'}'
            | b'['
            | b']'
            | b'"'
            | b'#'
            | b'?'
    )
}

/// `name@host`, but not `package@1.2.3`, `@scope` or `image@sha256:…`.
fn is_email(word: &[u8]) -> bool {
    let Some(at) = word.iter().rposition(|byte| *byte == b'@') else {
        return false;
    };
    let (before, after) = word.split_at(at);
    let after = after.get(1..).unwrap_or_default();
    let version = after
        .strip_prefix(b"v")
        .unwrap_or(after)
        .iter()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'x' | b'^' | b'-'));
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    !before.is_empty()
        && before.iter().any(word)
        && !before.contains(&b'/')
        && after.iter().any(word)
        && !version
        && !after.starts_with(b"sha256")
        && !matches!(
            after,
            b"latest" | b"next" | b"stable" | b"beta" | b"master" | b"main"
        )
}

fn has_prefix(word: &[u8]) -> bool {
    PREFIXES.iter().any(|(prefix, least)| {
        word.strip_prefix(prefix.as_bytes())
            .is_some_and(|rest| rest.len() >= *least)
    })
}

/// A UUID, alone or within a word: many are handed out as secrets.
fn holds_uuid(word: &[u8]) -> bool {
    word.windows(36).any(|window| {
        window.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    })
}

/// `bot123:AAF…`, as Telegram's API has it in its paths.
fn is_bot(word: &[u8]) -> bool {
    let Some(rest) = word.strip_prefix(b"bot") else {
        return false;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && rest.get(digits) == Some(&b':')
}

/// Whether a part is random characters, as a whole or between its dashes.
fn is_opaque(part: &[u8]) -> bool {
    let part = part.trim_ascii_end();
    let padded = part.iter().rev().take_while(|byte| **byte == b'=').count();
    let part = part.get(..part.len() - padded).unwrap_or_default();
    is_random(part)
        || part
            .split(|byte| matches!(byte, b'-' | b'_' | b'=' | b'+'))
            .any(|part| is_digest(part) || (part.len() >= 16 && is_random(part)))
}

/// Hexadecimal of 64 bits and more.
fn is_digest(part: &[u8]) -> bool {
    let hex = part.strip_prefix(b"0x").unwrap_or(part);
    hex.len() >= 16 && hex.iter().all(u8::is_ascii_hexdigit) && hex.iter().any(u8::is_ascii_alphabetic)
}

/// What a part's characters are, counted in one pass.
#[derive(Clone, Copy, Debug, Default)]
struct Census {
    length: usize,
    digits: usize,
    upper: usize,
    lower: usize,
    joints: usize,
    others: usize,
    /// How many runs of one class there are.
    runs: usize,
}

impl Census {
    fn of(part: &[u8]) -> Self {
        let mut census = Self {
            length: part.len(),
            ..Self::default()
        };
        let mut before = None;
        for byte in part {
            let class = match byte {
                b'0'..=b'9' => {
                    census.digits += 1;
                    0
                }
                b'a'..=b'z' => {
                    census.lower += 1;
                    1
                }
                b'A'..=b'Z' => {
                    census.upper += 1;
                    2
                }
                b'-' | b'_' | b'+' | b'=' => {
                    census.joints += 1;
                    3
                }
                _ => {
                    census.others += 1;
                    4
                }
            };
            if before != Some(class) {
                census.runs += 1;
            }
            before = Some(class);
        }
        census
    }

    /// Whether so many tenths of the characters begin a run: of random letters of both cases five do, with digits six.
    const fn changes(self, tenths: usize) -> bool {
        self.runs * 10 >= self.length * tenths
    }
}

fn is_random(part: &[u8]) -> bool {
    let census = Census::of(part);
    if census.length < 10 || census.others > 0 {
        return false;
    }
    let mixed = census.upper > 0 && census.lower > 0 && census.digits > 0;
    if census.joints > 0 {
        // base64url. Words that are joined by dashes are a name, however many there are.
        return mixed
            && census.length >= 16
            && !part
                .split(|byte| matches!(byte, b'-' | b'_' | b'+' | b'='))
                .all(is_word);
    }
    let one_case = census.upper == 0 || census.lower == 0;
    let interleaved = census.digits >= 3 && census.changes(6);
    if mixed {
        (census.length >= 16 && !is_camel(part)) || (census.digits >= 2 && census.changes(6))
    } else if census.digits > 0 && census.digits < census.length {
        // Of one case, with digits: base32, base36.
        one_case
            && (interleaved
                || (census.length >= 16 && census.digits >= 4)
                || (census.length >= 20 && census.digits >= 3)
                || (census.length >= 16 && census.digits >= 2 && census.lower == 0))
    } else if census.digits == 0 {
        (census.length >= 20 && !one_case && census.changes(4))
            || (census.length >= 20 && census.lower == 0)
            || census.length >= 40
    } else {
        false
    }
}

/// A word of a name: of one case but for its first letter, or a short number, or letters with a short number behind.
fn is_word(part: &[u8]) -> bool {
    let letters = part.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (word, number) = part.split_at(letters);
    let one_case = word.iter().all(u8::is_ascii_uppercase) || word.iter().skip(1).all(u8::is_ascii_lowercase);
    one_case && word.len() <= 24 && number.len() <= 4 && number.iter().all(u8::is_ascii_digit)
}

/// `getOrdersByCustomer2`: words of four letters and more on average, capitals that stand alone or in short runs, and
/// one number among them.
fn is_camel(part: &[u8]) -> bool {
    let mut words = 0;
    let mut numbers = 0;
    let mut capitals = 0;
    let mut most_capitals = 0;
    let mut before = b'a';
    for byte in part {
        words += usize::from(byte.is_ascii_uppercase() && before.is_ascii_lowercase());
        numbers += usize::from(byte.is_ascii_digit() && !before.is_ascii_digit());
        capitals = if byte.is_ascii_uppercase() {
            capitals + 1
        } else {
            0
        };
        most_capitals = most_capitals.max(capitals);
        before = *byte;
    }
    numbers <= 1 && most_capitals <= 5 && part.len() >= 4 * (words + 1) && !Census::of(part).changes(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_made_is_a_secret() {
        for word in [
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            "bot123456:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw",
            "bot1:AA",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
            "JBSWY3DPEHPK3PXP",
            "d41d8cd98f00b204e9800998ecf8427e",
            "x7k9q2m4p8z1",
            "dQw4w9WgXcQ",
            "bq6m5g-0f1d2c3b4a5968778695a4b3c2d1e0f9",
            "ImhlbGxvIg.ZbCdEf.a1b2c3d4e5f6g7h8i9j0",
            "s%3AaGVsbG8gd29ybGQxMjM0.sig",
            "QWxhZGRpbkpvcGVuU2VzYW1lT3Blbg",
            "dGhpc2lzYXRva2VuMQ==",
            "V1StGXR8_Z5jdHi6B-myT",
        ] {
            assert_eq!(of_text(word), Some(Shape::Token), "{word}");
        }
        for word in [
            "alice@example.com",
            "alice%40example.com",
            "a.b+c@shop.test",
            "bob@localhost",
        ] {
            assert_eq!(of_text(word), Some(Shape::Email), "{word}");
        }
    }

    #[test]
    fn what_people_named_is_none() {
        for word in [
            "",
            "products",
            "api-gateway-7d4b9c6f5d-x2x8z",
            "My-Post-About-2026-Things",
            "my-post-about-the-ten-things-of-2026",
            "getOrdersByCustomerAndRegion2",
            "OAuth2Client",
            "application/json",
            "jquery@3.6.0",
            "@types",
            "image@sha256:short",
            "v1.32.4",
            "127.0.0.1:3000",
            "2026-11-22T10:00:00Z",
            "10042",
            "index.min.js",
            "internationalization",
            "kubernetes-dashboard",
            "HTTP_PROXY_TIMEOUT_SECONDS",
            "a1b2c3d4",
            "portforward.go:413",
        ] {
            assert_eq!(of_text(word), None, "{word}");
        }
    }
}
