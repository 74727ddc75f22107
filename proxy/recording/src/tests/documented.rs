//! docs/recording.md says everything that is in the file.

use std::collections::BTreeMap;

use super::super::{LossKind, schema};

const DOCUMENT: &str = include_str!("../../../../docs/recording.md");

/// The document's sections by the table that they describe.
fn sections() -> BTreeMap<&'static str, &'static str> {
    DOCUMENT
        .split("\n## ")
        .filter_map(|section| section.strip_prefix('`')?.split_once('`'))
        .collect()
}

#[test]
fn every_table_and_column_is_documented() {
    let sections = sections();
    for table in schema::tables() {
        let section = sections
            .get(table.name)
            .unwrap_or_else(|| panic!("no section on `{}`", table.name));
        for column in &table.columns {
            assert!(
                section.contains(&format!("`{column}`")),
                "`{}` does not name `{column}`",
                table.name
            );
        }
    }
    assert_eq!(
        sections.len(),
        schema::tables().len(),
        "a section on a table that is not there"
    );
}

#[test]
fn every_kind_of_loss_is_documented() {
    let section = sections()["loss"];
    for kind in LossKind::ALL {
        assert!(section.contains(kind.word()), "{kind:?}");
    }
}
