//! Recordings of a time when less was kept.

use hopscope_attribution::evidence::{Opaque, PathId, Protocol, Unread};

use super::super::{Options, Recording};
use super::{Place, begin, connection, finish, place};

fn two_connections() -> Place {
    let place = place();
    let (handle, closing) = begin(&place, &Options::default());
    let mut recorder = handle.recorder();
    for id in 0..2 {
        let mut connection = connection(id, 0);
        if id == 1 {
            connection.protocol = Protocol::Opaque(Opaque::Tls);
            connection.unread = Some(Unread { up: 20, down: 200 });
        }
        recorder.accepted(PathId(0));
        recorder.connection(connection);
    }
    drop(recorder);
    finish(closing, 4);
    place
}

fn unread(place: &Place) -> Vec<Option<Unread>> {
    let recording = Recording::open(&place.file).expect("a readable recording");
    let connections = recording.evidence().connections.iter();
    connections.map(|connection| connection.unread).collect()
}

#[test]
fn where_it_was_not_kept_how_much_was_read_a_connection_that_is_opaque_counts_as_a_whole() {
    let place = two_connections();
    assert_eq!(unread(&place), [None, Some(Unread { up: 20, down: 200 })]);
    rusqlite::Connection::open(&place.file)
        .and_then(|file| {
            file.execute_batch(
                "ALTER TABLE connection DROP COLUMN unread_up; ALTER TABLE connection DROP COLUMN unread_down",
            )
        })
        .expect("the file is altered");
    assert_eq!(unread(&place), [None, Some(Unread { up: 120, down: 1_200 })]);
}
