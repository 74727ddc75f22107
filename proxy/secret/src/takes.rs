//! Which flags of which programs take what: the load generators, and what starts them.

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// `Name: value`.
    Header,
    /// `user:password`, or either.
    Credentials,
    /// `user:password`, if it looks like it: who takes it is not known.
    PerhapsCredentials,
    /// Cookies, as a whole.
    Cookie,
    /// A body, a form or metadata, as a whole; `@file` names a file.
    Body,
    /// `NAME=value`.
    Variable,
    /// A secret, as a whole.
    Secret,
    /// `FILE[:PASSWORD]`.
    FileAndSecret,
    /// A shell's script.
    Script,
    /// Anything else.
    Text,
}

/// Flags of one letter, by program. What a program is called is matched by the end of its name.
const SHORT: &[(&str, &[(char, Takes)])] = &[
    (
        "curl",
        &[
            ('H', Takes::Header),
            ('u', Takes::Credentials),
            ('U', Takes::Credentials),
            ('b', Takes::Cookie),
            ('d', Takes::Body),
            ('F', Takes::Body),
            ('E', Takes::FileAndSecret),
            ('A', Takes::Text),
            ('e', Takes::Text),
            ('o', Takes::Text),
            ('x', Takes::Text),
            ('X', Takes::Text),
            ('m', Takes::Text),
            ('w', Takes::Text),
            ('T', Takes::Text),
            ('K', Takes::Text),
        ],
    ),
    ("wrk", &[('H', Takes::Header)]),
    ("wrk2", &[('H', Takes::Header)]),
    (
        "hey",
        &[
            ('H', Takes::Header),
            ('a', Takes::Credentials),
            ('d', Takes::Body),
            ('x', Takes::Text),
        ],
    ),
    (
        "oha",
        &[
            ('H', Takes::Header),
            ('a', Takes::Credentials),
            ('d', Takes::Body),
        ],
    ),
    (
        "ab",
        &[
            ('H', Takes::Header),
            ('A', Takes::Credentials),
            ('P', Takes::Credentials),
            ('C', Takes::Cookie),
        ],
    ),
    ("siege", &[('H', Takes::Header)]),
    ("bombardier", &[('H', Takes::Header), ('b', Takes::Body)]),
    ("plow", &[('H', Takes::Header), ('b', Takes::Body)]),
    ("autocannon", &[('H', Takes::Header), ('b', Takes::Body)]),
    ("h2load", &[('H', Takes::Header)]),
    ("ghz", &[('d', Takes::Body), ('m', Takes::Body)]),
    ("grpcurl", &[('H', Takes::Header), ('d', Takes::Body)]),
    ("wget", &[]),
    ("k6", &[('e', Takes::Variable)]),
    ("docker", &[('e', Takes::Variable)]),
    ("podman", &[('e', Takes::Variable)]),
    ("nerdctl", &[('e', Takes::Variable)]),
    ("kubectl", &[]),
    ("locust", &[('H', Takes::Text), ('u', Takes::Text)]),
    ("newman", &[('e', Takes::Text), ('g', Takes::Text)]),
    ("vegeta", &[]),
    ("artillery", &[('v', Takes::Body), ('t', Takes::Text)]),
    ("http", &[('a', Takes::Credentials), ('A', Takes::Text)]),
    ("https", &[('a', Takes::Credentials), ('A', Takes::Text)]),
    ("xh", &[('a', Takes::Credentials), ('A', Takes::Text)]),
    (
        "jmeter",
        &[
            ('J', Takes::Variable),
            ('G', Takes::Variable),
            ('D', Takes::Variable),
            ('u', Takes::Text),
            ('a', Takes::Secret),
        ],
    ),
    ("java", &[('D', Takes::Variable)]),
    ("mvn", &[('D', Takes::Variable)]),
    ("gatling", &[('D', Takes::Variable)]),
    ("env", &[]),
    ("sh", &[('c', Takes::Script)]),
    ("bash", &[('c', Takes::Script)]),
    ("zsh", &[('c', Takes::Script)]),
    ("dash", &[('c', Takes::Script)]),
    ("ash", &[('c', Takes::Script)]),
    ("ksh", &[('c', Takes::Script)]),
    ("fish", &[('c', Takes::Script)]),
    ("su", &[('c', Takes::Script)]),
];

