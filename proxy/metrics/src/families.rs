//! The metric families of the proxy.

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, core::Collector,
};

use super::phases::RequestDuration;

/// Upper bounds of the connect time's buckets, seconds.
const CONNECT_BUCKETS: [f64; 15] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0,
];

/// Every family.
#[derive(Debug)]
pub(super) struct Families {
    pub(super) connections: IntCounterVec,
    pub(super) requests: IntCounterVec,
    pub(super) failures: IntCounterVec,
    pub(super) request_duration: RequestDuration,
    pub(super) connect_duration: HistogramVec,
    pub(super) active_connections: IntGaugeVec,
    pub(super) tunnel_up: IntGaugeVec,
    pub(super) tunnel_starts: IntCounterVec,
    pub(super) tunnel_losses: IntCounterVec,
    pub(super) tunnel_restarts: IntCounterVec,
    pub(super) events_lost: IntCounterVec,
    pub(super) series_overflow: IntCounter,
    pub(super) build_info: IntGaugeVec,
}

impl Families {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name, help, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let gauges = |name, help, labels: &[&str]| -> Result<IntGaugeVec, prometheus::Error> {
            registered(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
        };
        let connect = HistogramOpts::new(
            "hopscope_connect_duration_seconds",
            "Time until the upstream connection stood: name resolution, TCP and TLS handshakes.",
        )
        .buckets(CONNECT_BUCKETS.to_vec());
        Ok(Self {
            connections: counters(
                "hopscope_connections_total",
                "Downstream connections that have ended, by what became of them.",
                &["path", "outcome"],
            )?,
            requests: counters(
                "hopscope_requests_total",
                "Requests, by the class of a complete response's status, or undelivered; connections, where the class is not-read.",
                &["path", "route", "class"],
            )?,
            failures: counters(
                "hopscope_failures_total",
                "Failures, by what each of them shows alone; the report at the end knows more.",
                &["path", "hop", "cause"],
            )?,
            request_duration: registered(registry, RequestDuration::new()?)?,
            connect_duration: registered(registry, HistogramVec::new(connect, &["path"])?)?,
            active_connections: gauges(
                "hopscope_active_connections",
                "Downstream connections that are open.",
                &["path"],
            )?,
            tunnel_up: gauges(
                "hopscope_tunnel_up",
                "Whether the path's forwarder takes connections.",
                &["path"],
            )?,
            tunnel_starts: counters(
                "hopscope_tunnel_starts_total",
                "Starts of a forwarder, the first one included.",
                &["path"],
            )?,
            tunnel_losses: counters(
                "hopscope_tunnel_losses_total",
                "Forwarders that took connections and were lost or had to be replaced, by what kubectl said of it.",
                &["path", "reason"],
            )?,
            tunnel_restarts: counters(
                "hopscope_tunnel_restarts_total",
                "Starts of a forwarder that had run before, by what kubectl said of the loss.",
                &["path", "reason"],
            )?,
            events_lost: counters(
                "hopscope_events_lost_total",
                "Evidence that was lost on the way to the recording, by kind.",
                &["probe"],
            )?,
            series_overflow: registered(
                registry,
                IntCounter::new(
                    "hopscope_series_overflow_total",
                    "Requests that were counted under the overflow route because there were too many series.",
                )?,
            )?,
            build_info: gauges(
                "hopscope_build_info",
                "1, with the version as a label.",
                &["version"],
            )?,
        })
    }
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    family: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}
