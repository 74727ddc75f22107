//! The SPDY/3.1 decoder on any bytes: it neither panics nor hoards, how the bytes are split changes nothing, and what it
//! understood survives being written and read again. The first byte is the size of the pieces.
#![no_main]

use hopscope_lab::spdy::{Decoder, Encoder, Frame, Malformed};
use libfuzzer_sys::fuzz_target;

fn decode(bytes: &[u8], piece: usize) -> (Vec<Frame>, Option<Malformed>) {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    for piece in bytes.chunks(piece) {
        decoder.feed(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(malformed) => return (frames, Some(malformed)),
            }
        }
    }
    (frames, None)
}

fn header_bytes(frame: &Frame) -> usize {
    match frame {
        Frame::SynStream { headers, .. }
        | Frame::SynReply { headers, .. }
        | Frame::Headers { headers, .. } => headers
            .iter()
            .map(|(name, value)| name.len() + value.len() + 8)
            .sum(),
        _ => 0,
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&piece, bytes)) = input.split_first() else {
        return;
    };
    let whole = decode(bytes, bytes.len().max(1));
    assert_eq!(decode(bytes, usize::from(piece).max(1)), whole);
    let (frames, _) = whole;
    // Bytes that are no UTF-8 grow when they are replaced: a block near the bound may not fit again.
    if bytes.len() > 4_000 || frames.iter().any(|frame| header_bytes(frame) > 20_000) {
        return;
    }
    let mut encoder = Encoder::new().expect("zlib takes the dictionary");
    let mut again = Vec::new();
    for frame in &frames {
        encoder
            .encode(frame, &mut again)
            .expect("what was read can be written");
    }
    assert_eq!(decode(&again, again.len().max(1)), (frames, None));
});
