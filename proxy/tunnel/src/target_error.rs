//! What can be wrong with a `kubectl:` target, said so that the next attempt succeeds.

/// The longest piece of the user's own words that an error repeats, in characters.
const LONGEST_ECHO: usize = 80;

/// Why a `kubectl:` target could not be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// There is no port at the end.
    #[error(
        "`{0}` lacks the port: write kubectl:[NAMESPACE/]svc/NAME:PORT, for example kubectl:svc/api-gateway:3000"
    )]
    NoPort(String),
    /// There is no `KIND/NAME`.
    #[error(
        "`{0}` does not say what to forward to: write svc/NAME, pod/NAME, deploy/NAME or sts/NAME, with NAMESPACE/ before it where needed"
    )]
    NoObject(String),
    /// An object of a kind that cannot be forwarded to.
    #[error("cannot forward to a `{0}`: use svc, pod, deploy or sts")]
    Kind(String),
    /// Not a name that Kubernetes would accept.
    #[error("`{0}` is not a Kubernetes name: lower-case letters, digits, `-` and `.` only")]
    Name(String),
    /// Not a namespace that Kubernetes would accept.
    #[error("`{0}` is not a namespace: lower-case letters, digits and `-` only, at most 63")]
    Namespace(String),
    /// Neither a port number nor a port's name.
    #[error("`{0}` is neither a port number (1 to 65535) nor the name of a port")]
    Port(String),
    /// A key without a value.
    #[error("`{0}` lacks its value: write KEY=VALUE")]
    NoValue(String),
    /// A key that means nothing.
    #[error("`{0}` is not known here: namespace, context, kubeconfig, kubectl and pool are")]
    UnknownKey(String),
    /// Two different namespaces.
    #[error("two namespaces are given, `{0}` and `{1}`: leave one out")]
    TwoNamespaces(String, String),
    /// A pool of no or of too many kubectls.
    #[error("pool={0} is not a number from 1 to {max}", max = super::target::MAX_POOL)]
    Pool(String),
    /// A broken `%XX`.
    #[error(
        "`{0}` holds a `%` that is not followed by two hexadecimal digits: write %25 for the sign itself"
    )]
    Escape(String),
}

/// The user's words as an error may repeat them: bounded, without control characters.
pub(super) fn known(words: &str) -> String {
    let clean = words.chars().filter(|character| !character.is_control());
    let mut echo: String = clean.clone().take(LONGEST_ECHO).collect();
    if clean.count() > LONGEST_ECHO {
        echo.push('…');
    }
    echo
}

/// Resolves `%XX`, so that a path may hold `&`, `?` or `%`. Everything else stays as it is, `+` too.
pub(super) fn unescape(value: &str) -> Result<String, TargetError> {
    let broken = || TargetError::Escape(known(value));
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(broken());
        };
        bytes.push(u8::try_from(high * 16 + low).ok().ok_or_else(broken)?);
    }
    let text = String::from_utf8(bytes).ok().ok_or_else(broken)?;
    if text.contains('\0') {
        Err(broken())
    } else {
        Ok(text)
    }
}
