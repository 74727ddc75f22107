//! One worker's end of the generator's TLS.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::ServerConfig;

use super::authority::{Authority, AuthorityError, Subject};

/// Names and protocols for which a certificate is kept; a generator that asks for more has them made again.
const MOST: usize = 256;

/// Makes and keeps what a handshake needs.
#[derive(Debug)]
pub(crate) struct Terminator {
    authority: Arc<Authority>,
    made: HashMap<(Subject, Option<Vec<u8>>), Arc<ServerConfig>>,
}

impl Terminator {
    pub(crate) fn new(authority: Arc<Authority>) -> Self {
        Self {
            authority,
            made: HashMap::new(),
        }
    }

    /// The server that a handshake is to meet: of that name, agreeing on that application protocol.
    pub(crate) fn server(
        &mut self,
        subject: Subject,
        protocol: Option<&[u8]>,
    ) -> Result<Arc<ServerConfig>, AuthorityError> {
        let key = (subject, protocol.map(<[u8]>::to_vec));
        if let Some(made) = self.made.get(&key) {
            return Ok(Arc::clone(made));
        }
        let server = Arc::new(self.authority.server(&key.0, protocol)?);
        if self.made.len() >= MOST {
            self.made.clear();
        }
        self.made.insert(key, Arc::clone(&server));
        Ok(server)
    }
}

/// What the upstream has said about the application protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said<'p> {
    /// Its TLS handshake chose this one, or none.
    Chose(Option<&'p [u8]>),
    /// It is reached in plain TCP, and was not asked.
    NotAsked,
}

/// The application protocol to agree on with the generator, which asked for these. Where the upstream was not asked it
/// is HTTP/1, unless the generator speaks HTTP/2 alone.
pub(crate) fn agreed<'p>(asked: &[Vec<u8>], said: Said<'p>) -> Option<&'p [u8]> {
    match said {
        Said::Chose(chosen) => chosen,
        Said::NotAsked => [HTTP_1, HTTP_2]
            .into_iter()
            .find(|protocol| asked.iter().any(|asked| asked == protocol)),
    }
}

/// HTTP/1.1, as ALPN names it (RFC 7301, section 6).
pub(crate) const HTTP_1: &[u8] = b"http/1.1";
/// HTTP/2 (RFC 9113, section 3.2).
const HTTP_2: &[u8] = b"h2";

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(protocols: &[&str]) -> Vec<Vec<u8>> {
        protocols.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn what_a_tls_upstream_chose_is_offered_and_nothing_else() {
        let both = asked(&["h2", "http/1.1"]);
        assert_eq!(agreed(&both, Said::Chose(Some(b"h2"))), Some(&b"h2"[..]));
        assert_eq!(
            agreed(&both, Said::Chose(Some(b"http/1.1"))),
            Some(&b"http/1.1"[..])
        );
        assert_eq!(agreed(&both, Said::Chose(None)), None);
    }

    #[test]
    fn towards_a_plain_upstream_it_is_http_1_unless_only_http_2_is_spoken() {
        assert_eq!(agreed(&asked(&["h2", "http/1.1"]), Said::NotAsked), Some(HTTP_1));
        assert_eq!(agreed(&asked(&["h2"]), Said::NotAsked), Some(HTTP_2));
        assert_eq!(agreed(&asked(&[]), Said::NotAsked), None);
        assert_eq!(agreed(&asked(&["imap"]), Said::NotAsked), None);
    }

    #[test]
    fn certificates_are_made_once_a_name_and_never_kept_without_bound() {
        let mut terminator = Terminator::new(Arc::new(Authority::new().unwrap()));
        let name = |n: usize| Subject::Name(format!("shop-{n}.test"));
        let first = terminator.server(name(0), None).unwrap();
        assert!(Arc::ptr_eq(&first, &terminator.server(name(0), None).unwrap()));
        assert!(!Arc::ptr_eq(
            &first,
            &terminator.server(name(0), Some(HTTP_1)).unwrap()
        ));
        for n in 0..2 * MOST {
            terminator.server(name(n), None).unwrap();
        }
        assert!(terminator.made.len() <= MOST);
    }
}
