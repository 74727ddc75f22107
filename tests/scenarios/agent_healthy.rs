//! What harms nobody gives no failure.

use anyhow::Result;
use hopscope_tests::cast::all_of;
use hopscope_tests::scrape::{ends, eventually, get, sum};

use crate::agent_stage::Stage;

#[test]
fn a_healthy_run_gives_connects_and_no_failure() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("64", "answer")?;
    for _ in 0..5 {
        assert_eq!(
            all_of(stage.generator(&["talk", &stage.target, "ask"])?)?,
            ["answered 6"]
        );
    }
    let labels = [("hop", "client"), ("outcome", "established")];
    eventually("five connects", || {
        let total = sum(
            &get(stage.agent.address, "/metrics")?,
            "hopscope_node_connects_total",
            &labels,
        );
        Ok(if total >= 5.0 {
            Ok(())
        } else {
            Err(total.to_string())
        })
    })?;
    // A second run that fails is the proof that the first one's records would have been told by now.
    let nobody = format!("{}:9", stage.far);
    all_of(stage.generator(&["connect", &nobody, "1", "5000"])?)?;
    eventually("the later failure", || {
        let all = ends(stage.agent.address, &stage.far)?;
        Ok(all
            .iter()
            .any(|end| end["end"] == "connect-refused")
            .then_some(())
            .ok_or(format!("{all:?}")))
    })?;
    let all = ends(stage.agent.address, &stage.far)?;
    assert_eq!(all.len(), 1, "only the later failure: {all:?}");
    let metrics = get(stage.agent.address, "/metrics")?;
    for probe in ["inet_sock_set_state", "tcp_send_reset", "kfree_skb"] {
        let lost = sum(&metrics, "hopscope_events_lost_total", &[("probe", probe)]);
        assert!(lost < 1.0, "{probe} lost {lost}");
    }
    Ok(())
}

#[test]
fn a_last_ack_that_is_lost_is_made_good_by_the_first_byte() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("16", "answer")?;
    stage.firewall("tcp flags & (syn|ack|psh|fin) == ack numgen inc mod 1000000 0 drop")?;
    assert_eq!(
        all_of(stage.generator(&["talk", &stage.target, "ask"])?)?,
        ["answered 6"]
    );
    assert_eq!(stage.charges()?, [] as [serde_json::Value; 0]);
    Ok(())
}

#[test]
fn cookies_for_every_syn_harm_nobody() -> Result<()> {
    let stage = Stage::new()?;
    stage.pair.far.set("net.ipv4.tcp_syncookies=2")?;
    let _backend = stage.backend("16", "answer")?;
    assert_eq!(
        all_of(stage.generator(&["talk", &stage.target, "ask"])?)?,
        ["answered 6"]
    );
    assert_eq!(stage.charges()?, [] as [serde_json::Value; 0]);
    Ok(())
}
