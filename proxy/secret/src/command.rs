//! A command line without the secrets in it, by what its arguments are.
//!
//! Headers, credentials, cookies and bodies are told by the flags of the program that takes them; variables and flags
//! whose names say so lose their values; of URLs stay host, path and the names of the query. The script of `sh -c` is a
//! command line itself. What nothing is known of is judged as text.

use crate::address;
use crate::name;
use crate::shell::{self, Piece};
use crate::takes::{self, Takes};
use crate::text;
use crate::{MARK, shape};

/// Scripts within scripts are read this deep; what lies deeper goes as a whole.
const DEEPEST: usize = 4;

/// Headers whose values are not secret: they are judged as text.
const PLAIN_HEADERS: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "accept-charset",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "content-encoding",
    "expect",
    "host",
    "origin",
    "pragma",
    "range",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-request-id",
    "x-b3-sampled",
    "dnt",
    "if-none-match",
    "if-modified-since",
];

/// The words without the secrets in them: as many as there were.
pub fn redacted(words: &[String]) -> Vec<String> {
    let mut reader = Reader::new(0);
    words.iter().map(|word| reader.read(word)).collect()
}

#[derive(Debug)]
struct Reader {
    program: Option<&'static str>,
    /// What the word before has announced.
    next: Option<Takes>,
    depth: usize,
}

impl Reader {
    const fn new(depth: usize) -> Self {
        Self {
            program: None,
            next: None,
            depth,
        }
    }

    fn read(&mut self, word: &str) -> String {
        if let Some(takes) = self.next.take() {
            // A flag that takes a value may be given none.
            let flag = (word.starts_with("--") && takes != Takes::Secret)
                || (word.starts_with('-') && takes == Takes::PerhapsCredentials);
            if !flag {
                return self.value(takes, word);
            }
        }
        if let Some(program) = takes::program(word) {
            self.program = Some(program);
            return word.to_owned();
        }
        if let Some(flag) = word.strip_prefix("--").filter(|flag| !flag.is_empty()) {
            return self.long(word, flag);
        }
        if let Some(flag) = word.strip_prefix('-').filter(|flag| !flag.is_empty()) {
            return self.short(word, flag);
        }
        match word.split_once('=') {
            Some((name, value)) if is_variable(name) => format!("{name}={}", variable(name, value)),
            Some(_) | None => Self::text(word),
        }
    }

    /// `--flag`, `--flag=value`.
    fn long(&mut self, word: &str, flag: &str) -> String {
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        let takes = takes::long(name).or_else(|| secret(name));
        match (takes, value) {
            (Some(takes), Some(value)) => format!("--{name}={}", self.value(takes, value)),
            (Some(takes), None) => {
                self.next = Some(takes);
                word.to_owned()
            }
            (None, Some(value)) => format!("--{}={}", text::redacted(name), Self::text(value)),
            (None, None) => text::redacted(word),
        }
    }

    /// `-f`, `-f value`, `-fvalue`, `-abf value`, and Go's `-flag value` and `-flag=value`.
    fn short(&mut self, word: &str, flag: &str) -> String {
        let name = flag.split('=').next().unwrap_or(flag);
        if name.chars().count() > 1 {
            let known = takes::long(name).or_else(|| secret(name).filter(|_| !takes::clusters(self.program)));
            if let Some(takes) = known {
                if let Some((name, value)) = flag.split_once('=') {
                    return format!("-{name}={}", self.value(takes, value));
                }
                self.next = Some(takes);
                return word.to_owned();
            }
        }
        let clustered = takes::clusters(self.program);
        for (at, letter) in flag.char_indices() {
            let behind = flag.get(at + letter.len_utf8()..).unwrap_or_default();
            let own = takes::short(self.program, letter);
            // Alone, it may be the flag of a program that this one runs.
            let any = || takes::short(None, letter).filter(|_| flag.len() == 1);
            match own.or_else(any) {
                Some(takes) if behind.is_empty() => {
                    self.next = Some(takes);
                    return word.to_owned();
                }
                Some(takes) => {
                    let before = flag.get(..at + letter.len_utf8()).unwrap_or_default();
                    let (sign, value) = match behind.strip_prefix('=') {
                        Some(value) => ("=", value),
                        None => ("", behind),
                    };
                    return format!("-{before}{sign}{}", self.value(takes, value));
                }
                None if clustered && letter.is_ascii_alphanumeric() => {}
                None => break,
            }
        }
        text::redacted(word)
    }

    fn value(&self, takes: Takes, value: &str) -> String {
        match takes {
            Takes::Header => header(value),
            Takes::PerhapsCredentials if is_pair(value) => MARK.to_owned(),
            Takes::Credentials if is_number(value) => value.to_owned(),
            Takes::Body if value.starts_with('@') || is_number(value) => Self::text(value),
            Takes::Cookie if self.program == Some("curl") && !value.contains('=') => Self::text(value),
            Takes::Secret if value.starts_with('@') => Self::text(value),
            Takes::Credentials | Takes::Cookie | Takes::Body | Takes::Secret => {
                if value.is_empty() {
                    String::new()
                } else {
                    MARK.to_owned()
                }
            }
            Takes::Variable => match value.split_once('=') {
                Some((name, value)) => format!("{name}={}", variable(name, value)),
                None => Self::text(value),
            },
            Takes::FileAndSecret => match value.rsplit_once(':') {
                Some((file, password)) if !password.is_empty() && !password.contains(['/', '\\']) => {
                    format!("{}:{MARK}", Self::text(file))
                }
                Some(_) | None => Self::text(value),
            },
            Takes::Script => self.script(value),
            Takes::PerhapsCredentials | Takes::Text => Self::text(value),
        }
    }

