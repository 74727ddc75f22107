//! An API server with a pod behind it, for tests in other processes: knobs on the command line, faults on standard input.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use hopscope_lab::apiserver::{Cluster, Deployment, Front, Refusal, Resource, Scope, Service};
use hopscope_lab::node::{Phase, Pod, Runtime, Selection, StreamFault, TunnelFault};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// Serves a small cluster on a free port of 127.0.0.1 to the real kubectl.
///
/// The first line on standard output is a JSON object with `server` and `addr`. Every line on standard input is a command, and is
/// answered with one JSON object on one line: `{"ok":true,...}` or `{"error":"..."}`. The end of standard input ends the cluster.
#[derive(Debug, Parser)]
#[command(after_help = "Commands on standard input:
  stream SELECTION FAULT      SELECTION: every | request=K | next=N | share=F
                              FAULT: no-error-reply | no-data-reply | late-error-reply:MS | late-data-reply:MS |
                              reset-error-stream | reset-data-stream | reset-only | slow-reply:MS | flood:BYTES |
                              never-answer | error-text:TEXT
  clear                       takes the stream faults away
  tunnel FAULT                fin | reset | goaway | ws-close:CODE | stop-reading | start-reading | no-pong | pong |
                              throttle:BYTES_PER_SECOND
  after MS COMMAND            a stream or tunnel command, later
  refuse all|portforward 401|403|404|429|500|runtime       refuse none
  websocket on|off            protocol on|off            idle MS|off
  phase POD Running|Pending|Succeeded|Failed|Gone
  port POD PORT ADDR|closed
  post pods|events ADDED|MODIFIED|DELETED JSON            for lists and watches all over the cluster
  truth                       everything that happened and was injected, with times

Example:
  cluster --port 8080=127.0.0.1:9000 --service 80=8080 --runtime containerd-2.1 --kubeconfig /tmp/kubeconfig")]
struct Args {
    /// Name of the pod, the service and the deployment; all in the namespace `default`.
    #[arg(long, default_value = "web")]
    pod: String,
    /// A port of the pod's and where it really is; may be repeated. Other ports are refused.
    #[arg(long, value_name = "PORT=ADDR", value_parser = port)]
    port: Vec<(u16, SocketAddr)>,
    /// A port of the service's and the pod's port that it leads to; may be repeated.
    #[arg(long, value_name = "PORT=TARGET", value_parser = service_port)]
    service: Vec<(u16, u16)>,
    /// containerd-1.6.21, containerd-1.7, containerd-2.1, cri-o or dockershim.
    #[arg(long, default_value = "containerd-1.7", value_parser = runtime)]
    runtime: Runtime,
    /// Writes a kubeconfig here.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The node's wait for a second stream, in milliseconds; 30000 on a real node.
    #[arg(long, value_name = "MS")]
    pair_timeout: Option<u64>,
    /// The node's drain after one direction ended, in milliseconds; 1000 on a real node.
    #[arg(long, value_name = "MS")]
    drain: Option<u64>,
    /// Commands, as on standard input, that are carried out before the first line is printed; may be repeated.
    #[arg(long, value_name = "COMMAND")]
    command: Vec<String>,
}

fn port(text: &str) -> Result<(u16, SocketAddr)> {
    let (port, addr) = text.split_once('=').context("expected PORT=ADDR")?;
    Ok((port.parse()?, addr.parse()?))
}

fn service_port(text: &str) -> Result<(u16, u16)> {
    let (port, target) = text.split_once('=').context("expected PORT=TARGET")?;
    Ok((port.parse()?, target.parse()?))
}

