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
    let says = |text: &str| inner.contains(text);
    if says("timed out waiting for streams") {
        TunnelMeaning::NodePairTimeout
    } else if is_about_a_dial(inner) && (says("connection refused") || says("Connection refused")) {
        TunnelMeaning::PodRefused
    } else if is_about_a_dial(inner) && (says("timed out") || says("i/o timeout")) {
        TunnelMeaning::PodConnectTimeout
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

/// containerd and cri-o say `failed to connect to localhost`, Go says `connect:`, socat `E connect(`.
fn is_about_a_dial(inner: &str) -> bool {
    ["failed to connect to", "connect: ", "connect("]
        .iter()
        .any(|text| inner.contains(text))
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
    ]) {
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
