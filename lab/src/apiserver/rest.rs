//! The REST calls: which path gives which object.

use std::io;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::bulletin::Resource;
use super::front::Refusal;
use super::http::{self, Request};
use super::{State, object, upgrade};
use crate::node::{Phase, Pod};

/// What a request is answered with.
enum Answer {
    Object(Value),
    Refused(Refusal),
    /// A watch, on which nothing ever happens.
    Watch,
    /// A watch of what is posted after this version.
    News(Resource, usize),
}

/// Serves one connection until its caller is done or it becomes a tunnel.
pub(super) async fn serve(mut socket: TcpStream, state: &Arc<State>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(request) = http::read(&mut socket, &mut buffer).await? {
        tracing::debug!(method = request.method, path = request.path, "API call");
        if let Some((namespace, name)) = upgrade::wanted(&request) {
            let found = state.pods.get(&(namespace.to_owned(), name.to_owned()));
            match upgrade::agree(&request, &state.front(), found) {
                Ok(agreed) => return upgrade::tunnel(socket, buffer, state, agreed).await,
                Err(refusal) => http::answer(&mut socket, refusal.code, &refusal.to_json()).await?,
            }
            continue;
        }
        match answer(&request, state) {
            Answer::Object(body) => http::answer(&mut socket, 200, &body).await?,
            Answer::Refused(refusal) => http::answer(&mut socket, refusal.code, &refusal.to_json()).await?,
            Answer::Watch => {
                http::open_watch(&mut socket).await?;
                while socket.read_buf(&mut buffer).await? > 0 {
                    buffer.clear();
                }
                return Ok(());
            }
            Answer::News(resource, version) => {
                return tell(socket, state, &request, resource, version).await;
            }
        }
    }
    Ok(())
}

/// Tells what is posted, until the caller is gone.
async fn tell(
    mut socket: TcpStream,
    state: &State,
    request: &Request,
    resource: Resource,
    mut version: usize,
) -> io::Result<()> {
    let mut growth = state.bulletin.growth();
    let mut byte = [0];
    http::open_watch(&mut socket).await?;
    loop {
        growth.mark_unchanged();
        let (news, now) = state.bulletin.since(version, resource, request);
        version = now;
        for change in news {
            http::chunk(&mut socket, &format!("{change}\n")).await?;
        }
        tokio::select! {
            grown = growth.changed() => if grown.is_err() { return Ok(()) },
            // Nothing is expected of the caller but its end.
            read = socket.read(&mut byte) => if read? == 0 { return Ok(()) },
        }
    }
}

fn answer(request: &Request, state: &State) -> Answer {
    if let Some(refusal) = state.front().refusal(false) {
        return Answer::Refused(refusal.clone());
    }
    let segments: Vec<&str> = request
        .path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    if let ["api", "v1", word] = segments.as_slice()
        && let Some(resource) = Resource::parse(word)
    {
        let version = request
            .parameter("resourceVersion")
            .and_then(|version| version.parse().ok());
        return if is_watch(request) {
            Answer::News(resource, version.unwrap_or(0))
        } else {
            Answer::Object(state.bulletin.list(resource, request))
        };
    }
    let found = match segments.as_slice() {
        ["version"] => Some(object::version()),
        ["api"] => Some(object::api_versions()),
        ["apis"] => Some(object::api_groups()),
        ["api", "v1"] => Some(object::core_resources()),
        ["apis", "apps", "v1"] => Some(object::apps_resources()),
        ["api", "v1", "nodes", object::NODE] => Some(object::node(state.node.runtime)),
        ["api", "v1", "namespaces", namespace, "pods"] => {
            if is_watch(request) {
                return Answer::Watch;
            }
            let selector = request.parameter("labelSelector").unwrap_or_default();
            let pods =
                pods(state).filter(|pod| pod.namespace == *namespace && object::selects(selector, pod));
            Some(object::list(
                "PodList",
                &pods.map(|pod| object::pod(&pod)).collect::<Vec<_>>(),
            ))
        }
        ["api", "v1", "namespaces", namespace, "pods", name] => {
            let mut all = pods(state);
            all.find(|pod| pod.namespace == *namespace && pod.name == *name)
                .map(|pod| object::pod(&pod))
        }
        ["api", "v1", "namespaces", namespace, "services", name] => {
            let mut all = state.services.iter();
            let found = all.find(|service| service.namespace == *namespace && service.name == *name);
            found.map(super::Service::to_json)
        }
        ["apis", "apps", "v1", "namespaces", namespace, "deployments", name] => {
            let mut all = state.deployments.iter();
            let found = all.find(|deployment| deployment.namespace == *namespace && deployment.name == *name);
            found.map(super::Deployment::to_json)
        }
        _ => None,
    };
    found.map_or_else(
        || {
            let (name, resource) = match segments.as_slice() {
                [.., resource, name] => (*name, *resource),
                _ => (request.path.as_str(), "paths"),
            };
            Answer::Refused(Refusal::not_found(resource, name))
        },
        Answer::Object,
    )
}

fn is_watch(request: &Request) -> bool {
    matches!(request.parameter("watch"), Some("true" | "1"))
}

fn pods(state: &State) -> impl Iterator<Item = Pod> {
    state
        .pods
        .values()
        .map(crate::node::PodHandle::read)
        .filter(|pod| pod.phase != Phase::Gone)
}
