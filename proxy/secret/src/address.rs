//! URLs and paths without what is secret in them: user and password, the values of a query, a fragment, and every part
//! of the host and the path that has the shape of a secret.

use crate::MARK;
use crate::name;
use crate::shape;

/// Hosts whose names are made by machines and are no secrets: those of load balancers.
const PUBLIC: &[&str] = &[
    "amazonaws.com",
    "azure.com",
    "azurewebsites.net",
    "internal",
    "local",
    "svc",
];

/// Segments behind which a secret stands.
const ANNOUNCING: &[&str] = &[
    "reset",
    "token",
    "tokens",
    "verify",
    "verification",
    "confirm",
    "confirmation",
    "activate",
    "activation",
    "invite",
    "invites",
    "invitation",
    "invitations",
    "magic",
    "magic-link",
    "unsubscribe",
    "password",
    "passwords",
    "passwd",
    "pwd",
    "secret",
    "secrets",
    "key",
    "keys",
    "apikey",
    "api-key",
    "api_key",
    "auth",
    "session",
    "sessions",
    "sid",
    "otp",
    "code",
    "share",
    "shared",
    "webhook",
    "webhooks",
    "hook",
    "hooks",
    "signed",
    "signature",
    "credential",
    "credentials",
    "reset-password",
    "reset_password",
    "password-reset",
    "password_reset",
    "forgot",
    "login",
    "sso",
    "jwt",
    "bearer",
    "access",
];

/// A URL or an address, with or without a scheme.
pub fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        // `user:password@host` is told by its host alone.
        return match url.split_once('@') {
            Some((user, _)) if user.contains(':') && !user.contains('/') => authority_first(url),
            Some(_) | None => path_and_query(url),
        };
    };
    format!("{scheme}://{}", authority_first(rest))
}

fn authority_first(rest: &str) -> String {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    host(authority) + &path_and_query(behind)
}

/// `[USER[:PASSWORD]@]HOST[:PORT]`.
fn host(authority: &str) -> String {
    let (user, host) = match authority.rsplit_once('@') {
        Some((_, host)) => (format!("{MARK}@"), host),
        None => (String::new(), authority),
    };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let public = PUBLIC
        .iter()
        .any(|public| name.strip_suffix(public).is_some_and(|rest| rest.ends_with('.')));
    if public || name.starts_with('[') {
        return user + host;
    }
    let labels: Vec<&str> = host.split('.').map(label_of).collect();
    user + &labels.join(".")
}

fn label_of(label: &str) -> &str {
    if shape::of_text(label).is_some() {
        MARK
    } else {
        label
    }
}

/// Everything behind the host. A query's names stay, its values go.
fn path_and_query(text: &str) -> String {
    let (text, fragment) = match text.split_once('#') {
        Some((text, "")) => (text, "#".to_owned()),
        Some((text, _)) => (text, format!("#{MARK}")),
        None => (text, String::new()),
    };
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, format!("?{}", values(query))),
        None => (text, String::new()),
    };
    self::path(path) + &query + &fragment
}

/// `a=1&b=2` without its values; a word that names nothing is a value.
fn values(query: &str) -> String {
    let parts: Vec<String> = query
        .split('&')
        .map(|part| match part.split_once('=') {
            Some((name, value)) if !value.is_empty() => format!("{}={MARK}", label_of(name)),
            Some((name, _)) => format!("{}=", label_of(name)),
            None if part.is_empty() => String::new(),
            None => MARK.to_owned(),
        })
        .collect();
    parts.join("&")
}

/// A path, segment by segment.
pub fn path(path: &str) -> String {
    let mut announced = false;
    let segments: Vec<String> = path
        .split('/')
        .map(|segment| {
            let (word, parameters) = match segment.split_once(';') {
                Some((word, _)) => (word, format!(";{MARK}")),
                None => (segment, String::new()),
            };
            let secret = shape::of_text(word).is_some() || (announced && is_value(word.as_bytes()));
            announced = announces(word.as_bytes());
            if let Some(at) = word.find(['=', ':']).filter(|at| *at > 0)
                && let (name, value) = word.split_at(at)
                && value.len() > 1
                && name::is_secret(name)
            {
                return format!("{name}{}{MARK}{parameters}", value.get(..1).unwrap_or_default());
            }
            match word.rsplit_once('.') {
                Some((_, extension)) if secret && is_extension(extension) => {
                    format!("{MARK}.{extension}{parameters}")
                }
                Some(_) | None if secret => MARK.to_owned() + &parameters,
                Some(_) | None => word.to_owned() + &parameters,
            }
        })
        .collect();
    segments.join("/")
}

