//! The words that symptoms are told in.

use crate::evidence::{ConnectFailure, Cut, TlsFailure};
use crate::failure::What;

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
            Cut::UpstreamStream(_) => "answer cut off by a stream reset",
            Cut::DownstreamStream(_) => "stream given up in mid-answer by the generator",
            Cut::GoAway(_) => "answer under way at GOAWAY",
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
            Cut::UpstreamStream(_) => "no answer, stream reset",
            Cut::DownstreamStream(_) => "no answer until the generator gave the stream up",
            Cut::GoAway(_) => "not processed, GOAWAY",
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
                TlsFailure::Incompatible => "no TLS version or cipher in common",
            },
            ConnectFailure::OwnAddress => "hopscope's own address",
            ConnectFailure::NoLocalPort => "no local port left",
            ConnectFailure::NoDescriptor => "no descriptor left",
            ConnectFailure::Errno(_) => "connect failed",
        },
        What::Abandoned { .. } => "left while connecting",
        What::FrontTls(part) => match part {
            TlsFailure::Alert(_) => "TLS handshake refused by the generator with an alert",
            TlsFailure::Ended => "TLS handshake cut off by the generator",
            TlsFailure::TimedOut => "TLS handshake left unfinished by the generator",
            TlsFailure::Incompatible => "TLS of the generator that hopscope cannot answer",
            TlsFailure::Protocol
            | TlsFailure::CertificateExpired
            | TlsFailure::CertificateWrongName
            | TlsFailure::CertificateUntrusted
            | TlsFailure::CertificateInvalid => "generator that does not speak TLS",
        },
    }
}
