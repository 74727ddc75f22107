//! The configurations of nginx, HAProxy and Envoy.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::play::Envoy;

/// nginx with this text beside its `server`, and in it.
pub(crate) fn nginx(folder: &Path, listen: SocketAddr, beside: &str, within: &str) -> String {
    let place = folder.display();
    format!(
        "worker_processes 1;\nworker_rlimit_nofile 4096;\ndaemon off;\npid {place}/nginx.pid;\n\
         error_log {place}/nginx.log;\nevents {{ worker_connections 2048; }}\n\
         http {{ access_log off; client_body_temp_path {place}; proxy_temp_path {place};\n\
         fastcgi_temp_path {place}; uwsgi_temp_path {place}; scgi_temp_path {place};\n{beside}\n\
         server {{ listen {listen} backlog=512 {tls};\n{within}\n}} }}\n",
        tls = if within.contains("ssl_certificate") {
            if within.contains("http2") {
                "ssl http2"
            } else {
                "ssl"
            }
        } else if within.contains("# h2c") {
            "http2"
        } else {
            ""
        }
    )
}

/// HAProxy in HTTP mode.
pub(crate) fn haproxy(listen: SocketAddr, frontend: &str, backend: &str) -> String {
    format!(
        "global\n  nbthread 1\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 20s\n  timeout server 20s\n\
         frontend front\n  bind {listen}\n{frontend}\n  default_backend back\nbackend back\n{backend}\n"
    )
}

/// HAProxy in TCP mode.
pub(crate) fn haproxy_tcp(listen: SocketAddr, target: SocketAddr, lines: &str) -> String {
    format!(
        "global\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 1s\n  timeout client 20s\n  timeout server 20s\n\
         listen front\n  bind {listen}\n{lines}\n  server only {target}\n"
    )
}

/// Envoy in front of one target.
pub(crate) fn envoy(listen: SocketAddr, target: SocketAddr, how: Envoy) -> Value {
    let address = |of: SocketAddr| json!({"socket_address": {"address": of.ip(), "port_value": of.port()}});
    let patience = format!("{}s", f64::from(how.patience_ms.max(1)) / 1000.0);
    let to_target = json!({"cluster": "target", "timeout": patience});
    let prefix = if how.few_routes { "/known" } else { "/" };
    let mut routes = vec![json!({"match": {"prefix": prefix}, "route": to_target})];
    if how.own_status > 0 {
        let own = json!({"status": how.own_status, "body": {"inline_string": "maintenance"}});
        routes.insert(
            0,
            json!({"match": {"prefix": "/products"}, "direct_response": own}),
        );
    }
    let typed = |name: &str, kind: &str, more: Value| {
        let mut config = more;
        config["@type"] = json!(format!("type.googleapis.com/envoy.{kind}"));
        json!({"name": name, "typed_config": config})
    };
    let mut filters = vec![typed(
        "envoy.filters.http.router",
        "extensions.filters.http.router.v3.Router",
        json!({}),
    )];
    if how.rate > 0 {
        let always = json!({"default_value": {"numerator": 100, "denominator": "HUNDRED"}});
        let bucket = json!({"max_tokens": how.rate, "tokens_per_fill": how.rate, "fill_interval": "1s"});
        filters.insert(
            0,
            typed(
                "envoy.filters.http.local_ratelimit",
                "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
                json!({"stat_prefix": "limit", "token_bucket": bucket,
                       "filter_enabled": always, "filter_enforced": always}),
            ),
        );
    }
    let manager = typed(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": "front",
            "codec_type": if how.h2 { "HTTP2" } else { "AUTO" },
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
            "http_filters": filters,
        }),
    );
    let mut cluster = json!({
        "name": "target", "type": "STATIC", "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "target",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(target)}}]}]},
    });
    if how.one_at_a_time {
        cluster["circuit_breakers"] =
            json!({"thresholds": [{"max_requests": 1, "max_connections": 1, "max_pending_requests": 1}]});
    }
    if how.h2 {
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            },
        });
    }
    json!({"static_resources": {
        "listeners": [{"name": "front", "address": address(listen), "filter_chains": [{"filters": [manager]}]}],
        "clusters": [cluster],
    }})
}
