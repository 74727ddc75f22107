//! A line of text without the secrets in it: what kubectl writes, an error, a word of a command line.
//!
//! A line is taken apart into words at blanks and quotation marks. A word goes where it has the shape of a secret, where
//! a name with `:` or `=` before it says that it is one (`password: …`, `"token":"…"`, `--token …`), and where it stands
//! behind a scheme of HTTP's authentication (`Bearer …`).

use crate::MARK;
use crate::address;
use crate::name;
use crate::shape;

/// Schemes of `Authorization:`; what stands behind one is the secret. `Basic` is a common word as well.
const SCHEMES: &[&str] = &[
    "bearer",
    "basic",
    "digest",
    "negotiate",
    "ntlm",
    "apikey",
    "aws4-hmac-sha256",
];

/// What stands behind a scheme where it is only spoken of.
const SPOKEN: &[&str] = &[
    "token",
    "tokens",
    "auth",
    "authentication",
    "authorization",
    "authenticator",
    "realm",
    "scheme",
    "challenge",
    "error",
    "credentials",
    "is",
    "was",
    "not",
    "or",
    "and",
];

/// The line without its secrets.
pub fn redacted(line: &str) -> String {
    let mut told = String::with_capacity(line.len());
    let mut reader = Reader::default();
    let mut rest = line;
    while !rest.is_empty() {
        let gap = rest.find(|character| !separates(character)).unwrap_or(rest.len());
        let (between, behind) = rest.split_at(gap);
        told.push_str(between);
        let end = behind.find(separates).unwrap_or(behind.len());
        let (word, behind) = behind.split_at(end);
        reader.read(word, &mut told);
        rest = behind;
    }
    told
}

fn separates(character: char) -> bool {
    character.is_whitespace() || matches!(character, '"' | '\'' | '`' | '<' | '>' | '\\')
}

/// What the next word is, by what stood before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    /// A word like any other.
    #[default]
    Plain,
    /// The value of a secret name; a plain lower-case word may still be a sentence that goes on.
    Value,
    /// A password, whatever it looks like.
    Password,
    /// A scheme, or the credentials themselves.
    Credentials,
    /// What stands behind a scheme.
    BehindScheme,
}

#[derive(Debug, Default)]
struct Reader {
    next: Next,
    /// The last word was a secret name without anything behind it; a `:` or `=` may still come.
    named: Option<Next>,
}

impl Reader {
    fn read(&mut self, word: &str, told: &mut String) {
        if word.is_empty() {
            return;
        }
        let core = word.trim_matches(punctuates);
        if core.is_empty() {
            // `"token" : "abc"`: the name is told from its value by itself.
            if let Some(named) = self.named.take_if(|_| word.contains([':', '='])) {
                self.next = named;
            }
            told.push_str(word);
            return;
        }
        let named = self.named.take();
        let start = word.find(core).unwrap_or(0);
        let (front, rest) = word.split_at(start);
        let (core, back) = rest.split_at(core.len());
        // `"token":"abc"` leaves `:` between its quotation marks, `"token":abc` leaves `:abc`.
        if let Some(named) = named.filter(|_| front.contains([':', '='])) {
            self.next = named;
        }
        told.push_str(front);
        match self.next {
            Next::Plain | Next::Value | Next::BehindScheme if goes_on(self.next, core) => {
                self.next = Next::Plain;
                self.plain(core, back, told);
            }
            Next::Credentials if is_scheme(core) => {
                told.push_str(core);
                self.next = Next::BehindScheme;
            }
            // Digest and AWS name the parts of theirs.
            Next::BehindScheme
                if core.contains('=')
                    && core.split_once('=').is_some_and(|(name, value)| {
                        !value.trim_matches('=').is_empty() && name.len() < 20
                    }) =>
            {
                let (name, _) = core.split_once('=').unwrap_or((core, ""));
                told.push_str(name);
                told.push('=');
                told.push_str(MARK);
            }
            Next::Plain | Next::Value | Next::Password | Next::Credentials | Next::BehindScheme => {
                self.mark(told);
            }
        }
        told.push_str(back);
    }

    fn mark(&mut self, told: &mut String) {
        told.push_str(MARK);
        self.next = Next::Plain;
    }

    fn plain(&mut self, core: &str, back: &str, told: &mut String) {
        if let Some(scheme) = core.find("://") {
            let letters = core.get(..scheme).unwrap_or_default();
            let start = letters
                .rfind(|character: char| {
                    !character.is_ascii_alphanumeric() && !matches!(character, '+' | '-' | '.')
                })
                .map_or(0, |at| at + 1);
            let (before, url) = core.split_at(start);
            if !before.is_empty() {
                self.plain(before, "", told);
                self.next = Next::Plain;
                self.named = None;
            }
            told.push_str(&address::redacted(url));
            return;
        }
        if let Some((path, query)) = core.split_once('?')
            && (query.contains('=') || path.contains('/'))
        {
            told.push_str(&address::redacted(core));
            return;
        }
        if is_scheme(core) && !core.eq_ignore_ascii_case("basic") {
            told.push_str(core);
            self.next = Next::BehindScheme;
            return;
        }
        if let Some((user, _)) = core.rsplit_once('@')
            && user.contains(':')
            && !user.contains('/')
        {
            told.push_str(&address::redacted(core));
            return;
        }
        let assigned = core.find(['=', ':']).filter(|at| *at > 0);
        if let Some(at) = assigned {
            self.assignment(core, at, told);
            return;
        }
        told.push_str(&word(core));
        let kind = kind_of(core);
        if core.starts_with('-') && kind.is_some() {
            self.next = Next::Password;
        }
        self.named = kind;
        if let Some(kind) = kind
            && back.contains([':', '='])
        {
            self.next = kind;
            self.named = None;
        }
    }

