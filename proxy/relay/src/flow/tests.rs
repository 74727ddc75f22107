//! One direction between two real sockets.

use std::future::poll_fn;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::stream::Socket;

/// Somebody who does not look.
struct Blind;

impl Watch for Blind {
    fn now(&mut self) -> Moment {
        Moment(0)
    }
    fn see(&mut self, _from: Side, _bytes: &[u8]) -> Option<Vec<u8>> {
        None
    }
    fn taken(&mut self, _from: Side, _total: u64) {}
    fn unread_run(&self, _from: Side) -> u64 {
        0
    }
    fn skip(&mut self, _from: Side, _count: u64) {}
    fn relayed(&mut self, _from: Side, _arrival: Arrival) {}
    fn ended(&mut self, _side: Side, _end: SideEnd) {}
}

/// Two connected sockets.
async fn pair() -> (Socket, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (
        Socket::new(connected),
        Socket::new(listener.accept().await.unwrap().0),
    )
}

/// One turn of the flow, whether or not there is anything to move.
async fn turned(flow: &mut Flow, source: &mut Socket, sink: &mut Socket) -> Turn {
    let mut scratch = vec![0; FIRST_READ];
    poll_fn(|cx| Poll::Ready(flow.poll(cx, source, sink, &mut scratch, &mut Blind, false))).await
}

