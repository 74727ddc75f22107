//! One client's connection on layer 7: each request to a target, each failure of a target answered by a page.

use hopscope_attribution::cause::Cause;
use tokio::net::TcpStream;

use super::{Pages, Shared, Trouble};
use crate::service::message;
use crate::upstream::{NoAnswer, whole_body};
use crate::wire::{RequestHead, Wire};

pub(super) async fn converse(balancer: &Shared, pages: Pages, stream: TcpStream) {
    let mut wire = Wire::new(stream);
    loop {
        let head = match wire.request().await {
            Ok(Some(head)) => head,
            Ok(None) => return wire.close().await,
            Err(_broken) => return,
        };
        let Ok(body) = whole_body(&mut wire, &head).await else {
            return;
        };
        let Some(response) = answer(balancer, pages, &head, &body).await else {
            return wire.reset();
        };
        if wire.send(&response).await.is_err() {
            return;
        }
        if !head.keep_alive {
            return wire.close().await;
        }
    }
}

/// The whole response; `None` is a reset.
async fn answer(balancer: &Shared, pages: Pages, head: &RequestHead, body: &[u8]) -> Option<Vec<u8>> {
    match balancer.trouble(&head.path) {
        Some((Trouble::NoTarget, cause)) => {
            balancer.hit(cause);
            return Some(pages.page(503));
        }
        Some((Trouble::Page(status), cause)) => {
            balancer.hit(cause);
            return Some(pages.page(status));
        }
        Some((Trouble::Reset { after }, cause)) => {
            balancer.hit(cause);
            tokio::time::sleep(after.sample(&mut balancer.draws.draw())).await;
            return None;
        }
        None => {}
    }
    let Some(target) = balancer.target() else {
        balancer.hit(Cause::LbNoTarget);
        return Some(pages.page(503));
    };
    let failure = match target.server.fetch(head, body).await {
        Ok(answer) => return Some(message(answer.status, &answer.body, head.keep_alive)),
        Err(failure) => failure,
    };
    let (status, cause) = match failure {
        NoAnswer::Refused if pages.refused_status() == 503 => (503, Cause::LbNoTarget),
        NoAnswer::Refused | NoAnswer::Ended | NoAnswer::Ours => (502, Cause::LbBadGateway),
        NoAnswer::ConnectTimedOut | NoAnswer::TimedOut => (504, Cause::LbGatewayTimeout),
    };
    balancer.hit(cause);
    Some(pages.page(status))
}
