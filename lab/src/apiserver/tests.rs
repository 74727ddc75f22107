//! The API server without kubectl: plain requests, hostile ones too.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Cluster, Refusal, Scope, Service};
use crate::node::{Phase, Pod};

async fn cluster() -> Cluster {
    let web = Pod::new("web").port(8080, SocketAddr::from(([127, 0, 0, 1], 1)));
    Cluster::builder()
        .pod(web)
        .pod(Pod::new("other").namespace("shop"))
        .service(Service::new("web", &[("app", "web")]).port(80, 8080))
        .start()
        .await
        .unwrap()
}

/// Sends a request that closes the connection behind it, and reads code and body.
async fn get(cluster: &Cluster, path: &str) -> (u16, Value) {
    let mut socket = TcpStream::connect(cluster.addr()).await.unwrap();
    socket
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n").as_bytes())
        .await
        .unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn a_selector_finds_the_pods_that_bear_the_labels_in_the_namespace() {
    let cluster = cluster().await;
    let (code, list) = get(
        &cluster,
        "/api/v1/namespaces/default/pods?labelSelector=app%3Dweb",
    )
    .await;
    assert_eq!(code, 200);
    assert_eq!(list.pointer("/items/0/metadata/name"), Some(&Value::from("web")));
    assert_eq!(list.pointer("/items/1"), None);
    let (_, none) = get(&cluster, "/api/v1/namespaces/shop/pods?labelSelector=app%3Dweb").await;
    assert_eq!(none.pointer("/items/0"), None);
}

#[tokio::test]
async fn a_pod_tells_its_node_and_the_node_its_runtime() {
    let cluster = cluster().await;
    let (_, pod) = get(&cluster, "/api/v1/namespaces/default/pods/web").await;
    let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap();
    let (_, node) = get(&cluster, &format!("/api/v1/nodes/{node}")).await;
    let runtime = node.pointer("/status/nodeInfo/containerRuntimeVersion");
    assert_eq!(runtime, Some(&Value::from("containerd://1.7.13")));
}

#[tokio::test]
async fn what_is_not_there_is_not_found_in_the_apis_form() {
    let cluster = cluster().await;
    cluster.pod("web").unwrap().set_phase(Phase::Gone);
    let (code, status) = get(&cluster, "/api/v1/namespaces/default/pods/web").await;
    assert_eq!(code, 404);
    assert_eq!(
        status.get("message"),
        Some(&Value::from("pods \"web\" not found"))
    );
    assert_eq!(get(&cluster, "/nonsense").await.0, 404);
    assert_eq!(
        get(&cluster, "/api/v1/namespaces/default/pods/web/portforward")
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn a_refusal_can_be_set_for_all_calls_or_for_the_forward_alone() {
    let cluster = cluster().await;
    cluster.set_front(|front| front.refuse = Some((Scope::Everything, Refusal::unauthorized())));
    assert_eq!(get(&cluster, "/api").await.0, 401);
    cluster.set_front(|front| front.refuse = Some((Scope::PortForward, Refusal::too_many())));
    assert_eq!(get(&cluster, "/api").await.0, 200);
    assert_eq!(
        get(&cluster, "/api/v1/namespaces/default/pods/web/portforward")
            .await
            .0,
        429
    );
}

#[tokio::test]
async fn nonsense_ends_the_connection_and_nothing_else() {
    let cluster = cluster().await;
    let long = vec![b'a'; 70_000];
    let nonsense: [&[u8]; 3] = [
        b"\x80\x03\x00\x01 no http at all\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        &long,
    ];
    for bytes in nonsense {
        let mut socket = TcpStream::connect(cluster.addr()).await.unwrap();
        // The server may close before it has read all.
        let sent = socket.write_all(bytes).await;
        let mut answer = Vec::new();
        let ended = socket.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{sent:?} {ended:?}");
    }
    assert_eq!(get(&cluster, "/version").await.0, 200);
}
