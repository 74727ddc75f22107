//! Watches over listeners of this very process, which is no kubectl.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use hopscope_attribution::evidence::Moment;
use hopscope_attribution::evidence::tunnel::PortOwner;

use socket2::{Domain, Socket, Type};

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

fn start(address: SocketAddr) -> (Watch, Receiver<TunnelReport>) {
    let (sender, reports) = mpsc::channel();
    let watch = Watch::start(
        address,
        Arc::new(|| Moment(1)),
        Arc::new(move |report| drop(sender.send(report))),
    );
    (watch.expect("a thread"), reports)
}

fn until<T>(reports: &Receiver<TunnelReport>, wanted: impl Fn(&TunnelReport) -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if let Some(found) = wanted(&reports.recv_timeout(left).expect("the report that is waited for")) {
            return found;
        }
    }
}

fn until_life(reports: &Receiver<TunnelReport>, wanted: TunnelLife) {
    until(reports, |report| {
        matches!(report, TunnelReport::Life(event) if event.kind == wanted).then_some(())
    });
}

#[test]
fn the_process_behind_a_port_is_found_described_and_missed() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (_watch, reports) = start(listener.local_addr().expect("bound"));
    until_life(&reports, TunnelLife::Found);
    let process = until(&reports, |report| {
        let TunnelReport::Process(process) = report else {
            return None;
        };
        Some(process.clone())
    });
    assert_eq!(process.pid, Observation::Seen(std::process::id()));
    assert_eq!(process.is_kubectl, Observation::Seen(false));
    assert_eq!(process.on_ipv4, Observation::Seen(PortOwner::Forward));
    assert_eq!(process.on_ipv6, Observation::Seen(PortOwner::Nobody));
    until(&reports, |report| {
        matches!(report, TunnelReport::Gauge(_)).then_some(())
    });
    drop(listener);
    until_life(&reports, TunnelLife::Exited(None));
}

#[test]
fn a_forward_that_starts_later_is_found_then() {
    // Bound, so that nobody else takes the port, and not listening yet.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    socket.bind(&any.into()).expect("a free port");
    let address = socket.local_addr().expect("bound").as_socket().expect("IPv4");
    let (_watch, reports) = start(address);
    until(&reports, |report| {
        matches!(report, TunnelReport::Watched { .. }).then_some(())
    });
    socket.listen(1).expect("bound");
    until_life(&reports, TunnelLife::Found);
}

#[test]
fn what_may_be_on_another_host_is_not_watched_and_says_so() {
    let (_watch, reports) = start("10.9.8.7:3000".parse().expect("an address"));
    let gauges = until(&reports, |report| {
        let TunnelReport::Watched { gauges, .. } = report else {
            return None;
        };
        Some(*gauges)
    });
    assert_eq!(gauges, Observation::Unseen(WhyUnseen::NotWatched));
}
