//! What the generator is told when no upstream connection stands.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use hopscope_attribution::evidence::{ConnectFailure, PathId};
use tokio::io::{AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, timeout_at};

use super::clock::RunClock;
use super::stream::Stream;
use super::worker;

/// What the generator is told when no upstream connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnRefusal {
    /// A reset: as it would have seen a failure without hopscope.
    #[default]
    Reset,
    /// A 502 that names the path and the failure in its headers.
    #[value(name = "502")]
    BadGateway,
}

/// How long the request, and then the generator's own end, are waited for.
const LIMIT: Duration = Duration::from_secs(1);

/// Answers the request, once it has come, with hopscope's own 502, and closes.
pub(super) async fn answer(
    downstream: &mut impl Stream,
    observer: &mut hopscope_http::Observer,
    path: PathId,
    failure: ConnectFailure,
    clock: RunClock,
) {
    let deadline = Instant::now() + LIMIT;
    while observer.in_flight() == 0 {
        if !matches!(
            timeout_at(deadline, read_once(downstream, observer, clock)).await,
            Ok(true)
        ) {
            return;
        }
    }
    let body = format!(
        "hopscope: no upstream connection on path {}: {}\n",
        worker::path_name(path),
        describe(failure)
    );
    let response = format!(
        "HTTP/1.1 502 Bad Gateway\r\nServer: hopscope\r\nX-Hopscope-Path: {}\r\nX-Hopscope-Failure: {}\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        worker::path_name(path),
        word(failure),
        body.len(),
    );
    if timeout_at(deadline, downstream.write_all(response.as_bytes()))
        .await
        .is_ok_and(|written| written.is_ok())
    {
        observer.answered_by_hopscope(
            502,
            response.len() as u64,
            clock.now(),
            &mut worker::record_exchange,
        );
        // Closing with unread request bytes would reset, and the reset could overtake the answer.
        if downstream.shutdown().await.is_ok() {
            while matches!(
                timeout_at(deadline, read_once(downstream, observer, clock)).await,
                Ok(true)
            ) {}
        }
    }
}

/// Reads what comes next. False at the end of the stream.
async fn read_once(
    downstream: &mut impl Stream,
    observer: &mut hopscope_http::Observer,
    clock: RunClock,
) -> bool {
    poll_fn(|cx| {
        worker::with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            let read = ready!(Pin::new(&mut *downstream).poll_read(cx, &mut buffer));
            let bytes = buffer.filled();
            if read.is_err() || bytes.is_empty() {
                return Poll::Ready(false);
            }
            observer.request_bytes(
                bytes,
                clock.now(),
                &mut worker::record_exchange,
                &mut |_nowhere| {},
            );
            Poll::Ready(true)
        })
    })
    .await
}

/// The failure as a word, for a header.
fn word(failure: ConnectFailure) -> &'static str {
    match failure {
        ConnectFailure::Refused => "refused",
        ConnectFailure::TimedOut => "timed-out",
        ConnectFailure::Unreachable => "unreachable",
        ConnectFailure::Reset => "reset",
        ConnectFailure::Dns => "dns",
        ConnectFailure::Tls(_) => "tls",
        ConnectFailure::OwnAddress => "own-address",
        ConnectFailure::NoLocalPort => "no-local-port",
        ConnectFailure::NoDescriptor => "no-descriptor",
        ConnectFailure::Errno(_) => "errno",
    }
}

/// The failure as a sentence, for the body.
fn describe(failure: ConnectFailure) -> String {
    match failure {
        ConnectFailure::Refused => "the address refused it: nothing listens there".to_owned(),
        ConnectFailure::TimedOut => "the address did not answer in time".to_owned(),
        ConnectFailure::Unreachable => "there is no route to the address".to_owned(),
        ConnectFailure::Reset => "it was reset during the handshake".to_owned(),
        ConnectFailure::Dns => "the name did not resolve".to_owned(),
        ConnectFailure::Tls(part) => format!("the TLS handshake failed ({part:?})"),
        ConnectFailure::OwnAddress => "the address is hopscope's own: it would connect to itself".to_owned(),
        ConnectFailure::NoLocalPort => "hopscope's host has no free local port".to_owned(),
        ConnectFailure::NoDescriptor => "hopscope has no descriptor left".to_owned(),
        ConnectFailure::Errno(errno) => format!("{}", io::Error::from_raw_os_error(errno)),
    }
}
