//! HTTP/1 read from passing bytes.
//!
//! [`observer::Observer`] takes the bytes of one connection in both directions and gives finished
//! [`Exchange`](hopscope_attribution::evidence::Exchange)s. It does no I/O, reads no clock, and whatever the bytes are,
//! it neither fails nor buffers more than one head a direction. [`route`] names the requests. The one thing that is ever
//! rewritten is a `Host`: [`HostRewriter`].
//!
//! **Invariant:** no I/O, no clock; no input makes it fail or buffer without bound.

mod author;
mod chunked;
mod head;
mod host;
mod http2;
pub mod observer;
mod proxied;
pub mod route;

pub use host::{HostRewriter, HostRule, Replaced};
pub use observer::{Direction, Insertion, Observer, ObserverConfig};
pub use proxied::{Proxied, origin_lines};
pub use route::{Pattern, PatternError, RouteTable};
