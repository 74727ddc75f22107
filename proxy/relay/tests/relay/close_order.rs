//! Every order of ends, seen by both ends as it would have been without hopscope.
//!
//! A script is a sequence of acts by the two ends of a connection. Every script up to a length is played twice, over
//! a direct connection and through the relay, and what each end sees after each act must be the same.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::session::start;

/// What an end can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Sends this many bytes.
    Send(usize),
    /// `shutdown(SHUT_WR)`: says FIN and goes on reading.
    HalfClose,
    /// `close()`: says FIN and reads no more.
    Close,
    /// Closes with linger 0: says RST.
    Reset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Generator,
    Application,
}

/// What an end sees when it reads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Bytes(usize),
    EndOfStream,
    Reset,
    /// Nothing within the bound: a mistake of the relay, or of the script.
    Nothing,
}

const BOUND: Duration = Duration::from_secs(10);
const BYTES: usize = 700;

/// All scripts of up to `length` acts that a pair of sockets can play.
fn scripts(length: usize) -> Vec<Vec<(End, Act)>> {
    let mut finished = Vec::new();
    let mut open: Vec<Vec<(End, Act)>> = vec![Vec::new()];
    for _ in 0..length {
        let mut longer = Vec::new();
        for script in open {
            for end in [End::Generator, End::Application] {
                for act in [Act::Send(BYTES), Act::HalfClose, Act::Close, Act::Reset] {
                    if may(&script, end, act) {
                        let mut next = script.clone();
                        next.push((end, act));
                        longer.push(next);
                    }
                }
            }
        }
        finished.extend(longer.iter().cloned());
        open = longer;
    }
    finished
}

/// Whether an end can still do that: not after it is gone, nor after it was reset; it sends nothing after its FIN.
fn may(script: &[(End, Act)], end: End, act: Act) -> bool {
    let mut said_fin = false;
    let mut other_gone = false;
    for &(who, did) in script {
        match (who == end, did) {
            (true, Act::Close | Act::Reset) | (false, Act::Reset) => return false,
            (true, Act::HalfClose) => said_fin = true,
            (false, Act::Close) => other_gone = true,
            // Bytes sent to an end that is gone: the sender has been reset.
            (true, Act::Send(_)) if other_gone => return false,
            (_, Act::Send(_)) | (false, Act::HalfClose) => {}
        }
    }
    !(said_fin && matches!(act, Act::Send(_) | Act::HalfClose))
}

async fn read_on(stream: &mut TcpStream, expected: usize) -> Seen {
    let mut seen = 0;
    let mut buffer = [0; 4096];
    loop {
        match timeout(BOUND, stream.read(&mut buffer)).await {
            Err(_) => return Seen::Nothing,
            Ok(Err(_)) => return Seen::Reset,
            Ok(Ok(0)) => return Seen::EndOfStream,
            Ok(Ok(read)) => seen += read,
        }
        if seen >= expected {
            return Seen::Bytes(seen);
        }
    }
}

/// Plays a script and gives what was seen: after each act by the other end, or, where that is gone, by the actor.
async fn play(script: &[(End, Act)], generator: TcpStream, application: TcpStream) -> Vec<(End, Seen)> {
    let mut ends = [Some(generator), Some(application)];
    let mut seen = Vec::new();
    for &(end, act) in script {
        let (me, other) = match end {
            End::Generator => (0, 1),
            End::Application => (1, 0),
        };
        let Some(stream) = &mut ends[me] else {
            panic!("the script lets an end act after it is gone: {script:?}")
        };
        let mut expected = 1;
        match act {
            Act::Send(bytes) => {
                expected = bytes;
                stream.write_all(&vec![b'x'; bytes]).await.unwrap();
            }
            Act::HalfClose => stream.shutdown().await.unwrap(),
            Act::Close => ends[me] = None,
            Act::Reset => {
                socket2::SockRef::from(&*stream)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
                ends[me] = None;
            }
        }
        if let Some(stream) = &mut ends[other] {
            seen.push((
                if other == 0 {
                    End::Generator
                } else {
                    End::Application
                },
                read_on(stream, expected).await,
            ));
        } else if let (Act::Send(_), Some(stream)) = (act, &mut ends[me]) {
            seen.push((end, reset_after_end_of_stream(stream).await));
        }
    }
    seen
}

/// The end of the stream has been read before: what counts is whether the reset comes behind it.
async fn reset_after_end_of_stream(stream: &mut TcpStream) -> Seen {
    let watch = async {
        loop {
            if let Ok(Some(_)) | Err(_) = stream.take_error() {
                return;
            }
            if stream.write_all(b"x").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match timeout(BOUND, watch).await {
        Ok(()) => Seen::Reset,
        Err(_) => Seen::Nothing,
    }
}

#[tokio::test]
async fn both_ends_see_every_order_of_ends_as_without_hopscope() {
    let folder = tempfile::tempdir().unwrap();
    let application = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let direct = application.local_addr().unwrap();
    let session = start(direct, &folder);
    let scripts = scripts(4);
    assert!(scripts.len() > 300, "{} scripts", scripts.len());
    for script in &scripts {
        let mut seen = Vec::new();
        for address in [direct, session.address()] {
            let generator = TcpStream::connect(address).await.unwrap();
            let (accepted, _) = application.accept().await.unwrap();
            seen.push(play(script, generator, accepted).await);
        }
        assert_eq!(seen[0], seen[1], "direct, then through hopscope, of {script:?}");
        assert!(
            !seen[0].iter().any(|(_, seen)| *seen == Seen::Nothing),
            "{script:?}: {seen:?}"
        );
    }
    let summary = session.finish(Duration::from_secs(5), None).unwrap();
    assert_eq!(summary.accounting.accepts, scripts.len() as u64);
    assert!(summary.accounting.balanced(), "{:?}", summary.accounting);
}
