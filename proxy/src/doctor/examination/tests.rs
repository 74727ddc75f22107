//! Machines, well and unwell, examined.

use std::path::PathBuf;

use super::*;
use crate::doctor::text::render;
use hopscope_agent::loader::{ProbeStatus, Refusal};
use hopscope_golden as golden;
use hopscope_text::paint::Screen;

fn program(name: &'static str, version: Option<&str>, others: usize) -> Program {
    Program {
        name,
        found: version.map(|_| (PathBuf::from("/usr/bin").join(name), others)),
        version: version.map(str::to_owned),
    }
}

fn probe(probe: &'static str, refused: Option<Refusal>) -> ProbeStatus {
    ProbeStatus { probe, refused }
}

fn refusal() -> Refusal {
    Refusal {
        reason: "Operation not permitted".to_owned(),
        remedy: "give it CAP_BPF and CAP_PERFMON".to_owned(),
    }
}

/// A node on which everything works.
fn node() -> Seen {
    Seen {
        kernel: Some("6.8.0-45-generic".to_owned()),
        btf: true,
        probes: Some(Ok(vec![probe("tcp_send_reset", None), probe("kfree_skb", None)])),
        capabilities: Some(0x1ff_ffff_ffff),
        lockdown: Some("none".to_owned()),
        cgroup_v2: true,
        sock_diag: Some(Ok(())),
        descriptors: Some((65_536, 524_288)),
        ports: Some((32_768, 60_999)),
        memlock: Some(u64::MAX),
        programs: vec![
            program("kubectl", Some("v1.34.1"), 0),
            program("k6", Some("v1.1.0"), 0),
            program("wrk", Some("4.2.0"), 0),
        ],
    }
}

/// A laptop without privilege.
fn laptop() -> Seen {
    Seen {
        probes: Some(Err(refusal())),
        capabilities: Some(0),
        lockdown: Some("confidentiality".to_owned()),
        descriptors: Some((1_024, 1_048_576)),
        ports: Some((60_000, 60_999)),
        memlock: Some(8 << 20),
        programs: vec![
            program("kubectl", Some("v1.34.1"), 1),
            program("k6", None, 0),
            program("wrk", None, 0),
        ],
        ..node()
    }
}

fn find(seen: &Seen, subject: &str) -> Finding {
    examine(seen)
        .findings
        .into_iter()
        .find(|finding| finding.subject == subject)
        .unwrap_or_else(|| panic!("no line for {subject}"))
}

#[test]
fn examinations_read_like_this() {
    golden::check("doctor/node.txt", &render(&examine(&node()), Screen::PLAIN));
    golden::check("doctor/laptop.txt", &render(&examine(&laptop()), Screen::PLAIN));
}

#[test]
fn where_all_is_well_no_line_has_a_remedy() {
    assert!(
        examine(&node())
            .findings
            .iter()
            .all(|finding| finding.state == State::Ok && finding.remedy.is_none())
    );
}

#[test]
fn whatever_is_not_well_has_a_remedy() {
    for seen in [laptop(), Seen::default()] {
        for finding in examine(&seen).findings {
            assert_eq!(
                finding.state == State::Ok,
                finding.remedy.is_none(),
                "{finding:?}"
            );
        }
    }
}

#[test]
fn an_unprivileged_laptop_can_do_the_main_job() {
    assert!(examine(&laptop()).main_job);
    assert!(examine(&Seen::default()).main_job);
    let cramped = Seen {
        descriptors: Some((16, 16)),
        ..node()
    };
    assert!(!examine(&cramped).main_job);
}

#[test]
fn old_kernels_lose_what_they_lack_and_no_more() {
    let of = |release: &str| {
        find(
            &Seen {
                kernel: Some(release.to_owned()),
                ..node()
            },
            "kernel",
        )
        .state
    };
    assert_eq!(of("4.18.0-553.el8"), State::Missing);
    assert_eq!(of("5.10.0-1160"), State::Limited);
    assert_eq!(of("6.1.0"), State::Ok);
    assert_eq!(of("weird"), State::Limited);
}

#[test]
fn locked_memory_only_counts_where_the_kernel_counts_it() {
    let of = |release: &str| {
        find(
            &Seen {
                kernel: Some(release.to_owned()),
                memlock: Some(65_536),
                ..node()
            },
            "locked memory",
        )
        .state
    };
    assert_eq!(of("5.10.0"), State::Missing);
    assert_eq!(of("5.15.0"), State::Ok);
}

#[test]
fn sys_admin_stands_for_the_capabilities_that_were_split_from_it() {
    let seen = Seen {
        capabilities: Some(1 << CAP_SYS_ADMIN),
        ..node()
    };
    assert_eq!(find(&seen, "CAP_BPF").state, State::Ok);
    assert_eq!(find(&seen, "CAP_NET_ADMIN").state, State::Limited);
}

#[test]
fn probes_that_do_not_attach_are_named_with_the_reason_and_the_remedy() {
    assert_eq!(find(&node(), "probes").seen, "all 2 attach");
    let refused = Refusal {
        reason: "this kernel gives no drop reasons".to_owned(),
        remedy: "run 5.17 or later".to_owned(),
    };
    let half = Seen {
        probes: Some(Ok(vec![
            probe("tcp_send_reset", None),
            probe("kfree_skb", Some(refused)),
        ])),
        ..node()
    };
    let found = find(&half, "probes");
    assert_eq!(found.state, State::Limited);
    assert_eq!(
        found.seen,
        "1 of 2 attach; not kfree_skb: this kernel gives no drop reasons"
    );
    assert_eq!(found.remedy.as_deref(), Some("run 5.17 or later"));
    assert_eq!(find(&laptop(), "probes").state, State::Missing);
}