/// Flags of one letter of a program that is not known, or that does not have them itself: it may run another.
const SHORT_OF_ANY: &[(char, Takes)] = &[
    ('H', Takes::Header),
    ('u', Takes::PerhapsCredentials),
    ('a', Takes::PerhapsCredentials),
];

/// Flags of more letters: they mean the same to all that have them.
const LONG: &[(&str, Takes)] = &[
    ("header", Takes::Header),
    ("headers", Takes::Header),
    ("proxy-header", Takes::Header),
    ("reflect-header", Takes::Header),
    ("rpc-header", Takes::Header),
    ("user", Takes::Credentials),
    ("proxy-user", Takes::Credentials),
    ("auth", Takes::Credentials),
    ("basic-auth", Takes::Credentials),
    ("basic", Takes::Credentials),
    ("web-auth", Takes::Credentials),
    ("http-user", Takes::Credentials),
    ("proxy-auth", Takes::Credentials),
    ("login", Takes::Credentials),
    ("cookie", Takes::Cookie),
    ("cookies", Takes::Cookie),
    ("data", Takes::Body),
    ("data-raw", Takes::Body),
    ("data-ascii", Takes::Body),
    ("data-binary", Takes::Body),
    ("data-urlencode", Takes::Body),
    ("json", Takes::Body),
    ("form", Takes::Body),
    ("form-string", Takes::Body),
    ("url-query", Takes::Body),
    ("body", Takes::Body),
    ("body-data", Takes::Body),
    ("post-data", Takes::Body),
    ("metadata", Takes::Body),
    ("reflect-metadata", Takes::Body),
    ("variables", Takes::Body),
    ("overrides", Takes::Body),
    ("payload", Takes::Body),
    ("env", Takes::Variable),
    ("env-var", Takes::Variable),
    ("global-var", Takes::Variable),
    ("var", Takes::Variable),
    ("set-env", Takes::Variable),
    ("define", Takes::Variable),
    ("cert", Takes::FileAndSecret),
    ("proxy-cert", Takes::FileAndSecret),
    ("command", Takes::Script),
];

/// Whether a word names a program whose flags are known, such as `/usr/bin/curl`, `grafana/k6:0.57` or `k6.exe`.
pub(crate) fn program(word: &str) -> Option<&'static str> {
    if word.contains("://") || word.contains('=') {
        return None;
    }
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
    let name = name.split([':', '@']).next().unwrap_or(name);
    let name = name.strip_suffix(".exe").unwrap_or(name);
    SHORT
        .iter()
        .map(|(program, _)| *program)
        .find(|program| *program == name)
}

/// What a flag of one letter takes; `None` where it takes nothing, or is not known.
pub(crate) fn short(program: Option<&str>, letter: char) -> Option<Takes> {
    let flags = match program {
        Some(program) => SHORT.iter().find(|(name, _)| *name == program)?.1,
        None => SHORT_OF_ANY,
    };
    flags
        .iter()
        .find(|(flag, _)| *flag == letter)
        .map(|(_, takes)| *takes)
}

/// What a flag of more letters takes, without its dashes.
pub(crate) fn long(flag: &str) -> Option<Takes> {
    let flag = flag.to_ascii_lowercase();
    LONG.iter()
        .find(|(name, _)| *name == flag)
        .map(|(_, takes)| *takes)
}

/// Whether a program's flags of one letter may stand together, the last one with a value: `-sSH 'X: y'`, `-lc SCRIPT`.
pub(crate) fn clusters(program: Option<&str>) -> bool {
    matches!(
        program,
        Some("curl" | "sh" | "bash" | "zsh" | "dash" | "ash" | "ksh" | "su" | "docker" | "podman")
    )
}
