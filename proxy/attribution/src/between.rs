//! Between which hops a failure stays open: the two that the evidence leaves, where it leaves two.

use crate::case::Case;
use crate::cause::Cause;
use crate::evidence::{Author, ConnectFailure, Cut, PathKind, TlsFailure};
use crate::failure::{Failure, What};
use crate::hop::Hop;
use crate::rules::{ended_together, half_closed, kept_waiting};

/// The hops between which a charge stays open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Between {
    /// The evidence does not narrow it down, or the charge is not open.
    #[default]
    Any,
    /// The load balancer or what is behind it.
    LbBackend,
    /// The tunnel or what is behind it.
    TunnelBackend,
}

impl Between {
    /// The hops, in the order of the path; none where it is not narrowed down.
    pub const fn hops(self) -> &'static [Hop] {
        match self {
            Self::Any => &[],
            Self::LbBackend => &[Hop::Lb, Hop::Backend],
            Self::TunnelBackend => &[Hop::Tunnel, Hop::Backend],
        }
    }

    /// Whether whoever failed is one of these for certain.
    pub fn within(self, hops: &[Hop]) -> bool {
        !self.hops().is_empty() && self.hops().iter().all(|hop| hops.contains(hop))
    }

    /// The two as the subject of a sentence.
    pub(crate) const fn noun(self) -> Option<&'static str> {
        match self {
            Self::Any => None,
            Self::LbBackend => Some("load balancer or what is behind it"),
            Self::TunnelBackend => Some("tunnel or what is behind it"),
        }
    }
}

/// Says of every failure that no rule decided between which hops it stays open.
pub(crate) fn settle(case: &mut Case<'_>) {
    let mut failures = std::mem::take(&mut case.failures);
    for failure in failures
        .iter_mut()
        .filter(|failure| failure.cause == Cause::Undetermined)
    {
        failure.between = of(case, failure);
    }
    case.failures = failures;
}

fn of(case: &Case<'_>, failure: &Failure) -> Between {
    let between = match case.kind(failure.path) {
        PathKind::Lb => Between::LbBackend,
        PathKind::Tunnel => Between::TunnelBackend,
        // Its mark says what stands there, whatever the path's name does not say.
        PathKind::Unstated
            if matches!(
                failure.what,
                What::Answered {
                    author: Author::AwsAlb,
                    ..
                }
            ) =>
        {
            Between::LbBackend
        }
        PathKind::Direct | PathKind::Unstated => return Between::Any,
    };
    let connection = case.connection(failure);
    if failure.contradicted || connection.as_ref().is_some_and(ended_together) {
        return Between::Any;
    }
    let behind_hopscope = match failure.what {
        What::Answered { author, .. } => author != Author::Hopscope,
        What::Broken { by, .. } => match by {
            Cut::UpstreamFin
            | Cut::UpstreamReset
            | Cut::UpstreamErrno(_)
            | Cut::Unreadable
            | Cut::UpstreamStream(_)
            | Cut::GoAway(_) => true,
            // Whoever kept the generator waiting for longer than an answer takes.
            Cut::DownstreamFin | Cut::DownstreamReset | Cut::Stopped => {
                let exchange = case.exchange(failure);
                let half = exchange
                    .zip(connection)
                    .is_some_and(|(exchange, connection)| half_closed(&exchange, &connection));
                let asked = exchange.is_none_or(|exchange| exchange.request_complete);
                let timely = !case.late.host.touches(failure.began, failure.at);
                asked && !half && timely && failure.age() >= kept_waiting(case, failure)
            }
            Cut::NotConnected | Cut::DownstreamStream(_) => false,
        },
        What::NotConnected(failure) => of_connect(failure),
        What::Abandoned { .. } => true,
        What::FrontTls(_) => false,
    };
    if behind_hopscope { between } else { Between::Any }
}

const fn of_connect(failure: ConnectFailure) -> bool {
    match failure {
        ConnectFailure::Refused
        | ConnectFailure::TimedOut
        | ConnectFailure::Unreachable
        | ConnectFailure::Reset
        | ConnectFailure::Tls(TlsFailure::Ended | TlsFailure::TimedOut) => true,
        ConnectFailure::Dns
        | ConnectFailure::Tls(_)
        | ConnectFailure::OwnAddress
        | ConnectFailure::NoLocalPort
        | ConnectFailure::NoDescriptor
        | ConnectFailure::Errno(_) => false,
    }
}
