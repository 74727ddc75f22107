//! Recordings that lie where nothing can be written, and broke off: read whole, or refused.

use std::path::{Path, PathBuf};

use hopscope_attribution::evidence::PathId;

use super::super::{Options, Recording, RecordingHandle};
use super::{Place, begin, connection, place};

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_os_string();
    name.push(ending);
    name.into()
}

/// A recording whose writer was killed, with most of it in the log: the files are copied while it is still open.
fn broken_off() -> Place {
    let whole = place();
    let (handle, closing) = begin(&whole, &Options::default());
    record(&handle);
    let copy = place();
    let done = || {
        let seen = Recording::open(&whole.file).map(|recording| recording.evidence().connections.len());
        seen.is_ok_and(|connections| connections == 300)
    };
    for _ in 0..200 {
        if done() {
            break;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
    assert!(done(), "the writer commits twice a second");
    std::fs::copy(&whole.file, &copy.file).expect("copied");
    std::fs::copy(beside(&whole.file, "-wal"), beside(&copy.file, "-wal")).expect("copied");
    drop(handle);
    closing.discard();
    copy
}

fn record(handle: &RecordingHandle) {
    let mut recorder = handle.recorder();
    for id in 0..300 {
        recorder.accepted(PathId(0));
        recorder.connection(connection(id, 0));
    }
    drop(recorder);
}

#[test]
fn its_log_is_read_where_no_index_of_it_can_be_made() {
    let place = broken_off();
    // A folder of that name: no user can make a file of it, not even root.
    std::fs::create_dir(beside(&place.file, "-shm")).expect("a folder");
    let before = std::fs::read(&place.file).expect("the file");
    let recording = Recording::open(&place.file).expect("it is read");
    assert_eq!(recording.evidence().connections.len(), 300);
    assert!(recording.cut_off().is_some());
    assert_eq!(
        std::fs::read(&place.file).expect("the file"),
        before,
        "nothing was written"
    );
    assert!(beside(&place.file, "-wal").exists());
}

#[test]
fn a_recording_whose_log_cannot_be_read_is_refused() {
    let place = broken_off();
    std::fs::create_dir(beside(&place.file, "-shm")).expect("a folder");
    let log = beside(&place.file, "-wal");
    std::fs::remove_file(&log).expect("removed");
    std::fs::create_dir(&log).expect("a folder");
    std::fs::write(log.join("x"), "x").expect("a file");
    let told = Recording::open(&place.file).expect_err("refused").to_string();
    assert!(told.contains("-wal"), "{told}");
}

#[test]
fn a_recording_and_its_log_are_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = place();
    let (handle, closing) = begin(&place, &Options::default());
    record(&handle);
    for ending in ["", "-wal", "-shm"] {
        let file = beside(&place.file, ending);
        let mode = std::fs::metadata(&file).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    drop(handle);
    closing.discard();
    assert!(!place.file.exists() && !beside(&place.file, "-wal").exists());
}
