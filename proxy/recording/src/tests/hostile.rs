//! Files that somebody made to harm whoever reads them: refused in a line, in little time and little memory.

use std::time::{Duration, Instant};

use hopscope_attribution::evidence::PathId;

use super::super::{Options, Recording};
use super::{Place, begin, connection, exchange, finish, place};

fn recorded(connections: u64) -> Place {
    let place = place();
    let (handle, closing) = begin(&place, &Options::default());
    let mut recorder = handle.recorder();
    for id in 0..connections {
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

/// What is said of the file, which must not take long.
fn refusal(place: &Place) -> String {
    let began = Instant::now();
    let told = Recording::open(&place.file).expect_err("refused").to_string();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert!(!told.contains('\n') && told.len() < 600, "{told}");
    told
}

#[test]
fn a_view_that_never_ends_is_no_table() {
    let place = recorded(3);
    alter(
        &place,
        "DROP TABLE delay;
         CREATE VIEW delay AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS at_us, x AS by_us FROM n",
    );
    assert!(refusal(&place).ends_with("it has no table `delay`"));
}

#[test]
fn a_column_that_is_computed_is_not_ours() {
    let place = recorded(3);
    alter(
        &place,
        "DROP TABLE delay;
         CREATE TABLE delay (\"at_us\", \"by_us\" GENERATED ALWAYS AS (hex(zeroblob(1000000))))",
    );
    assert!(refusal(&place).contains("`delay` is not defined as hopscope defines it"));
}

#[test]
fn a_virtual_table_is_not_ours() {
    let place = recorded(3);
    alter(
        &place,
        "DROP TABLE delay; CREATE VIRTUAL TABLE delay USING fts5(at_us, by_us)",
    );
    assert!(refusal(&place).ends_with("it has no table `delay`"));
}

#[test]
fn a_last_row_with_an_enormous_number_asks_for_no_memory() {
    let place = recorded(3);
    alter(
        &place,
        "UPDATE connection SET rowid = 9223372036854775807 WHERE rowid = 3",
    );
    let recording = Recording::open(&place.file).expect("it has three connections");
    assert_eq!(recording.evidence().connections.len(), 3);
}

/// Makes `table` a tree of interior pages in which every child is the same page: a few kilobytes that say that they have
/// more rows than there are atoms.
fn tie_in_a_knot(place: &Place, table: &str) {
    const PAGE: usize = 4_096;
    const LEVELS: usize = 6;
    const CHILDREN: usize = 400;
    let root: usize = rusqlite::Connection::open(&place.file)
        .and_then(|file| {
            let of = "SELECT rootpage FROM sqlite_schema WHERE name = ?";
            file.query_row(of, [table], |row| row.get::<_, i64>(0))
        })
        .map(|page| usize::try_from(page).expect("a page"))
        .expect("a table");
    let mut bytes = std::fs::read(&place.file).expect("the file");
    let pages = bytes.len() / PAGE;
    // What was the root moves to the end, where the lowest of the new pages refer to it.
    let leaf = bytes[(root - 1) * PAGE..root * PAGE].to_vec();
    bytes.extend(leaf);
    let mut child = pages + 1;
    for level in 0..LEVELS {
        let at = if level + 1 == LEVELS {
            (root - 1) * PAGE
        } else {
            bytes.resize(bytes.len() + PAGE, 0);
            bytes.len() - PAGE
        };
        let page = &mut bytes[at..at + PAGE];
        page.fill(0);
        let number = u32::try_from(child).expect("it fits").to_be_bytes();
        let first_cell = PAGE - CHILDREN * 5;
        page[0] = 5;
        page[3..5].copy_from_slice(&u16::try_from(CHILDREN).expect("it fits").to_be_bytes());
        page[5..7].copy_from_slice(&u16::try_from(first_cell).expect("it fits").to_be_bytes());
        page[8..12].copy_from_slice(&number);
        for cell in 0..CHILDREN {
            let offset = first_cell + cell * 5;
            page[12 + cell * 2..14 + cell * 2]
                .copy_from_slice(&u16::try_from(offset).expect("it fits").to_be_bytes());
            page[offset..offset + 4].copy_from_slice(&number);
            page[offset + 4] = 1;
        }
        child = at / PAGE + 1;
    }
    let count = u32::try_from(bytes.len() / PAGE).expect("it fits");
    bytes[28..32].copy_from_slice(&count.to_be_bytes());
    std::fs::write(&place.file, bytes).expect("a file");
}

#[test]
fn pages_that_refer_to_one_another_do_not_yield_rows_for_ever() {
    for table in ["connection", "exchange", "traffic", "observer", "address", "run"] {
        let place = recorded(3);
        alter(
            &place,
            "INSERT INTO observer SELECT 1, 1, 1, 1, 1, 1, 1, 1 WHERE (SELECT count(*) FROM pragma_table_info('observer')) = 8",
        );
        tie_in_a_knot(&place, table);
        let told = refusal(&place);
        assert!(
            [
                "more than the file has room for",
                "is damaged",
                "within the size of the file"
            ]
            .iter()
            .any(|refused| told.contains(refused)),
            "{table}: {told}"
        );
    }
}

#[test]
fn a_table_of_a_view_of_tables_within_tables_is_refused_by_its_schema_alone() {
    let place = recorded(3);
    let tables: Vec<String> = (0..1_200)
        .map(|number| format!("CREATE TABLE t{number} (a);"))
        .collect();
    let sql = format!("BEGIN; {} COMMIT", tables.concat());
    alter(&place, &sql);
    assert!(refusal(&place).contains("sqlite_schema"));
}

#[test]
fn a_histogram_for_each_of_many_routes_takes_the_memory_of_its_counts() {
    let place = recorded(300);
    alter(
        &place,
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000)
         INSERT INTO traffic SELECT second, path, x, requests, delivered_errors, undelivered, latency_sum_us, latency_max_us,
             ok_latency_sum_us, ok_latency_max_us, ok_rows, statuses, ok_latencies, failed_latencies
         FROM n, (SELECT * FROM traffic LIMIT 1)",
    );
    assert!(refusal(&place).contains("column `route` is not"));
}
