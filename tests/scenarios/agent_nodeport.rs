//! A NodePort as kube-proxy makes it: the node's kernel translates the address, and no process of a balancer is there.

use anyhow::Result;
use hopscope_tests::cast::{Cast, all_of};
use hopscope_tests::netns::Row;
use hopscope_tests::scrape::ends;
use serde_json::Value;

use crate::agent_stage::{ACTOR, Agent, ready, verdict};

struct Node {
    row: Row,
    cast: Cast,
    agent: Agent,
    /// The NodePort, and the node's address alone.
    port: String,
    address: String,
    /// Where it leads to.
    pod: String,
}

impl Node {
    fn new() -> Result<Self> {
        let row = Row::new()?;
        let address = row.middle_address.to_string();
        Ok(Self {
            cast: Cast::of(ACTOR)?,
            agent: Agent::start(&[])?,
            port: format!("{address}:30080"),
            pod: format!("{}:8080", row.far_address),
            address,
            row,
        })
    }

    fn leads_to_the_pod(&self) -> Result<()> {
        let rules = format!(
            "add table ip nodeport; \
             add chain ip nodeport pre {{ type nat hook prerouting priority -100 ; }}; \
             add rule ip nodeport pre tcp dport 30080 dnat to {}",
            self.pod
        );
        self.row.middle.run(&["nft", &rules])?;
        Ok(())
    }

    fn charges(&self) -> Result<Vec<Value>> {
        let mut all = ends(self.agent.address, &self.address)?;
        all.extend(ends(self.agent.address, &self.row.far_address.to_string())?);
        all.retain(|end| !end["cause"].is_null());
        Ok(all)
    }
}

#[test]
fn a_node_port_without_a_pod_is_refused_and_nobody_is_charged() -> Result<()> {
    let node = Node::new()?;
    // What kube-proxy does to a service without endpoints.
    node.row
        .middle
        .filter("input", "tcp dport 30080 reject with icmp port-unreachable")?;
    let asks = ["connect", &node.port, "1", "0"];
    assert_eq!(
        all_of(node.cast.play("k6", &node.row.near, &asks)?)?,
        ["ConnectionRefused"]
    );
    let end = node.agent.charged(&node.address)?;
    // Nothing says whom the node's address stands for, and a range of ports least of all.
    assert_eq!(verdict(&end), ("undetermined", "connect-refused"));
    assert_eq!(
        (&end["peer"], &end["told_by"]),
        (&"unknown".into(), &"icmp".into())
    );
    Ok(())
}

#[test]
fn a_pod_that_refuses_behind_a_node_port_is_charged_and_not_the_node() -> Result<()> {
    let node = Node::new()?;
    node.leads_to_the_pod()?;
    let asks = ["connect", &node.port, "1", "5000"];
    assert_eq!(
        all_of(node.cast.play("k6", &node.row.near, &asks)?)?,
        ["ConnectionRefused"]
    );
    let end = node.agent.charged(&node.address)?;
    assert_eq!(verdict(&end), ("backend-refused", "connect-refused"), "{end}");
    assert_eq!(
        (&end["owner"], &end["peer"]),
        (&"client".into(), &"backend".into())
    );
    Ok(())
}

#[test]
fn a_pod_that_resets_behind_a_node_port_is_charged_once() -> Result<()> {
    let node = Node::new()?;
    node.leads_to_the_pod()?;
    let mut backend = node
        .cast
        .play("gateway", &node.row.far, &["listen", &node.pod, "16", "unread"])?;
    ready(&mut backend, "listening")?;
    all_of(
        node.cast
            .play("k6", &node.row.near, &["talk", &node.port, "question"])?,
    )?;
    let far = node.row.far_address.to_string();
    assert_eq!(
        verdict(&node.agent.charged(&far)?),
        ("backend-reset", "reset-sent-unread")
    );
    let charges = node.charges()?;
    assert_eq!(charges.len(), 1, "{charges:?}");
    Ok(())
}