    /// `name=value` or `name:value`.
    fn assignment(&mut self, core: &str, at: usize, told: &mut String) {
        let (name, value) = core.split_at(at);
        let (sign, value) = value.split_at(1);
        if shape::of_text(core).is_some() && kind_of(name).is_none() && !name.contains(['/', '-', '.']) {
            // `bot123:AA…`, base64 with its padding, `user:token`.
            let shown = if shape::of_text(name).is_none() && !name.starts_with("bot") {
                name
            } else {
                MARK
            };
            told.push_str(shown);
            told.push_str(if shown == MARK { "" } else { sign });
            told.push_str(if shown == MARK { "" } else { MARK });
            return;
        }
        told.push_str(&word(name));
        told.push_str(sign);
        match kind_of(name) {
            Some(kind) if value.trim_matches(punctuates).is_empty() => {
                told.push_str(value);
                self.next = kind;
            }
            Some(Next::Credentials) if is_scheme(value) => {
                told.push_str(value);
                self.next = Next::BehindScheme;
            }
            Some(_) => told.push_str(MARK),
            None => self.plain_value(value, told),
        }
    }

    fn plain_value(&mut self, value: &str, told: &mut String) {
        match value.find(['=', ':']).filter(|at| *at > 0) {
            Some(at) => self.assignment(value, at, told),
            None => told.push_str(&word(value)),
        }
    }
}

/// A word without a name before it: each of its parts is judged by its shape.
fn word(word: &str) -> String {
    let parts: Vec<String> = word.split(',').map(address::path).collect();
    parts.join(",")
}

/// Whether a word is no secret after all, but a sentence that goes on.
fn goes_on(next: Next, word: &str) -> bool {
    match next {
        Next::Value => is_sentence(word),
        Next::BehindScheme => SPOKEN.contains(&word.to_ascii_lowercase().as_str()),
        Next::Plain => true,
        Next::Password | Next::Credentials => false,
    }
}

fn punctuates(character: char) -> bool {
    matches!(
        character,
        ',' | ';' | '(' | ')' | '[' | ']' | '{' | '}' | ':' | '=' | '!' | '.' | '|'
    )
}

fn is_scheme(word: &str) -> bool {
    SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// What a name says of the value behind it.
fn kind_of(name: &str) -> Option<Next> {
    let name = name.rsplit(['&', ',', '{', '?', '/']).next().unwrap_or(name);
    if name::is_password(name) {
        Some(Next::Password)
    } else if name.to_ascii_lowercase().ends_with("authorization") {
        Some(Next::Credentials)
    } else {
        name::is_secret(name).then_some(Next::Value)
    }
}

/// `token: expired`, `token: oauth2: cannot fetch`: the sentence goes on.
fn is_sentence(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        || matches!(word, "oauth2" | "x509" | "http2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_sentences_stay() {
        for (line, told) in [
            ("Authorization: Bearer abc", "Authorization: Bearer ***"),
            ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic ***"),
            ("authorization=Bearer abc", "authorization=Bearer ***"),
            ("sent bearer token abc", "sent bearer token abc"),
            (
                "invalid bearer token, Token has expired",
                "invalid bearer token, Token has expired",
            ),
            (
                "{\"token\":\"s3cr3t\",\"kind\":\"ExecCredential\"}",
                "{\"token\":\"***\",\"kind\":\"ExecCredential\"}",
            ),
            ("{\"token\" : \"s3cr3t\"}", "{\"token\" : \"***\"}"),
            ("password: correct horse", "password: *** horse"),
            ("--token abc --namespace shop", "--token *** --namespace shop"),
            ("--token=abc", "--token=***"),
            (
                "token: oauth2: cannot fetch token: 401 Unauthorized",
                "token: oauth2: cannot fetch token: *** Unauthorized",
            ),
            (
                "Get \"https://u:p@api.test:6443/api?token=abc\": dial tcp 10.0.0.1:6443: connect: connection refused",
                "Get \"https://***@api.test:6443/api?token=***\": dial tcp 10.0.0.1:6443: connect: connection refused",
            ),
            ("User \"alice@example.com\" cannot get", "User \"***\" cannot get"),
            (
                "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPx",
                "aws_secret_access_key = ***",
            ),
            (
                "Forwarding from 127.0.0.1:8080 -> 80",
                "Forwarding from 127.0.0.1:8080 -> 80",
            ),
            ("error: lost connection to pod", "error: lost connection to pod"),
            ("BASE_URL={url}", "BASE_URL={url}"),
            ("user:hunter2@shop.test", "***@shop.test"),
        ] {
            assert_eq!(redacted(line), told);
        }
    }
}