/// Whether what stands behind this segment of a path is a secret: `/reset/…`, `/token/…`.
pub fn announces(segment: &[u8]) -> bool {
    ANNOUNCING
        .iter()
        .any(|word| word.as_bytes().eq_ignore_ascii_case(segment))
}

/// Whether a segment is a value rather than a word: it is not of one case, or has a digit and is no version.
pub fn is_value(segment: &[u8]) -> bool {
    let plain = segment
        .iter()
        .all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_'));
    let version = segment.strip_prefix(b"v").is_some_and(|number| {
        !number.is_empty() && number.len() <= 2 && number.iter().all(u8::is_ascii_digit)
    });
    let variable = segment.starts_with(b"{") || segment.starts_with(b":");
    !segment.is_empty() && !plain && !version && !variable
}

/// Whether an ending, without its dot, says what a file is, and nothing of its name.
pub fn is_extension(extension: &str) -> bool {
    [
        "js", "mjs", "ts", "css", "map", "html", "htm", "json", "xml", "txt", "csv", "log", "pdf", "png",
        "jpg", "jpeg", "gif", "svg", "webp", "ico", "mp4", "woff", "woff2", "gz", "zip", "py", "sh", "yaml",
        "yml", "toml", "pem",
    ]
    .contains(&extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_queries_and_fragments_go() {
        for (url, told) in [
            ("https://user:pass@shop.test/a", "https://***@shop.test/a"),
            (
                "http://shop.test:3000/a?token=abc&sort=price",
                "http://shop.test:3000/a?token=***&sort=***",
            ),
            ("http://shop.test/a?abc", "http://shop.test/a?***"),
            ("http://shop.test/a?", "http://shop.test/a?"),
            ("http://shop.test/#access_token=abc", "http://shop.test/#***"),
            ("http://shop.test?x=1", "http://shop.test?x=***"),
            ("http://[::1]:80/a", "http://[::1]:80/a"),
            (
                "postgres://u:p%40ss@db:5432/shop?sslmode=disable",
                "postgres://***@db:5432/shop?sslmode=***",
            ),
            (
                "https://ghp_16C7e42F292c6912E7710c838347Ae178B4a@github.com/x",
                "https://***@github.com/x",
            ),
            (
                "http://3f2a9b1c4d5e6f708192a3b4c5d6e7f8.hook.test/x",
                "http://***.hook.test/x",
            ),
            (
                "http://a1b2c3d4e5f60718293a4b5c6d7e8f90-1234.eu-west-1.elb.amazonaws.com/x",
                "http://a1b2c3d4e5f60718293a4b5c6d7e8f90-1234.eu-west-1.elb.amazonaws.com/x",
            ),
            ("{url}/products?id=7", "{url}/products?id=***"),
            ("/products/17", "/products/17"),
        ] {
            assert_eq!(redacted(url), told);
        }
    }

    #[test]
    fn segments_that_are_secrets_go() {
        for (given, told) in [
            ("/reset/hunter2", "/reset/***"),
            ("/password/reset/abcDEF", "/password/reset/***"),
            ("/oauth2/token", "/oauth2/token"),
            ("/auth/v1/login", "/auth/v1/login"),
            ("/users/alice@example.com/cart", "/users/***/cart"),
            ("/bot123:AAsecret/sendMessage", "/***/sendMessage"),
            ("/cart;jsessionid=1", "/cart;***"),
            ("scripts/3f2a9b1c4d5e6f708192a3b4c5d6e7f8.js", "scripts/***.js"),
        ] {
            assert_eq!(path(given), told);
        }
    }
}
