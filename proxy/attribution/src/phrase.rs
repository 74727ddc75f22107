//! The words that causes and symptoms are told in.

use crate::cause::Cause;
use crate::evidence::{ConnectFailure, Cut, TlsFailure};
use crate::failure::What;

/// What a charge says happened, fit for the middle of a sentence.
pub(crate) const fn reason(cause: Cause) -> &'static str {
    match cause {
        Cause::ClientAbort => "it left before an answer was due",
        Cause::ClientTimeout => "its own time-out is about as short as answers take",
        Cause::ClientPortsExhausted => "its host ran out of local ports before the requests reached hopscope",
        Cause::ClientFdLimit => "it ran out of descriptors before the requests reached hopscope",
        Cause::ClientFirewall | Cause::LbFirewall => {
            "its own host's firewall or connection table dropped its packets"
        }
        Cause::ObserverSaturated => "hopscope itself could not keep up in those seconds",
        Cause::ObserverFdLimit => "hopscope ran out of descriptors",
        Cause::ObserverPortsExhausted => "hopscope's host ran out of local ports towards the target",
        Cause::ObserverStopped => "they were under way when hopscope was stopped",
        Cause::ObserverEvidenceLost => "they were counted, and the evidence of them was lost",
        Cause::TunnelDown => "nothing listened where the forward should, and it had never stood",
        Cause::TunnelLost => "its own connection ended and took its forwarded connections with it",
        Cause::TunnelTimeout => "streams were not acknowledged within kubectl's 30 s",
        Cause::TunnelHeadOfLine => "it stopped moving bytes because one connection was not read",
        Cause::TunnelPoisoned => "a frame worker of kubectl's is stuck, and streams hang by their number",
        Cause::TunnelBlackhole => "what kubectl sent was never acknowledged",
        Cause::TunnelFdLimit => "kubectl ran out of descriptors and accepts no more",
        Cause::TunnelStreamRefused => "the far end of the tunnel refused a stream",
        Cause::TunnelOutputBlocked => "kubectl waited for somebody to read its output",
        Cause::TunnelStopped => "kubectl was stopped or had no CPU",
        Cause::TunnelTruncated => "it lost bytes that the application had sent, whatever the route",
        Cause::TunnelHalfClose => "it ended answers 1 s after the generator had half-closed",
        Cause::TunnelDenied => "the cluster refused to open the forward",
        Cause::TunnelPortsExhausted => {
            "the runtime had no local port left in the pod for its dial to the application"
        }
        Cause::LbPortsExhausted => "it had no local port left towards its target",
        Cause::BackendPortsExhausted => "it had no local port left for its own outbound connections",
        Cause::LbRefused => "its address refused the connection",
        Cause::LbUnreachable => "its address did not answer",
        Cause::LbReset => "it reset connections that the application had not ended",
        Cause::LbIdleTimeout => "it cut connections that had been idle for its time-out",
        Cause::LbNoTarget => "it answered 503 itself: no target",
        Cause::LbBadGateway => "it answered 502 itself: its target refused, reset or made no sense",
        Cause::LbGatewayTimeout => "it answered 504 itself: its target was too slow",
        Cause::LbError => "it answered 5xx itself",
        Cause::LbRateLimited => "it answered 429 itself",
        Cause::LbTls => "the TLS handshake with it failed",
        Cause::LbDns => "its name did not resolve",
        Cause::BackendRefused => "the application's port refused the connection",
        Cause::BackendUnreachable => "the application's address did not answer",
        Cause::BackendTls => "the TLS handshake with the application failed",
        Cause::BackendReset => "the application ended connections without an answer",
        Cause::BackendAcceptQueue => "the application's accept queue was full",
        Cause::BackendTimeout => "the application took requests and did not answer them",
        Cause::BackendError => "the answers were delivered complete, with status 5xx",
        Cause::BackendRateLimited => "the answers were delivered complete, with status 429",
        Cause::BackendTruncated => "the application ended answers before they were complete",
        Cause::BackendUnreadBody => "the application answered and closed without reading the request's body",
        Cause::BackendNotReady => "the pod was gone or not running",
        Cause::BackendDependency => {
            "the application delivered complete answers that blame a service behind it"
        }
        Cause::BackendOverloaded => "the application said that it was overloaded",
        Cause::BackendKeepAliveRace => "the application closed idle connections just as they were used again",
        Cause::RequestRejected => "they were answered with 4xx: every hop delivered",
        Cause::Undetermined => "the evidence fits more than one hop",
    }
}

/// What a failure looked like, in few words.
pub(crate) const fn symptom(what: What) -> &'static str {
    match what {
        What::Answered { .. } => "complete error answer",
        What::Broken { begun: true, by } => match by {
            Cut::DownstreamFin => "left in mid-answer by the generator",
            Cut::DownstreamReset => "reset in mid-answer by the generator",
            Cut::UpstreamFin => "answer cut off by FIN",
            Cut::UpstreamReset => "answer cut off by RST",
            Cut::UpstreamErrno(_) => "answer cut off by a socket error",
            Cut::NotConnected => "not connected",
            Cut::Unreadable => "answer that is not HTTP",
            Cut::Stopped => "answer under way at the end of the run",
        },
        What::Broken { begun: false, by } => match by {
            Cut::DownstreamFin => "no answer until the generator left",
            Cut::DownstreamReset => "no answer until the generator reset",
            Cut::UpstreamFin => "no answer, FIN",
            Cut::UpstreamReset => "no answer, RST",
            Cut::UpstreamErrno(_) => "no answer, socket error",
            Cut::NotConnected => "not connected",
            Cut::Unreadable => "answer that is not HTTP",
            Cut::Stopped => "no answer until the end of the run",
        },
        What::NotConnected(failure) => match failure {
            ConnectFailure::Refused => "connection refused",
            ConnectFailure::TimedOut => "connect timed out",
            ConnectFailure::Unreachable => "unreachable",
            ConnectFailure::Reset => "reset during the handshake",
            ConnectFailure::Dns => "name not resolved",
            ConnectFailure::Tls(part) => match part {
                TlsFailure::CertificateExpired => "certificate expired or not valid yet",
                TlsFailure::CertificateWrongName => "certificate for another name",
                TlsFailure::CertificateUntrusted => "certificate of no trusted authority",
                TlsFailure::CertificateInvalid => "certificate not valid",
                TlsFailure::Alert(_) => "TLS handshake refused with an alert",
                TlsFailure::Ended => "TLS handshake cut off",
                TlsFailure::TimedOut => "TLS handshake timed out",
                TlsFailure::Protocol => "answer that is not TLS",
            },
            ConnectFailure::NoLocalPort => "no local port left",
            ConnectFailure::NoDescriptor => "no descriptor left",
            ConnectFailure::Errno(_) => "connect failed",
        },
        What::Abandoned { .. } => "left while connecting",
    }
}
