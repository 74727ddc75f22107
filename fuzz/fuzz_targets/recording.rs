//! Any file is a recording, or one clear line says why not; and a recording with any values in any cells is told the
//! same every time, in every form.
//!
//! Bytes that begin as SQLite's do are a file; other bytes are instructions that alter a real, small recording.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use hopscope::recording::Recording;
use hopscope::report::terminal::{self, Screen};
use hopscope::report::{Report, html, json, markdown};
use libfuzzer_sys::fuzz_target;
use rusqlite::types::Value;

const SMALL: &[u8] = include_bytes!("../seeds/recording/small.sqlite");

/// Every column of every table.
fn cells() -> &'static [(String, String)] {
    static CELLS: OnceLock<Vec<(String, String)>> = OnceLock::new();
    CELLS.get_or_init(|| {
        let file = scratch();
        std::fs::write(&file, SMALL).expect("a temporary file");
        let database = rusqlite::Connection::open(&file).expect("the seed is a database");
        let mut statement = database
            .prepare("SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'")
            .expect("SQLite lists its tables");
        let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect).expect("SQLite lists its columns")
    })
}

/// SQLite reads files, so the bytes must be one; a process fuzzes alone in its own.
fn scratch() -> PathBuf {
    std::env::temp_dir().join(format!("fuzz-{}.sqlite", std::process::id()))
}

/// Takes `count` bytes off the front, or what is left.
fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(count.min(input.len()));
    *input = rest;
    taken
}

fn value(input: &mut &[u8]) -> Value {
    let [kind] = take(input, 1) else {
        return Value::Null;
    };
    let mut word = [0; 8];
    let length = usize::from(kind >> 3);
    match kind & 7 {
        0 => Value::Null,
        1 => Value::Integer(i64::MAX),
        2 => Value::Integer(i64::MIN),
        3 => Value::Integer(i64::from(length as u8)),
        4 => {
            let bytes = take(input, 8);
            word[..bytes.len()].copy_from_slice(bytes);
            Value::Integer(i64::from_ne_bytes(word))
        }
        5 => Value::Text(String::from_utf8_lossy(take(input, length)).into_owned()),
        6 => Value::Blob(take(input, length * 8).to_vec()),
        _ => Value::Real(f64::from(kind >> 3) * 1e300),
    }
}

fn alter(file: &Path, mut input: &[u8]) {
    let database = rusqlite::Connection::open(file).expect("the seed is a database");
    for _ in 0..8 {
        let [column, row] = take(&mut input, 2) else { break };
        let (table, column) = &cells()[usize::from(*column) % cells().len()];
        let value = value(&mut input);
        let sql = format!(
            "UPDATE {table} SET \"{column}\" = ? WHERE rowid = \
             (SELECT rowid FROM {table} LIMIT 1 OFFSET {row} % max(1, (SELECT count(*) FROM {table})))"
        );
        // A key that is there already is refused.
        drop(database.execute(&sql, [value]));
    }
}

fuzz_target!(|input: &[u8]| {
    let file = scratch();
    if input.starts_with(b"SQLite format 3\0") {
        std::fs::write(&file, input).expect("a temporary file");
    } else {
        std::fs::write(&file, SMALL).expect("a temporary file");
        alter(&file, input);
    }
    let told = match Recording::open(&file) {
        Ok(recording) => tell(&recording),
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "more than a line: {error}");
            return;
        }
    };
    let again = Recording::open(&file).expect("it could be read before");
    assert_eq!(tell(&again), told, "the same recording gives the same bytes");
});

fn tell(recording: &Recording) -> [String; 4] {
    let report = Report::of_recording(recording);
    [
        json::render(&report).expect("a report is JSON"),
        terminal::render(&report, Screen::PLAIN),
        markdown::render(&report),
        html::render(&report),
    ]
}
