//! From a cgroup's path to the pod and container that it is, for every driver and runtime.

/// A container of a pod, by the ids in its cgroup's path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    /// The pod's uid, with dashes; a static pod's is a hash of 32 digits.
    pub uid: String,
    /// The container's id; `None` for the pod's own cgroup.
    pub container: Option<String>,
}

/// The pod that a cgroup's path belongs to; `None` outside pods.
///
/// cgroupfs driver: `/kubepods/burstable/pod<uid>/<id>`; systemd driver:
/// `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid_>.slice/cri-containerd-<id>.scope`.
pub fn pod(path: &str) -> Option<Pod> {
    let mut found: Option<Pod> = None;
    for part in path.split('/') {
        if let Some(uid) = pod_uid(part) {
            found = Some(Pod { uid, container: None });
        } else if let Some(pod) = &mut found
            && pod.container.is_none()
            && let Some(id) = container_id(part)
        {
            pod.container = Some(id.to_owned());
        }
    }
    found
}

fn pod_uid(part: &str) -> Option<String> {
    let part = part.strip_suffix(".slice").unwrap_or(part);
    // "kubepods" itself contains "pod", so the last one counts.
    let at = part.rfind("pod")?;
    let before = part.get(..at)?;
    let nested = before.starts_with("kube") && before.ends_with('-');
    if !(before.is_empty() || nested) {
        return None;
    }
    let uid = part.get(at + 3..)?.replace('_', "-");
    let hex = |byte: u8| byte.is_ascii_hexdigit();
    let dashed = uid.len() == 36
        && uid.bytes().enumerate().all(|(at, byte)| {
            if matches!(at, 8 | 13 | 18 | 23) {
                byte == b'-'
            } else {
                hex(byte)
            }
        });
    let hash = uid.len() == 32 && uid.bytes().all(hex);
    (dashed || hash).then_some(uid)
}

/// `<id>`, `cri-containerd-<id>.scope`, `crio-<id>.scope`, `docker-<id>.scope`, `libpod-<id>`; not `crio-conmon-<id>`,
/// which is cri-o's own monitor.
fn container_id(part: &str) -> Option<&str> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    if part.contains("conmon") {
        return None;
    }
    let id = part.rsplit('-').next()?;
    (id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

/// The systemd unit that a path ends in or lies within, outside pods.
pub fn unit(path: &str) -> Option<&str> {
    let is_unit = |part: &&str| matches!(part.rsplit_once('.'), Some((_, "service" | "scope")));
    path.split('/').rev().find(is_unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945";
    const UID: &str = "0a1b2c3d-1111-2222-3333-444455556666";

    #[test]
    fn every_driver_and_runtime_names_the_same_pod() {
        let under = UID.replace('-', "_");
        let slice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod";
        let paths = [
            format!("/kubepods/burstable/pod{UID}/{ID}"),
            format!("/kubepods/pod{UID}/{ID}"),
            format!("/kubepods/besteffort/pod{UID}/{ID}/init.scope"),
            format!("{slice}{under}.slice/cri-containerd-{ID}.scope"),
            format!("{slice}{under}.slice/crio-{ID}.scope"),
            format!("{slice}{under}.slice/docker-{ID}.scope"),
            format!("/kubepods.slice/kubepods-pod{under}.slice/cri-containerd-{ID}.scope"),
            format!(
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{under}.slice/cri-containerd-{ID}.scope"
            ),
        ];
        for path in &paths {
            let pod = pod(path).unwrap_or_else(|| panic!("no pod in {path}"));
            assert_eq!(pod.uid, UID, "{path}");
            assert_eq!(pod.container.as_deref(), Some(ID), "{path}");
        }
    }

    #[test]
    fn the_pods_own_cgroup_has_no_container_and_neither_has_the_monitor() {
        assert_eq!(pod(&format!("/kubepods/pod{UID}")).unwrap().container, None);
        let monitor = format!("/kubepods/pod{UID}/crio-conmon-{ID}.scope");
        assert_eq!(pod(&monitor).unwrap().container, None);
    }

    #[test]
    fn a_static_pods_hash_is_a_uid() {
        let hash = "8f2c1d3e4b5a69788796a5b4c3d2e1f0";
        assert_eq!(
            pod(&format!("/kubepods/burstable/pod{hash}/{ID}")).unwrap().uid,
            hash
        );
    }

    #[test]
    fn other_cgroups_are_no_pods() {
        for path in [
            "/",
            "",
            "/system.slice/haproxy.service",
            "/kubepods",
            "/user.slice/podman-1.scope",
            "/tripod",
        ] {
            assert_eq!(pod(path), None, "{path}");
        }
        assert_eq!(unit("/system.slice/haproxy.service"), Some("haproxy.service"));
        assert_eq!(unit("/kubepods"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_path_is_read(path in ".*") {
            let _pod_or_none = pod(&path);
            let _unit_or_none = unit(&path);
        }
    }
}
