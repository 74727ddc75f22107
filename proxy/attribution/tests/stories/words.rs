//! The words of a story: numbers with units, outcomes, hops, authors.

use std::net::IpAddr;

use hopscope_attribution::evidence::node::KernelEnd;
use hopscope_attribution::evidence::{Author, ConnectFailure, Cut, EnvoyReply, Span, TlsFailure, grpc};
use hopscope_attribution::hop::Hop;

/// What the exchanges of a `load` line come to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Ok,
    Answered(u16, Author),
    Truncated(Cut),
    Nothing(Cut),
    NotConnected(ConnectFailure),
    Abandoned,
}

pub(crate) fn span(word: &str) -> Result<Span, String> {
    let wrong = || format!("`{word}` is not a length of time such as 7ms or 30s");
    let micros = |number: &str, unit: f64| {
        let number: f64 = number.parse().map_err(|_| wrong())?;
        Ok(Span::from(std::time::Duration::from_secs_f64(number * unit)))
    };
    if let Some(number) = word.strip_suffix("us") {
        micros(number, 1e-6)
    } else if let Some(number) = word.strip_suffix("ms") {
        micros(number, 1e-3)
    } else if let Some(number) = word.strip_suffix('s') {
        micros(number, 1.0)
    } else {
        Err(wrong())
    }
}

pub(crate) fn number(word: &str) -> Result<u64, String> {
    word.replace('_', "")
        .parse()
        .map_err(|_| format!("`{word}` is not a whole number"))
}

pub(crate) fn address(word: &str) -> Result<IpAddr, String> {
    word.parse().map_err(|_| format!("`{word}` is not an address"))
}

pub(crate) fn hop(word: &str) -> Result<Hop, String> {
    Hop::from_word(word).ok_or_else(|| format!("`{word}` is not a hop"))
}

pub(crate) fn author(word: &str) -> Result<Author, String> {
    Ok(match word {
        "unstated" => Author::Unstated,
        "application" => Author::Application,
        "alb" => Author::AwsAlb,
        "nginx" => Author::Nginx,
        "haproxy" => Author::HaProxy,
        "envoy" => Author::Envoy(EnvoyReply::Other),
        "envoy-no-healthy" => Author::Envoy(EnvoyReply::NoHealthyUpstream),
        "envoy-overflow" => Author::Envoy(EnvoyReply::Overflow),
        "envoy-connect" => Author::Envoy(EnvoyReply::ConnectFailure),
        "hopscope" => Author::Hopscope,
        _ => return Err(format!("`{word}` is not an author")),
    })
}

fn cut(word: &str) -> Result<Cut, String> {
    Ok(match word {
        "upstream-fin" => Cut::UpstreamFin,
        "upstream-rst" => Cut::UpstreamReset,
        "upstream-timeout" => Cut::UpstreamErrno(110),
        "downstream-fin" => Cut::DownstreamFin,
        "downstream-rst" => Cut::DownstreamReset,
        "stopped" => Cut::Stopped,
        "unreadable" => Cut::Unreadable,
        "goaway" => Cut::GoAway(0),
        "refused-stream" => Cut::UpstreamStream(7),
        "upstream-stream" => Cut::UpstreamStream(2),
        "downstream-stream" => Cut::DownstreamStream(8),
        _ => return Err(format!("`{word}` is not a way to be cut off")),
    })
}

pub(crate) fn tls_failure(word: &str) -> Result<TlsFailure, String> {
    Ok(match word {
        "untrusted" => TlsFailure::Alert(48),
        "ended" => TlsFailure::Ended,
        "not-tls" => TlsFailure::Protocol,
        "incompatible" => TlsFailure::Incompatible,
        _ => return Err(format!("`{word}` is not a failure of TLS")),
    })
}

/// `ok`, `502`, `502:nginx`, `nothing:upstream-fin`, `truncated:upstream-rst`, `refused`, ...
pub(crate) fn outcome(word: &str) -> Result<Outcome, String> {
    let (head, tail) = word.split_once(':').unwrap_or((word, ""));
    Ok(match head {
        "ok" => Outcome::Ok,
        "nothing" => Outcome::Nothing(cut(tail)?),
        "truncated" => Outcome::Truncated(cut(tail)?),
        "refused" => Outcome::NotConnected(ConnectFailure::Refused),
        "connect-timeout" => Outcome::NotConnected(ConnectFailure::TimedOut),
        "unreachable" => Outcome::NotConnected(ConnectFailure::Unreachable),
        "handshake-reset" => Outcome::NotConnected(ConnectFailure::Reset),
        "dns" => Outcome::NotConnected(ConnectFailure::Dns),
        "tls-ended" => Outcome::NotConnected(ConnectFailure::Tls(TlsFailure::Ended)),
        "tls" => Outcome::NotConnected(ConnectFailure::Tls(TlsFailure::CertificateExpired)),
        "tls-incompatible" => Outcome::NotConnected(ConnectFailure::Tls(TlsFailure::Incompatible)),
        "own-address" => Outcome::NotConnected(ConnectFailure::OwnAddress),
        "no-local-port" => Outcome::NotConnected(ConnectFailure::NoLocalPort),
        "no-descriptor" => Outcome::NotConnected(ConnectFailure::NoDescriptor),
        "abandoned" => Outcome::Abandoned,
        status => {
            let call = status
                .strip_prefix("grpc-")
                .map(|code| code.parse().map(grpc::status));
            let status = call
                .unwrap_or_else(|| status.parse())
                .map_err(|_| format!("`{word}` is not an outcome"))?;
            Outcome::Answered(status, author(if tail.is_empty() { "unstated" } else { tail })?)
        }
    })
}

pub(crate) fn kernel_end(word: &str) -> Result<KernelEnd, String> {
    Ok(match word {
        "connect-timed-out" => KernelEnd::ConnectTimedOut { retransmits: 2 },
        "connect-refused" => KernelEnd::ConnectRefused,
        "no-local-port" => KernelEnd::NoLocalPort,
        "reset-sent-unread" => KernelEnd::ResetSentUnread,
        "reset-sent" => KernelEnd::ResetSent,
        "reset-received" => KernelEnd::ResetReceived,
        "accept-queue-full" => KernelEnd::AcceptQueueFull,
        "closed-first" => KernelEnd::ClosedFirst,
        "closed-by-peer" => KernelEnd::ClosedByPeer,
        _ => return Err(format!("`{word}` is not an end of a socket")),
    })
}
