//! A recording's diagnosis, for people and programs.
//!
//! [`model::Report`] is derived once, purely, from what was measured and what was concluded; the writers only lay it
//! out and never add a claim of their own. The same input gives the same bytes.
//!
//! Reading order: [`input`] (what a report is made of), [`model`] (what it says: `hopscope.report/1`), [`mod@derive`],
//! `front` and `sections` (what a person reads, derived once), then one module a form, which only lays out:
//! [`terminal`], [`markdown`], [`html`]. [`json`] is the model itself. [`condition`] is `--fail-on`,
//! [`compare`] is `--baseline`.
//!
//! **Invariant:** a report claims nothing that the diagnosis does not, and the same input gives the same bytes; no database is known here.

pub mod compare;
pub mod condition;
pub mod derive;
mod front;
pub mod html;
pub mod input;
pub mod join;
pub mod json;
pub mod markdown;
pub mod model;
mod not_read;
#[cfg(test)]
mod sample;
mod section;
mod sections;
pub mod terminal;

pub use condition::Condition;
pub use input::RouteMeasurement;
pub use model::Report;
