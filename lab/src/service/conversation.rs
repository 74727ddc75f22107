//! One connection of a service: requests in, answers or mischief out.

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::atomic::Ordering;

use tokio::net::TcpStream;

use super::{Misbehaviour, Shared};
use crate::wire::{RequestHead, Wire};

/// What becomes of the connection after one answer.
enum Then {
    Next(Wire),
    Over,
}

/// Answers requests until either side ends the connection.
pub(super) async fn converse(service: &Shared, stream: TcpStream, client: IpAddr) {
    let mut wire = Wire::new(stream);
    loop {
        let Ok(request) = tokio::time::timeout(service.idle, wire.request()).await else {
            // Dropped, not drained: a request that is on its way now meets a closed socket, as with real servers.
            return;
        };
        match request {
            Ok(Some(head)) => match answer(service, wire, &head, client).await {
                Then::Next(kept) => wire = kept,
                Then::Over => return,
            },
            Ok(None) => return wire.close().await,
            Err(_broken) => return,
        }
    }
}

async fn answer(service: &Shared, mut wire: Wire, head: &RequestHead, client: IpAddr) -> Then {
    let misbehaviour = service.misbehaviour(&head.path);
    if misbehaviour == Some(Misbehaviour::AnswerEarly) {
        if wire.send(&message(413, &error_body(413), false)).await.is_ok() {
            service.answered.fetch_add(1, Ordering::Relaxed);
        }
        // Dropped with the body unread: the kernel sends RST (tcp_close, `TCP_ABORT_ON_CLOSE`).
        return Then::Over;
    }
    if wire.body(head.framing, None, 0).await.is_err() {
        return Then::Over;
    }
    if misbehaviour.is_none() && service.over_the_limit(client) {
        return reply(
            service,
            wire,
            &message(429, &error_body(429), head.keep_alive),
            head.keep_alive,
        )
        .await;
    }
    let healthy = |body: &[u8]| {
        message(
            200,
            if head.method == "HEAD" { b"" } else { body },
            head.keep_alive,
        )
    };
    let own = service.latency;
    match misbehaviour {
        None => {
            wait(service, own).await;
            reply(
                service,
                wire,
                &healthy(service.body_for(&head.path)),
                head.keep_alive,
            )
            .await
        }
        Some(Misbehaviour::Slow(latency)) => {
            wait(service, latency).await;
            reply(
                service,
                wire,
                &healthy(service.body_for(&head.path)),
                head.keep_alive,
            )
            .await
        }
        Some(Misbehaviour::Status { status, after }) => {
            wait(service, after).await;
            let error = message(status, &error_body(status), head.keep_alive);
            reply(service, wire, &error, head.keep_alive).await
        }
        Some(Misbehaviour::Silence) => {
            // Nothing but the other side's patience ends this; what else it may say is read and ignored.
            let end = wire.request().await;
            tracing::trace!(?end, "a silent request ended");
            Then::Over
        }
        Some(Misbehaviour::Reset { after }) => {
            wait(service, after).await;
            wire.reset();
            Then::Over
        }
        Some(Misbehaviour::CloseUnanswered) => {
            wait(service, own).await;
            wire.close().await;
            Then::Over
        }
        Some(Misbehaviour::Truncate) => {
            wait(service, own).await;
            let whole = healthy(&service.body);
            let half = whole.len() - service.body.len() / 2;
            if wire.send(&whole[..half]).await.is_ok() {
                wire.close().await;
            }
            Then::Over
        }
        Some(Misbehaviour::AnswerEarly) => Then::Over,
    }
}

async fn wait(service: &Shared, latency: crate::draw::Latency) {
    let duration = latency.sample(&mut service.latency_draws.draw());
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

async fn reply(service: &Shared, mut wire: Wire, message: &[u8], keep_alive: bool) -> Then {
    if wire.send(message).await.is_err() {
        return Then::Over;
    }
    service.answered.fetch_add(1, Ordering::Relaxed);
    if keep_alive {
        Then::Next(wire)
    } else {
        wire.close().await;
        Then::Over
    }
}

/// A whole response in the manner of a small application server.
pub(crate) fn message(status: u16, body: &[u8], keep_alive: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(160 + body.len());
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let reason = reason(status);
    let written = write!(
        bytes,
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json; charset=utf-8\r\n\
         content-length: {}\r\nconnection: {connection}\r\n\r\n",
        body.len()
    );
    debug_assert!(written.is_ok(), "a Vec takes every write");
    bytes.extend_from_slice(body);
    bytes
}

/// The JSON that a small application server sends with an error.
pub(crate) fn error_body(status: u16) -> Vec<u8> {
    let reason = reason(status);
    format!("{{\"statusCode\":{status},\"error\":\"{reason}\"}}").into_bytes()
}

/// The reason phrases of RFC 9110 that the lab needs.
pub(crate) const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        404 => "Not Found",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Unnamed",
    }
}
