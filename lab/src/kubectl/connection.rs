//! One local connection, from accept to close: `handleConnection` of client-go's portforward.go by what it does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::Client;
use super::line::Trouble;
use crate::node::COPY_BUFFER;
use crate::node::errno;
use crate::spdy::connection::{SendError, StreamReceiver, StreamSender};
use crate::spdy::frame::ResetStatus;
use crate::spdy::headers::Headers;

/// An error text is kept up to this length; nodes send some 300 bytes.
const MAX_ERROR_TEXT: usize = 16 * 1024;

/// Forwards one connection. The socket is closed when this returns, and never shut down before.
pub(super) async fn forward(client: Arc<Client>, mut socket: TcpStream, from: SocketAddr) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::trace!(%error, "the connection ended before it was handled");
    }
    let (local, remote) = (client.local_port, client.remote_port);
    client
        .output
        .stdout(format!("Handling connection for {local}"))
        .await;
    let request = client.next_request().to_string();
    let headers = |purpose: &str| {
        let headers = Headers::new()
            .with("streamtype", purpose)
            .with("port", remote.to_string());
        headers.with("requestid", request.as_str())
    };
    let error = match client.tunnel.open(headers("error"), client.reply_timeout).await {
        Ok(stream) => stream,
        Err(error) => {
            let cause = error.to_string();
            return client
                .output
                .trouble(Trouble::CreatingErrorStream, local, remote, &cause)
                .await;
        }
    };
    gone_is_fine(error.sender.finish().await);
    // Read from the beginning, so that the node's text never waits for us.
    let mut error_text = Box::pin(read_text(error.receiver));
    let opening = client.tunnel.open(headers("data"), client.reply_timeout);
    let mut early_text = None;
    let data = {
        let mut opening = Box::pin(opening);
        tokio::select! {
            opened = &mut opening => opened,
            text = &mut error_text => {
                early_text = Some(text);
                opening.await
            }
        }
    };
    let data = match data {
        Ok(stream) => stream,
        Err(error) => {
            let cause = error.to_string();
            client
                .output
                .trouble(Trouble::CreatingForwardingStream, local, remote, &cause)
                .await;
            // kubectl's reader of the error stream stays behind, so this stream at least never blocks its worker.
            if early_text.is_none() {
                tokio::spawn(error_text);
            }
            return;
        }
    };
    let address = socket.local_addr().unwrap_or(from);
    let ends = format!("tcp4 {address}->{from}");
    let (from_local, to_local) = socket.split();
    let text = copy(
        &client,
        &ends,
        (from_local, to_local),
        data.sender,
        data.receiver,
        async {
            match early_text {
                Some(text) => text,
                None => error_text.await,
            }
        },
    );
    let text = text.await;
    if !text.is_empty() {
        client
            .output
            .trouble(Trouble::Forwarding, local, remote, &text)
            .await;
        if client.version.dies_of_an_error_text() {
            client.tunnel.go_away().await;
        }
    }
}

fn gone_is_fine(sent: Result<(), SendError>) {
    if let Err(error) = sent {
        tracing::trace!(%error, "the tunnel is gone");
    }
}

async fn read_text(mut error: StreamReceiver) -> String {
    let mut text = Vec::new();
    while let Some(bytes) = error.receive().await {
        text.extend(bytes.iter().take(MAX_ERROR_TEXT.saturating_sub(text.len())));
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Copies both ways until the connection is over, and gives what the node had to say about it.
async fn copy(
    client: &Client,
    ends: &str,
    (mut from_local, mut to_local): (ReadHalf<'_>, WriteHalf<'_>),
    sender: StreamSender,
    mut receiver: StreamReceiver,
    error_text: impl Future<Output = String>,
) -> String {
    let mut error_text = Box::pin(error_text);
    let mut text = None;
    let mut up_open = true;
    {
        let mut up = Box::pin(local_to_remote(client, ends, &mut from_local, &sender));
        let mut down = Box::pin(remote_to_local(client, ends, &mut receiver, &mut to_local));
        // The far end's end, or trouble on the local socket, ends the connection; a local FIN only ends one direction.
        loop {
            tokio::select! {
                () = &mut down => break,
                sound = &mut up, if up_open => {
                    up_open = false;
                    if !sound {
                        break;
                    }
                }
                said = &mut error_text, if text.is_none() => text = Some(said),
            }
        }
        if client.version.resets_data_streams() {
            gone_is_fine(sender.reset(ResetStatus::CANCEL).await);
        }
        // Until 1.31 nobody reads the data stream from here on: more of it than its worker holds stops the whole tunnel.
        if text.is_none() && up_open {
            tokio::select! {
                _sound = &mut up => {}
                said = &mut error_text => text = Some(said),
            }
        }
    }
    let text = match text {
        Some(text) => text,
        None => error_text.await,
    };
    // What closing the socket does to the upward copy.
    gone_is_fine(sender.finish().await);
    text
}

/// Whether it ended well: by a FIN, or because nothing more is wanted.
async fn local_to_remote(client: &Client, ends: &str, local: &mut ReadHalf<'_>, data: &StreamSender) -> bool {
    let mut buffer = vec![0; COPY_BUFFER];
    let cause = loop {
        match local.read(&mut buffer).await {
            Ok(0) => break None,
            Ok(count) => {
                let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
                if let Err(error) = data.send(bytes).await {
                    break Some(error.to_string());
                }
            }
            Err(error) => {
                let call = if client.version.names_the_copying_call() {
                    format!("writeto {ends}: ")
                } else {
                    String::new()
                };
                break Some(format!("{call}read {ends}: read: {}", errno(error.kind())));
            }
        }
    };
    if let Some(cause) = &cause {
        report(client, Trouble::CopyingFromLocal, cause).await;
    }
    gone_is_fine(data.finish().await);
    cause.is_none()
}

async fn remote_to_local(client: &Client, ends: &str, data: &mut StreamReceiver, local: &mut WriteHalf<'_>) {
    while let Some(bytes) = data.receive().await {
        let written: io::Result<()> = local.write_all(&bytes).await;
        if let Err(error) = written {
            let cause = format!("readfrom {ends}: write {ends}: write: {}", errno(error.kind()));
            return report(client, Trouble::CopyingFromRemote, &cause).await;
        }
    }
}

async fn report(client: &Client, trouble: Trouble, cause: &str) {
    client
        .output
        .trouble(trouble, client.local_port, client.remote_port, cause)
        .await;
}
