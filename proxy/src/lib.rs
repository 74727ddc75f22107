//! The program: what is typed, and what is shown while it runs and when it ends.
//!
//! In reading order: [`cli`] turns what was typed into configurations; [`diagnosis`] goes from a recording to its
//! report; [`live`] shows a run while it goes on; [`demo`] plays the lab's faults; [`doctor`] says what works here.
//! Every other part is a crate of its own beside this one.
//!
//! **Invariant:** this crate joins the others and judges nothing.

pub mod cli;
pub mod demo;
pub mod diagnosis;
pub mod doctor;
pub mod live;
