//! Written, read again, and joined.

use proptest::prelude::*;

use super::*;

/// A line of evidence: a connect that the tunnel made was refused.
pub(crate) fn socket(unix_us: u64, local: &str, remote: &str) -> Seen {
    Seen::Socket(Box::new(SocketSeen {
        unix_us,
        age_us: None,
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        netns: 7,
        cookie: Some(9),
        owner: "tunnel".to_owned(),
        peer: "backend".to_owned(),
        end: "connect-refused".to_owned(),
        cause: Some("backend-refused".to_owned()),
        errno: Some("ECONNREFUSED".to_owned()),
        told_by: Some("reset".to_owned()),
        after_fin: false,
        after_own_fin: false,
        dropped_at_home: false,
        retransmits: 0,
        bytes_acked: Some(0),
        bytes_received: Some(0),
        process: "containerd".to_owned(),
        namespace: String::new(),
        workload: String::new(),
        pod: String::new(),
        reset_reason: None,
        drops: vec!["NO_SOCKET".to_owned()],
    }))
}

/// All that a journal answers to `since`.
pub(crate) fn written(journal: &Journal, since: u64, now_unix_us: u64) -> String {
    let speaker = Speaker {
        now_unix_us,
        level: "tp_btf",
        ..Speaker::default()
    };
    let mut text = serde_json::to_string(&journal.head(since, &speaker)).unwrap() + "\n";
    let mut from = Some(since);
    while let Some(next) = from {
        // One line a piece.
        let mut piece = String::new();
        from = journal.write(next, journal.next(), 1, &mut piece).unwrap();
        text.push_str(&piece);
    }
    text
}

#[test]
fn what_is_written_is_read_again() {
    let mut journal = Journal::default();
    journal.push(socket(5, "127.0.0.1:1", "127.0.0.1:2"));
    journal.push(Seen::Window(WindowSeen {
        from_unix_us: 1,
        length_us: 2,
        hop: "lb".to_owned(),
        syn_retransmits: 3,
        accept_queue_overflows: 4,
        events_lost: 5,
    }));
    let (head, lines) = read(&written(&journal, 0, 77)).unwrap();
    assert_eq!((head.next, head.forgotten, head.now_unix_us), (2, 0, 77));
    let (_, newer) = read(&written(&journal, 1, 77)).unwrap();
    assert_eq!(newer.len(), 1);
    assert_eq!(lines, journal.into_lines().0);
}

fn of(owner: &str, workload: &str, unix_us: u64, port: u16) -> Seen {
    let Seen::Socket(mut socket) = socket(unix_us, "10.0.0.1:40000", &format!("10.0.0.2:{port}")) else {
        unreachable!("a socket is a socket");
    };
    socket.owner = owner.to_owned();
    socket.peer = "unknown".to_owned();
    socket.workload = workload.to_owned();
    Seen::Socket(socket)
}

fn pod(unix_us: u64) -> Seen {
    Seen::Pod(Box::new(PodSeen {
        unix_us,
        happened_unix_us: None,
        missed: false,
        event: "restarted".to_owned(),
        namespace: "shop".to_owned(),
        pod: "web-0".to_owned(),
        workload: "web".to_owned(),
        addresses: Vec::new(),
        container: String::new(),
        reason: String::new(),
        exit_code: None,
    }))
}

fn of_workload<'a>(lines: &'a [Line], name: &'a str) -> impl Iterator<Item = &'a SocketSeen> {
    lines.iter().filter_map(move |line| match &line.seen {
        Seen::Socket(socket) if socket.workload == name => Some(&**socket),
        Seen::Socket(_)
        | Seen::Window(_)
        | Seen::Pod(_)
        | Seen::Refusal(_)
        | Seen::Throttle(_)
        | Seen::Service(_)
        | Seen::Newer => None,
    })
}

