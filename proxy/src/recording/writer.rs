//! The one thread that writes the file.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;

use super::batch::{Batch, Message};
use super::error::RecordingError;
use super::facts::{Options, RunFacts, Summary};
use super::handle::Shared;
use super::watcher::Watcher;

/// Makes the file and starts the thread.
pub(super) fn start(
    path: &FilePath,
    _facts: &RunFacts,
    _options: &Options,
    watchers: Vec<Box<dyn Watcher>>,
    queue: Receiver<Message>,
    shared: Arc<Shared>,
) -> Result<JoinHandle<Summary>, RecordingError> {
    let mut writer = Writer {
        watchers,
        shared,
        summary: Summary::default(),
    };
    std::thread::Builder::new()
        .name("recording".to_owned())
        .spawn(move || writer.run(&queue))
        .map_err(|error| RecordingError::Create {
            path: path.to_path_buf(),
            reason: error.to_string(),
        })
}

struct Writer {
    watchers: Vec<Box<dyn Watcher>>,
    shared: Arc<Shared>,
    summary: Summary,
}

impl Writer {
    fn run(&mut self, queue: &Receiver<Message>) -> Summary {
        while let Ok(message) = queue.recv() {
            match message {
                Message::Batch(batch) => self.batch(&batch),
                Message::Finish(_) => break,
                Message::Route(route, name) => self.watchers.iter_mut().for_each(|w| w.route(route, &name)),
                Message::TunnelLife(path, event) => {
                    self.watchers.iter_mut().for_each(|w| w.tunnel_life(path, &event));
                }
                Message::TunnelWatched(..)
                | Message::TunnelLine(..)
                | Message::TunnelGauge(..)
                | Message::Observer(_)
                | Message::NodeWatched(_)
                | Message::KernelSocket(_)
                | Message::KernelWindow(_)
                | Message::Generator(_) => {}
            }
        }
        self.summary.losses = self.shared.losses.read();
        self.summary.clone()
    }

    fn batch(&mut self, batch: &Batch) {
        self.summary.accounting.accepts += batch.accepted.iter().sum::<u64>();
        self.summary.accounting.connection_rows += batch.connections.len() as u64;
        self.watchers.iter_mut().for_each(|w| w.batch(batch));
    }
}
