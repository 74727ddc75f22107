//! The certificate authority of one run: made in memory, trusted by the generator, gone with the run.
//!
//! Its key never leaves the process. What the generator has to trust is a temporary file: the host's authorities, those
//! that its environment adds to them, and this one.

use std::env;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::ProducesTickets;
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{ServerConfig, pki_types};
use tempfile::NamedTempFile;
use time::{Duration, OffsetDateTime};

use hopscope_host::trust;

/// The variables by which programs find authorities, each with the program that reads it.
pub(super) const VARIABLES: [&str; 5] = [
    // OpenSSL, Go's crypto/x509, rustls-native-certs: k6, hey, vegeta, h2load, oha, Python's ssl.
    "SSL_CERT_FILE",
    // Node.js: beside its own.
    "NODE_EXTRA_CA_CERTS",
    // Python's requests: Locust.
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    // gRPC's C core: grpcio.
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
];

/// A generator's clock may be slow by so much.
const BEFORE: Duration = Duration::days(1);
/// The longest run that anybody makes.
const AFTER: Duration = Duration::days(30);

/// Why TLS cannot be ended.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A certificate cannot be made.
    #[error("cannot make a certificate for this run: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The cryptography refuses its own key.
    #[error("TLS cannot be set up: {0}")]
    Provider(#[from] rustls::Error),
    /// The file that the generator has to trust cannot be written.
    #[error("cannot write the file of authorities that the generator has to trust: {0}; is TMPDIR writable?")]
    Bundle(#[from] io::Error),
}

/// What a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// The name that the generator asked for (SNI).
    Name(String),
    /// The address that it connected to: names are not sent for addresses (RFC 6066, section 3).
    Address(std::net::IpAddr),
}

impl Subject {
    /// A host as it stands in a URL, without brackets.
    pub(crate) fn of(host: &str) -> Self {
        host.parse()
            .map_or_else(|_| Self::Name(host.to_owned()), Self::Address)
    }
}

/// The authority, and what its certificates share.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    /// One key for all certificates.
    key: KeyPair,
    signing: Arc<dyn SigningKey>,
    provider: Arc<rustls::crypto::CryptoProvider>,
    tickets: Arc<dyn ProducesTickets>,
    bundle: NamedTempFile,
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// When the cryptography fails, or the file of authorities cannot be written.
    pub fn new() -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = params("hopscope: the authority of one load test");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        let leaf = KeyPair::generate()?;
        let der = pki_types::PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf.serialize_der()));
        Ok(Self {
            issuer: Issuer::new(params, key),
            bundle: bundle(certificate.der())?,
            certificate: certificate.into(),
            signing: ring::sign::any_ecdsa_type(&der)?,
            key: leaf,
            provider: Arc::new(ring::default_provider()),
            tickets: ring::Ticketer::new()?,
        })
    }

    /// The file that has all authorities which the generator should trust. It is removed with the authority.
    pub fn bundle(&self) -> &Path {
        self.bundle.path()
    }

    /// A server of that name, which agrees on this application protocol alone, or on none.
    pub(super) fn server(
        &self,
        subject: &Subject,
        protocol: Option<&[u8]>,
    ) -> Result<ServerConfig, AuthorityError> {
        let mut params = params("hopscope");
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names = vec![match subject {
            Subject::Name(name) => SanType::DnsName(name.as_str().try_into()?),
            Subject::Address(address) => SanType::IpAddress(*address),
        }];
        let certificate = params.signed_by(&self.key, &self.issuer)?;
        let chain = vec![certificate.into(), self.certificate.clone()];
        let certified = CertifiedKey::new(chain, Arc::clone(&self.signing));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = protocol.map(<[u8]>::to_vec).into_iter().collect();
        config.ticketer = Arc::clone(&self.tickets);
        Ok(config)
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("bundle", &self.bundle.path())
            .finish_non_exhaustive()
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0));
    let now = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    params.not_before = now.saturating_sub(BEFORE);
    params.not_after = now.saturating_add(AFTER);
    params
}

/// Writes what the generator has to trust: certificates alone, which anybody may read.
fn bundle(own: &CertificateDer<'_>) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix("hopscope-authorities-")
        .suffix(".pem")
        .permissions(Permissions::from_mode(0o644))
        .tempfile()?;
    for certificate in trust::authorities() {
        file.write_all(pem(&certificate).as_bytes())?;
    }
    // What the generator's environment adds to the host's: it is replaced there.
    let mut added: Vec<_> = VARIABLES.iter().filter_map(env::var_os).collect();
    added.sort();
    added.dedup();
    for path in added {
        match fs::read(&path) {
            Ok(text) => {
                file.write_all(&text)?;
                file.write_all(b"\n")?;
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a file of authorities is left out");
            }
        }
    }
    file.write_all(pem(own).as_bytes())?;
    file.flush()?;
    Ok(file)
}

/// A certificate as text (RFC 7468).
fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let mut pem = String::with_capacity(text.len() + text.len() / 64 + 64);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn the_bundle_has_the_hosts_authorities_and_its_own_and_goes_with_it() {
        let authority = Authority::new().unwrap();
        let path = authority.bundle().to_owned();
        let certificates: Vec<_> = CertificateDer::pem_file_iter(&path)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert!(certificates.contains(&authority.certificate));
        for host in trust::authorities() {
            assert!(certificates.contains(&host));
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("PRIVATE KEY"), "certificates alone");
        drop(authority);
        assert!(!path.exists());
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let authority = Authority::new().unwrap();
        let subject = Subject::Name("höst".to_owned());
        assert!(authority.server(&subject, None).is_err());
    }
}
