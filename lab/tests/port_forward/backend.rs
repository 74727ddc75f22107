//! Applications in the pod, each with one habit.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hopscope_lab::apiserver::{Builder, Cluster};
use hopscope_lab::node::Pod;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What an application does with a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Habit {
    /// Sends everything back.
    Echo,
    /// Reads eight bytes, the number of bytes to send; sends them and closes.
    Download,
    /// Reads to the first byte of value 1, then says how many bytes came before it.
    Upload,
    /// Reads a byte and resets.
    Reset,
    /// Reads a byte and closes.
    Close,
    /// Reads a byte, answers 9 and closes, whatever else comes.
    Early,
    /// Never reads.
    Deaf,
}

/// Starts an application.
pub(crate) async fn start(habit: Habit) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, habit));
        }
    });
    addr
}

async fn serve(mut socket: TcpStream, habit: Habit) -> std::io::Result<()> {
    match habit {
        Habit::Echo => {
            let mut buffer = vec![0; 16 * 1024];
            loop {
                let count = socket.read(&mut buffer).await?;
                if count == 0 {
                    return Ok(());
                }
                socket.write_all(&buffer[..count]).await?;
            }
        }
        Habit::Download => {
            let mut left = socket.read_u64().await?;
            let piece = vec![b'd'; 64 * 1024];
            while left > 0 {
                let size = piece.len().min(usize::try_from(left).unwrap());
                socket.write_all(&piece[..size]).await?;
                left -= size as u64;
            }
            Ok(())
        }
        Habit::Upload => {
            let mut buffer = vec![0; 64 * 1024];
            let mut total = 0;
            loop {
                let count = socket.read(&mut buffer).await?;
                if let Some(end) = buffer[..count].iter().position(|byte| *byte == 1) {
                    return socket.write_u64(total + end as u64).await;
                }
                if count == 0 {
                    return Ok(());
                }
                total += count as u64;
            }
        }
        Habit::Reset => {
            socket.read_u8().await?;
            SockRef::from(&socket).set_linger(Some(Duration::ZERO))
        }
        Habit::Close => socket.read_u8().await.map(drop),
        Habit::Early => {
            socket.read_u8().await?;
            socket.write_u8(9).await
        }
        Habit::Deaf => std::future::pending().await,
    }
}

/// A cluster with the pod `web`, whose port 8080 is an application of that habit, not started yet.
pub(crate) async fn cluster(habit: Habit) -> Builder {
    Cluster::builder().pod(Pod::new("web").port(8080, start(habit).await))
}
