//! The codec against itself, against any split of its bytes, and against noise.

use bytes::Bytes;
use proptest::prelude::*;

use super::decoder::{Decoder, MAX_DATA};
use super::encoder::Encoder;
use super::frame::{Frame, ResetStatus, StreamId};
use super::headers::Headers;
use super::malformed::Malformed;

fn encoded(frames: &[Frame]) -> Vec<u8> {
    let mut encoder = Encoder::new().unwrap();
    let mut bytes = Vec::new();
    for frame in frames {
        encoder.encode(frame, &mut bytes).unwrap();
    }
    bytes
}

fn decoded<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Frame>, Malformed> {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

fn any_stream() -> impl Strategy<Value = StreamId> {
    any::<u32>().prop_map(StreamId::new)
}

fn any_headers() -> impl Strategy<Value = Headers> {
    let pair = ("[a-z-]{1,12}", ".{0,40}");
    prop::collection::vec(pair, 0..5).prop_map(|pairs| {
        pairs.into_iter().fold(Headers::new(), |headers, (name, value)| {
            headers.with(&name, value)
        })
    })
}

fn any_frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        (any_stream(), any_headers(), any::<bool>()).prop_map(|(stream, headers, fin)| Frame::SynStream {
            stream,
            headers,
            fin
        }),
        (any_stream(), any_headers(), any::<bool>()).prop_map(|(stream, headers, fin)| Frame::SynReply {
            stream,
            headers,
            fin
        }),
        (any_stream(), any_headers(), any::<bool>()).prop_map(|(stream, headers, fin)| Frame::Headers {
            stream,
            headers,
            fin
        }),
        (any_stream(), any::<u32>()).prop_map(|(stream, status)| Frame::RstStream {
            stream,
            status: ResetStatus(status)
        }),
        (any_stream(), any::<u32>()).prop_map(|(last_good, status)| Frame::GoAway { last_good, status }),
        (any_stream(), 0..=0x7fff_ffffu32).prop_map(|(stream, delta)| Frame::WindowUpdate { stream, delta }),
        any::<u32>().prop_map(|id| Frame::Ping { id }),
        Just(Frame::Settings),
        (
            any_stream(),
            prop::collection::vec(any::<u8>(), 0..300),
            any::<bool>()
        )
            .prop_map(|(stream, bytes, fin)| Frame::Data {
                stream,
                bytes: Bytes::from(bytes),
                fin
            }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_frames_in_any_pieces_come_back_the_same(
        frames in prop::collection::vec(any_frame(), 0..12),
        piece in 1usize..70,
    ) {
        let bytes = encoded(&frames);
        prop_assert_eq!(decoded(bytes.chunks(piece)), Ok(frames));
    }

    #[test]
    fn noise_is_refused_or_awaited_but_never_panics(
        noise in prop::collection::vec(any::<u8>(), 0..400),
        piece in 1usize..70,
    ) {
        prop_assert!(decoded(noise.chunks(piece)).is_ok_and(|frames| frames.len() <= noise.len())
            || decoded([noise.as_slice()]).is_err());
    }

    #[test]
    fn a_damaged_stream_never_panics(
        frames in prop::collection::vec(any_frame(), 1..8),
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        let mut bytes = encoded(&frames);
        let at = at.index(bytes.len());
        bytes[at] = value;
        prop_assert!(decoded([bytes.as_slice()]).map_or(true, |got| got.len() <= bytes.len()));
    }
}

#[test]
fn the_first_header_block_opens_with_the_dictionarys_checksum() {
    let headers = Headers::new().with("streamtype", "error");
    let bytes = encoded(&[Frame::SynStream {
        stream: StreamId::new(1),
        headers,
        fin: false,
    }]);
    assert_eq!(bytes[..4], [0x80, 3, 0, 1]);
    assert_eq!(bytes[18..24], [0x78, 0xf9, 0xe3, 0xc6, 0xa7, 0xc2]);
    assert_eq!(
        bytes[bytes.len() - 4..],
        [0, 0, 0xff, 0xff],
        "flushed so that the receiver can go on"
    );
}

#[test]
fn a_frame_beyond_the_bound_is_refused_before_its_bytes_arrive() {
    let over = u32::try_from(MAX_DATA + 1).unwrap().to_be_bytes();
    let head = [0, 0, 0, 1, 0, over[1], over[2], over[3]];
    assert_eq!(decoded([head.as_slice()]), Err(Malformed::Length(MAX_DATA + 1)));
}

#[test]
fn a_failed_decoder_stays_failed() {
    let mut decoder = Decoder::new();
    decoder.feed(&[0x80, 4, 0, 6, 0, 0, 0, 0]);
    assert_eq!(decoder.next_frame(), Err(Malformed::Version(4)));
    decoder.feed(&encoded(&[Frame::Ping { id: 1 }]));
    assert_eq!(decoder.next_frame(), Err(Malformed::Version(4)));
}

#[test]
fn a_header_block_that_inflates_without_end_is_refused() {
    let bomb = Headers::new().with("x", "a".repeat(3_000_000));
    let bytes = encoded(&[Frame::SynReply {
        stream: StreamId::new(1),
        headers: bomb,
        fin: false,
    }]);
    assert_eq!(decoded([bytes.as_slice()]), Err(Malformed::HeaderBlock));
}
