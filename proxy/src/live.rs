//! What a person sees while it runs.
//!
//! [`Live`] watches the recording and keeps what a screen needs; [`LiveFrame`] is one moment of it; [`render`] and
//! [`fn@line`] lay it out, purely; [`Display`] is the thin thread that prints: on a terminal a small table that is drawn
//! over itself, elsewhere one line every ten seconds.

mod display;
mod frame;
mod layout;
#[cfg(test)]
mod tests;
mod totals;

pub use display::{Display, Mode};
pub use frame::{LiveFrame, PathFrame};
pub use layout::{line, render};
pub use totals::{Live, LiveSource};
