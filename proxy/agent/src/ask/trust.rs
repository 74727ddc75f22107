//! TLS towards an agent.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use hopscope_host::trust::{self, Trust, TrustError};

/// Shakes hands with the agent of that name; the inner error is the handshake's.
pub(super) async fn handshake(
    authorities: Option<&Path>,
    host: &str,
    stream: TcpStream,
) -> Result<io::Result<TlsStream<TcpStream>>, TrustError> {
    let config = trust::client(
        &authorities.map_or(Trust::Host, |file| Trust::Only(file.to_owned())),
        "--agent-ca",
    )?;
    Ok(match ServerName::try_from(host.to_owned()) {
        Ok(name) => TlsConnector::from(Arc::new(config)).connect(name, stream).await,
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
    })
}
