//! How long the CPU limit of a pod held its processes back.

use super::pod::PodId;
use super::time::{Moment, Span};

/// One window of a container's CPU accounting (`cpu.stat` of its cgroup, `Documentation/admin-guide/cgroup-v2.rst`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuThrottle {
    /// Start of the window, on hopscope's clock.
    pub from: Moment,
    /// Its length.
    pub length: Span,
    /// By how much the moment may be wrong.
    pub error: Span,
    /// The pod.
    pub pod: PodId,
    /// What the pod is one of: its Deployment, StatefulSet, DaemonSet, Job or CronJob.
    pub workload: String,
    /// The container; `None` where the figures are the whole pod's.
    pub container: Option<String>,
    /// Periods of the quota that elapsed in the window with something to run (`nr_periods`).
    pub periods: u64,
    /// Those of them in which it was held back (`nr_throttled`).
    pub throttled: u64,
    /// For how long, added up over its CPUs (`throttled_usec`).
    pub held_back: Span,
    /// CPU time that it used in the window (`usage_usec`).
    pub used: Span,
}
