//! Texts that are kept beside the code: what a writer writes is compared with a file in the `testdata/` of the crate under test.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here is the test")]

use std::path::{Path, PathBuf};

/// Compares a text with `testdata/NAME`; with `UPDATE_EXPECT=1` in the environment it becomes the file.
///
/// # Panics
/// When they differ.
pub fn check(name: &str, actual: &str) {
    let file = path(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(file.parent().expect("a file has a folder")).expect("the folder can be made");
        std::fs::write(&file, actual).expect("the file can be written");
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    if expected != actual {
        let at = expected
            .lines()
            .zip(actual.lines())
            .take_while(|(expected, actual)| expected == actual)
            .count();
        panic!(
            "{} differs from line {} on; UPDATE_EXPECT=1 accepts what is written now:\n{actual}",
            file.display(),
            at + 1
        );
    }
}

/// The bytes of `testdata/NAME`.
///
/// # Panics
/// When it cannot be read.
pub fn bytes(name: &str) -> Vec<u8> {
    let file = path(name);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn path(name: &str) -> PathBuf {
    // Cargo sets it for the tests that it runs: the folder of the crate under test, not of this one.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    [Path::new(&package), Path::new("testdata"), Path::new(name)]
        .iter()
        .collect()
}
