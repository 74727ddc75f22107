//! Certificates as people make them for a staging system, with OpenSSL's own defaults.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::{Given, common_name, element, fits};

const SELF_SIGNED: &str = include_str!("testdata/self-signed.pem");
const COMMON_NAME: &str = include_str!("testdata/common-name.pem");
const AUTHORITY: &str = include_str!("testdata/authority.pem");
const SIGNED: &str = include_str!("testdata/signed.pem");
const SIGNED_COMMON_NAME: &str = include_str!("testdata/signed-common-name.pem");
/// A moment at which all of them hold.
const NOW: Duration = Duration::from_secs(1_800_000_001);
/// One at which none does any more.
const LATER: Duration = Duration::from_secs(9_000_000_001);

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn verify(given: &str, server: &str, name: &str, now: Duration) -> Result<(), rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let given = Given::new(vec![der(given)], &provider).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    given
        .verify_server_cert(&der(server), &[], &name, &[], UnixTime::since_unix_epoch(now))
        .map(drop)
}

#[test]
fn a_servers_own_certificate_in_the_file_is_believed_whoever_signed_it() {
    for (given, server, name) in [
        (SELF_SIGNED, SELF_SIGNED, "staging.test"),
        (SELF_SIGNED, SELF_SIGNED, "api.staging.test"),
        (SELF_SIGNED, SELF_SIGNED, "127.0.0.1"),
        (COMMON_NAME, COMMON_NAME, "staging.test"),
        (SIGNED, SIGNED, "staging.test"),
        (SIGNED_COMMON_NAME, SIGNED_COMMON_NAME, "staging.test"),
    ] {
        assert_eq!(verify(given, server, name, NOW), Ok(()), "{name}");
    }
}

#[test]
fn an_authority_in_the_file_is_believed() {
    assert_eq!(verify(AUTHORITY, SIGNED, "staging.test", NOW), Ok(()));
    assert_eq!(verify(AUTHORITY, SIGNED_COMMON_NAME, "staging.test", NOW), Ok(()));
}

#[test]
fn another_name_another_certificate_and_another_time_are_not() {
    for (given, server, name, now) in [
        (SELF_SIGNED, SELF_SIGNED, "other.test", NOW),
        (COMMON_NAME, COMMON_NAME, "other.test", NOW),
        (SIGNED_COMMON_NAME, SIGNED_COMMON_NAME, "other.test", NOW),
        (AUTHORITY, SIGNED_COMMON_NAME, "other.test", NOW),
        (SELF_SIGNED, COMMON_NAME, "staging.test", NOW),
        (COMMON_NAME, SELF_SIGNED, "staging.test", NOW),
        (SIGNED, SIGNED_COMMON_NAME, "staging.test", NOW),
        (SELF_SIGNED, SELF_SIGNED, "staging.test", LATER),
        (COMMON_NAME, COMMON_NAME, "staging.test", LATER),
        (SIGNED, SIGNED, "staging.test", LATER),
        (AUTHORITY, SIGNED, "staging.test", LATER),
    ] {
        assert!(verify(given, server, name, now).is_err(), "{name}");
    }
}

#[test]
fn the_common_name_does_not_count_where_names_are_given() {
    // Its common name is staging.test as well, but the extension decides.
    assert!(verify(SELF_SIGNED, SELF_SIGNED, "staging.test.other", NOW).is_err());
}

#[test]
fn a_star_stands_for_one_label() {
    assert!(fits("*.staging.test", "api.staging.test"));
    assert!(fits("STAGING.test", "staging.TEST"));
    for (name, host) in [
        ("*.staging.test", "staging.test"),
        ("*.staging.test", "a.b.staging.test"),
        ("*.test", "staging.test"),
        ("*", "staging"),
        ("staging.test", "api.staging.test"),
    ] {
        assert!(!fits(name, host), "{name} {host}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(0_u8.., 0..200)) {
        let _name = common_name(&bytes);
        let _element = element(&bytes);
    }
}
