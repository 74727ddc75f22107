//! `NAME=TARGET`: the paths over which the load travels.

use std::fmt;
use std::str::FromStr;

use hopscope_attribution::evidence::{Path, PathKind};

use hopscope_secret::address;

/// One `--via NAME=TARGET`, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// The name, whose first word may declare the kind.
    pub name: String,
    /// Where it leads.
    pub target: Target,
    /// The target as it was typed.
    typed: String,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An address that already answers, or should.
    Endpoint(Endpoint),
    /// A `kubectl port-forward` that hopscope runs and watches.
    Kubectl(crate::Target),
}

/// A host and port, and what is spoken there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// What is spoken there.
    pub transport: Transport,
}

/// What is spoken to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP; the bytes are read as HTTP where they are HTTP.
    Plain,
    /// TCP, and the bytes are left unread (`tcp://`).
    Unread,
    /// TLS towards the endpoint; hopscope reads what is inside.
    Tls,
}

/// Why a `--via` was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViaError {
    /// There is no `=`.
    #[error("`{0}` has no name: write NAME=TARGET, for example tunnel=127.0.0.1:3000")]
    NoName(String),
    /// The name has characters that a metric label or a table should not carry.
    #[error("`{0}` is no path name: use letters, digits, `-` and `_`, for example tunnel, lb-blue or direct")]
    Name(String),
    /// The name begins with a word that is nearly one of those that declare what is on the way.
    #[error(
        "`{name}` says nothing of what is on the way, and is nearly `{word}`: write {word}={target} if that is meant, or \
         choose a name that is further from it, such as path-{name}"
    )]
    NearlyAKind {
        /// The name.
        name: String,
        /// The word that it nearly begins with.
        word: &'static str,
        /// The target.
        target: String,
    },
    /// The scheme is none of those known.
    #[error("`{0}://` is not known: use http://, https://, tcp://, kubectl: or a bare HOST:PORT")]
    Scheme(String),
    /// There is no port, and the scheme implies none.
    #[error("`{0}` has no port: write HOST:PORT, for example 127.0.0.1:3000")]
    NoPort(String),
    /// The port is not a number from 1 to 65535.
    #[error("`{0}` is no port: it must be a number from 1 to 65535")]
    Port(String),
    /// The host is empty or malformed.
    #[error("`{0}` is no host")]
    Host(String),
    /// A user and a password before the host: the generator says who it is, hopscope does not.
    #[error(
        "the target has a user or password before its host: give only host and port, and put the credentials into the generator's URL or headers"
    )]
    User,
    /// A path behind the host: the generator says which paths it wants, hopscope does not rewrite them.
    #[error("`{0}` ends in a path: give only the host and port, and put the path into the generator's URL")]
    UrlPath(String),
    /// The part behind `kubectl:` is malformed.
    #[error(transparent)]
    Kubectl(#[from] crate::TargetError),
}

impl Via {
    /// What the path is to the diagnosis.
    pub fn path(&self) -> Path {
        Path {
            name: self.name.clone(),
            kind: PathKind::from_name(&self.name),
            // A kubectl: target has its own grammar, and no place for a secret.
            target: match self.target {
                Target::Endpoint(_) => address::redacted(&self.typed),
                Target::Kubectl(_) => self.typed.clone(),
            },
        }
    }
}

impl FromStr for Via {
    type Err = ViaError;

    fn from_str(typed: &str) -> Result<Self, ViaError> {
        let (name, target) = typed
            .split_once('=')
            .ok_or_else(|| ViaError::NoName(typed.to_owned()))?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 63 || !name.chars().all(allowed) {
            return Err(ViaError::Name(name.to_owned()));
        }
        if let (PathKind::Unstated, Some(word)) = (PathKind::from_name(name), PathKind::nearly(name)) {
            return Err(ViaError::NearlyAKind {
                name: name.to_owned(),
                word,
                target: target.to_owned(),
            });
        }
        let parsed = match target.strip_prefix("kubectl:") {
            Some(forward) => Target::Kubectl(crate::Target::parse(forward)?),
            None => Target::Endpoint(target.parse()?),
        };
        Ok(Self {
            name: name.to_owned(),
            target: parsed,
            typed: target.to_owned(),
        })
    }
}

impl FromStr for Endpoint {
    type Err = ViaError;

