//! hopscope: says which hop broke your load test, and proves it.
//!
//! In reading order: [`cli`] turns what was typed into configurations; [`paths`] says where the load goes; [`proxy`]
//! relays and observes; [`http`] reads what passes; [`recording`] keeps it; [`report`] tells it. [`tunnel`] runs and
//! watches kubectl; [`agent`] is the node's side; [`serve`] answers scrapers. The conclusion itself is drawn in `hopscope-attribution`.

pub mod agent;
pub mod cli;
pub mod demo;
pub mod doctor;
pub mod explain;
#[cfg(test)]
mod golden;
pub mod http;
pub mod live;
pub mod metrics;
pub mod paths;
pub mod proxy;
pub mod recording;
pub mod report;
pub mod serve;
pub mod sock_diag;
pub mod trust;
pub mod tunnel;
