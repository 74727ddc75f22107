//! Connects that fail: refused, unanswered, for want of a port.

use anyhow::Result;
use hopscope_tests::cast::{Cast, all_of};
use hopscope_tests::netns::Row;
use hopscope_tests::scrape::{eventually, get, sum};

use crate::agent_stage::{ACTOR, Agent, Stage, ready, verdict};

#[test]
fn a_port_that_nobody_listens_on_is_the_backends_refusal() -> Result<()> {
    let stage = Stage::new()?;
    assert_eq!(stage.connect("3", "5000")?, ["ConnectionRefused"; 3]);
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(end["cause"], "backend-refused");
    assert_eq!(end["end"], "connect-refused");
    assert_eq!(
        (&end["owner"], &end["peer"], &end["process"]),
        (&"client".into(), &"backend".into(), &"k6".into())
    );
    assert_eq!(end["netns"], stage.pair.near.inode()?);
    stage.agent.failed("backend", "backend-refused")?;
    stage.agent.counted(
        "hopscope_node_connects_total",
        &[("hop", "client"), ("outcome", "refused")],
    )?;
    stage.agent.counted(
        "hopscope_node_resets_total",
        &[("hop", "client"), ("direction", "received")],
    )?;
    Ok(())
}

#[test]
fn a_firewalls_reset_is_a_refusal_of_which_no_kernel_says_that_it_sent_it() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("16", "answer")?;
    stage.firewall("reject with tcp reset")?;
    assert_eq!(stage.connect("1", "5000")?, ["ConnectionRefused"]);
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(end["end"], "connect-refused");
    assert!(end["reset_reason"].is_null(), "{end}");
    stage.agent.failed("backend", "backend-refused")?;
    Ok(())
}

#[test]
fn a_black_hole_is_told_by_its_syn_retransmits_and_the_drop() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("16", "answer")?;
    stage.firewall("drop")?;
    assert_eq!(stage.connect("1", "1600")?, ["TimedOut"]);
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(end["cause"], "undetermined");
    assert_eq!(end["end"], "connect-timed-out");
    assert!(end["retransmits"].as_u64() >= Some(1), "{end}");
    assert!(
        end["drops"].to_string().contains("NETFILTER_DROP") || end["drops"].is_null(),
        "{end}"
    );
    stage
        .agent
        .counted("hopscope_node_syn_retransmits_total", &[("hop", "client")])?;
    stage.agent.counted(
        "hopscope_node_drops_total",
        &[("hop", "backend"), ("reason", "NETFILTER_DROP")],
    )?;
    Ok(())
}

#[test]
fn want_of_ephemeral_ports_is_the_generators_own() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("64", "keep")?;
    stage.pair.near.set("net.ipv4.ip_local_port_range=40000 40003")?;
    let said = stage.connect("8", "5000")?;
    assert!(said.contains(&"AddrNotAvailable".to_owned()), "{said:?}");
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(
        (&end["cause"], &end["end"]),
        (&"client-ports-exhausted".into(), &"no-local-port".into())
    );
    stage.agent.failed("client", "client-ports-exhausted")?;
    Ok(())
}

#[test]
fn an_icmp_refusal_is_told_from_a_reset() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("16", "answer")?;
    stage.firewall("reject with icmp port-unreachable")?;
    assert_eq!(stage.connect("1", "0")?, ["ConnectionRefused"]);
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(verdict(&end), ("backend-refused", "connect-refused"));
    assert_eq!(
        (&end["errno"], &end["told_by"]),
        (&"ECONNREFUSED".into(), &"icmp".into())
    );
    stage.agent.failed("backend", "backend-refused")?;
    Ok(())
}

