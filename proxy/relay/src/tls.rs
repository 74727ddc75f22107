//! TLS towards an `https://` upstream, and what failures of a handshake mean.

use std::io;
use std::sync::Arc;

use hopscope_attribution::evidence::TlsFailure;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, PeerMisbehaved};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::stream::Socket;
use hopscope_host::trust::{self, Trust, TrustError};

/// What is needed to speak TLS to upstreams. Cheap to clone.
#[derive(Clone)]
pub(super) struct UpstreamTls(Arc<ClientConfig>);

impl UpstreamTls {
    /// Believes certificates as it is told.
    pub(super) fn new(trust: &Trust) -> Result<Self, TrustError> {
        let mut config = trust::client(trust, "--upstream-ca")?;
        // What a generator that speaks plain TCP to us will say is not known yet; mostly it is HTTP/1.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// Shakes hands on a connected socket; offers these application protocols, or HTTP/1 where none are named.
    pub(super) async fn handshake(
        &self,
        host: &str,
        protocols: Option<Vec<Vec<u8>>>,
        tcp: TcpStream,
    ) -> Result<TlsStream<Socket>, TlsFailure> {
        let name = ServerName::try_from(host.to_owned())
            .ok()
            .ok_or(TlsFailure::CertificateWrongName)?;
        let connector = TlsConnector::from(Arc::clone(&self.0));
        let protocols = protocols.unwrap_or_else(|| self.0.alpn_protocols.clone());
        let connecting = connector.with_alpn(protocols).connect(name, Socket::new(tcp));
        connecting.await.map_err(|error| failure(&error))
    }
}

impl std::fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamTls").finish_non_exhaustive()
    }
}

/// What a failed handshake says.
pub(super) fn failure(error: &io::Error) -> TlsFailure {
    let Some(tls) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    else {
        return TlsFailure::Ended;
    };
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "rustls::Error and CertificateError are non-exhaustive"
    )]
    match tls {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => TlsFailure::CertificateExpired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsFailure::CertificateWrongName
            }
            CertificateError::UnknownIssuer => TlsFailure::CertificateUntrusted,
            _ => TlsFailure::CertificateInvalid,
        },
        rustls::Error::AlertReceived(alert) => TlsFailure::Alert(u8::from(*alert)),
        // Others take a name with a port for one of their own: it is hopscope's TLS that does not.
        rustls::Error::PeerIncompatible(_)
        | rustls::Error::PeerMisbehaved(PeerMisbehaved::ServerNameMustContainOneHostName) => {
            TlsFailure::Incompatible
        }
        _ => TlsFailure::Protocol,
    }
}
