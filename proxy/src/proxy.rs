//! Listen, relay, observe.
