//! What kubectl says of itself at `-v=6`: among much else the pod that it chose, and the way to it.

use super::klog;

/// The request that opened the tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The pod.
    pub pod: String,
    /// Its namespace.
    pub namespace: String,
    /// Over WebSocket (a GET), not over plain SPDY (a POST).
    pub websocket: bool,
}

/// Whether a line is kubectl speaking of itself.
pub fn is(line: &str) -> bool {
    klog::is_talk(line)
}

/// Reads `... GET https://.../namespaces/NS/pods/POD/portforward 101 Switching Protocols ...` in either log format.
pub fn upgrade(line: &str) -> Option<Upgrade> {
    if !line.contains("101 Switching Protocols") {
        return None;
    }
    let (before, path) = line.split_once("/api/v1/namespaces/")?;
    let (path, _) = path.split_once("/portforward")?;
    let (namespace, pod) = path.split_once("/pods/")?;
    let name = |text: &str| {
        (!text.is_empty() && text.len() < 254 && !text.contains(['/', ' '])).then(|| text.to_owned())
    };
    Some(Upgrade {
        pod: name(pod)?,
        namespace: name(namespace)?,
        websocket: before.contains("GET"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_and_the_way_to_it_are_read_in_both_formats() {
        let plain = "I1122 22:17:53.796809   11852 round_trippers.go:553] POST http://127.0.0.1:43875/api/v1/namespaces/default/pods/web-0/portforward 101 Switching Protocols in 0 milliseconds";
        let structured = r#"I1122 22:18:10.232300   12739 round_trippers.go:632] "Response" verb="GET" url="http://127.0.0.1:43875/api/v1/namespaces/default/pods/web-0/portforward" status="101 Switching Protocols" milliseconds=0"#;
        for (line, websocket) in [(plain, false), (structured, true)] {
            let upgrade = upgrade(line).expect("an upgrade");
            assert!(is(line));
            assert_eq!(
                (
                    upgrade.pod.as_str(),
                    upgrade.namespace.as_str(),
                    upgrade.websocket
                ),
                ("web-0", "default", websocket)
            );
        }
    }

    #[test]
    fn other_talk_is_no_upgrade_and_an_error_is_no_talk() {
        let talk = "I1122 22:18:10.228117   12739 envvar.go:195] \"Feature gate default state\" feature=\"AtomicFIFO\" enabled=true";
        assert!(is(talk) && upgrade(talk).is_none());
        assert!(!is("E1122 22:18:10.228117   12739 portforward.go:1] x"));
        assert!(!is("It is late"));
    }
}