#[test]
fn a_storm_pushes_out_its_own_lines_and_neither_pods_nor_other_workloads() {
    let mut journal = Journal::default();
    for at in 0..100 {
        journal.push(of("backend", "gateway", at, 8080));
        journal.push(pod(at));
    }
    for at in 0..60_000 {
        journal.push(of("client", "storm", 1_000 + at, 9));
    }
    let (head, lines) = read(&written(&journal, 0, 0)).unwrap();
    assert_eq!(of_workload(&lines, "gateway").count(), 100);
    assert_eq!(
        lines
            .iter()
            .filter(|line| matches!(line.seen, Seen::Pod(_)))
            .count(),
        100
    );
    assert_eq!(head.forgotten, 60_200 - lines.len() as u64);
    let [lost] = head.forgotten_of.as_slice() else {
        panic!("one group lost lines: {:?}", head.forgotten_of);
    };
    assert_eq!(
        (lost.workload.as_str(), lost.port, lost.lines),
        ("storm", 9, head.forgotten)
    );
    assert_eq!(lost.from_unix_us, 1_000);
}

#[test]
fn neither_many_ports_nor_many_processes_nor_foreign_sockets_push_out_a_workloads_lines() {
    let storms: [&dyn Fn(u64) -> Seen; 3] = [
        &|at| of("client", "scan", at, 1 + (at % 30_000) as u16),
        &|at| of("client", &format!("process-{at}"), at, 9),
        &|at| {
            of(
                "unknown",
                &format!("foreign-{}", at % 5_000),
                at,
                (at % 999) as u16,
            )
        },
    ];
    for (storm, next) in storms.into_iter().enumerate() {
        let mut journal = Journal::default();
        for at in 0..200 {
            journal.push(of("backend", "gateway", at, 8080));
        }
        (0..40_000).for_each(|at| journal.push(next(1_000 + at)));
        let (lines, forgotten) = journal.into_lines();
        let kept = of_workload(&lines, "gateway").count();
        assert_eq!(kept, 200, "storm {storm}");
        let lost: u64 = forgotten.iter().map(|group| group.lines).sum();
        assert_eq!(lost + lines.len() as u64, 40_200, "storm {storm}");
    }
}

#[test]
fn a_journal_is_bounded_whatever_comes() {
    let mut journal = Journal::default();
    for at in 0..100_000 {
        journal.push(of(
            "backend",
            &format!("w{}", at % 3_000),
            at,
            (at % 7_000) as u16,
        ));
        journal.push(pod(at));
    }
    let (lines, _) = journal.into_lines();
    assert!(lines.len() <= journal::SOCKETS + journal::PODS, "{}", lines.len());
}

#[test]
fn another_version_is_refused_by_name_and_a_line_cut_off_is_left_out() {
    let text = written(&Journal::default(), 0, 0);
    let other = text.replace(SCHEMA, "hopscope.evidence/2");
    assert!(
        read(&other)
            .unwrap_err()
            .to_string()
            .contains("hopscope.evidence/2")
    );
    let cut = format!("{text}{{\"seq\":1,\"ki");
    assert_eq!(read(&cut).unwrap().1, []);
    assert!(
        read(&format!("{text}nonsense\n"))
            .unwrap_err()
            .to_string()
            .contains("line 2")
    );
}

#[test]
fn a_kind_of_line_that_is_not_known_is_skipped() {
    let text = written(&Journal::default(), 0, 0);
    let newer = format!("{text}{{\"seq\":0,\"kind\":\"weather\",\"rain\":true}}\n");
    assert_eq!(read(&newer).unwrap().1[0].seen, Seen::Newer);
}

#[test]
fn every_end_has_a_word_of_its_own() {
    for end in KernelEnd::ALL {
        assert_eq!(end_from_word(end_word(end), 0), Some(end));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_is_read_or_refused(text in ".*") {
        let _read_or_refused = read(&text);
        let _behind_a_good_head = read(&(written(&Journal::default(), 0, 0) + &text));
    }
}
