//! Whether a name says that its value is secret: of a variable, a header, a flag, a parameter or a field.

/// Said anywhere in a name, these make its value secret.
const ANYWHERE: &[&str] = &[
    "token",
    "secret",
    "passw",
    "passphrase",
    "passcode",
    "credential",
    "apikey",
    "authorization",
    "cookie",
    "signature",
    "privatekey",
    "accesskey",
    "bearer",
    "webhook",
];

/// Said as a whole word of a name, these do: `auth`, but not `author`.
const WORDS: &[&str] = &[
    "auth",
    "key",
    "keys",
    "pass",
    "pwd",
    "pw",
    "sig",
    "sid",
    "pin",
    "otp",
    "totp",
    "cred",
    "creds",
    "session",
    "sess",
    "jwt",
    "csrf",
    "xsrf",
    "nonce",
    "salt",
    "dsn",
    "hmac",
    "assertion",
    "sas",
    "pat",
    "license",
    "licence",
    "oauth",
];

/// Names that say where a secret lies, not what it is.
const PLACES: &[&str] = &[
    "file", "path", "dir", "folder", "name", "type", "url", "uri", "endpoint", "ttl", "timeout",
];

/// Whether a value of this name is secret.
pub fn is_secret(name: &str) -> bool {
    let words = words(name);
    let Some(last) = words.last() else {
        return false;
    };
    if words.len() > 1 && PLACES.contains(&last.as_str()) {
        return false;
    }
    let whole = words.concat();
    ANYWHERE.iter().any(|word| whole.contains(word))
        || words.iter().any(|word| WORDS.contains(&word.as_str()))
}

/// Whether a name announces a password: any word behind it is one.
pub fn is_password(name: &str) -> bool {
    let whole = words(name).concat();
    ["passw", "passphrase", "passcode", "pwd", "secret"]
        .iter()
        .any(|word| whole.contains(word))
}

/// `X-Api-Key`, `apiKey` and `API_KEY` are the same words.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for character in name.chars().take(128) {
        if character.is_alphanumeric() {
            let begins = !before.is_alphanumeric() || (before.is_lowercase() && character.is_uppercase());
            match words.last_mut() {
                Some(word) if !begins => word.extend(character.to_lowercase()),
                Some(_) | None => words.push(character.to_lowercase().collect()),
            }
        }
        before = character;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_told_in_every_spelling() {
        for name in [
            "Authorization",
            "X-Api-Key",
            "apiKey",
            "API_KEY",
            "DB_PASSWORD",
            "--token",
            "client_secret",
            "sid",
            "X-Amz-Signature",
            "Cookie",
            "Set-Cookie",
            "PGPASSWORD",
            "auth",
            "AWS_SECRET_ACCESS_KEY",
            "pwd",
            "jwt",
            "X-Auth",
            "access_token",
            "csrf",
            "key",
            "SLACK_WEBHOOK",
        ] {
            assert!(is_secret(name), "{name}");
        }
    }

    #[test]
    fn other_names_are_not() {
        for name in [
            "author",
            "BASE_URL",
            "keyboard",
            "Accept",
            "token-file",
            "passive",
            "sort",
            "monkey",
            "VUS",
            "",
            "certificate",
            "compass",
            "secret_name",
            "page",
            "Content-Type",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