    fn from_str(typed: &str) -> Result<Self, ViaError> {
        let (transport, rest, implied_port) = match typed.split_once("://") {
            None => (Transport::Plain, typed, None),
            Some(("http", rest)) => (Transport::Plain, rest, Some(80)),
            Some(("https", rest)) => (Transport::Tls, rest, Some(443)),
            Some(("tcp", rest)) => (Transport::Unread, rest, None),
            Some((scheme, _)) => return Err(ViaError::Scheme(scheme.to_owned())),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        // Refused before anything of it is repeated.
        if authority.contains('@') {
            return Err(ViaError::User);
        }
        if authority.contains(['/', '?', '#']) {
            return Err(ViaError::UrlPath(address::redacted(typed)));
        }
        let (host, port) = split_authority(authority)?;
        let port = match (port, implied_port) {
            (Some(port), _) => {
                let number = port.parse::<u16>().ok().filter(|&number| number != 0);
                number.ok_or_else(|| ViaError::Port(port.to_owned()))?
            }
            (None, Some(implied)) => implied,
            (None, None) => return Err(ViaError::NoPort(typed.to_owned())),
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            transport,
        })
    }
}

/// Splits `HOST`, `HOST:PORT`, `[V6]` or `[V6]:PORT` (RFC 3986, section 3.2.2).
fn split_authority(authority: &str) -> Result<(&str, Option<&str>), ViaError> {
    let malformed = || ViaError::Host(authority.to_owned());
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, behind) = rest.split_once(']').ok_or_else(malformed)?;
        host.parse::<std::net::Ipv6Addr>().ok().ok_or_else(malformed)?;
        match behind.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if behind.is_empty() => (host, None),
            None => return Err(malformed()),
        }
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if host.is_empty() || !host.chars().all(allowed) {
        return Err(malformed());
    }
    Ok((host, port))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(typed: &str) -> (String, u16, Transport) {
        let Endpoint {
            host,
            port,
            transport,
        } = typed.parse().unwrap();
        (host, port, transport)
    }

    #[test]
    fn an_endpoint_is_a_host_and_a_port_with_an_optional_scheme() {
        assert_eq!(
            endpoint("127.0.0.1:3000"),
            ("127.0.0.1".to_owned(), 3000, Transport::Plain)
        );
        assert_eq!(
            endpoint("http://gateway.test"),
            ("gateway.test".to_owned(), 80, Transport::Plain)
        );
        assert_eq!(
            endpoint("https://gateway.test/"),
            ("gateway.test".to_owned(), 443, Transport::Tls)
        );
        assert_eq!(
            endpoint("tcp://[::1]:9"),
            ("::1".to_owned(), 9, Transport::Unread)
        );
    }

    #[test]
    fn the_name_says_the_kind() {
        let kind = |typed: &str| typed.parse::<Via>().unwrap().path().kind;
        assert_eq!(kind("tunnel=127.0.0.1:1"), PathKind::Tunnel);
        assert_eq!(kind("lb-blue=http://lb.test"), PathKind::Lb);
        assert_eq!(kind("direct2=10.0.0.7:3000"), PathKind::Direct);
        assert_eq!(kind("staging=10.0.0.7:3000"), PathKind::Unstated);
        assert_eq!(kind("directus=10.0.0.7:3000"), PathKind::Unstated);
    }

    #[test]
    fn a_name_that_is_nearly_a_kind_is_asked_about() {
        let refused = |typed: &str| typed.parse::<Via>().unwrap_err().to_string();
        assert!(refused("tunl=127.0.0.1:3000").contains("write tunnel=127.0.0.1:3000"));
        assert!(refused("dircet=127.0.0.1:3000").contains("write direct=127.0.0.1:3000"));
    }

    #[test]
    fn every_malformed_path_is_refused_with_what_to_write_instead() {
        let refused = |typed: &str| typed.parse::<Via>().unwrap_err().to_string();
        assert!(refused("127.0.0.1:3000").contains("NAME=TARGET"));
        assert!(refused("=127.0.0.1:3000").contains("is no path name"));
        assert!(refused("a b=127.0.0.1:3000").contains("is no path name"));
        assert!(refused("lb=ftp://x:1").contains("use http://"));
        assert!(refused("lb=127.0.0.1").contains("has no port"));
        assert!(refused("lb=127.0.0.1:0").contains("1 to 65535"));
        assert!(refused("lb=127.0.0.1:70000").contains("1 to 65535"));
        assert!(refused("lb=http://x:80/api").contains("generator's URL"));
        assert!(refused("lb=[::1:80").contains("is no host"));
        assert!(refused("lb=:80").contains("is no host"));
        let told = refused("lb=https://alice:hunter2@x");
        assert!(
            told.contains("before its host") && !told.contains("hunter2"),
            "{told}"
        );
        let told = refused("lb=https://x/reset?token=hunter2");
        assert!(
            told.contains("generator's URL") && !told.contains("hunter2"),
            "{told}"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(typed in ".{0,60}") {
            drop(typed.parse::<Via>());
        }
    }
}
