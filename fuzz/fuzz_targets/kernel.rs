//! What comes from the kernel: records of the ring buffer, keys of counted rows, answers of `sock_diag`, `TCP_INFO`.
//! Every record of the right length and kind is an event that says what the record says; what is gathered of them is
//! bounded and given out once.
#![no_main]

use std::mem::offset_of;
use std::net::IpAddr;

use hopscope_agent::correlate::Gathering;
use hopscope_agent::parse::{Event, KeyBytes, Malformed, Socket, tallied};
use hopscope_host::sock_diag::message::{self, Answer};
use hopscope_abi::{Kind, Record, TallyKey};
use libfuzzer_sys::fuzz_target;

const RECORD: usize = size_of::<Record>();

/// The fields as the probes wrote them, read by another way than the program's.
fn agrees(bytes: &[u8], socket: &Socket) {
    let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let half = |at: usize| u16::from_ne_bytes(bytes[at..at + 2].try_into().expect("two bytes"));
    assert_eq!(socket.netns, word(offset_of!(Record, netns)));
    assert_eq!(socket.ends.local.port(), half(offset_of!(Record, local_port)));
    assert_eq!(socket.ends.remote.port(), half(offset_of!(Record, remote_port)));
    assert_eq!(socket.owner.as_ref().map_or(0, |owner| owner.pid), word(offset_of!(Record, pid)));
    assert_eq!(socket.state, bytes[offset_of!(Record, state)]);
    let first = &bytes[offset_of!(Record, remote)..][..4];
    if bytes[offset_of!(Record, family)] == 4 {
        assert_eq!(socket.ends.remote.ip(), IpAddr::from(<[u8; 4]>::try_from(first).expect("four bytes")));
    }
    // 16 bytes of any kind, and U+FFFD has three.
    assert!(socket.owner.as_ref().is_none_or(|owner| owner.comm.len() <= 48));
}

fn records(input: &[u8]) {
    let mut gathering = Gathering::default();
    let (mut closed, mut resets, mut drops) = (0, 0, 0);
    let mut cases = Vec::new();
    for chunk in input.chunks(RECORD) {
        let event = match Event::parse(chunk) {
            Ok(event) => event,
            Err(Malformed::Length { got }) => {
                assert!(got == chunk.len() && got != RECORD);
                continue;
            }
            Err(Malformed::Kind(number)) => {
                assert_eq!(Kind::from_number(number), None);
                // The rest of it may be worth a look.
                let mut known = chunk.to_vec();
                known[offset_of!(Record, kind)..][..4].copy_from_slice(&(number % 6 + 1).to_ne_bytes());
                Event::parse(&known).expect("a record of a known kind is an event")
            }
        };
        match &event {
            Event::Closed(socket, _) => {
                agrees(chunk, socket);
                closed += 1;
            }
            Event::ResetSent { socket, .. } | Event::ResetReceived(socket) => {
                agrees(chunk, socket);
                resets += 1;
            }
            Event::SynRetransmit(socket) | Event::Listening(socket) => agrees(chunk, socket),
            Event::Dropped { .. } => drops += 1,
        }
        cases.extend(gathering.add(event));
    }
    // Times are the kernel's own and monotonic; here they are not, so that the end is asked for until it is reached.
    while let Some(case) = gathering.due(u64::MAX) {
        cases.push(case);
    }
    for case in &cases {
        assert!(case.ends.len() <= 2);
    }
    let sum = |count: &dyn Fn(&hopscope_agent::correlate::Case) -> usize| cases.iter().map(count).sum::<usize>();
    assert!(sum(&|case| case.ends.len()) <= closed);
    assert!(sum(&|case| case.resets_sent.len() + case.resets_received.len()) <= resets);
    assert!(sum(&|case| case.drops.len()) <= drops);
}

fn netlink(input: &[u8]) {
    let mut entries = 0;
    for answer in message::answers(input, 7) {
        if let Answer::Socket(_) = answer {
            entries += 1;
        }
    }
    assert!(entries * 72 <= input.len(), "more sockets than bytes for them");
}

fuzz_target!(|input: &[u8]| {
    let Some((which, rest)) = input.split_first() else {
        return;
    };
    match which % 3 {
        0 => records(rest),
        1 => netlink(rest),
        _ => {
            let mut key: KeyBytes = [0; size_of::<TallyKey>()];
            let length = key.len().min(rest.len());
            key[..length].copy_from_slice(&rest[..length]);
            assert!(tallied(&key).comm.len() <= 48);
        }
    }
});
