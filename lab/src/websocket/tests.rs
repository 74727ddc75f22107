//! Framing against itself, in any pieces, and against noise.

use bytes::Bytes;
use proptest::prelude::*;

use super::{Decoder, Malformed, Piece, Role, accept_key, encode};

/// What comes out at the far end, payload joined where it is adjacent.
fn through(from: Role, to: Role, pieces: &[Piece], size: usize) -> Result<Vec<Piece>, Malformed> {
    let mut wire = Vec::new();
    for piece in pieces {
        encode(from, piece, &mut wire);
    }
    let mut decoder = Decoder::new(to);
    let mut out = Vec::new();
    for chunk in wire.chunks(size) {
        decoder.feed(chunk, &mut out)?;
    }
    Ok(joined(&out))
}

fn joined(pieces: &[Piece]) -> Vec<Piece> {
    let mut whole: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (whole.last_mut(), piece) {
            (_, Piece::Payload(bytes)) if bytes.is_empty() => {}
            (Some(Piece::Payload(before)), Piece::Payload(bytes)) => {
                *before = [before.as_ref(), bytes.as_ref()].concat().into();
            }
            _ => whole.push(piece.clone()),
        }
    }
    whole
}

fn any_piece() -> impl Strategy<Value = Piece> {
    let short = || prop::collection::vec(any::<u8>(), 0..=125).prop_map(Bytes::from);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..400).prop_map(|bytes| Piece::Payload(bytes.into())),
        short().prop_map(Piece::Ping),
        short().prop_map(Piece::Pong),
        any::<Option<u16>>().prop_map(Piece::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn pieces_survive_the_wire_in_chunks_of_any_size(
        pieces in prop::collection::vec(any_piece(), 0..8),
        size in 1usize..300,
    ) {
        prop_assert_eq!(through(Role::Client, Role::Server, &pieces, size), Ok(joined(&pieces)));
        prop_assert_eq!(through(Role::Server, Role::Client, &pieces, size), Ok(joined(&pieces)));
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..300), size in 1usize..40) {
        let mut decoder = Decoder::new(Role::Server);
        let mut out = Vec::new();
        let refused = noise.chunks(size).any(|chunk| decoder.feed(chunk, &mut out).is_err());
        prop_assert!(refused || out.len() <= noise.len());
    }
}

#[test]
fn a_payload_beyond_sixteen_bits_of_length_survives() {
    let large = Piece::Payload(Bytes::from(vec![7; 70_000]));
    let pieces = [large.clone()];
    assert_eq!(
        through(Role::Client, Role::Server, &pieces, 1 << 14),
        Ok(vec![large])
    );
}

#[test]
fn a_client_that_does_not_mask_is_refused() {
    let pieces = [Piece::Ping(Bytes::new())];
    assert_eq!(
        through(Role::Server, Role::Server, &pieces, 100),
        Err(Malformed::Masking)
    );
}

#[test]
fn the_accept_key_is_the_one_of_the_rfc() {
    assert_eq!(
        accept_key("dGhlIHNhbXBsZSBub25jZQ=="),
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
}