/// Lets the flow move what there is until the sink has passed on `bytes`, or the flow is over.
async fn flown(flow: &mut Flow, source: &mut Socket, sink: &mut Socket, bytes: u64, last: bool) {
    let mut scratch = vec![0; FIRST_READ];
    poll_fn(|cx| {
        let turn = flow.poll(cx, source, sink, &mut scratch, &mut Blind, last);
        if turn == Turn::SourceFinished || (flow.passed() < bytes && turn != Turn::Over) {
            if turn == Turn::SourceFinished {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn only_a_second_write_upstream_needs_to_be_told_to_go_at_once() {
    let (mut generator, mut downstream) = pair().await;
    let (mut upstream, _server) = pair().await;
    let mut up = Flow::new(Side::Downstream);
    generator.write_all(b"first").await.unwrap();
    flown(&mut up, &mut downstream, &mut upstream, 5, false).await;
    assert!(!upstream.nodelay().unwrap());
    generator.write_all(b"second").await.unwrap();
    flown(&mut up, &mut downstream, &mut upstream, 11, false).await;
    assert!(upstream.nodelay().unwrap());
}

#[tokio::test]
async fn the_first_fin_is_said_and_the_last_is_left_to_the_close() {
    let (generator, mut downstream) = pair().await;
    let (mut upstream, mut server) = pair().await;
    drop(generator);
    let mut up = Flow::new(Side::Downstream);
    flown(&mut up, &mut downstream, &mut upstream, u64::MAX, false).await;
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0, "it was said");
    drop(server);
    let mut down = Flow::new(Side::Upstream);
    let (mut sink, mut reader) = pair().await;
    flown(&mut down, &mut upstream, &mut sink, u64::MAX, true).await;
    assert!(down.over() && down.finished());
    assert_eq!(there(&reader).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    down.finish_now(&sink);
    assert_eq!(reader.read(&mut [0; 8]).await.unwrap(), 0, "it had to be said");
}

#[tokio::test]
async fn a_connection_is_written_to_before_the_event_loop_has_heard_of_it() {
    let (mut generator, mut downstream) = pair().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut server = listener.accept().await.unwrap().0;
    upstream.set_nonblocking(true).unwrap();
    let mut unheard_of = Socket::new(TcpStream::from_std(upstream).unwrap());
    generator.write_all(b"request").await.unwrap();
    downstream.readable().await.unwrap();
    let mut up = Flow::new(Side::Downstream);
    // Nothing is waited for, so the event loop does not come to tell of the socket.
    let turn = turned(&mut up, &mut downstream, &mut unheard_of).await;
    assert_eq!((turn, up.passed()), (Turn::Idle, 7));
    server.read_exact(&mut [0; 7]).await.unwrap();
}

#[tokio::test]
async fn a_full_sink_is_waited_for_and_gets_every_byte() {
    const BYTES: u64 = 16 << 20;
    let (mut generator, mut downstream) = pair().await;
    let (mut upstream, mut server) = pair().await;
    tokio::spawn(async move { generator.write_all(&vec![7; 16 << 20]).await.map(|()| generator) });
    let mut up = Flow::new(Side::Downstream);
    let mut scratch = vec![0; FIRST_READ];
    poll_fn(|cx| {
        let turn = up.poll(
            cx,
            &mut downstream,
            &mut upstream,
            &mut scratch,
            &mut Blind,
            false,
        );
        if turn == Turn::Blocked {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
    let reader = tokio::spawn(async move {
        let mut taken = vec![0; 16 << 20];
        server.read_exact(&mut taken).await.map(|_| taken)
    });
    flown(&mut up, &mut downstream, &mut upstream, BYTES, false).await;
    assert!(reader.await.unwrap().unwrap().iter().all(|byte| *byte == 7));
}

#[tokio::test]
async fn a_reset_behind_the_last_bytes_is_not_taken_for_a_fin() {
    let mut downstream = last_words_and_a_reset().await;
    let (mut upstream, _server) = pair().await;
    let mut up = Flow::new(Side::Downstream);
    let turn = turned(&mut up, &mut downstream, &mut upstream).await;
    assert_eq!((turn, up.passed()), (Turn::SourceFailed(Ending::Reset), 10));
}

/// A socket at which somebody's last words wait, and the reset behind them.
async fn last_words_and_a_reset() -> Socket {
    let (mut generator, downstream) = pair().await;
    generator.write_all(b"last words").await.unwrap();
    // They are to arrive before the reset does.
    downstream.peek(&mut [0; 16]).await.unwrap();
    socket::reset_on_close(&generator);
    drop(generator);
    downstream.ready(Interest::ERROR).await.unwrap();
    downstream
}

/// Two connected sockets; at the second wait the first one's last words and its FIN, and the event loop has told of both.
async fn last_words_and_a_fin() -> (Socket, Socket) {
    let (mut generator, downstream) = pair().await;
    generator.write_all(b"last words").await.unwrap();
    generator.shutdown().await.unwrap();
    while !downstream
        .ready(Interest::READABLE)
        .await
        .unwrap()
        .is_read_closed()
    {
        tokio::task::yield_now().await;
    }
    (generator, downstream)
}

/// What the socket has for its reader at the moment.
fn there(reader: &TcpStream) -> io::Result<usize> {
    let mut bytes = [std::mem::MaybeUninit::uninit(); 16];
    socket2::SockRef::from(reader).recv(&mut bytes)
}

#[tokio::test]
async fn the_last_bytes_go_out_with_the_fin_behind_them() {
    let (_generator, mut downstream) = last_words_and_a_fin().await;
    let (mut upstream, mut server) = pair().await;
    let mut up = Flow::new(Side::Downstream);
    let turn = turned(&mut up, &mut downstream, &mut upstream).await;
    assert_eq!((turn, up.passed()), (Turn::SourceFinished, 10));
    assert_eq!(there(&server).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(turned(&mut up, &mut downstream, &mut upstream).await, Turn::Over);
    let mut all = Vec::new();
    server.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"last words");
}

#[tokio::test]
async fn bytes_before_an_end_that_was_no_fin_are_sent_all_the_same() {
    let (_generator, mut downstream) = last_words_and_a_fin().await;
    let (mut upstream, mut server) = pair().await;
    let mut up = Flow::new(Side::Downstream);
    turned(&mut up, &mut downstream, &mut upstream).await;
    up.break_off(Moment(1));
    up.finish_now(&upstream);
    server.read_exact(&mut [0; 10]).await.unwrap();
    assert_eq!(
        there(&server).unwrap_err().kind(),
        io::ErrorKind::WouldBlock,
        "no FIN"
    );
}

#[tokio::test]
async fn a_reset_behind_bytes_that_a_full_sink_holds_up_is_not_forgotten() {
    let mut downstream = last_words_and_a_reset().await;
    let (mut upstream, mut server) = pair().await;
    upstream.writable().await.unwrap();
    while upstream.try_write(&vec![7; 65536]).is_ok() {}
    let mut up = Flow::new(Side::Downstream);
    let turn = turned(&mut up, &mut downstream, &mut upstream).await;
    assert_eq!(turn, Turn::SourceFailed(Ending::Reset));
    assert!(up.holds() && !up.over());
    let reader = tokio::spawn(async move {
        let mut all = Vec::new();
        server.read_to_end(&mut all).await.map(|_| all)
    });
    flown(&mut up, &mut downstream, &mut upstream, 10, false).await;
    assert!(up.over());
    drop(upstream);
    assert!(reader.await.unwrap().unwrap().ends_with(b"last words"));
}
