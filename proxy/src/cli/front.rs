//! `--front`: how the load generator reaches hopscope, and what it is told of that.

use std::sync::Arc;

use clap::{Args, ValueEnum};

use hopscope_relay::{Authority, AuthorityError, Front, HostHeader};
use hopscope_tunnel::paths::{Target, Transport, Via};

/// How the generator reaches hopscope.
#[derive(Clone, Debug, Default, Args)]
pub struct FrontOptions {
    /// How the load generator reaches hopscope. http: TCP as it comes. https: TLS, which ends at hopscope with a
    /// certificate that is made for this run; the environment of COMMAND names its authority (SSL_CERT_FILE and its like)
    #[arg(
        long,
        value_name = "http|https",
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
}

impl FrontOptions {
    /// What stands before hopscope's address in a URL.
    pub(super) const fn scheme(&self) -> &'static str {
        match self.front {
            Wish::Http => "http",
            Wish::Https => "https",
        }
    }

    /// The front. Where TLS ends at hopscope its authority is made here.
    ///
    /// # Errors
    /// When there can be no authority.
    pub(super) fn make(&self) -> Result<Front, AuthorityError> {
        Ok(match self.front {
            Wish::Https if !self.tls_passthrough => Front::Tls(Arc::new(Authority::new()?)),
            Wish::Http | Wish::Https => Front::Plain,
        })
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
        if self.tls_passthrough {
            HostHeader::Keep
        } else {
            wished.clone()
        }
    }
}
