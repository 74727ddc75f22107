//! The time-outs that leave a mark: each with its owner and the setting that changes it.
//!
//! A timer fires at its length and a little later, never earlier, so its failures stand in a tight spike. A broad lump
//! of ages that merely lies near a known length is the load's own doing and matches nothing.

use crate::evidence::Span;
use crate::hop::Hop;

/// A length of time that something on the path is known to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Constant {
    pub(crate) length: Span,
    pub(crate) owner: Hop,
    /// What waits.
    pub(crate) what: &'static str,
    /// What changes it.
    pub(crate) setting: &'static str,
    /// Nothing else on a usual path waits exactly as long by default.
    pub(crate) only_here: bool,
}

const fn constant(
    millis: u64,
    owner: Hop,
    what: &'static str,
    setting: &'static str,
    only_here: bool,
) -> Constant {
    Constant {
        length: Span::from_millis(millis),
        owner,
        what,
        setting,
        only_here,
    }
}

/// The known lengths. Sources: client-go and containerd for the tunnel's, the vendors' manuals for load balancers', the
/// programs' documented defaults for generators' and servers'.
pub(crate) const LATTICE: &[Constant] = &[
    constant(
        1_000,
        Hop::Tunnel,
        "the container runtime's drain after one direction has ended",
        "none: it is compiled into containerd and CRI-O",
        false,
    ),
    constant(
        5_000,
        Hop::Backend,
        "the keep-alive time-out of Node.js and Apache",
        "server.keepAliveTimeout; KeepAliveTimeout",
        false,
    ),
    constant(
        10_000,
        Hop::Client,
        "the request time-out many generators are given",
        "the generator's own time-out option",
        false,
    ),
    constant(
        15_000,
        Hop::Backend,
        "Envoy's default route time-out",
        "route.timeout",
        false,
    ),
    constant(
        30_000,
        Hop::Tunnel,
        "kubectl's wait for a stream",
        "none: it is compiled into client-go",
        false,
    ),
    constant(
        50_000,
        Hop::Lb,
        "HAProxy's usual client and server time-out",
        "timeout client, timeout server",
        false,
    ),
    constant(
        60_000,
        Hop::Lb,
        "the idle time-out of an AWS Application Load Balancer",
        "idle_timeout.timeout_seconds",
        false,
    ),
    constant(
        60_000,
        Hop::Client,
        "k6's default request time-out",
        "params.timeout",
        false,
    ),
    constant(
        60_000,
        Hop::Backend,
        "nginx's proxy_read_timeout",
        "proxy_read_timeout",
        false,
    ),
    constant(
        75_000,
        Hop::Backend,
        "nginx's keepalive_timeout",
        "keepalive_timeout",
        false,
    ),
    constant(
        240_000,
        Hop::Lb,
        "the idle time-out of an Azure load balancer",
        "idleTimeoutInMinutes",
        true,
    ),
    constant(
        350_000,
        Hop::Lb,
        "the idle time-out of an AWS Network Load Balancer",
        "tcp.idle_timeout.seconds",
        true,
    ),
    constant(
        600_000,
        Hop::Lb,
        "the connection tracking time-out of a Google Cloud load balancer",
        "the backend service's connection tracking policy",
        false,
    ),
];

/// A tight spike of ages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spike {
    /// Where it begins: the timer's length.
    pub(crate) at: Span,
    /// Where it ends.
    pub(crate) to: Span,
    /// Ages in it.
    pub(crate) count: usize,
    /// That, as a share of all ages.
    pub(crate) share: f64,
}

impl Spike {
    pub(crate) fn contains(self, age: Span) -> bool {
        age >= self.at && age <= self.to
    }
}

/// How wide a spike may be: half a per cent of its length, between 3 and 400 ms.
fn width(at: Span) -> Span {
    Span::from_micros((at.as_micros() / 200).clamp(3_000, 400_000))
}

