//! How each target is told to do the same work: one worker, or as many as it takes by itself where it is not pinned;
//! one upstream connection a downstream connection.

use std::fs;

use anyhow::{Context, Result};

use super::{Setting, Target};
use crate::bench::workload::Workload;

pub(super) fn prepare(target: Target, setting: &Setting<'_>) -> Result<Vec<String>> {
    let file = setting.folder.join(format!("{}.conf", target.word()));
    let path = file.display().to_string();
    let (text, words): (String, Vec<String>) = match target {
        Target::Direct => return Ok(Vec::new()),
        Target::Bare => return Ok(bare(setting)),
        Target::Hopscope => return Ok(hopscope("http", target, setting)),
        Target::HopscopeUnread => return Ok(hopscope("tcp", target, setting)),
        Target::HaproxyLog | Target::Haproxy | Target::HaproxySplice | Target::HaproxyTcp => {
            (haproxy(target, setting), vec!["-db".into(), "-f".into(), path])
        }
        Target::Nginx => (
            nginx(setting),
            vec![
                "-p".into(),
                setting.folder.display().to_string(),
                "-c".into(),
                path,
            ],
        ),
        Target::Envoy => {
            let mut words = vec![
                "--config-path",
                &path,
                "--disable-hot-restart",
                "--log-level",
                "critical",
            ];
            if setting.workload.is_pinned() {
                words.extend(["--concurrency", "1"]);
            }
            (envoy(setting), words.into_iter().map(str::to_owned).collect())
        }
    };
    // Envoy tells the format of its configuration by the file's name.
    let (file, words) = if target == Target::Envoy {
        let renamed = file.with_extension("yaml");
        let words = words
            .into_iter()
            .map(|word| {
                if word == file.display().to_string() {
                    renamed.display().to_string()
                } else {
                    word
                }
            })
            .collect();
        (renamed, words)
    } else {
        (file, words)
    };
    fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    Ok(words)
}

fn bare(setting: &Setting<'_>) -> Vec<String> {
    let ports = [setting.listen, setting.upstream].map(|port| port.to_string());
    ["bench", "--relay"]
        .map(str::to_owned)
        .into_iter()
        .chain(ports)
        .collect()
}

fn hopscope(scheme: &str, target: Target, setting: &Setting<'_>) -> Vec<String> {
    let recording = setting
        .folder
        .join(format!("{}-{}.hopscope", target.word(), setting.workload.word()));
    let mut words = vec![
        "proxy".to_owned(),
        format!("--listen=127.0.0.1:{}", setting.listen),
        format!("--via=direct={scheme}://127.0.0.1:{}", setting.upstream),
        // The proxy alone is measured: the probes' cost is the kernel's, and `cargo xtask churn` has it.
        "--probes=off".to_owned(),
        format!("--record={}", recording.display()),
    ];
    if setting.workload.is_pinned() {
        words.push("--workers=1".to_owned());
    }
    words
}

fn haproxy(target: Target, setting: &Setting<'_>) -> String {
    let mode = if target == Target::HaproxyTcp {
        "tcp"
    } else {
        "http"
    };
    let mut defaults =
        format!("  mode {mode}\n  timeout connect 5s\n  timeout client 120s\n  timeout server 120s\n");
    if mode == "http" {
        defaults += "  http-reuse never\n";
    }
    if target == Target::HaproxySplice {
        defaults += "  option splice-request\n  option splice-response\n";
    }
    // Pipes take descriptors too, of which HAProxy reckons its need before it starts.
    let limits = if target == Target::HaproxySplice {
        "maxconn 1000\n  maxpipes 100"
    } else {
        "maxconn 9000"
    };
    let mut text = format!("global\n  {limits}\n");
    if setting.workload.is_pinned() {
        text += "  nbthread 1\n";
    }
    if target == Target::HaproxyLog {
        text += "  log ring@lines local0\n";
        defaults += "  log global\n  option httplog\n";
    }
    text += "defaults\n";
    text += &defaults;
    let ends = format!(
        "frontend in\n  bind 127.0.0.1:{}\n  default_backend out\nbackend out\n  server one 127.0.0.1:{}\n",
        setting.listen, setting.upstream
    );
    text += &ends;
    if target == Target::HaproxyLog {
        text += "ring lines\n  format rfc5424\n  maxlen 1200\n  size 1048576\n";
    }
    text
}

fn nginx(setting: &Setting<'_>) -> String {
    let Setting { listen, upstream, .. } = setting;
    // A pool is nginx's way to keep connections; without one it opens a connection a request, like everybody else does
    // when the generator closes after each.
    let (pool, pass) = if setting.workload == Workload::ConnectionPerRequest {
        (String::new(), format!("http://127.0.0.1:{upstream}"))
    } else {
        (
            format!(
                "upstream out {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}"
            ),
            "http://out".to_owned(),
        )
    };
    let buffers = if setting.workload.is_bulk() {
        "proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 512k; proxy_max_temp_file_size 0; \
         proxy_request_buffering off;"
    } else {
        ""
    };
    format!(
        "daemon off; master_process off; worker_processes 1; error_log /dev/null; pid nginx-proxy.pid;\n\
         events {{ worker_connections 18000; }}\n\
         http {{\n access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; client_max_body_size 0;\n \
         client_body_temp_path .; proxy_temp_path .;\n {pool}\n \
         server {{ listen 127.0.0.1:{listen} backlog=4096; location / {{ proxy_pass {pass}; proxy_http_version 1.1; \
         proxy_set_header Connection \"\"; {buffers} }} }}\n}}\n"
    )
}

fn envoy(setting: &Setting<'_>) -> String {
    let Setting { listen, upstream, .. } = setting;
    format!(
        r#"static_resources:
  listeners:
  - name: in
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {listen} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          codec_type: HTTP1
          generate_request_id: false
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{ prefix: "/" }}
                route: {{ cluster: out, timeout: 0s }}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: out
    type: STATIC
    connection_pool_per_downstream_connection: true
    circuit_breakers:
      thresholds:
      - {{ max_connections: 20000, max_pending_requests: 20000, max_requests: 20000 }}
    load_assignment:
      cluster_name: out
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {upstream} }} }} }}
"#
    )
}
