//! `kubectl:[NAMESPACE/]KIND/NAME:PORT[?KEY=VALUE&...]`: the forward that we are to run, parsed once.

use std::fmt;
use std::num::NonZeroU16;
use std::path::PathBuf;

pub use super::target_error::TargetError;
use super::target_error::{known, unescape};

/// What marks a target as a forward to be run by us.
pub const SCHEME: &str = "kubectl:";

/// More kubectls than this side by side test nothing but the API server.
pub const MAX_POOL: u16 = 32;

/// A forward that hopscope runs, restarts and watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The namespace, where one was given; else kubectl takes the context's.
    pub namespace: Option<String>,
    /// What is forwarded to.
    pub resource: Resource,
    /// The port of it.
    pub port: RemotePort,
    /// The kubeconfig context, where one was given.
    pub context: Option<String>,
    /// The kubeconfig file, where one was given.
    pub kubeconfig: Option<PathBuf>,
    /// The kubectl to run: a path, or a name to be looked up on `PATH`.
    pub kubectl: PathBuf,
    /// How many kubectls run side by side.
    pub pool: NonZeroU16,
}

/// A Kubernetes object that kubectl can forward to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// What sort of object.
    pub kind: ResourceKind,
    /// Its name.
    pub name: String,
}

/// The sorts of object that can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// One pod.
    Pod,
    /// A service; kubectl picks one pod behind it, once.
    Service,
    /// A deployment; kubectl picks one pod of it, once.
    Deployment,
    /// A stateful set; kubectl picks one pod of it, once.
    StatefulSet,
}

/// A port of the target, by number or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemotePort {
    /// By number.
    Number(NonZeroU16),
    /// By the name that the service or the container gives it.
    Name(String),
}

impl Target {
    /// Parses `kubectl:[NAMESPACE/]KIND/NAME:PORT[?KEY=VALUE&...]`.
    ///
    /// # Errors
    /// Says what is wrong with `text` and what would be right.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        // Whoever tells this sort of target from the others may have taken the scheme off already.
        let rest = text.strip_prefix(SCHEME).unwrap_or(text);
        let (place, query) = match rest.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (rest, None),
        };
        let (object, port) = place
            .rsplit_once(':')
            .ok_or_else(|| TargetError::NoPort(known(place)))?;
        let mut parts = object.split('/');
        let (namespace, kind, name) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(namespace), Some(kind), Some(name), None) => (Some(namespace), kind, name),
            (Some(kind), Some(name), None, None) => (None, kind, name),
            _ => return Err(TargetError::NoObject(known(object))),
        };
        let mut target = Self {
            namespace: namespace.map(namespace_name).transpose()?,
            resource: Resource {
                kind: ResourceKind::parse(kind)?,
                name: object_name(name)?,
            },
            port: RemotePort::parse(port)?,
            context: None,
            kubeconfig: None,
            kubectl: PathBuf::from("kubectl"),
            pool: NonZeroU16::MIN,
        };
        for pair in query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            target.set(pair)?;
        }
        Ok(target)
    }

    fn set(&mut self, pair: &str) -> Result<(), TargetError> {
        let (key, value) = pair
            .split_once('=')
            .filter(|(_, value)| !value.is_empty())
            .ok_or_else(|| TargetError::NoValue(known(pair)))?;
        let value = unescape(value)?;
        match key {
            "namespace" => match &self.namespace {
                Some(first) if *first != value => {
                    return Err(TargetError::TwoNamespaces(first.clone(), known(&value)));
                }
                Some(_) | None => self.namespace = Some(namespace_name(&value)?),
            },
            "context" => self.context = Some(value),
            "kubeconfig" => self.kubeconfig = Some(PathBuf::from(value)),
            "kubectl" => self.kubectl = PathBuf::from(value),
            "pool" => {
                self.pool = value
                    .parse()
                    .ok()
                    .filter(|pool: &NonZeroU16| pool.get() <= MAX_POOL)
                    .ok_or_else(|| TargetError::Pool(known(&value)))?;
            }
            _ => return Err(TargetError::UnknownKey(known(key))),
        }
        Ok(())
    }

    /// The arguments that every call of kubectl for this target begins with: which cluster, which namespace.
    pub fn cluster_arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if let Some(kubeconfig) = &self.kubeconfig {
            arguments.push(format!("--kubeconfig={}", kubeconfig.display()));
        }
        if let Some(context) = &self.context {
            arguments.push(format!("--context={context}"));
        }
        if let Some(namespace) = &self.namespace {
            arguments.push(format!("--namespace={namespace}"));
        }
        arguments
    }
}

impl fmt::Display for Resource {
    /// `svc/api-gateway`, as kubectl takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.word(), self.name)
    }
}

impl fmt::Display for RemotePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl ResourceKind {
    /// The short word that kubectl takes.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Service => "svc",
            Self::Deployment => "deploy",
            Self::StatefulSet => "sts",
        }
    }

    fn parse(word: &str) -> Result<Self, TargetError> {
        match word {
            "pod" | "pods" | "po" => Ok(Self::Pod),
            "svc" | "service" | "services" => Ok(Self::Service),
            "deploy" | "deployment" | "deployments" => Ok(Self::Deployment),
            "sts" | "statefulset" | "statefulsets" => Ok(Self::StatefulSet),
            _ => Err(TargetError::Kind(known(word))),
        }
    }
}

impl RemotePort {
    /// A number, or a port name: an IANA service name, at most 15 of `[a-z0-9-]` with a letter among them.
    fn parse(word: &str) -> Result<Self, TargetError> {
        if let Ok(number) = word.parse() {
            return Ok(Self::Number(number));
        }
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let name = (1..=15).contains(&word.len())
            && word.bytes().all(plain)
            && word.bytes().any(|byte| byte.is_ascii_lowercase())
            && !word.starts_with('-')
            && !word.ends_with('-');
        if name {
            Ok(Self::Name(word.to_owned()))
        } else {
            Err(TargetError::Port(known(word)))
        }
    }
}

/// An object's name: an RFC 1123 subdomain. Also what keeps a name from being taken for a flag of kubectl's.
fn object_name(word: &str) -> Result<String, TargetError> {
    subdomain(word, 253).ok_or_else(|| TargetError::Name(known(word)))
}

/// A namespace's name: an RFC 1123 label.
fn namespace_name(word: &str) -> Result<String, TargetError> {
    subdomain(word, 63)
        .filter(|name| !name.contains('.'))
        .ok_or_else(|| TargetError::Namespace(known(word)))
}

fn subdomain(word: &str, longest: usize) -> Option<String> {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    (word.len() <= longest && word.split('.').all(label)).then(|| word.to_owned())
}

#[cfg(test)]
mod tests;
