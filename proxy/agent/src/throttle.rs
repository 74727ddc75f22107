//! How CPU limits hold containers back: `cpu.stat` of the cgroups of pods that have one.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::cgroup::{self, Pod};

/// Containers with a limit that are followed.
const FOLLOWED: usize = 2_048;

/// The counters of one cgroup (Documentation/admin-guide/cgroup-v2.rst, "cpu.stat").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuStat {
    /// `nr_periods`.
    pub periods: u64,
    /// `nr_throttled`.
    pub throttled: u64,
    /// `throttled_usec`.
    pub held_back_us: u64,
    /// `usage_usec`.
    pub used_us: u64,
}

/// What was added since the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// Which container.
    pub pod: Pod,
    /// By how much each counter rose.
    pub added: CpuStat,
}

/// The containers that have a limit.
#[derive(Debug, Default)]
pub struct Limited {
    followed: HashMap<PathBuf, (Pod, CpuStat)>,
}

fn read(text: &str) -> CpuStat {
    let mut stat = CpuStat::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once(' ')) {
        let place = match name {
            "nr_periods" => &mut stat.periods,
            "nr_throttled" => &mut stat.throttled,
            "throttled_usec" => &mut stat.held_back_us,
            "usage_usec" => &mut stat.used_us,
            _ => continue,
        };
        *place = value.trim().parse().unwrap_or(0);
    }
    stat
}

/// Whether the first word of `cpu.max` is a quota.
fn is_limited(text: &str) -> bool {
    text.split_whitespace().next().is_some_and(|quota| quota != "max")
}

impl Limited {
    /// Looks for pods' cgroups that have a limit. `paths` are all cgroups below `root`.
    pub fn look<'a>(&mut self, root: &Path, paths: impl Iterator<Item = &'a str>) {
        let mut found = HashMap::new();
        for path in paths {
            let Some(pod) = cgroup::pod(path) else { continue };
            let folder = root.join(path.trim_start_matches('/'));
            let limited = fs::read_to_string(folder.join("cpu.max")).is_ok_and(|text| is_limited(&text));
            if !limited || found.len() >= FOLLOWED {
                continue;
            }
            let known = self.followed.remove(&folder).map(|(_, stat)| stat);
            // What was counted before we looked was not seen by us.
            let stat = known.or_else(|| Some(read(&fs::read_to_string(folder.join("cpu.stat")).ok()?)));
            if let Some(stat) = stat {
                found.insert(folder, (pod, stat));
            }
        }
        self.followed = found;
    }

    /// Those that were held back since the last turn.
    pub fn turn(&mut self) -> Vec<HeldBack> {
        let mut held = Vec::new();
        for (folder, (pod, before)) in &mut self.followed {
            let Ok(text) = fs::read_to_string(folder.join("cpu.stat")) else {
                continue;
            };
            let now = read(&text);
            let added = CpuStat {
                periods: now.periods.saturating_sub(before.periods),
                throttled: now.throttled.saturating_sub(before.throttled),
                held_back_us: now.held_back_us.saturating_sub(before.held_back_us),
                used_us: now.used_us.saturating_sub(before.used_us),
            };
            *before = now;
            if added.throttled > 0 {
                held.push(HeldBack {
                    pod: pod.clone(),
                    added,
                });
            }
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0a1b2c3d-1111-2222-3333-444455556666";

    fn set(folder: &Path, max: &str, throttled: u64) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("cpu.max"), max).unwrap();
        let stat = format!(
            "usage_usec {throttled}00\nuser_usec 1\nnr_periods {throttled}9\nnr_throttled {throttled}\nthrottled_usec 4{throttled}\n"
        );
        fs::write(folder.join("cpu.stat"), stat).unwrap();
    }

    #[test]
    fn a_container_with_a_limit_is_told_by_what_was_added_and_one_without_is_not() {
        let root = tempfile::tempdir().unwrap();
        let (limited, free) = (
            format!("/kubepods/pod{UID}"),
            format!("/kubepods/burstable/pod{UID}"),
        );
        let paths = [limited.as_str(), free.as_str(), "/system.slice/a.service"];
        let folder = |path: &str| root.path().join(path.trim_start_matches('/'));
        set(&folder(&limited), "5000 100000\n", 3);
        set(&folder(&free), "max 100000\n", 3);
        let mut all = Limited::default();
        all.look(root.path(), paths.into_iter());
        assert_eq!(all.turn(), [], "nothing was added");
        set(&folder(&limited), "5000 100000\n", 5);
        set(&folder(&free), "max 100000\n", 5);
        all.look(root.path(), paths.into_iter());
        let held = all.turn();
        assert_eq!((held.len(), held[0].pod.uid.as_str()), (1, UID));
        let added = CpuStat {
            periods: 20,
            throttled: 2,
            held_back_us: 2,
            used_us: 200,
        };
        assert_eq!(held[0].added, added);
        assert_eq!(all.turn(), []);
    }

    #[test]
    fn any_text_is_read() {
        assert_eq!(read("nr_throttled many\n\nx"), CpuStat::default());
        assert!(!is_limited(""));
    }
}
