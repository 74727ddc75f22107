//! Recordings of earlier programs stay readable.
//!
//! `testdata` has two that hopscope 0.1.0 wrote before any column was added: a demo through a forward, and a
//! run with probes over two paths. They are never written again; what a later schema adds, they do not have.

use std::path::PathBuf;

use hopscope_attribution::evidence::{Delivery, Observation};

use super::super::schema::{self, Addition};
use super::super::{Recording, columns::Columns as _};
use super::{connection, finish, place};

fn written(name: &str) -> Recording {
    let file: PathBuf = [env!("CARGO_MANIFEST_DIR"), "testdata", name].iter().collect();
    Recording::open(&file).expect("it stays readable")
}

#[test]
fn a_demo_of_the_first_program_is_read_whole() {
    let recording = written("tunnel.sqlite");
    let evidence = recording.evidence();
    assert_eq!((evidence.connections.len(), evidence.exchanges.len()), (24, 77));
    let total = recording.total();
    assert_eq!((total.requests, total.undelivered), (83, 12));
    let (_, tunnel) = &evidence.tunnels[0];
    let Observation::Seen(tunnel) = tunnel else {
        panic!("the forward was watched: {tunnel:?}")
    };
    assert_eq!(tunnel.life.len(), 5);
    assert!(matches!(&tunnel.lines, Observation::Seen(lines) if lines.len() == 5));
    assert!(matches!(&tunnel.gauges, Observation::Seen(gauges) if gauges.len() == 18));
    assert!(matches!(&evidence.generator, Observation::Seen(generator) if generator.failed == 12));
    assert!(evidence.observer.closed_properly && recording.cut_off().is_none());
}

#[test]
fn a_run_of_the_first_program_with_probes_is_read_whole() {
    let recording = written("probes.sqlite");
    let evidence = recording.evidence();
    assert_eq!((evidence.connections.len(), evidence.exchanges.len()), (16, 13));
    let failed = |delivery: Delivery| delivery.failed();
    let failures = evidence
        .exchanges
        .iter()
        .filter(|exchange| failed(exchange.delivery));
    assert_eq!(failures.count(), 7);
    assert!(matches!(&evidence.node, Observation::Seen(node) if node.sockets.len() == 15));
    assert_eq!(recording.exit_code(), Some(0));
    assert!(recording.kernel().is_some());
}

#[test]
fn a_column_that_a_recording_lacks_is_read_as_what_stands_for_it() {
    let mut columns = Vec::new();
    hopscope_attribution::evidence::Connection::names("", &mut columns);
    let lacking: Vec<String> = columns
        .iter()
        .filter(|column| !["blocked_up_us", "last_byte_us"].contains(&column.as_str()))
        .cloned()
        .collect();
    let added = |column, otherwise| Addition {
        table: "connection",
        column,
        otherwise,
    };
    let additions = [added("blocked_up_us", "0"), added("last_byte_us", "NULL")];
    let select =
        schema::select::<hopscope_attribution::evidence::Connection>("connection", &lacking, &additions);
    assert!(select.contains("0 AS \"blocked_up_us\""), "{select}");
    assert!(select.contains("NULL AS \"last_byte_us\""), "{select}");
    assert!(select.contains("connection.\"blocked_down_us\""), "{select}");
}

#[test]
fn every_addition_names_a_column_that_there_is() {
    for added in schema::ADDITIONS {
        let tables = schema::tables();
        let table = tables.iter().find(|table| table.name == added.table);
        let columns = &table.expect("a table of that name").columns;
        assert!(columns.iter().any(|column| column == added.column), "{added:?}");
    }
}

#[test]
fn a_recording_with_columns_and_tables_of_a_later_program_is_read() {
    let place = place();
    let (handle, closing) = super::begin(&place, &super::Options::default());
    let mut recorder = handle.recorder();
    recorder.accepted(hopscope_attribution::evidence::PathId(0));
    recorder.connection(connection(7, 0));
    drop(recorder);
    finish(closing, 1);
    let file = rusqlite::Connection::open(&place.file).expect("a database");
    let columns = "ALTER TABLE connection ADD COLUMN \"later_us\"; CREATE TABLE later (\"a\", \"b\");";
    file.execute_batch(columns).expect("altered");
    drop(file);
    assert_eq!(
        super::read(&place).evidence().connections,
        vec![connection(7, 0)].into()
    );
}
