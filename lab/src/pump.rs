//! Bytes between two sockets as a layer-4 balancer carries them: FIN as FIN, RST as RST, and idle flows forgotten.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::wire::reset;

/// How a pumped pair ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PumpEnd {
    /// Both sides said FIN.
    Clean,
    /// One side failed; the other was reset.
    Broken,
    /// A byte came after the flow had been forgotten; both sides were reset.
    Forgotten,
    /// The deadline came; both sides were reset.
    Deadline,
}

/// When a pump resets both sides of its own accord.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// A flow that was idle for so long is forgotten, as AWS's network load balancer and netfilter's connection
    /// tracking do: neither side is told, and the next byte of either is answered by RST.
    pub(crate) forget_after: Option<Duration>,
    /// So long after the start.
    pub(crate) deadline: Option<Duration>,
}

/// Carries bytes both ways until both sides have ended, or a limit is reached.
pub(crate) async fn pump(mut near: TcpStream, mut far: TcpStream, limits: Limits) -> PumpEnd {
    let last = Mutex::new(Instant::now());
    let ended = {
        let (near_read, near_write) = near.split();
        let (far_read, far_write) = far.split();
        let up = one_way(near_read, far_write, &last, limits.forget_after);
        let down = one_way(far_read, near_write, &last, limits.forget_after);
        let deadline = async {
            match limits.deadline {
                Some(deadline) => tokio::time::sleep(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = async { tokio::try_join!(up, down) } => ended,
            () = deadline => Err(PumpEnd::Deadline),
        }
    };
    match ended {
        Ok(_) => PumpEnd::Clean,
        Err(end) => {
            reset(near);
            reset(far);
            end
        }
    }
}

async fn one_way(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    last: &Mutex<Instant>,
    forget_after: Option<Duration>,
) -> Result<(), PumpEnd> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await.map_err(|_io| PumpEnd::Broken)?;
        {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if forget_after.is_some_and(|limit| last.elapsed() > limit) {
                return Err(PumpEnd::Forgotten);
            }
            *last = Instant::now();
        }
        if count == 0 {
            return to.shutdown().await.map_err(|_io| PumpEnd::Broken);
        }
        to.write_all(&buffer[..count])
            .await
            .map_err(|_io| PumpEnd::Broken)?;
    }
}
