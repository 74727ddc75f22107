//! What the observer makes of conversations.

mod conversation;
mod cuts;
mod framing;
mod injection;
mod model;
mod opaque;
mod phases;
mod properties;
