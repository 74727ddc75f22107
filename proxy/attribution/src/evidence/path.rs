//! The paths over which the load travelled.

/// Index into [`super::Evidence::paths`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub u8);

/// One way from hopscope to the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The name given with `--via NAME=TARGET`.
    pub name: String,
    /// What stands between hopscope and the application.
    pub kind: PathKind,
    /// The target as it was typed.
    pub target: String,
}

/// What stands between hopscope and the application on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathKind {
    /// A `kubectl port-forward`.
    Tunnel,
    /// A load balancer or ingress.
    Lb,
    /// Nothing: the application's own address.
    Direct,
    /// The name did not say. Nothing between hopscope and the application may be assumed, nor its absence.
    Unstated,
}

impl PathKind {
    /// The kind that a path's name declares by how it starts.
    pub fn from_name(name: &str) -> Self {
        if name.starts_with("tunnel") {
            Self::Tunnel
        } else if name.starts_with("lb") {
            Self::Lb
        } else if name.starts_with("direct") {
            Self::Direct
        } else {
            Self::Unstated
        }
    }

    /// The word used in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tunnel => "tunnel",
            Self::Lb => "lb",
            Self::Direct => "direct",
            Self::Unstated => "unstated",
        }
    }
}
