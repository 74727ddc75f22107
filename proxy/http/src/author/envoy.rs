//! Envoy's local replies: their texts, and what each says went wrong.

use hopscope_attribution::evidence::EnvoyReply;

const BEFORE_HEADERS: &[u8] = b"upstream connect error or disconnect/reset before headers. ";

/// Replies of Envoy's filters: Envoy judged the request, and no upstream was asked.
const OF_FILTERS: [&[u8]; 2] = [b"local_rate_limited", b"RBAC: access denied"];

/// What Envoy says with this text, if it is Envoy's.
pub(super) fn reply(body: &[u8]) -> Option<EnvoyReply> {
    if let Some(rest) = body.strip_prefix(BEFORE_HEADERS) {
        let rest = rest.strip_prefix(b"retried and the latest ").unwrap_or(rest);
        return rest.strip_prefix(b"reset reason: ").map(reset_reason);
    }
    match body {
        b"no healthy upstream" => Some(EnvoyReply::NoHealthyUpstream),
        b"upstream request timeout" => Some(EnvoyReply::RequestTimeout),
        _ if OF_FILTERS.contains(&body) => Some(EnvoyReply::Other),
        _ => None,
    }
}

/// The reason, up to a comma after which the transport's own words may follow. Older versions do not say whose
/// connection failure it was.
fn reset_reason(text: &[u8]) -> EnvoyReply {
    let reason = text.split(|byte| *byte == b',').next().unwrap_or_default();
    match reason {
        b"connection failure" | b"local connection failure" | b"remote connection failure" => {
            EnvoyReply::ConnectFailure
        }
        b"connection timeout" => EnvoyReply::ConnectTimeout,
        b"connection termination" | b"remote reset" => EnvoyReply::Disconnected,
        b"overflow" => EnvoyReply::Overflow,
        b"protocol error" => EnvoyReply::ProtocolError,
        _ => EnvoyReply::Other,
    }
}
