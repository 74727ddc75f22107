//! `hopscope doctor`: what works here, and the remedy for what does not.
//!
//! [`probe`] looks, once, and changes nothing; [`examination`] judges what it saw, purely; [`text`] tells it.

pub mod examination;
pub mod probe;
pub mod text;

pub use examination::{Examination, Finding, SCHEMA, State, examine};
pub use probe::{Seen, look};
