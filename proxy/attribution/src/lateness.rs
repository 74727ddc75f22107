//! When hopscope's own host was late: from waits in that time nobody's silence can be inferred.
//!
//! A host without CPU time stretches everything on it: hopscope's event loop, its samples, and kubectl, which runs
//! beside it. What looks like a silent forward is then the host's doing.

use crate::evidence::{Evidence, Moment, Observation, ObserverDelay, Span, Upstream};

/// Late enough to doubt what was waited for meanwhile: a tenth of the shortest wait that is held against anybody.
const DOUBTFUL: Span = Span::from_micros(100_000);
/// A forwarder is looked at ten times a second; twice and a half as long is the sampler without CPU time.
const SAMPLER_LATE: Span = Span::from_micros(250_000);
/// hopscope samples itself once a second; the last sample of a run comes early, none comes late on a host that is well.
const SELF_LATE: Span = Span::from_micros(1_500_000);
/// The kernel completes a handshake on loopback by itself, in microseconds: this much is hopscope that looked late. From
/// a second on, a lost SYN may have been sent again, and that is the listener's full queue.
const LOOPBACK_LATE: Span = Span::from_micros(200_000);
const SYN_AGAIN: Span = Span::from_micros(900_000);

/// The host's lateness, as it matters to whom a wait is held against.
#[derive(Debug)]
pub(crate) struct Late {
    /// For whoever is no forward.
    pub(crate) host: Lateness,
    /// For a forward, whose samples were taken on this host as well.
    pub(crate) forward: Lateness,
}

impl Late {
    /// By what the evidence says of hopscope's own host.
    pub(crate) fn of(evidence: &Evidence) -> Self {
        let host = Lateness::of_host(evidence);
        let forward = Lateness::of_forward(evidence, &host);
        Self { host, forward }
    }
}

/// The times in which the host was late, in order and without overlap.
#[derive(Debug, Default)]
pub(crate) struct Lateness {
    late: Vec<(Moment, Moment)>,
}

impl Lateness {
    /// By hopscope's own samples and handshakes: a forwarder that is not watched must not make anybody else guilty.
    fn of_host(evidence: &Evidence) -> Self {
        let mut late = Vec::new();
        delays(evidence, &mut late);
        own_samples(evidence, &mut late);
        handshakes(evidence, &mut late);
        Self::merged(late)
    }

    /// By all that was timed on this host: where a forwarder's samples are needed to convict anybody.
    fn of_forward(evidence: &Evidence, host: &Self) -> Self {
        let mut late = host.late.clone();
        forwarder_samples(evidence, &mut late);
        Self::merged(late)
    }

    fn merged(mut late: Vec<(Moment, Moment)>) -> Self {
        late.sort_unstable();
        let mut merged: Vec<(Moment, Moment)> = Vec::new();
        for (from, to) in late {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        Self { late: merged }
    }

    /// Whether the host was late in any part of an interval.
    pub(crate) fn touches(&self, from: Moment, to: Moment) -> bool {
        let next = self.late.partition_point(|(_, end)| *end < from);
        self.late.get(next).is_some_and(|(start, _)| *start <= to)
    }

    /// How much of a wait counts: the host was late for the rest. `None` where that is more than a quarter of it, and
    /// the wait says nothing.
    pub(crate) fn counted(&self, from: Moment, to: Moment) -> Option<Span> {
        let (late, whole) = (self.within(from, to).as_micros(), to.since(from).as_micros());
        (late.saturating_mul(4) <= whole).then(|| Span::from_micros(whole.saturating_sub(late)))
    }

    /// How much of an interval the host was late for.
    pub(crate) fn within(&self, from: Moment, to: Moment) -> Span {
        let next = self.late.partition_point(|(_, end)| *end < from);
        let overlapping = self.late.iter().skip(next).take_while(|(start, _)| *start <= to);
        let micros = overlapping.fold(0_u64, |sum, (start, end)| {
            sum.saturating_add((*end).min(to).since((*start).max(from)).as_micros())
        });
        Span::from_micros(micros)
    }
}

/// Event loops that came late.
fn delays(evidence: &Evidence, late: &mut Vec<(Moment, Moment)>) {
    for delay in &evidence.observer.delays {
        if delay.by >= DOUBTFUL {
            // What made it late may have begun right after the try before.
            let held_up = delay
                .by
                .as_micros()
                .saturating_add(ObserverDelay::BEAT.as_micros());
            late.push((Moment(delay.at.0.saturating_sub(held_up)), delay.at));
        }
    }
}

/// Gaps between the samples.
fn own_samples(evidence: &Evidence, late: &mut Vec<(Moment, Moment)>) {
    let mut samples: Vec<(Moment, Span)> = evidence
        .observer
        .samples
        .iter()
        .map(|sample| (sample.at, sample.loop_lag))
        .collect();
    samples.sort_unstable();
    for pair in samples.windows(2) {
        if let [(earlier, _), (later, lag)] = pair
            && later.since(*earlier) >= SELF_LATE
            && *lag > Span::ZERO
        {
            late.push((*earlier, *later));
        }
    }
}

/// Gaps between the samples of one forwarder.
fn forwarder_samples(evidence: &Evidence, late: &mut Vec<(Moment, Moment)>) {
    for (_, tunnel) in &evidence.tunnels {
        let Observation::Seen(tunnel) = tunnel else {
            continue;
        };
        let Observation::Seen(gauges) = &tunnel.gauges else {
            continue;
        };
        let mut taken: Vec<(u16, Moment)> = gauges.iter().map(|gauge| (gauge.member, gauge.at)).collect();
        taken.sort_unstable();
        for pair in taken.windows(2) {
            if let [(before, earlier), (after, later)] = pair
                && before == after
                && later.since(*earlier) >= SAMPLER_LATE
            {
                late.push((*earlier, *later));
            }
        }
    }
}

/// Handshakes on loopback that hopscope learnt of too late.
fn handshakes(evidence: &Evidence, late: &mut Vec<(Moment, Moment)>) {
    for connection in &evidence.connections {
        let local = connection
            .upstream_tuple
            .is_some_and(|tuple| tuple.remote.ip().is_loopback());
        if let (true, Upstream::Connected { tcp, .. }) = (local, connection.upstream)
            && tcp >= LOOPBACK_LATE
            && tcp < SYN_AGAIN
        {
            late.push((connection.opened, connection.opened + tcp));
        }
    }
}
