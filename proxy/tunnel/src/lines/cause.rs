//! Reads the error inside a line: what client-go, spdystream, the kubelet and the container runtimes say.

use hopscope_attribution::evidence::tunnel::TunnelMeaning;

/// The error of `error creating (error|forwarding) stream`, from spdystream's `connection.go`.
/// Builds before 1.20 spell it `occured`.
pub(super) fn of_stream_creation(inner: &str) -> TunnelMeaning {
    let inner = inner.to_ascii_lowercase();
    if inner.contains("timeout occurred") || inner.contains("timeout occured") {
        TunnelMeaning::StreamTimeout
    } else if inner.contains("stream reset") {
        TunnelMeaning::StreamReset
    } else {
        // A write to a connection that has ended: broken pipe, EOF, close sent, no stream id left.
        TunnelMeaning::StreamLost
    }
}

/// The error of `error accepting connection`: whatever it is, kubectl's accept loop ends with it.
pub(super) fn of_accepting(inner: &str) -> TunnelMeaning {
    if inner.contains("too many open files") {
        TunnelMeaning::NoDescriptor
    } else {
        TunnelMeaning::Unrecognised
    }
}

/// The node's own text, sent over the error stream: the kubelet's words, then the runtime's.
pub(super) fn of_node(inner: &str) -> TunnelMeaning {
    // socat and Go spell the same errors with and without a capital.
    let inner = &inner.to_ascii_lowercase();
    // The kubelet's own words before the runtime's: they name the pod in every error.
    let inner = match inner.split_once(", uid ") {
        Some((_, rest)) => rest.split_once(": ").map_or(rest, |(_uid, told)| told),
        None => inner,
    };
    let says = |text: &str| inner.contains(text);
    if says("timed out waiting for streams") {
        TunnelMeaning::NodePairTimeout
    } else if let Some(failure) = of_dial(inner) {
        failure
    } else if is_about_a_lost_sandbox(inner) {
        TunnelMeaning::PodGone
    } else if says("connection reset by peer") {
        TunnelMeaning::PodReset
    } else if says("broken pipe") {
        TunnelMeaning::PodBrokenPipe
    } else {
        TunnelMeaning::NodeError
    }
}

/// The node could not connect to the pod's port. containerd and cri-o say `failed to connect to localhost`, Go says
/// `connect:`, socat `E connect(`. `inner` is in lower case.
fn of_dial(inner: &str) -> Option<TunnelMeaning> {
    let is_about_a_dial = ["failed to connect to", "connect: ", "connect("]
        .iter()
        .any(|text| inner.contains(text));
    if !is_about_a_dial {
        return None;
    }
    // containerd tells of both addresses. An application listens on IPv4, most often on that alone: what became of that
    // one counts, and a refusal by `::1` beside it says nothing; without IPv6 there is no such address to dial from.
    let both = inner
        .split_once("ipv4: ")
        .and_then(|(_, rest)| rest.split_once(" ipv6 "));
    let timed_out = |text: &str| text.contains("timed out") || text.contains("i/o timeout");
    let (decisive, other) = both.unwrap_or((inner, ""));
    if timed_out(decisive) || timed_out(other) {
        Some(TunnelMeaning::PodConnectTimeout)
    } else if decisive.contains("connection refused") {
        Some(TunnelMeaning::PodRefused)
    } else if decisive.contains("cannot assign requested address") && !decisive.contains("tcp6") {
        Some(TunnelMeaning::NoPodPort)
    } else {
        None
    }
}

/// containerd `sandbox_portforward_linux.go`; cri-o `container_portforward.go`; dockershim; the kubelet.
fn is_about_a_lost_sandbox(inner: &str) -> bool {
    ["sandbox", "namespace", "pod", "container"]
        .iter()
        .any(|text| inner.contains(text))
        && [
            "not found",
            "could not find sandbox",
            "is closed",
            "is not running",
            "not running",
            "is empty",
            "no such file or directory",
        ]
        .iter()
        .any(|text| inner.contains(text))
}

/// A line about the forward as a whole; `None` where the text is none of those that are known.
pub(super) fn of_ending(line: &str) -> Option<TunnelMeaning> {
    let says = |text: &str| line.contains(text);
    let any = |texts: &[&str]| texts.iter().any(|text| line.contains(text));
    Some(if says("lost connection to pod") {
        TunnelMeaning::Lost
    } else if any(&[
        "Unable to listen on port",
        "unable to listen on any of the requested ports",
    ]) {
        TunnelMeaning::CannotListen
    } else if says("fallback to secondary dialer") {
        TunnelMeaning::Fallback
    } else if any(&["is forbidden: ", "(Forbidden)", "Forbidden: "]) {
        TunnelMeaning::Forbidden
    } else if any(&[
        "You must be logged in to the server",
        "Unauthorized",
        "getting credentials",
        "exec plugin",
        "provide credentials",
        "Please enter Username",
        "token has expired",
    ]) {
        TunnelMeaning::NotLoggedIn
    } else if any(&["error dialing backend", "No agent available", "proxy error from"]) {
        TunnelMeaning::NodeUnreachable
    } else if says("upgrad")
        && any(&[
            "sandbox",
            "in-flight requests exceeded",
            "container is not running",
            "container not running",
        ])
    {
        TunnelMeaning::RuntimeRefused
    } else if any(&[
        "pod is not running",
        "does not have a host assigned",
        "timed out waiting for the condition",
        "not running",
    ]) {
        TunnelMeaning::PodNotRunning
    } else if any(&[
        "(NotFound)",
        "does not have a service port",
        "does not have a named port",
        "no matches for kind",
        "doesn't have a resource type",
        "cannot attach to",
    ]) || (says("upgrading connection") && says("\" not found"))
    {
        TunnelMeaning::NotFound
    } else if any(&[
        "error upgrading connection",
        "unable to upgrade connection",
        "unable to negotiate protocol",
    ]) {
        TunnelMeaning::UpgradeFailed
    } else if any(&[
        "Error in configuration",
        "error loading config",
        "context was not found",
        "error: stat ",
        "invalid configuration",
        "does not exist",
    ]) {
        TunnelMeaning::BadConfiguration
    } else if any(&[
        "Unable to connect to the server",
        "The connection to the server",
        "get current server API group list",
        "(ServiceUnavailable)",
        "(InternalError)",
        "x509: ",
    ]) {
        TunnelMeaning::ApiUnreachable
    } else {
        return None;
    })
}
