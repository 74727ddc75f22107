//! Routes that say no, on the way and at home.

use anyhow::Result;
use hopscope_tests::cast::{Cast, all_of};
use hopscope_tests::netns::Row;

use crate::agent_stage::{ACTOR, Agent, Stage, ready, verdict};

#[test]
fn a_route_on_the_way_that_says_no_or_nothing_is_the_backends_no_and_its_silence_is_nobodys() -> Result<()> {
    let (cast, agent) = (Cast::of(ACTOR)?, Agent::start(&[])?);
    // What the routes give is in net/ipv4/fib_semantics.c, and what a router makes of it in ip_error of
    // net/ipv4/route.c: an ICMP message but for the black hole.
    for (kind, patience_ms, said, end, cause) in [
        (
            "blackhole",
            "1600",
            "TimedOut",
            "connect-timed-out",
            "undetermined",
        ),
        (
            "unreachable",
            "0",
            "HostUnreachable",
            "connect-unreachable",
            "backend-unreachable",
        ),
        (
            "prohibit",
            "0",
            "HostUnreachable",
            "connect-unreachable",
            "backend-unreachable",
        ),
    ] {
        let row = Row::new()?;
        let far = row.far_address.to_string();
        let target = format!("{far}:8080");
        let mut backend = cast.play("gateway", &row.far, &["listen", &target, "16", "answer"])?;
        ready(&mut backend, "listening")?;
        row.middle.set("net.ipv4.icmp_ratelimit=0")?;
        row.middle
            .run(&["ip", "route", "add", kind, &format!("{far}/32")])?;
        let words = ["connect", &target, "1", patience_ms];
        assert_eq!(all_of(cast.play("k6", &row.near, &words)?)?, [said], "{kind}");
        let charged = agent.charged(&far)?;
        assert_eq!(verdict(&charged), (cause, end), "{kind}: {charged}");
        let told = (end == "connect-unreachable").then_some("icmp");
        assert_eq!(charged["told_by"].as_str(), told, "{kind}: {charged}");
    }
    Ok(())
}

#[test]
fn a_route_of_the_own_host_that_says_no_is_no_kernels_to_tell_and_nobody_is_charged() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("16", "answer")?;
    for (kind, said) in [
        ("blackhole", "InvalidInput"),
        ("unreachable", "HostUnreachable"),
        ("prohibit", "PermissionDenied"),
    ] {
        let route = format!("{}/32", stage.far);
        stage.pair.near.run(&["ip", "route", "add", kind, &route])?;
        assert_eq!(stage.connect("1", "5000")?, [said], "{kind}");
        stage.pair.near.run(&["ip", "route", "del", kind, &route])?;
    }
    assert_eq!(stage.charges()?, [] as [serde_json::Value; 0]);
    Ok(())
}
