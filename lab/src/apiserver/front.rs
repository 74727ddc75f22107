//! How the API server receives its callers: refusals, and what it offers on an upgrade.

use std::time::Duration;

use serde_json::{Value, json};

/// A refusal in the API's own form, `metav1.Status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status code.
    pub code: u16,
    /// The API's word for it.
    pub reason: String,
    /// What kubectl prints.
    pub message: String,
}

impl Refusal {
    /// Any refusal.
    #[must_use]
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    /// 401: the credentials are missing or not valid.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403: RBAC does not let this user forward to this pod.
    #[must_use]
    pub fn forbidden(pod: &str, namespace: &str) -> Self {
        let message = format!(
            "pods \"{pod}\" is forbidden: User \"lab\" cannot create resource \"pods/portforward\" in API group \"\" \
             in the namespace \"{namespace}\""
        );
        Self::new(403, "Forbidden", message)
    }

    /// 404: there is no such object.
    #[must_use]
    pub fn not_found(resource: &str, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{resource} \"{name}\" not found"))
    }

    /// 500: the API server cannot reach the kubelet.
    #[must_use]
    pub fn node_unreachable() -> Self {
        Self::new(
            500,
            "InternalError",
            "error dialing backend: dial tcp 10.0.0.7:10250: i/o timeout",
        )
    }

    /// 500: the runtime does not want the forward.
    #[must_use]
    pub fn runtime_refuses() -> Self {
        Self::new(500, "InternalError", "sandbox container is not running")
    }

    /// 429: the runtime's streaming server is full.
    #[must_use]
    pub fn too_many() -> Self {
        Self::new(
            429,
            "TooManyRequests",
            "maximum number of in-flight requests exceeded",
        )
    }

    /// Reads `401`, `403`, `404`, `429`, `500` or `runtime`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "401" => Some(Self::unauthorized()),
            "403" => Some(Self::forbidden("web", "default")),
            "404" => Some(Self::not_found("pods", "web")),
            "429" => Some(Self::too_many()),
            "500" => Some(Self::node_unreachable()),
            "runtime" => Some(Self::runtime_refuses()),
            _ => None,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        })
    }
}

/// Which calls a refusal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every call.
    Everything,
    /// The upgrade to a tunnel, in either form.
    PortForward,
}

/// How the API server receives its callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front {
    /// What is refused, and how.
    pub refuse: Option<(Scope, Refusal)>,
    /// Whether a tunnel over WebSocket is offered; if not, 400, upon which kubectl falls back to SPDY.
    pub offers_websocket: bool,
    /// Whether the 101 names the protocol that both speak; without it kubectl gives up, or over WebSocket falls back.
    pub names_protocol: bool,
    /// A tunnel on which nothing came for so long is closed.
    pub idle: Option<Duration>,
}

impl Default for Front {
    fn default() -> Self {
        Self {
            refuse: None,
            offers_websocket: true,
            names_protocol: true,
            idle: None,
        }
    }
}

impl Front {
    pub(super) fn refusal(&self, upgrade: bool) -> Option<&Refusal> {
        match &self.refuse {
            Some((Scope::Everything, refusal)) => Some(refusal),
            Some((Scope::PortForward, refusal)) => upgrade.then_some(refusal),
            None => None,
        }
    }
}
