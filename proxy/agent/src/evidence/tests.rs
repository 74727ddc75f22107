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
    let (head, lines) = read(&journal.write(0, 77, "tp_btf", 0, None).unwrap()).unwrap();
    assert_eq!((head.next, head.forgotten, head.now_unix_us), (2, 0, 77));
    assert_eq!(VecDeque::from(lines), journal.lines);
    let (_, newer) = read(&journal.write(1, 77, "tp_btf", 0, None).unwrap()).unwrap();
    assert_eq!(newer.len(), 1);
}

#[test]
fn a_full_journal_says_how_much_it_forgot() {
    let mut journal = Journal::default();
    for at in 0..KEPT as u64 + 3 {
        journal.push(socket(at, "127.0.0.1:1", "127.0.0.1:2"));
    }
    let (head, lines) = read(&journal.write(1, 0, "tp_btf", 0, None).unwrap()).unwrap();
    assert_eq!((head.forgotten, lines.len()), (2, KEPT));
    assert_eq!(lines[0].seq, 3);
}

#[test]
fn another_version_is_refused_by_name_and_a_line_cut_off_is_left_out() {
    let text = Journal::default().write(0, 0, "tp_btf", 0, None).unwrap();
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
    let text = Journal::default().write(0, 0, "tp_btf", 0, None).unwrap();
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
        let _behind_a_good_head = read(&(Journal::default().write(0, 0, "", 0, None).unwrap() + &text));
    }
}
