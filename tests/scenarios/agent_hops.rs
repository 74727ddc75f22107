//! Which socket is which hop: a staged port-forward is tunnel, haproxy is lb, an application's outbound refusal is
//! the backend's dependency.

use std::process::Command;

use anyhow::Result;
use hopscope_tests::cast::{Cast, all_of};
use hopscope_tests::netns::Netns;
use hopscope_tests::process::Process;
use hopscope_tests::scrape::{ends, eventually};

use crate::agent_stage::{ACTOR, Agent, Stage, ready};

#[test]
fn the_runtimes_dial_into_a_pod_is_tunnel_and_its_refusal_the_backends() -> Result<()> {
    let pod = Netns::new()?;
    let cast = Cast::of(ACTOR)?;
    let agent = Agent::start(&[])?;
    let refused = cast.play("containerd", &pod, &["connect", "127.0.0.1:8080", "2", "5000"])?;
    assert_eq!(all_of(refused)?, ["ConnectionRefused"; 2]);
    let netns = pod.inode()?;
    let end = eventually("the dial", || {
        let all = ends(agent.address, "127.0.0.1")?;
        Ok(all
            .iter()
            .find(|end| end["netns"] == netns)
            .cloned()
            .ok_or(format!("{all:?}")))
    })?;
    assert_eq!(
        (&end["owner"], &end["peer"]),
        (&"tunnel".into(), &"backend".into())
    );
    assert_eq!(
        (&end["cause"], &end["process"]),
        (&"backend-refused".into(), &"containerd".into())
    );

    let mut backend = cast.play("gateway", &pod, &["listen", "127.0.0.1:8080", "16", "answer"])?;
    ready(&mut backend, "listening")?;
    let served = cast.play("containerd", &pod, &["talk", "127.0.0.1:8080", "ask"])?;
    assert_eq!(all_of(served)?, ["answered 6"]);
    agent.counted(
        "hopscope_node_connects_total",
        &[("hop", "tunnel"), ("outcome", "established")],
    )?;
    agent.counted(
        "hopscope_node_connect_duration_seconds_count",
        &[("hop", "tunnel")],
    )?;
    Ok(())
}

#[test]
fn a_load_balancer_is_known_by_its_process_and_its_dead_target_is_the_backend() -> Result<()> {
    let stage = Stage::new()?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("haproxy.cfg");
    let front = format!("{}:8000", stage.far);
    let text = format!(
        "defaults\n mode tcp\n retries 0\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n\
         listen front\n bind {front}\n server one {}\n",
        stage.target
    );
    std::fs::write(&config, text)?;
    let mut haproxy = Command::new("ip");
    haproxy
        .args(["netns", "exec", stage.pair.far.name(), "haproxy", "-db", "-f"])
        .arg(&config);
    let _haproxy = Process::start(&mut haproxy)?;
    // It stands when it takes a connection.
    eventually("haproxy", || {
        let said = all_of(stage.generator(&["connect", &front, "1", "5000"])?)?;
        Ok(if said == ["connected"] {
            Ok(())
        } else {
            Err(format!("{said:?}"))
        })
    })?;
    let end = eventually("haproxy's own connect", || {
        let all = ends(stage.agent.address, &stage.far)?;
        Ok(all
            .iter()
            .find(|end| end["process"] == "haproxy")
            .cloned()
            .ok_or(format!("{all:?}")))
    })?;
    assert_eq!((&end["owner"], &end["peer"]), (&"lb".into(), &"backend".into()));
    assert_eq!(end["cause"], "backend-refused");
    stage.agent.counted(
        "hopscope_node_connects_total",
        &[("hop", "lb"), ("outcome", "refused")],
    )?;
    Ok(())
}

#[test]
fn an_applications_outbound_refusal_is_its_dependencys() -> Result<()> {
    let stage = Stage::new()?;
    let database = format!("{}:5432", stage.far);
    let words = ["connect", &database, "1", "5000"];
    all_of(stage.cast.play("gateway", &stage.pair.near, &words)?)?;
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(
        (&end["owner"], &end["cause"]),
        (&"backend".into(), &"backend-dependency".into())
    );
    stage.agent.failed("backend", "backend-dependency")?;
    Ok(())
}

#[test]
fn every_runtimes_dial_into_a_pod_is_tunnel_by_whatever_name_it_has() -> Result<()> {
    let pod = Netns::new()?;
    let cast = Cast::of(ACTOR)?;
    let agent = Agent::start(&[])?;
    let names = [
        "containerd-shim",
        "crio",
        "dockerd",
        "cri-dockerd",
        "socat",
        "k3s-server",
        "k3s-agent",
        "rke2",
        "konnectivity-agent",
    ];
    for name in names {
        all_of(cast.play(name, &pod, &["connect", "127.0.0.1:8080", "1", "5000"])?)?;
    }
    let netns = pod.inode()?;
    for name in names {
        // A process' name has at most 15 bytes.
        let comm = name.get(..15).unwrap_or(name);
        let end = eventually(name, || {
            let all = ends(agent.address, "127.0.0.1")?;
            let ours = all
                .iter()
                .find(|end| end["netns"] == netns && end["process"] == comm);
            Ok(ours.cloned().ok_or(format!("{all:?}")))
        })?;
        assert_eq!(
            (&end["owner"], &end["peer"]),
            (&"tunnel".into(), &"backend".into()),
            "{name}"
        );
        assert_eq!(end["cause"], "backend-refused", "{name}");
    }
    Ok(())
}

#[test]
fn between_api_server_and_kubelet_it_is_all_tunnel() -> Result<()> {
    let stage = Stage::new()?;
    let kubelet = format!("{}:10250", stage.far);
    let dial = ["connect", &kubelet, "1", "5000"];
    all_of(stage.cast.play("kube-apiserver", &stage.pair.near, &dial)?)?;
    let refused = stage.agent.charged(&stage.far)?;
    assert_eq!(
        (&refused["owner"], &refused["peer"]),
        (&"tunnel".into(), &"tunnel".into())
    );
    assert_eq!(refused["cause"], "tunnel-down");

    let serve = ["listen", &kubelet, "16", "linger"];
    let mut node = stage.cast.play("kubelet", &stage.pair.far, &serve)?;
    ready(&mut node, "listening")?;
    let talk = ["talk", &kubelet, "question"];
    all_of(stage.cast.play("kube-apiserver", &stage.pair.near, &talk)?)?;
    stage.agent.failed("tunnel", "tunnel-lost")?;
    Ok(())
}
