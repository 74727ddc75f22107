//! `hopscope demo`: a whole path in this process, with a fault in it.
//!
//! [`play`] stages one of the lab's scenarios, puts a real [`hopscope_relay::Session`] on its path and runs the load;
//! [`forward`] watches the stand-in for
//! kubectl, [`starve`] is what is done to hopscope itself in one of them. [`words`] is all that a person reads before and after
//! the diagnosis. [`score`] holds a diagnosis against the truth, for the scorecard.

mod forward;
pub mod play;
pub mod score;
mod starve;
mod thin;
pub mod words;
