//! Samples of this very process, playing kubectl: it forwards, and has a connection to an API server.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use hopscope_attribution::evidence::Moment;

use super::*;

fn reporter() -> Reporter {
    Reporter::new(Arc::new(|| Moment(7)), Arc::new(|_| {}), 3)
}

/// Fills a connection until its writer would block, and says how much that took.
fn fill(writer: &mut TcpStream) {
    writer.set_nonblocking(true).expect("settable");
    while writer.write(&[0; 4096]).is_ok() {}
}

#[test]
fn a_reader_that_does_not_read_is_named_and_an_idle_one_is_not() {
    let forward = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = forward.local_addr().expect("bound").port();
    let lazy = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    let (mut towards_lazy, _) = forward.accept().expect("accepts");
    let _idle = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    fill(&mut towards_lazy);

    let mut diag = SockDiag::open().expect("no privilege is needed");
    let mut sampler = Sampler::new(Some(std::process::id()), port, None);
    let gauge = sampler.take(&mut diag, &reporter()).expect("the kernel answers");
    assert_eq!(gauge.stalled_readers, 1);
    assert_eq!(
        gauge.worst_reader,
        Observation::Seen(lazy.local_addr().expect("bound").port())
    );
    assert_eq!(gauge.accept_queue, 1, "the idle one was not accepted");
    assert_eq!((gauge.at, gauge.member), (Moment(7), 3));
    assert_eq!(gauge.stopped, Observation::Seen(false));
    assert_eq!(gauge.handled, Observation::Unseen(WhyUnseen::NotWatched));
}

#[test]
fn the_busier_of_two_connections_is_taken_for_the_tunnel() {
    let api = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = api.local_addr().expect("bound");
    let mut tunnel = TcpStream::connect(address).expect("connects");
    let (mut far, peer) = api.accept().expect("accepts");
    let rest = TcpStream::connect(address).expect("connects");
    let mut diag = SockDiag::open().expect("no privilege is needed");

    let inode = |diag: &mut SockDiag, ours: &TcpStream| {
        let local = ours.local_addr().expect("bound");
        diag.find(local, address)
            .expect("the kernel answers")
            .expect("it stands")
            .inode
    };
    let inodes = [inode(&mut diag, &tunnel), inode(&mut diag, &rest)]
        .into_iter()
        .collect();
    let mut socket = TunnelSocket::following(&mut diag, &inodes);

    tunnel.write_all(&[0; 5000]).expect("fits");
    far.read_exact(&mut [0; 5000]).expect("arrives");
    far.write_all(&[0; 777]).expect("fits");
    let deadline = Instant::now() + Duration::from_secs(10);
    let seen = loop {
        let sampled = socket
            .sample(&mut diag, std::process::id(), 1)
            .expect("the kernel answers");
        if sampled.seen().is_some_and(|sampled| sampled.recv_queue == 777) {
            break sampled;
        }
        assert!(Instant::now() < deadline, "{sampled:?} of {peer}");
        std::thread::yield_now();
    };
    assert!(
        seen.seen()
            .is_some_and(|sampled| sampled.of(|info| info.snd_wnd).seen().is_some())
    );
}
