//! What is posted of pods and events as they change: the lists and watches of a node's agent.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::http::Request;

/// What can be listed and watched all over the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `/api/v1/pods`
    Pods,
    /// `/api/v1/events`
    Events,
}

impl Resource {
    /// The resource of a path below `/api/v1`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "pods" => Some(Self::Pods),
            "events" => Some(Self::Events),
            _ => None,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Pods => "Pod",
            Self::Events => "Event",
        }
    }
}

/// One change, as a watch tells it.
#[derive(Clone, Debug)]
struct Post {
    resource: Resource,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    change: String,
    object: Value,
}

/// Every change so far. The version of an object is the number of changes up to its own.
#[derive(Debug)]
pub(super) struct Bulletin {
    posts: Mutex<Vec<Post>>,
    grown: watch::Sender<usize>,
}

impl Default for Bulletin {
    fn default() -> Self {
        Self {
            posts: Mutex::default(),
            grown: watch::Sender::new(0),
        }
    }
}

impl Bulletin {
    pub(super) fn post(&self, resource: Resource, change: &str, mut object: Value) {
        let mut posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        let version = posts.len() + 1;
        if let Some(object) = object.as_object_mut() {
            object.insert("kind".to_owned(), resource.kind().into());
            object.insert("apiVersion".to_owned(), "v1".into());
            if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                meta.insert("resourceVersion".to_owned(), version.to_string().into());
            }
        }
        posts.push(Post {
            resource,
            change: change.to_owned(),
            object,
        });
        self.grown.send_replace(version);
    }

    /// What there is now of what the request selects.
    pub(super) fn list(&self, resource: Resource, request: &Request) -> Value {
        let posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut living = BTreeMap::new();
        for post in posts.iter().filter(|post| post.resource == resource) {
            let key = (
                field(&post.object, "metadata.namespace"),
                field(&post.object, "metadata.name"),
            );
            if post.change == "DELETED" {
                living.remove(&key);
            } else {
                living.insert(key, post.object.clone());
            }
        }
        let items: Vec<_> = living
            .into_values()
            .filter(|object| selected(object, request))
            .collect();
        json!({
            "kind": format!("{}List", resource.kind()), "apiVersion": "v1",
            "metadata": {"resourceVersion": posts.len().to_string()}, "items": items,
        })
    }

    /// What was posted after a version, and that of the last of it.
    pub(super) fn since(&self, version: usize, resource: Resource, request: &Request) -> (Vec<Value>, usize) {
        let posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        let news = posts
            .iter()
            .skip(version)
            .filter(|post| post.resource == resource && selected(&post.object, request))
            .map(|post| json!({"type": post.change, "object": post.object}));
        (news.collect(), posts.len())
    }

    /// Tells when there is more.
    pub(super) fn growth(&self) -> watch::Receiver<usize> {
        self.grown.subscribe()
    }
}

/// A field by its path, such as `spec.nodeName`.
fn field(object: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(object, |object, part| object.get(part));
    found.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Whether an object is what `fieldSelector` asks for.
fn selected(object: &Value, request: &Request) -> bool {
    let selector = request.parameter("fieldSelector").unwrap_or_default();
    selector.split(',').filter(|term| !term.is_empty()).all(|term| {
        let (path, value) = term.split_once('=').unwrap_or((term, ""));
        field(object, path) == value.trim_start_matches('=')
    })
}
