//! Any file is a recording, or one clear line says why not.
#![no_main]

use hopscope::recording::Recording;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // SQLite reads files, so the bytes must be one; a process fuzzes alone in its own.
    let file = std::env::temp_dir().join(format!("fuzz-{}.hopscope", std::process::id()));
    std::fs::write(&file, bytes).expect("a temporary file");
    if let Err(error) = Recording::open(&file) {
        assert!(!error.to_string().contains('\n'), "more than a line: {error}");
    }
});
