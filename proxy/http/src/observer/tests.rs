//! What the observer makes of conversations.

mod conversation;
mod cuts;
mod frames;
mod framing;
mod http2;
mod injection;
mod model;
mod opaque;
mod phases;
mod properties;
mod websocket;