#[test]
fn an_address_that_a_router_calls_unreachable_is_the_backends() -> Result<()> {
    for word in ["host-unreachable", "admin-prohibited"] {
        let stage = Stage::new()?;
        let _backend = stage.backend("16", "answer")?;
        stage.firewall(&format!("reject with icmp {word}"))?;
        assert_eq!(stage.connect("1", "0")?, ["HostUnreachable"], "{word}");
        let end = stage.agent.charged(&stage.far)?;
        assert_eq!(
            verdict(&end),
            ("backend-unreachable", "connect-unreachable"),
            "{word}"
        );
        assert_eq!(
            (&end["errno"], &end["told_by"]),
            (&"EHOSTUNREACH".into(), &"icmp".into()),
            "{word}"
        );
        let labels = [("hop", "client"), ("outcome", "unreachable")];
        stage.agent.counted("hopscope_node_connects_total", &labels)?;
    }
    Ok(())
}

#[test]
fn a_host_that_is_down_is_told_by_the_neighbour_that_does_not_answer() -> Result<()> {
    let stage = Stage::new()?;
    let [a, b, c, _] = stage.pair.far_address.octets();
    let nobody = format!("{a}.{b}.{c}.99");
    let said = all_of(stage.generator(&["connect", &format!("{nobody}:8080"), "1", "8000"])?)?;
    assert_eq!(said, ["HostUnreachable"]);
    let end = stage.agent.charged(&nobody)?;
    assert_eq!(verdict(&end), ("backend-unreachable", "connect-unreachable"));
    Ok(())
}

#[test]
fn a_connect_that_finds_no_route_leaves_a_count_alone() -> Result<()> {
    let stage = Stage::new()?;
    // The application has no way to its database: not even a socket begins to connect.
    let _backend = stage.cast.play(
        "gateway",
        &stage.pair.far,
        &["listen", "127.0.0.1:8080", "16", "keep"],
    )?;
    let asks = ["connect", "192.0.2.1:5432", "1", "5000"];
    assert_eq!(
        all_of(stage.cast.play("gateway", &stage.pair.far, &asks)?)?,
        ["NetworkUnreachable"]
    );
    stage
        .agent
        .counted("hopscope_node_no_route_total", &[("hop", "backend")])?;
    assert_eq!(stage.charges()?, [] as [serde_json::Value; 0]);
    Ok(())
}

#[test]
fn a_black_hole_in_which_the_kernel_gives_up_itself_is_unreachable() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("16", "answer")?;
    stage.pair.near.set("net.ipv4.tcp_syn_retries=1")?;
    stage.firewall("drop")?;
    assert_eq!(stage.connect("1", "20000")?, ["TimedOut"]);
    let end = stage.agent.charged(&stage.far)?;
    // The network may have dropped it as well.
    assert_eq!(verdict(&end), ("undetermined", "connect-timed-out"));
    assert_eq!(end["errno"], "ETIMEDOUT");
    Ok(())
}

#[test]
fn an_answer_to_the_syn_that_is_lost_on_the_way_shows_at_both_ends() -> Result<()> {
    let row = Row::new()?;
    let (cast, agent) = (Cast::of(ACTOR)?, Agent::start(&[])?);
    let target = format!("{}:8080", row.far_address);
    let mut backend = cast.play("gateway", &row.far, &["listen", &target, "16", "answer"])?;
    ready(&mut backend, "listening")?;
    row.middle
        .filter("forward", "tcp sport 8080 tcp flags & (syn|ack) == syn|ack drop")?;
    let said = all_of(cast.play("k6", &row.near, &["connect", &target, "1", "1600"])?)?;
    assert_eq!(said, ["TimedOut"]);
    let end = agent.charged(&row.far_address.to_string())?;
    // The network may have dropped it as well.
    assert_eq!(verdict(&end), ("undetermined", "connect-timed-out"));
    for hop in ["client", "backend"] {
        agent.counted("hopscope_node_syn_retransmits_total", &[("hop", hop)])?;
    }
    Ok(())
}

#[test]
fn what_the_generators_own_firewall_drops_is_the_generators() -> Result<()> {
    // On its way out, as a full connection table does it too; and the answer on its way in.
    for (hook, rule) in [
        ("output", "tcp dport 8080 drop"),
        ("input", "tcp sport 8080 drop"),
    ] {
        let stage = Stage::new()?;
        let _backend = stage.backend("16", "answer")?;
        stage.pair.near.filter(hook, rule)?;
        assert_eq!(stage.connect("1", "1600")?, ["TimedOut"]);
        let end = stage.agent.charged(&stage.far)?;
        assert_eq!(
            verdict(&end),
            ("client-firewall", "connect-timed-out"),
            "{hook}: {end}"
        );
        stage.agent.failed("client", "client-firewall")?;
    }
    Ok(())
}

