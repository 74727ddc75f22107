//! `--front`: how the load generator reaches hopscope, and what it is told of that.

use std::env;
use std::ffi::OsString;
use std::net::IpAddr;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::generator::Surroundings;
use hopscope_relay::{Authority, AuthorityError, Front, HostHeader, Proxy};
use hopscope_tunnel::paths::{Target, Transport, Via};

/// How the generator reaches hopscope.
#[derive(Clone, Debug, Default, Args)]
pub struct FrontOptions {
    /// How the load generator reaches hopscope. http: TCP as it comes. https: TLS, which ends at hopscope with a
    /// certificate that is made for this run; the environment of COMMAND names its authority (SSL_CERT_FILE and its like).
    /// proxy: hopscope is COMMAND's HTTP proxy (HTTPS_PROXY and its like), and the script keeps its own URLs: what is for
    /// the host of a path is served by that path, the rest passes unread and is listed
    #[arg(
        long,
        value_name = "http|https|proxy",
        value_enum,
        default_value_t,
        hide_default_value = true,
        hide_possible_values = true,
        help_heading = "Front"
    )]
    front: Wish,

    /// Leave TLS end to end: hopscope relays it, and reads nothing of it
    #[arg(long, help_heading = "Front")]
    tls_passthrough: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Wish {
    #[default]
    Http,
    Https,
    Proxy,
}

impl FrontOptions {
    /// What stands before hopscope's address in a URL.
    pub(super) const fn scheme(&self) -> &'static str {
        match self.front {
            Wish::Http | Wish::Proxy => "http",
            Wish::Https => "https",
        }
    }

    /// The front. Where TLS ends at hopscope its authority is made here.
    ///
    /// # Errors
    /// When there can be no authority.
    pub(super) fn make(&self) -> Result<Front, AuthorityError> {
        let authority = || Authority::new().map(Arc::new);
        Ok(match (self.front, self.tls_passthrough) {
            (Wish::Http, _) | (Wish::Https, true) => Front::Plain,
            (Wish::Https, false) => Front::Tls(authority()?),
            (Wish::Proxy, true) => Front::Proxy(Proxy::new(None)),
            (Wish::Proxy, false) => Front::Proxy(Proxy::new(Some(authority()?))),
        })
    }

    /// Whether hopscope is the generator's proxy.
    pub(super) fn is_proxy(&self) -> bool {
        self.front == Wish::Proxy
    }

    /// The first path that a proxy could lead nothing to: a forward has no host that a script would name.
    pub(super) fn unreachable<'v>(&self, paths: &'v [Via]) -> Option<&'v Via> {
        let forwards = |via: &&Via| matches!(via.target, Target::Kubectl(_));
        paths.iter().find(forwards).filter(|_| self.is_proxy())
    }

    /// What a generator finds around it that reaches hopscope at this URL.
    pub(super) fn surroundings(&self, front: &Front, url: &str, paths: &[Via]) -> Surroundings {
        Surroundings {
            proxied: self.is_proxy(),
            doubts: self.doubts(paths),
            environment: self.environment(front, url),
        }
    }

    /// What is to be said before a generator runs that may not use its proxy, or loses another by it.
    fn doubts(&self, paths: &[Via]) -> Vec<String> {
        if !self.is_proxy() {
            return Vec::new();
        }
        let local = paths.iter().filter_map(|via| match &via.target {
            Target::Endpoint(endpoint) if is_loopback(&endpoint.host) => Some(format!(
                "path {} is on loopback, and programs in Go (k6, hey, vegeta) use no proxy for that: if no traffic comes, use \
                 --front https or http with {{url}}",
                via.name
            )),
            Target::Endpoint(_) | Target::Kubectl(_) => None,
        });
        let replaced = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"]
            .into_iter()
            .find(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
            .map(|name| {
                format!("{name} is set: hopscope takes that proxy's place, and connects to targets itself")
            });
        local.chain(replaced).collect()
    }

    /// The environment in which the generator runs: what is set, and what is taken away.
    fn environment(&self, front: &Front, url: &str) -> Vec<(&'static str, Option<OsString>)> {
        let trusted = front.environment().map(|(name, file)| (name, Some(file.into())));
        let mut all: Vec<_> = trusted.collect();
        if self.is_proxy() {
            // curl reads http_proxy in lower case alone, others both.
            let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];
            all.extend(proxies.map(|name| (name, Some(url.into()))));
            // Node.js reads the others only where this says so.
            all.push(("NODE_USE_ENV_PROXY", Some("1".into())));
            all.extend(["NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"].map(|name| (name, None)));
        }
        all
    }

    /// The paths. Where TLS is left end to end, hopscope speaks none of its own on them.
    pub(super) fn paths(&self, paths: &[Via]) -> Vec<Via> {
        let mut paths = paths.to_vec();
        for via in paths.iter_mut().filter(|_| self.tls_passthrough) {
            if let Target::Endpoint(endpoint) = &mut via.target
                && endpoint.transport == Transport::Tls
            {
                endpoint.transport = Transport::Plain;
            }
        }
        paths
    }

    /// Which `Host` requests carry: what is not read cannot be replaced.
    pub(super) fn host(&self, wished: &HostHeader) -> HostHeader {
        // What comes to a proxy names its target itself.
        let named = self.is_proxy() && *wished == HostHeader::Auto;
        if self.tls_passthrough || named {
            HostHeader::Keep
        } else {
            wished.clone()
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(front: Wish) -> FrontOptions {
        FrontOptions {
            front,
            tls_passthrough: false,
        }
    }

    fn vias(typed: &[&str]) -> Vec<Via> {
        typed.iter().map(|via| via.parse().unwrap()).collect()
    }

    #[test]
    fn a_generator_behind_the_proxy_finds_it_and_nothing_that_leads_around_it() {
        let proxy = options(Wish::Proxy);
        let front = proxy.make().unwrap();
        let all = proxy.environment(&front, "http://127.0.0.1:4000");
        let value = |name: &str| {
            all.iter()
                .find(|(of, _)| *of == name)
                .map(|(_, value)| value.clone())
        };
        assert_eq!(value("HTTPS_PROXY"), Some(Some("http://127.0.0.1:4000".into())));
        assert_eq!(value("http_proxy"), Some(Some("http://127.0.0.1:4000".into())));
        assert_eq!(value("NO_PROXY"), Some(None));
        assert!(value("SSL_CERT_FILE").is_some());
        assert_eq!(options(Wish::Http).environment(&Front::Plain, "http://x"), []);
    }

    #[test]
    fn what_a_proxy_cannot_serve_is_said_before_the_run() {
        let proxy = options(Wish::Proxy);
        let paths = vias(&["lb=https://shop.test", "tunnel=kubectl:svc/a:80"]);
        assert_eq!(
            proxy.unreachable(&paths).map(|via| via.name.as_str()),
            Some("tunnel")
        );
        assert!(options(Wish::Https).unreachable(&paths).is_none());
        let doubts = proxy.doubts(&vias(&["lb=https://localhost:8443", "direct=https://10.0.0.7"]));
        assert!(doubts[0].contains("path lb is on loopback"), "{doubts:?}");
        assert!(
            options(Wish::Http)
                .doubts(&vias(&["lb=http://127.0.0.1:1"]))
                .is_empty()
        );
    }
}