    fn text(word: &str) -> String {
        if word.contains("://") && !word.contains(char::is_whitespace) && !word.contains(['"', '\'']) {
            return match word.split_once('=').filter(|(name, _)| is_variable(name)) {
                Some((name, value)) => format!("{name}={}", variable(name, value)),
                None => text::redacted(word),
            };
        }
        text::redacted(word)
    }

    fn script(&self, script: &str) -> String {
        if self.depth >= DEEPEST {
            return MARK.to_owned();
        }
        let mut reader = Self::new(self.depth + 1);
        let mut told = String::with_capacity(script.len());
        for piece in shell::pieces(script) {
            match piece {
                Piece::Blank(blank) => told.push_str(blank),
                Piece::Break(end) => {
                    told.push_str(end);
                    reader = Self::new(self.depth + 1);
                }
                Piece::Word(written, meant) => {
                    let shown = reader.read(&meant);
                    if shown == meant {
                        told.push_str(written);
                    } else {
                        told.push_str(&shell::quoted(&shown));
                    }
                }
            }
        }
        told
    }
}

/// What a flag takes whose name says that it is a secret.
fn secret(name: &str) -> Option<Takes> {
    name::is_secret(name).then_some(Takes::Secret)
}

/// `Name: value`, or curl's `@file` and `Name;`.
fn header(header: &str) -> String {
    if header.starts_with('@') {
        return text::redacted(header);
    }
    let parted = header.split_once(':').map(|(name, value)| (name, ':', value));
    let parted = parted.or_else(|| header.split_once('=').map(|(name, value)| (name, '=', value)));
    match parted {
        _ if header.trim_start().starts_with('{') => MARK.to_owned(),
        Some((name, _, value)) if PLAIN_HEADERS.contains(&name.trim().to_ascii_lowercase().as_str()) => {
            let value = if name.trim().eq_ignore_ascii_case("referer") {
                address::redacted(value)
            } else {
                text::redacted(value)
            };
            header.get(..=name.len()).unwrap_or(name).to_owned() + &value
        }
        Some((name, sign, value)) => {
            let blank = if value.starts_with(' ') { " " } else { "" };
            let value = if value.trim().is_empty() { "" } else { MARK };
            format!("{}{sign}{blank}{value}", text::redacted(name))
        }
        None => text::redacted(header),
    }
}

/// The value of a variable.
fn variable(name: &str, value: &str) -> String {
    if value.is_empty() || (value.starts_with('{') && value.ends_with('}') && !value.contains([':', ' '])) {
        value.to_owned()
    } else if name::is_secret(name) {
        MARK.to_owned()
    } else {
        text::redacted(value)
    }
}

/// What can be the name of a variable; a shape of its own makes it none.
fn is_variable(name: &str) -> bool {
    let first = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    first
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
        && shape::of_text(name).is_none()
}

/// `user:password`, and neither a URL nor `host:port`.
fn is_pair(value: &str) -> bool {
    value.split_once(':').is_some_and(|(user, password)| {
        let port = password.len() <= 5 && password.bytes().all(|byte| byte.is_ascii_digit());
        let host = user.contains('.') || user == "localhost" || user.is_empty();
        !(password.is_empty() || value.contains("://") || (port && host))
    })
}

/// A number, alone or with a unit: `100`, `30s`.
fn is_number(value: &str) -> bool {
    let digits = value.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    !digits.is_empty()
        && value.len() - digits.len() <= 2
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        redacted(&words)
    }

    #[test]
    fn what_is_no_secret_stays_to_the_letter() {
        for words in [
            &["k6", "run", "-e", "BASE_URL={url}", "--vus", "200", "test.js"] as &[&str],
            &["wrk", "-t2", "-c64", "-d30s", "{url}/products"],
            &["oha", "-z", "10s", "-c", "50", "{url}"],
            &["hey", "-n", "2000", "-c", "50", "-m", "POST", "{url}/orders"],
            &[
                "locust",
                "-f",
                "locustfile.py",
                "--headless",
                "-u",
                "100",
                "-r",
                "10",
                "-H",
                "{url}",
            ],
            &["ghz", "--insecure", "--call", "shop.Cart.Get", "{addr}"],
            &["newman", "run", "shop.postman_collection.json", "-e", "env.json"],
            &[
                "vegeta",
                "attack",
                "-rate=100",
                "-duration=30s",
                "-targets=targets.txt",
            ],
            &["npm", "run", "load", "--", "--url", "{url}"],
            &[
                "curl",
                "-s",
                "-o",
                "/dev/null",
                "-H",
                "Accept: application/json",
                "{url}/health",
            ],
            &["sh", "-c", "for i in 1 2 3; do curl -s {url}/products/$i; done"],
        ] {
            assert_eq!(told(words), words);
        }
    }

    #[test]
    fn a_script_is_a_command_line_of_its_own() {
        assert_eq!(
            told(&[
                "sh",
                "-c",
                "TOKEN=abc k6 run t.js | tee 'out.txt'; curl -sH \"X-Auth: abc\" -u a:b {url}"
            ]),
            [
                "sh",
                "-c",
                "TOKEN=*** k6 run t.js | tee 'out.txt'; curl -sH 'X-Auth: ***' -u *** {url}"
            ]
        );
    }
}