#[test]
fn a_syn_that_was_sent_again_as_far_as_the_own_firewall_was_not_sent() -> Result<()> {
    for rung in ["tp_btf", "tracepoint", "sock_ops"] {
        let stage = Stage::watched_by(&["--rung", rung])?;
        let _backend = stage.backend("16", "answer")?;
        stage.pair.near.filter("output", "tcp dport 8080 drop")?;
        assert_eq!(stage.connect("1", "1600")?, ["TimedOut"]);
        stage.pair.near.open()?;
        assert_eq!(stage.connect("1", "5000")?, ["connected"]);
        // Both are counted in the same table: what was before the second connection is known when that one is.
        let labels = [("outcome", "established")];
        stage.agent.counted("hopscope_node_connects_total", &labels)?;
        let metrics = get(stage.agent.address, "/metrics")?;
        for family in [
            "hopscope_node_retransmits_total",
            "hopscope_node_syn_retransmits_total",
        ] {
            assert!(sum(&metrics, family, &[]) < 1.0, "{rung}: {metrics}");
        }
    }
    Ok(())
}

#[test]
fn ports_that_wait_in_time_wait_are_the_generators_want_and_no_failure_once_they_are_used_again() -> Result<()>
{
    let stage = Stage::new()?;
    let _backend = stage.backend("64", "answer")?;
    stage.pair.near.set("net.ipv4.ip_local_port_range=40000 40003")?;
    stage.pair.near.set("net.ipv4.tcp_tw_reuse=0")?;
    let again = |times: &str| all_of(stage.generator(&["reconnect", &stage.target, times])?);
    let said = again("6")?;
    assert_eq!(
        said.iter().filter(|word| *word == "AddrNotAvailable").count(),
        2,
        "{said:?}"
    );
    stage.pair.near.set("net.ipv4.tcp_tw_reuse=1")?;
    let mut wanting = 2;
    eventually("a port that is used again", || {
        let said = again("1")?;
        wanting += usize::from(said != ["connected"]);
        Ok(if said == ["connected"] {
            Ok(())
        } else {
            Err(format!("{said:?}"))
        })
    })?;
    let charges = stage.charges()?;
    assert_eq!(charges.len(), wanting, "{charges:?}");
    let wanted = ("client-ports-exhausted", "no-local-port");
    assert!(charges.iter().all(|end| verdict(end) == wanted), "{charges:?}");
    Ok(())
}

#[test]
fn want_of_descriptors_is_no_kernels_to_tell_and_nobody_is_charged() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("64", "keep")?;
    let words = ["connect", &stage.target, "8", "5000"];
    let mut poor = stage.cast.play_poor("k6", &stage.pair.near, 6, &words)?;
    ready(&mut poor, "Uncategorized")?;
    all_of(poor)?;
    assert_eq!(stage.charges()?, [] as [serde_json::Value; 0]);
    Ok(())
}

#[test]
fn an_icmp_rejection_that_the_application_learns_first_is_no_change_of_mind() -> Result<()> {
    let stage = Stage::new()?;
    // Somebody lives there, so that the namespace's counters can be read.
    let words = ["listen", "127.0.0.1:9000", "16", "keep"];
    let mut tenant = stage.cast.play("tenant", &stage.pair.near, &words)?;
    ready(&mut tenant, "listening")?;
    stage.firewall("reject with icmp host-unreachable")?;
    // Who connects without blocking asks for the error, which clears it, and closes: to TCP as if he had given up.
    assert_eq!(stage.connect("1", "5000")?, ["HostUnreachable"]);
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(verdict(&end), ("backend-unreachable", "connect-unreachable"));
    assert_eq!(end["told_by"], "icmp");
    Ok(())
}
