//! One connection carried to a target, byte for byte.

use hopscope_attribution::cause::Cause;
use tokio::net::TcpStream;

use super::{Shared, Trouble};
use crate::pump::{Limits, PumpEnd, pump};
use crate::wire::reset;

pub(super) async fn carry(balancer: &Shared, stream: TcpStream) {
    let trouble = balancer.trouble("");
    if let Some((Trouble::NoTarget, cause)) = trouble {
        balancer.hit(cause);
        return reset(stream);
    }
    let Some(target) = balancer.target() else {
        balancer.hit(Cause::LbNoTarget);
        return reset(stream);
    };
    let Ok(far) = TcpStream::connect(target.server.address()).await else {
        balancer.hit(Cause::BackendRefused);
        return reset(stream);
    };
    let nodelay = far.set_nodelay(true);
    tracing::trace!(?nodelay, "carrying");
    let reset_by = match trouble {
        Some((Trouble::Reset { after }, cause)) => Some((after.sample(&mut balancer.draws.draw()), cause)),
        Some((Trouble::NoTarget | Trouble::Page(_), _)) | None => None,
    };
    let limits = Limits {
        forget_after: balancer.forget_after,
        deadline: reset_by.map(|(after, _)| after),
    };
    match (pump(stream, far, limits).await, reset_by) {
        (PumpEnd::Forgotten, _) => balancer.hit(Cause::LbIdleTimeout),
        (PumpEnd::Deadline, Some((_, cause))) => balancer.hit(cause),
        (PumpEnd::Deadline, None) | (PumpEnd::Clean | PumpEnd::Broken, _) => {}
    }
}
