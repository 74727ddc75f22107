//! Addresses that failed beside others of their name.

use hopscope_attribution::evidence::{
    AddressFailures, ConnectFailure, ConnectionId, FailedAddress, Moment, PathId, Span,
};

use super::{Place, begin, connection, finish, place, read};
use crate::Options;

fn failed(connection: u64, address: &str, failure: ConnectFailure) -> FailedAddress {
    FailedAddress {
        connection: ConnectionId(connection),
        path: PathId(1),
        at: Moment(1_000_000 + connection),
        address: address.parse().expect("an address"),
        after: Span::from_micros(70),
        failure,
    }
}

fn record(place: &Place) {
    let (handle, closing) = begin(place, &Options::default());
    let mut recorder = handle.recorder();
    for id in 0..3 {
        recorder.accepted(PathId(1));
        recorder.failed_address(failed(id, "[::1]:3000", ConnectFailure::Refused));
        recorder.connection(connection(id, 1));
    }
    recorder.failed_address(failed(3, "10.0.0.7:3000", ConnectFailure::TimedOut));
    drop(recorder);
    assert!(finish(closing, 10).losses.none());
}

#[test]
fn failures_of_an_address_are_told_together() {
    let place = place();
    record(&place);
    let told = |address: &str, failure, times, first, last| AddressFailures {
        path: PathId(1),
        address: address.parse().expect("an address"),
        failure,
        times,
        first: Moment(first),
        last: Moment(last),
    };
    assert_eq!(
        read(&place).evidence().failed_addresses,
        [
            told("[::1]:3000", ConnectFailure::Refused, 3, 1_000_000, 1_000_002),
            told("10.0.0.7:3000", ConnectFailure::TimedOut, 1, 1_000_003, 1_000_003),
        ]
    );
}

#[test]
fn a_recording_of_an_earlier_version_has_no_such_table() {
    let place = place();
    record(&place);
    let database = rusqlite::Connection::open(&place.file).expect("the file");
    database
        .execute_batch("DROP TABLE failed_address")
        .expect("as it was before");
    drop(database);
    assert_eq!(read(&place).evidence().failed_addresses, []);
    assert_eq!(read(&place).evidence().connections.len(), 3);
}
