//! What metrics and the live view see: everything that the writer takes from the queue.

use hopscope_attribution::evidence::{PathId, RouteId, TunnelLifeEvent};

use super::batch::Batch;
use super::losses::Losses;

/// Somebody who looks on while the run is recorded. Called on the writer's thread, so it never costs a worker time.
pub trait Watcher: Send {
    /// What one worker gathered since its last batch.
    fn batch(&mut self, batch: &Batch);

    /// A route has got its name.
    fn route(&mut self, _route: RouteId, _name: &str) {}

    /// A turn in a forwarder's life.
    fn tunnel_life(&mut self, _path: PathId, _event: &TunnelLifeEvent) {}

    /// About twice a second: what was lost so far, the size of the file, and the first write error.
    fn health(&mut self, _losses: &Losses, _bytes: u64, _write_error: Option<&str>) {}
}
