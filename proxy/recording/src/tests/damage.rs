//! Files that are not recordings, or not any more: one clear line each, and never a panic.

use hopscope_attribution::evidence::{PathId, RouteId};
use proptest::prelude::*;

use super::super::{Options, Recording, create};
use super::{Place, begin, connection, exchange, facts, finish, place};

fn complaint(place: &Place) -> String {
    let complaint = Recording::open(&place.file).expect_err("unreadable").to_string();
    assert!(!complaint.contains('\n'), "one line: {complaint}");
    complaint.replace(&place.file.display().to_string(), "FILE")
}

fn small() -> Place {
    let place = place();
    let (handle, closing) = begin(&place, &Options::default());
    handle.route(RouteId(0), "/a");
    let mut recorder = handle.recorder();
    for id in 0..300 {
        recorder.accepted(PathId(0));
        recorder.connection(connection(id, 0));
        recorder.exchange(&exchange(0, 0, 500, id * 10_000 + 500, 500));
    }
    drop(recorder);
    finish(closing, 4);
    place
}

fn alter(place: &Place, sql: &str) {
    rusqlite::Connection::open(&place.file)
        .and_then(|file| file.execute_batch(sql))
        .expect("the file is altered");
}

#[test]
fn a_missing_file_is_said_to_be_missing() {
    assert_eq!(complaint(&place()), "there is no recording at FILE");
}

#[test]
fn another_file_is_said_to_be_another() {
    let place = place();
    std::fs::write(&place.file, "{}").expect("a file");
    assert_eq!(
        complaint(&place),
        "FILE is not a hopscope recording: it is not an SQLite file"
    );
    std::fs::write(&place.file, "").expect("a file");
    assert_eq!(
        complaint(&place),
        "FILE is not a hopscope recording: it is not an SQLite file"
    );
    std::fs::remove_file(&place.file).expect("removed");
    alter(&place, "CREATE TABLE t (a)");
    assert_eq!(
        complaint(&place),
        "FILE is not a hopscope recording: it is an SQLite file of another program"
    );
}

#[test]
fn a_recording_of_a_newer_schema_asks_for_an_upgrade() {
    let place = small();
    alter(
        &place,
        "PRAGMA user_version = 9; UPDATE run SET value = '7.0.0' WHERE key = 'version'",
    );
    assert_eq!(
        complaint(&place),
        "FILE was written by hopscope 7.0.0 (recording schema 9); this hopscope reads up to 1: upgrade hopscope \
         to read it"
    );
}

#[test]
fn a_recording_is_never_written_over() {
    let place = small();
    let error = create(&place.file, &facts(), &Options::default(), Vec::new()).expect_err("it exists");
    let error = error
        .to_string()
        .replace(&place.file.display().to_string(), "FILE");
    assert_eq!(
        error,
        "FILE exists already: name another file with --record, or remove it"
    );
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let place = place();
    let file = place.file.join("deeper");
    let error = create(&file, &facts(), &Options::default(), Vec::new()).expect_err("no such folder");
    assert!(
        error.to_string().starts_with("cannot make the recording"),
        "{error}"
    );
}

#[test]
fn wrong_values_are_named_by_table_row_and_column() {
    for (sql, expected) in [
        (
            "UPDATE connection SET protocol = 99 WHERE rowid = 7",
            "cannot read the recording FILE: table `connection` row 7: column `protocol` is not a number that `word` \
             explains",
        ),
        (
            "UPDATE exchange SET delivery_status = NULL WHERE rowid = 3",
            "cannot read the recording FILE: table `exchange` row 3: column `delivery_how` is not a delivery that fits \
             its status, author and cut",
        ),
        (
            "UPDATE traffic SET failed_latencies = x'0102' WHERE rowid = 1",
            "cannot read the recording FILE: table `traffic` row 1: column `failed_latencies` is not a histogram",
        ),
        (
            "UPDATE connection SET path = 200",
            "cannot read the recording FILE: table `connection` names path 200, and the run had 2",
        ),
    ] {
        let place = small();
        alter(&place, sql);
        assert_eq!(complaint(&place), expected);
    }
}

#[test]
fn a_missing_table_is_named() {
    let place = small();
    alter(&place, "DROP TABLE exchange");
    assert!(complaint(&place).ends_with("it has no table `exchange`"));
}

#[test]
fn a_missing_column_is_named() {
    let place = small();
    alter(&place, "ALTER TABLE connection DROP COLUMN blocked_up_us");
    assert!(complaint(&place).ends_with("table `connection` has no column `blocked_up_us`"));
}

#[test]
fn a_damaged_page_says_how_much_could_be_read() {
    let place = small();
    let root: u64 = rusqlite::Connection::open(&place.file)
        .and_then(|file| {
            file.query_row(
                "SELECT pageno FROM dbstat WHERE name = 'connection' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 2",
                (),
                |row| row.get::<_, i64>(0),
            )
        })
        .map_or(12, i64::cast_unsigned);
    let mut bytes = std::fs::read(&place.file).expect("the file");
    let page = usize::try_from((root - 1) * 4_096).expect("it fits");
    bytes[page..page + 4_096].fill(0xa5);
    std::fs::write(&place.file, bytes).expect("the file");
    let complaint = complaint(&place);
    assert!(complaint.contains("is damaged after"), "{complaint}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn flipped_bits_and_cut_ends_never_panic(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        use std::sync::OnceLock;
        static WHOLE: OnceLock<Vec<u8>> = OnceLock::new();
        let whole = WHOLE.get_or_init(|| std::fs::read(small().file).expect("the file"));
        let mut bytes = whole.clone();
        for (at, flip) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        let place = place();
        std::fs::write(&place.file, bytes).expect("a file");
        // Either is right; a panic is not.
        drop(Recording::open(&place.file));
    }
}
