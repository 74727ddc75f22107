//! The rules, in the order in which they are applied, as a table that a person can read.
//!
//! A rule looks at the failures that nothing has decided yet and charges those that its evidence decides. Later rules
//! see what earlier ones left open; only victims of a trigger, contradictions and the observer's own faults overturn an
//! earlier charge. What no rule decides stays `undetermined`.

mod accept_queue;
mod address_contrast;
mod carried;
mod client;
mod connect;
mod delivered;
mod ended;
mod forward;
mod forward_ended;
mod forward_poisoned;
mod forward_stalled;
mod forward_survived;
mod front_tls;
mod gauges;
mod generator;
mod half_close;
mod idle;
mod kernel;
mod late_host;
mod messenger;
mod no_keep_alive;
mod not_http;
mod observer;
mod path_contrast;
mod pod_state;
mod process_ended;
mod queue;
mod rate_limit;
mod route_contrast;
mod silence;
mod size_contrast;
mod standing;
mod streams;
mod throttled;
mod time_lattice;
mod uploads;

pub(crate) use client::{due, kept_waiting};
pub(crate) use ended::ended_together;
pub(crate) use half_close::half_closed;

use crate::case::Case;
use crate::confidence::Ruling;
use crate::evidence::{Connection, Exchange, PathKind};
use crate::failure::What;

/// One rule: what it looks at, what it proves, and what it cannot prove.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Its name, a kebab-case word: what findings carry.
    pub name: &'static str,
    /// What is seen of the failures that it speaks on.
    pub symptom: &'static str,
    /// The evidence that it needs.
    pub evidence: &'static str,
    /// Whom it charges, and with what.
    pub verdict: &'static str,
    /// What it proves.
    pub proves: &'static str,
    /// What it cannot prove.
    pub cannot_prove: &'static str,
    pub(crate) apply: fn(&mut Case<'_>),
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rule")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Every rule, in the order of application.
pub const RULES: &[Rule] = &[
    not_http::UNASKED,
    delivered::RULE,
    not_http::NOT_HTTP,
    process_ended::RULE,
    connect::RULE,
    front_tls::RULE,
    ended::RULE,
    streams::ENDED,
    half_close::RULE,
    client::ABORT,
    kernel::RULE,
    forward_ended::RULE,
    forward_stalled::RULE,
    forward_poisoned::RULE,
    accept_queue::RULE,
    idle::RULE,
    size_contrast::RULE,
    forward_survived::RULE,
    no_keep_alive::RULE,
    silence::RULE,
    route_contrast::RULE,
    path_contrast::RULE,
    messenger::RULE,
    address_contrast::RULE,
    rate_limit::RULE,
    generator::TIMEOUT,
    throttled::RULE,
    observer::RULE,
    generator::RESULT,
    time_lattice::RULE,
    pod_state::RULE,
    late_host::RULE,
    streams::VICTIMS,
];

/// What the rules that look at one failure alone say of it; `None` where they leave it open.
pub(crate) fn alone(
    what: What,
    exchange: Option<&Exchange>,
    connection: Option<&Connection>,
    kind: PathKind,
) -> Option<Ruling> {
    not_http::judge_unasked(what, exchange, connection, kind)
        .or_else(|| delivered::judge(what, kind))
        .or_else(|| not_http::judge_not_http(what, kind))
        .or_else(|| connect::judge(what, kind))
        .or_else(|| front_tls::judge(what))
        .or_else(|| ended::judge(what, exchange, connection, kind))
        .or_else(|| streams::judge(what, kind))
        .or_else(|| client::judge_abort(what, exchange, connection))
}
