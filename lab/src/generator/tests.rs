//! The generator against services: what it does, and what it can do.

use super::*;
use crate::fault::GroundTruth;
use crate::service::Service;

fn load(address: SocketAddr, length: Duration) -> Load {
    Load {
        address,
        stages: Stages::constant(4, length),
        mix: Mix::only(RouteShare::get(1.0, "/products/:id")),
        think: (Duration::ZERO, Duration::ZERO),
        timeout: Duration::from_secs(5),
        aborts: None,
        reuse: Reuse::ServerCloses,
        limits: Limits::default(),
        seed: 1,
    }
}

#[tokio::test]
async fn a_host_out_of_ports_fails_without_a_packet() {
    let truth = GroundTruth::new();
    let service = Service::new("catalog", 1).start(&truth).unwrap();
    let mut load = load(service.address(), Duration::from_millis(300));
    load.think = (Duration::from_millis(1), Duration::from_millis(2));
    load.reuse = Reuse::ClientCloses;
    load.limits = Limits::free_ports(20).unwrap();
    let totals = load.start().finish(Duration::from_secs(2)).await;
    let no_port = Seen::NotConnected(NotConnected::NoPort);
    let answered = totals.seen()[&Seen::Status(200)];
    assert!((1..=20).contains(&answered), "{totals:?}");
    assert!(totals.seen()[&no_port] > 0, "{totals:?}");
    assert_eq!(answered, service.answered());
    assert!(!no_port.left_the_generator());
}

#[tokio::test]
async fn a_generator_out_of_descriptors_says_so() {
    let truth = GroundTruth::new();
    let slow = Service::new("catalog", 1).latency(crate::draw::Latency::fixed(50));
    let service = slow.start(&truth).unwrap();
    let mut load = load(service.address(), Duration::from_millis(200));
    load.think = (Duration::from_millis(5), Duration::from_millis(5));
    load.limits.descriptors = Some(2);
    let totals = load.start().finish(Duration::from_secs(2)).await;
    assert!(
        totals.seen()[&Seen::NotConnected(NotConnected::NoDescriptor)] > 0,
        "{totals:?}"
    );
    assert!(totals.seen()[&Seen::Status(200)] > 0, "{totals:?}");
}

#[tokio::test]
async fn a_run_that_is_stopped_finishes_what_it_began() {
    let truth = GroundTruth::new();
    let service = Service::new("catalog", 1).start(&truth).unwrap();
    let running = load(service.address(), Duration::from_mins(10)).start();
    while running.totals().requests() < 10 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.stop();
    let totals = running.finish(Duration::from_secs(5)).await;
    assert_eq!(totals.interrupted, 0);
    assert_eq!(totals.requests(), service.answered());
}

#[tokio::test]
async fn the_stages_decide_how_many_ask() {
    let truth = GroundTruth::new();
    let service = Service::new("catalog", 1).start(&truth).unwrap();
    let mut load = load(service.address(), Duration::ZERO);
    load.stages = Stages::up_hold_down(20, Duration::from_millis(400));
    load.think = (Duration::from_millis(10), Duration::from_millis(20));
    let running = load.start();
    assert!(running.users() < 20);
    let totals = running.finish(Duration::from_secs(2)).await;
    assert!(totals.requests() > 20, "{totals:?}");
    assert_eq!(totals.failed(), 0);
}

#[tokio::test]
async fn a_thousand_kept_alive_requests_take_no_more_than_a_moment() {
    let truth = GroundTruth::new();
    let service = Service::new("catalog", 1).start(&truth).unwrap();
    let mut load = load(service.address(), Duration::from_secs(1));
    load.reuse = Reuse::KeepAlive;
    load.stages = Stages::constant(32, Duration::from_secs(1));
    let totals = load.start().finish(Duration::from_secs(5)).await;
    assert_eq!(totals.failed(), 0);
    // A bound that holds on a loaded machine; the figure itself is printed.
    println!("{} requests in a second", totals.requests());
    assert!(
        totals.requests() >= 500,
        "{} requests in a second",
        totals.requests()
    );
}

#[tokio::test]
async fn a_user_that_breaks_off_is_not_one_that_waited_in_vain() {
    let truth = GroundTruth::new();
    let slow = Service::new("catalog", 1).latency(Latency::fixed(80));
    let service = slow.start(&truth).unwrap();
    let mut load = load(service.address(), Duration::from_millis(200));
    load.aborts = Some((1.0, Latency::fixed(10)));
    let totals = load.start().finish(Duration::from_secs(2)).await;
    assert_eq!(totals.seen().keys().copied().collect::<Vec<_>>(), [Seen::Aborted]);
}
