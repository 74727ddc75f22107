//! From measurements to figures: medians, and medians of ratios within a round.

use super::data::{Figures, Row};
use super::target::Target;
use super::workload::Workload;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    /// CPU of the proxy: microseconds a request, or milliseconds a gigabyte of long bodies.
    Cpu,
    /// Requests a second, or gigabytes a second.
    Rate,
    /// Median latency, microseconds.
    P50,
    /// 99th percentile of latency, microseconds.
    P99,
    /// Median latency above that without a proxy in the same round, microseconds.
    AddedP50,
}

impl Metric {
    /// Of one measurement; `direct` is the one without a proxy in the same round.
    #[expect(clippy::cast_precision_loss, reason = "figures to be rounded to three digits")]
    fn of(self, row: &Row, direct: Option<&Row>) -> Option<f64> {
        let outcome = row.outcome;
        let bulk = row.workload.is_bulk();
        let units = if bulk {
            outcome.bytes as f64 / 1e9
        } else {
            outcome.requests as f64
        };
        let value = match self {
            Self::Cpu if bulk => row.cpu_us as f64 / 1e3 / units,
            Self::Cpu => row.cpu_us as f64 / units,
            Self::Rate => units / (outcome.micros as f64 / 1e6),
            Self::P50 => outcome.p50_us as f64,
            Self::P99 => outcome.p99_us as f64,
            Self::AddedP50 => outcome.p50_us as f64 - direct?.outcome.p50_us as f64,
        };
        value.is_finite().then_some(value)
    }
}

impl Figures {
    fn of_round(&self, workload: Workload, target: Target, round: u32) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.workload == workload && row.target == target && row.round == round)
    }

    fn rounds(&self, workload: Workload) -> impl Iterator<Item = u32> {
        let last = self
            .rows
            .iter()
            .filter(|row| row.workload == workload)
            .map(|row| row.round)
            .max();
        1..=last.unwrap_or(0)
    }

    fn in_round(&self, workload: Workload, metric: Metric, target: Target, round: u32) -> Option<f64> {
        let direct = self.of_round(workload, Target::Direct, round);
        metric.of(self.of_round(workload, target, round)?, direct)
    }

    /// The median over all rounds.
    pub(super) fn median(&self, workload: Workload, metric: Metric, target: Target) -> Option<f64> {
        median(
            self.rounds(workload)
                .filter_map(|round| self.in_round(workload, metric, target, round))
                .collect(),
        )
    }

    /// The median of the ratios within each round.
    pub(super) fn ratio(
        &self,
        workload: Workload,
        metric: Metric,
        target: Target,
        against: Target,
    ) -> Option<f64> {
        let ratios = self.rounds(workload).filter_map(|round| {
            let target = self.in_round(workload, metric, target, round)?;
            let against = self.in_round(workload, metric, against, round)?;
            (against > 0.0).then_some(target / against)
        });
        median(ratios.collect())
    }

    /// CPU with the recording's thread over CPU without it, the median of the rounds; what a worker spends on handing
    /// over is in both.
    #[expect(clippy::cast_precision_loss, reason = "figures to be rounded to three digits")]
    pub(super) fn recorded(&self, workload: Workload) -> Option<f64> {
        let ratios = self.rounds(workload).filter_map(|round| {
            let row = self.of_round(workload, Target::Hopscope, round)?;
            let without = row.cpu_us.checked_sub(row.recording_us)?;
            (row.recording_us > 0 && without > 0).then(|| row.cpu_us as f64 / without as f64)
        });
        median(ratios.collect())
    }

    /// Memory of the proxy for one idle connection, bytes.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a figure to be rounded to three digits"
    )]
    pub(super) fn idle_bytes(&self, target: Target) -> Option<f64> {
        let memory = self.memory.iter().find(|memory| memory.target == target)?;
        let kib = memory.after_kib.saturating_sub(memory.before_kib);
        (memory.connections > 0).then(|| kib as f64 * 1024.0 / memory.connections as f64)
    }

    /// Requests that failed, over all loads.
    pub(super) fn errors(&self) -> u64 {
        self.rows.iter().map(|row| row.outcome.errors).sum()
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len().is_multiple_of(2) {
        Some(f64::midpoint(*values.get(middle - 1)?, upper))
    } else {
        Some(upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::data::Outcome;

    fn row(round: u32, target: Target, cpu_us: u64, p50_us: u64) -> Row {
        let outcome = Outcome {
            requests: 100,
            bytes: 0,
            micros: 1_000_000,
            p50_us,
            p99_us: 0,
            errors: 0,
        };
        Row {
            workload: Workload::FixedRate,
            round,
            target,
            outcome,
            cpu_us,
            recording_us: cpu_us / 10,
        }
    }

    #[test]
    fn what_the_recording_costs_is_told_from_the_rest() {
        let rows = vec![row(1, Target::Hopscope, 1_000, 0)];
        let figures = Figures {
            rows,
            ..Figures::default()
        };
        let ratio = figures.recorded(Workload::FixedRate).unwrap();
        assert!((ratio - 1_000.0 / 900.0).abs() < 1e-9, "{ratio}");
        assert_eq!(figures.recorded(Workload::Down), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round_before_their_median() {
        // The machine was twice as slow in the second round, and four times in the third.
        let rows = [(1, 100), (2, 200), (3, 400)]
            .into_iter()
            .flat_map(|(round, cpu)| {
                [
                    row(round, Target::Hopscope, cpu / 2, 0),
                    row(round, Target::Haproxy, cpu, 0),
                ]
            })
            .collect();
        let figures = Figures {
            rows,
            ..Figures::default()
        };
        let ratio = figures.ratio(
            Workload::FixedRate,
            Metric::Cpu,
            Target::Hopscope,
            Target::Haproxy,
        );
        assert_eq!(ratio, Some(0.5));
    }

    #[test]
    fn added_latency_needs_the_way_without_a_proxy_in_the_same_round() {
        let figures = Figures {
            rows: vec![
                row(1, Target::Direct, 0, 100),
                row(1, Target::Haproxy, 1, 250),
                row(2, Target::Haproxy, 1, 900),
            ],
            ..Figures::default()
        };
        assert_eq!(
            figures.median(Workload::FixedRate, Metric::AddedP50, Target::Haproxy),
            Some(150.0)
        );
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }
}