fn runtime(text: &str) -> Result<Runtime> {
    let found = Runtime::ALL.into_iter().find(|runtime| runtime.word() == text);
    found.with_context(|| format!("no runtime {text}"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let labels = [("app", args.pod.as_str())];
    let pod = args
        .port
        .iter()
        .fold(Pod::new(&args.pod), |pod, (port, addr)| pod.port(*port, *addr));
    let ports = args.service.iter();
    let service = ports.fold(Service::new(&args.pod, &labels), |service, (port, target)| {
        service.port(*port, *target)
    });
    let mut builder = Cluster::builder()
        .pod(pod)
        .service(service)
        .deployment(Deployment::new(&args.pod, &labels))
        .runtime(args.runtime)
        .front(Front::default());
    if let Some(millis) = args.pair_timeout {
        builder = builder.pair_timeout(Duration::from_millis(millis));
    }
    if let Some(millis) = args.drain {
        builder = builder.drain(Duration::from_millis(millis));
    }
    let cluster = builder.start().await.context("the cluster could not start")?;
    for command in &args.command {
        obey(&cluster, command)
            .await
            .with_context(|| format!("--command {command:?}"))?;
    }
    if let Some(path) = &args.kubeconfig {
        std::fs::write(path, cluster.kubeconfig()).with_context(|| format!("writing {}", path.display()))?;
    }
    say(&json!({"server": cluster.url(), "addr": cluster.addr().to_string()})).await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let answer = obey(&cluster, line).await;
        say(&answer.unwrap_or_else(|error| json!({"error": format!("{error:#}")}))).await?;
    }
    Ok(())
}

async fn say(object: &Value) -> Result<()> {
    let mut out = tokio::io::stdout();
    out.write_all(format!("{object}\n").as_bytes()).await?;
    out.flush().await?;
    Ok(())
}

async fn obey(cluster: &Cluster, line: &str) -> Result<Value> {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let words: Vec<&str> = rest.split_whitespace().collect();
    let faults = cluster.faults();
    match (verb, words.as_slice()) {
        ("stream" | "tunnel", _) => strike(cluster, Duration::ZERO, line).await?,
        ("after", [millis, ..]) => {
            let later = rest.split_once(' ').context("after MS COMMAND")?.1;
            strike(cluster, Duration::from_millis(millis.parse()?), later).await?;
        }
        ("clear", []) => faults.clear(),
        ("refuse", ["none"]) => cluster.set_front(|front| front.refuse = None),
        ("refuse", [scope, word]) => {
            let refusal = Refusal::parse(word).with_context(|| format!("no refusal {word}"))?;
            let scope = match *scope {
                "all" => Scope::Everything,
                "portforward" => Scope::PortForward,
                _ => bail!("refuse all or portforward, not {scope}"),
            };
            cluster.set_front(|front| front.refuse = Some((scope, refusal)));
        }
        ("websocket", [switch]) => {
            let on = on(switch)?;
            cluster.set_front(|front| front.offers_websocket = on);
        }
        ("protocol", [switch]) => {
            let on = on(switch)?;
            cluster.set_front(|front| front.names_protocol = on);
        }
        ("idle", [millis]) => {
            let idle = if *millis == "off" {
                None
            } else {
                Some(Duration::from_millis(millis.parse()?))
            };
            cluster.set_front(|front| front.idle = idle);
        }
        ("phase", [pod, word]) => {
            let phases = [
                Phase::Running,
                Phase::Pending,
                Phase::Succeeded,
                Phase::Failed,
                Phase::Gone,
            ];
            let phase = phases
                .into_iter()
                .find(|phase| format!("{phase:?}").eq_ignore_ascii_case(word));
            let phase = phase.with_context(|| format!("no phase {word}"))?;
            cluster
                .pod(pod)
                .with_context(|| format!("no pod {pod}"))?
                .set_phase(phase);
        }
        ("port", [pod, port, addr]) => {
            let addr = if *addr == "closed" {
                None
            } else {
                Some(addr.parse()?)
            };
            cluster
                .pod(pod)
                .with_context(|| format!("no pod {pod}"))?
                .set_port(port.parse()?, addr);
        }
        ("post", [resource, change, ..]) => {
            let resource = Resource::parse(resource).with_context(|| format!("no resource {resource}"))?;
            let object = rest.splitn(3, ' ').nth(2).context("post RESOURCE CHANGE JSON")?;
            cluster.post(
                resource,
                change,
                serde_json::from_str(object).context("the object is no JSON")?,
            );
        }
        ("truth", []) => {
            let events: Vec<Value> = faults
                .truth()
                .events()
                .iter()
                .map(hopscope_lab::node::Event::to_json)
                .collect();
            let dropped = faults.truth().dropped();
            return Ok(
                json!({"ok": true, "open_tunnels": faults.open_tunnels(), "dropped": dropped, "events": events}),
            );
        }
        _ => bail!("no such command: {line:?}"),
    }
    Ok(json!({"ok": true}))
}

async fn strike(cluster: &Cluster, delay: Duration, command: &str) -> Result<()> {
    let faults = cluster.faults();
    if let Some(fault) = command.strip_prefix("tunnel ") {
        let fault = TunnelFault::parse(fault.trim()).with_context(|| format!("no tunnel fault {fault}"))?;
        if delay.is_zero() {
            faults.tunnel(fault).await;
        } else {
            faults.tunnel_after(delay, fault);
        }
        return Ok(());
    }
    let command = command
        .strip_prefix("stream ")
        .context("expected a stream or a tunnel command")?;
    let (selection, fault) = command.trim().split_once(' ').context("stream SELECTION FAULT")?;
    let selection = Selection::parse(selection).with_context(|| format!("no selection {selection}"))?;
    let fault = StreamFault::parse(fault.trim()).with_context(|| format!("no stream fault {fault}"))?;
    if delay.is_zero() {
        faults.stream(selection, fault);
    } else {
        faults.stream_after(delay, selection, fault);
    }
    Ok(())
}

fn on(switch: &str) -> Result<bool> {
    match switch {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => bail!("on or off, not {switch}"),
    }
}
