//! From an HTTP request to a tunnel, over WebSocket or over plain SPDY/3.1.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::front::{Front, Refusal};
use super::http::{self, Request};
use super::{State, object};
use crate::node::{self, Phase, PodHandle, Tunnel};
use crate::spdy::connection::{Connection, Framing, Start};
use crate::websocket::{self, Role};

/// The subprotocol of a tunnel over WebSocket (KEP-4006).
pub(crate) const WEBSOCKET_PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";
/// The protocol of a forward over plain SPDY.
pub(crate) const SPDY_PROTOCOL: &str = "portforward.k8s.io";

/// Both sides' agreement on how to tunnel to which pod.
#[derive(Debug)]
pub(super) struct Agreed {
    pod: PodHandle,
    /// The answer to the WebSocket's key; none over plain SPDY.
    websocket_accept: Option<String>,
    names_protocol: bool,
}

/// The namespace and name of the pod that a request wants a tunnel to.
pub(super) fn wanted(request: &Request) -> Option<(&str, &str)> {
    let mut segments = request.path.split('/').filter(|segment| !segment.is_empty());
    let prefix = [segments.next()?, segments.next()?, segments.next()?];
    let (namespace, pods) = (segments.next()?, segments.next()?);
    let (name, verb) = (segments.next()?, segments.next()?);
    let fits = prefix == ["api", "v1", "namespaces"] && pods == "pods" && verb == "portforward";
    (fits && segments.next().is_none()).then_some((namespace, name))
}

/// Decides on a request for a tunnel.
pub(super) fn agree(request: &Request, front: &Front, pod: Option<&PodHandle>) -> Result<Agreed, Refusal> {
    if let Some(refusal) = front.refusal(true) {
        return Err(refusal.clone());
    }
    let pod = pod.filter(|pod| pod.read().phase != Phase::Gone);
    let pod = pod.ok_or_else(|| Refusal::not_found("pods", wanted(request).map_or("", |(_, name)| name)))?;
    if pod.read().phase != Phase::Running {
        return Err(Refusal::new(
            400,
            "BadRequest",
            format!("pod is not running on {}", object::NODE),
        ));
    }
    let upgrade = request.header("upgrade").unwrap_or_default();
    let websocket_accept = if upgrade.eq_ignore_ascii_case("websocket") {
        if !front.offers_websocket {
            return Err(Refusal::new(
                400,
                "BadRequest",
                "unable to upgrade: missing upgrade headers in request",
            ));
        }
        let offers = request.header("sec-websocket-protocol").unwrap_or_default();
        if !offers.split(',').any(|offer| offer.trim() == WEBSOCKET_PROTOCOL) {
            return Err(Refusal::new(
                400,
                "BadRequest",
                format!("no protocol among {offers:?} is known"),
            ));
        }
        let key = request.header("sec-websocket-key");
        let key = key.ok_or_else(|| Refusal::new(400, "BadRequest", "Sec-WebSocket-Key is missing"))?;
        Some(websocket::accept_key(key))
    } else if upgrade.eq_ignore_ascii_case("SPDY/3.1") {
        None
    } else {
        return Err(Refusal::new(400, "BadRequest", "Upgrade request required"));
    };
    Ok(Agreed {
        pod: pod.clone(),
        websocket_accept,
        names_protocol: front.names_protocol,
    })
}

/// Switches the socket over and serves the tunnel until it ends.
pub(super) async fn tunnel(
    mut socket: TcpStream,
    head: Vec<u8>,
    state: &State,
    agreed: Agreed,
) -> io::Result<()> {
    let mut headers = Vec::new();
    let framing = if let Some(accept) = &agreed.websocket_accept {
        headers.extend([
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Accept", accept.as_str()),
        ]);
        headers.extend(
            agreed
                .names_protocol
                .then_some(("Sec-WebSocket-Protocol", WEBSOCKET_PROTOCOL)),
        );
        Framing::WebSocket(Role::Server)
    } else {
        headers.push(("Upgrade", "SPDY/3.1"));
        headers.extend(
            agreed
                .names_protocol
                .then_some(("X-Stream-Protocol-Version", SPDY_PROTOCOL)),
        );
        Framing::Raw
    };
    http::switch(&mut socket, &headers).await?;
    let valves = state.node.faults.valves();
    let idle = state.front().idle;
    let (connection, streams) = Connection::server(Start {
        socket,
        framing,
        head,
        idle,
        valves,
    });
    let node = Arc::clone(&state.node);
    node::serve(
        Tunnel {
            number: state.next_tunnel(),
            node,
            pod: agreed.pod,
            connection,
        },
        streams,
    )
    .await;
    Ok(())
}
