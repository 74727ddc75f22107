//! What is recorded is what is read, whatever happens to the file.

mod addresses;
mod arbitrary;
mod damage;
mod documented;
mod elsewhere;
mod hostile;
mod loss;
mod older;
mod round_trip;
mod unread;

use std::path::PathBuf;

use hopscope_attribution::evidence::Moment;
pub(crate) use hopscope_fixtures::{connection, exchange, facts};

use super::{Closing, FinalFacts, Options, Recording, RecordingHandle, Summary, create};

/// A folder of its own, and the file in it.
pub(crate) struct Place {
    _folder: tempfile::TempDir,
    pub(crate) file: PathBuf,
}

pub(crate) fn place() -> Place {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("run.hopscope");
    Place {
        _folder: folder,
        file,
    }
}

pub(crate) fn begin(place: &Place, options: &Options) -> (RecordingHandle, Closing) {
    create(&place.file, &facts(), options, Vec::new()).expect("a new recording")
}

pub(crate) fn finish(closing: Closing, seconds: u64) -> Summary {
    closing
        .finish(FinalFacts {
            ended: Moment(seconds * 1_000_000),
            exit_code: Some(0),
            exited: None,
        })
        .expect("the writer ends")
}

pub(crate) fn read(place: &Place) -> Recording {
    Recording::open(&place.file).expect("a readable recording")
}
