//! What is on the way of a path, stated after the run.

use hopscope_attribution::evidence::{Observation, PathId, PathKind};

use super::Recording;

/// A path that the recording does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the recording has no path {name}; it has {}", known.join(", "))]
pub struct NoSuchPath {
    /// The name that was given.
    pub name: String,
    /// The names that there are.
    pub known: Vec<String>,
}

impl Recording {
    /// The same, with another kind for the path of this name. The file stays as it is.
    ///
    /// # Errors
    /// When no path has this name.
    pub fn relabelled(mut self, name: &str, kind: PathKind) -> Result<Self, NoSuchPath> {
        let paths = &mut self.evidence.paths;
        let Some(index) = paths.iter().position(|path| path.name == name) else {
            return Err(NoSuchPath {
                name: name.to_owned(),
                known: paths.iter().map(|path| path.name.clone()).collect(),
            });
        };
        for paths in [paths, &mut self.facts.paths] {
            if let Some(path) = paths.get_mut(index) {
                path.kind = kind;
            }
        }
        let id = PathId(u8::try_from(index).unwrap_or(u8::MAX));
        let tunnels = &mut self.evidence.tunnels;
        // One entry a tunnel: what was seen of its forward, or that nobody looked.
        if kind == PathKind::Tunnel {
            if !tunnels.iter().any(|(path, _)| *path == id) {
                tunnels.push((id, Observation::default()));
                tunnels.sort_by_key(|(path, _)| *path);
            }
        } else {
            tunnels.retain(|(path, _)| *path != id);
        }
        Ok(self)
    }
}
