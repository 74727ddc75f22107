//! `--host-header`: which `Host` requests carry on their way up.
//!
//! A generator that is pointed at hopscope writes hopscope's own address into `Host`, and a server that is chosen by name
//! does not know that. So where a path's target is a name, hopscope's own address is replaced by it, and nothing else is.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use hopscope_http::{HostRule, Replaced};
use hopscope_tunnel::paths::{Endpoint, Target, Transport, Via};

/// Which `Host` requests carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostHeader {
    /// The target's in the place of hopscope's own address, on paths whose target is a name; the generator's otherwise.
    #[default]
    Auto,
    /// The generator's, whatever it is.
    Keep,
    /// The target's, whatever the generator wrote.
    Target,
    /// This one, whatever the generator wrote.
    Name(String),
}

impl FromStr for HostHeader {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '[' | ']');
        match typed {
            "auto" => Ok(Self::Auto),
            "keep" => Ok(Self::Keep),
            "target" => Ok(Self::Target),
            name if !name.is_empty() && name.chars().all(allowed) => Ok(Self::Name(name.to_owned())),
            _ => Err(format!(
                "`{typed}` is no host: write NAME or NAME:PORT, target, or keep"
            )),
        }
    }
}

impl HostHeader {
    /// What is replaced on a path, and by what; `None` where every request keeps its `Host`.
    pub(super) fn rule(&self, via: &Via, listening: SocketAddr) -> Option<Arc<HostRule>> {
        let Target::Endpoint(endpoint) = &via.target else {
            // A forward has no name of its own that an application would know.
            return match self {
                Self::Name(name) => Some(Arc::new(HostRule {
                    replaced: Replaced::All,
                    by: name.clone(),
                })),
                Self::Auto | Self::Keep | Self::Target => None,
            };
        };
        if endpoint.transport == Transport::Unread {
            return None;
        }
        let is_name = endpoint.host.parse::<IpAddr>().is_err();
        let (replaced, by) = match self {
            Self::Auto if is_name => (Replaced::Own(listening), host_of(endpoint)),
            Self::Auto | Self::Keep => return None,
            Self::Target => (Replaced::All, host_of(endpoint)),
            Self::Name(name) => (Replaced::All, name.clone()),
        };
        Some(Arc::new(HostRule { replaced, by }))
    }

    /// What the report says of it first.
    pub(super) fn note(&self, via: &Via, listening: SocketAddr) -> Option<String> {
        let rule = self.rule(via, listening)?;
        Some(match rule.replaced {
            Replaced::Own(_) => format!(
                "On path {} a Host that names hopscope's own address was replaced by {}, as the generator would have written \
                 it without hopscope (--host-header keep leaves it).",
                via.name, rule.by
            ),
            Replaced::All => format!(
                "On path {} every Host was replaced by {} (--host-header).",
                via.name, rule.by
            ),
        })
    }
}

/// The `Host` of a request to an endpoint: no port where its scheme implies it (RFC 9110, section 7.2).
fn host_of(endpoint: &Endpoint) -> String {
    let implied = match endpoint.transport {
        Transport::Tls => 443,
        Transport::Plain | Transport::Unread => 80,
    };
    let whole = endpoint.to_string();
    if endpoint.port == implied {
        whole
            .strip_suffix(&format!(":{implied}"))
            .map_or(whole.clone(), str::to_owned)
    } else {
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(typed: &str, via: &str) -> Option<(bool, String)> {
        let listening = "127.0.0.1:4000".parse().unwrap();
        let header: HostHeader = typed.parse().unwrap();
        let rule = header.rule(&via.parse().unwrap(), listening)?;
        Some((rule.replaced == Replaced::All, rule.by.clone()))
    }

    #[test]
    fn by_default_only_own_addresses_on_paths_to_a_name_are_replaced() {
        let own = |by: &str| Some((false, by.to_owned()));
        assert_eq!(rule("auto", "lb=http://shop.test"), own("shop.test"));
        assert_eq!(rule("auto", "lb=http://shop.test:8080"), own("shop.test:8080"));
        assert_eq!(rule("auto", "lb=https://shop.test"), own("shop.test"));
        assert_eq!(rule("auto", "lb=https://shop.test:80"), own("shop.test:80"));
        assert_eq!(rule("auto", "tunnel=localhost:3000"), own("localhost:3000"));
        assert_eq!(rule("auto", "lb=http://10.0.0.7"), None);
        assert_eq!(rule("auto", "tcp=tcp://shop.test:80"), None);
        assert_eq!(rule("auto", "tunnel=kubectl:svc/a:3000"), None);
    }

    #[test]
    fn a_wish_is_followed_on_every_path_that_is_read() {
        let all = |by: &str| Some((true, by.to_owned()));
        assert_eq!(rule("shop.test", "lb=http://10.0.0.7"), all("shop.test"));
        assert_eq!(rule("shop.test", "tunnel=kubectl:svc/a:3000"), all("shop.test"));
        assert_eq!(rule("target", "lb=http://10.0.0.7:81"), all("10.0.0.7:81"));
        assert_eq!(rule("target", "lb=http://[::1]:81"), all("[::1]:81"));
        assert_eq!(rule("keep", "lb=http://shop.test"), None);
        assert_eq!(rule("shop.test", "lb=tcp://10.0.0.7:80"), None);
    }

    #[test]
    fn what_would_break_a_head_is_no_host() {
        for typed in ["", "a b", "a\r\nX: y", "http://a", "a/b"] {
            assert!(typed.parse::<HostHeader>().is_err(), "{typed:?}");
        }
    }
}