/// The tightest spike of sorted ages: at least `least` of them and 30 % of all, and ten times as dense as what lies
/// around it.
pub(crate) fn spike(sorted: &[Span], least: usize) -> Option<Spike> {
    let within = |from: Span, to: Span| {
        let start = sorted.partition_point(|age| *age < from);
        let end = sorted.partition_point(|age| *age <= to);
        end.saturating_sub(start)
    };
    let mut best: Option<Spike> = None;
    let mut end = 0;
    for (start, at) in sorted.iter().enumerate() {
        let to = *at + width(*at);
        while sorted.get(end).is_some_and(|age| *age <= to) {
            end += 1;
        }
        let count = end.saturating_sub(start);
        if best.is_none_or(|best| count > best.count) {
            let share = crate::figures::length(count) / crate::figures::length(sorted.len());
            best = Some(Spike {
                at: *at,
                to,
                count,
                share,
            });
        }
    }
    let spike = best.filter(|spike| spike.count >= least.max(1) && spike.share >= 0.3)?;
    // A lump has shoulders: five widths to either side hold a good part of what its middle holds.
    let reach = Span::from_micros(width(spike.at).as_micros().saturating_mul(5));
    let before = within(
        spike.at - reach,
        Span::from_micros(spike.at.as_micros().saturating_sub(1)),
    );
    let after = within(
        Span::from_micros(spike.to.as_micros().saturating_add(1)),
        spike.to + reach,
    );
    (spike.count >= (before + after).saturating_mul(3) && spike.at > Span::ZERO).then_some(spike)
}

/// The known lengths that a spike stands at: timers fire late, so it may begin a little after, hardly before.
pub(crate) fn known(at: Span) -> impl Iterator<Item = &'static Constant> {
    LATTICE.iter().filter(move |constant| {
        let early = Span::from_micros(constant.length.as_micros() / 500 + 5_000);
        let late = Span::from_micros((constant.length.as_micros() / 100).clamp(60_000, 1_500_000));
        at + early >= constant.length && at <= constant.length + late
    })
}

/// The load balancer's idle time-out of this length, if one is known.
pub(crate) fn balancer_idle(at: Span) -> Option<&'static Constant> {
    known(at).find(|constant| constant.owner == Hop::Lb)
}

/// Whether a length is one that people type: whole seconds, or a tenth of one below ten seconds. Shorter than 50 ms is
/// not taken for a time-out.
pub(crate) fn round(at: Span) -> bool {
    let late = at.as_micros() % 1_000_000;
    let tenth = at.as_micros() % 100_000;
    at >= Span::from_micros(50_000)
        && (late <= 60_000 || (at < Span::from_micros(10_000_000) && tenth <= 15_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_a_spike() {
        let mut ages: Vec<Span> = (0..40_u64)
            .map(|i| Span::from_micros(60_000_000 + i * 2_000))
            .collect();
        ages.extend((0..30_u64).map(|i| Span::from_micros(1_000_000 + i * 700_000)));
        ages.sort_unstable();
        let spike = spike(&ages, 3).expect("40 ages within 80 ms");
        assert_eq!(spike.count, 40);
        assert!(known(spike.at).any(|constant| constant.owner == Hop::Client));
    }

    #[test]
    fn a_lump_near_a_known_length_matches_nothing() {
        // A log-normal with median 60 s and sigma 0.02: the quantiles of a standard normal, spread.
        let quantiles = [
            -2.3, -1.6, -1.3, -1.0, -0.84, -0.67, -0.52, -0.39, -0.25, -0.13, 0.0,
        ];
        let mut ages = Vec::new();
        for sign in [-1.0, 1.0] {
            for quantile in quantiles {
                for jitter in 0..5 {
                    let z: f64 = sign * quantile + f64::from(jitter) * 0.03;
                    ages.push(Span::from(std::time::Duration::from_secs_f64(
                        60.0 * (0.02 * z).exp(),
                    )));
                }
            }
        }
        ages.sort_unstable();
        assert_eq!(spike(&ages, 3), None);
    }
}
