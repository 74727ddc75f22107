//! The words of faults and runtimes.

use std::io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset};
use std::time::Duration;

use super::fault::{Selection, StreamFault, TunnelFault};
use super::faults::Faults;
use super::runtime::{Ending, PodFailure, Runtime};

#[test]
fn faults_are_read_as_they_are_written() {
    let streams = [
        StreamFault::NoErrorReply,
        StreamFault::NoDataReply,
        StreamFault::LateErrorReply(Duration::from_secs(31)),
        StreamFault::LateDataReply(Duration::from_millis(5)),
        StreamFault::ResetErrorStream,
        StreamFault::ResetDataStream,
        StreamFault::ResetOnly,
        StreamFault::SlowReply(Duration::from_millis(50)),
        StreamFault::Flood(1 << 40),
        StreamFault::NeverAnswer,
        StreamFault::ErrorText("dial tcp4 127.0.0.1:80: connect: refused".to_owned()),
    ];
    for fault in streams {
        assert_eq!(StreamFault::parse(&fault.to_string()), Some(fault));
    }
    let tunnels = [
        TunnelFault::Fin,
        TunnelFault::Reset,
        TunnelFault::GoAway,
        TunnelFault::WebSocketClose(1001),
        TunnelFault::Reading(false),
        TunnelFault::Reading(true),
        TunnelFault::AnsweringPings(false),
        TunnelFault::AnsweringPings(true),
        TunnelFault::Throttle(9),
    ];
    for fault in tunnels {
        assert_eq!(TunnelFault::parse(&fault.to_string()), Some(fault));
    }
    for nonsense in ["", "late-error-reply", "flood:-1", "throttle:x", "stop"] {
        assert_eq!(
            (StreamFault::parse(nonsense), TunnelFault::parse(nonsense)),
            (None, None),
            "{nonsense:?}"
        );
    }
}

#[test]
fn a_share_strikes_about_that_share_and_always_the_same_connections() {
    let struck = || {
        let faults = Faults::default();
        faults.stream(Selection::Share(0.1), StreamFault::NeverAnswer);
        (0..2_000)
            .filter(|request| faults.draw(0, *request).is_some())
            .collect::<Vec<_>>()
    };
    let first = struck();
    assert!((140..=260).contains(&first.len()), "{} of 2000", first.len());
    assert_eq!(first, struck());
}

#[test]
fn the_next_so_many_and_one_request_are_struck_once_each_and_recorded() {
    let faults = Faults::default();
    faults.stream(Selection::Request(5), StreamFault::ResetOnly);
    faults.stream(Selection::Next(2), StreamFault::NeverAnswer);
    let struck: Vec<_> = (4..8).map(|request| faults.draw(0, request)).collect();
    let (never, reset) = (Some(StreamFault::NeverAnswer), Some(StreamFault::ResetOnly));
    assert_eq!(struck, [never.clone(), reset, never, None]);
    assert_eq!(faults.truth().events().len(), 3);
}

#[test]
fn each_runtime_has_its_own_words_for_a_refused_port() {
    let refused = PodFailure::Dial {
        ipv4: ConnectionRefused,
        ipv6: ConnectionRefused,
    };
    let sandbox = "5ad0c1e2f3a4b5c6d7e8f9a0b1c2d3e4";
    let netns = "/var/run/netns/cni-5ad0c1e2-f3a4-b5c6-d7e8-f9a0b1c2d3e4";
    assert_eq!(
        Runtime::Containerd17.text(&refused, 8080, sandbox),
        format!(
            "failed to execute portforward in network namespace \"{netns}\": failed to connect to localhost:8080 \
             inside namespace \"{sandbox}\", IPv4: dial tcp4 127.0.0.1:8080: connect: connection refused \
             IPv6 dial tcp6 [::1]:8080: connect: connection refused "
        )
    );
    assert_eq!(
        Runtime::CriO.text(&refused, 8080, sandbox),
        format!(
            "port forward into network namespace \"{netns}\": failed to connect to localhost:8080 inside \
             namespace {sandbox}: dial tcp6 [::1]:8080: connect: connection refused"
        )
    );
    assert_eq!(
        Runtime::Dockershim.text(&refused, 8080, sandbox),
        "exit status 1: 2026/01/02 15:04:05 socat[4711] E connect(5, AF=2 127.0.0.1:8080, 16): Connection refused\n"
    );
}

#[test]
fn a_pods_reset_is_told_reset_or_both_by_version() {
    let reset = PodFailure::Read {
        local: 40_000,
        error: ConnectionReset,
    };
    let pipe = PodFailure::Write {
        local: 40_000,
        error: BrokenPipe,
    };
    let refused = PodFailure::Dial {
        ipv4: ConnectionRefused,
        ipv6: ConnectionRefused,
    };
    let endings =
        Runtime::ALL.map(|runtime| [&reset, &pipe, &refused].map(|failure| runtime.ending(failure)));
    let [fin, both, only] = [Ending::TextThenFin, Ending::TextThenReset, Ending::ResetOnly];
    assert_eq!(
        endings,
        [[fin; 3], [only, only, fin], [both; 3], [both; 3], [fin; 3]]
    );
    let text = Runtime::Containerd21.text(&reset, 80, "ab");
    let ends = "tcp4 127.0.0.1:40000->127.0.0.1:80";
    assert!(
        text.ends_with(&format!(
            ": writeto {ends}: read {ends}: read: connection reset by peer"
        )),
        "{text}"
    );
}
