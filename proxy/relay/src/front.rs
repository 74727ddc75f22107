//! How the generator reaches hopscope: `--front`.

pub(super) mod authority;
pub(super) mod bypass;
pub(super) mod terminator;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use self::bypass::Bypass;
use self::terminator::Terminator;
use super::connection::proxied::Reception;
use super::host_header::HostHeader;
use super::refusal::OnRefusal;
use super::upstream::OwnAddress;
use hopscope_tunnel::paths::{Target, Transport, Via};

pub use self::authority::{Authority, AuthorityError};

/// How the generator reaches hopscope.
#[derive(Clone, Debug, Default)]
pub enum Front {
    /// TCP as it comes. TLS in it passes unread.
    #[default]
    Plain,
    /// TLS ends at hopscope, with certificates of an authority that was made for this run.
    Tls(Arc<Authority>),
    /// hopscope is the generator's HTTP proxy.
    Proxy(Proxy),
}

/// An HTTP proxy for the hosts that paths lead to. What is for others passes unread.
#[derive(Clone, Debug)]
pub struct Proxy {
    authority: Option<Arc<Authority>>,
    bypass: Arc<Bypass>,
}

impl Proxy {
    /// Ends the TLS of paths with TLS by this authority; without one, TLS passes end to end.
    pub fn new(authority: Option<Arc<Authority>>) -> Self {
        Self {
            authority,
            bypass: Arc::default(),
        }
    }
}

/// What becomes of a connection as it comes in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Door {
    pub(super) on_refusal: OnRefusal,
    /// How long the generator's TLS handshake may take, where its TLS ends here.
    pub(super) tls: Option<Duration>,
}

impl Front {
    /// How a connection comes in, where this much time is given to a handshake.
    pub(super) fn door(&self, on_refusal: OnRefusal, limit: Duration) -> Door {
        let tls = match self {
            Self::Plain | Self::Proxy(_) => None,
            Self::Tls(_) => Some(limit),
        };
        Door { on_refusal, tls }
    }

    /// What one worker needs to end TLS, where it ends here.
    pub(super) fn terminator(&self) -> Option<Terminator> {
        match self {
            Self::Plain => None,
            Self::Tls(authority) => Some(Terminator::new(Arc::clone(authority))),
            Self::Proxy(proxy) => proxy.authority.clone().map(Terminator::new),
        }
    }

    /// What a proxy's connections need, where hopscope is one.
    pub(super) fn reception(
        &self,
        on_refusal: OnRefusal,
        limit: Duration,
        own: OwnAddress,
    ) -> Option<Reception> {
        let Self::Proxy(proxy) = self else { return None };
        Some(Reception {
            door: self.door(on_refusal, limit),
            limit,
            ends_tls: proxy.authority.is_some(),
            bypass: Arc::clone(&proxy.bypass),
            own,
        })
    }

    /// What the report says, at the end, of what passed by.
    pub(super) fn last_note(&self) -> Option<String> {
        match self {
            Self::Plain | Self::Tls(_) => None,
            Self::Proxy(proxy) => proxy.bypass.note(),
        }
    }

    /// What the report says first of where TLS ends on a path, and what that changes.
    pub(super) fn note(&self, via: &Via, host: &HostHeader, listening: SocketAddr) -> Option<String> {
        let secured = matches!(&via.target, Target::Endpoint(to) if to.transport == Transport::Tls);
        match self {
            Self::Tls(_) => {}
            Self::Proxy(proxy) if secured && proxy.authority.is_some() => {}
            Self::Plain | Self::Proxy(_) => return None,
        }
        let onwards = if secured {
            "and was made anew towards the target: handshakes, session resumption and the certificate that the generator saw \
             are hopscope's, and where the target's own handshake fails the generator's is left unfinished"
        } else {
            "and the path has none: nothing is said of the target's TLS"
        };
        let held_back = match host.rule(via, listening) {
            Some(_) if secured => {
                " HTTP/2 was not offered where the generator speaks HTTP/1 as well, for it would name hopscope's own address \
                 to the target (--host-header keep offers it)."
            }
            Some(_) | None => "",
        };
        Some(format!(
            "The generator's TLS ended at hopscope on path {}, {onwards}.{held_back}",
            via.name
        ))
    }

    /// The authority that the generator has to trust, where TLS ends here.
    pub fn authority(&self) -> Option<&Authority> {
        match self {
            Self::Plain => None,
            Self::Tls(authority) => Some(authority),
            Self::Proxy(proxy) => proxy.authority.as_deref(),
        }
    }

    /// What a generator's environment needs to trust this run's certificates: a variable's name, and the file.
    pub fn environment(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.authority()
            .into_iter()
            .flat_map(|authority| authority::VARIABLES.map(|variable| (variable, authority.bundle())))
    }
}
