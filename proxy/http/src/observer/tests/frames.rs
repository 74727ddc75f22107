//! HTTP/2 as a peer would write it, without compression: what the tests speak.

use super::conversation::Conversation;
use hopscope_attribution::evidence::Cut;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(super) const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A field block of literals that are not added to the table.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

pub(super) fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(1, flags | END_HEADERS, stream, &block(fields))
}

pub(super) fn get(stream: u32, path: &str) -> Vec<u8> {
    headers(stream, END_STREAM, &[(":method", "GET"), (":path", path)])
}

pub(super) fn ok(stream: u32) -> Vec<u8> {
    [
        headers(stream, 0, &[(":status", "200")]),
        frame(0, END_STREAM, stream, b"hello"),
    ]
    .concat()
}

pub(super) fn status(stream: u32, status: &str) -> Vec<u8> {
    headers(stream, END_STREAM, &[(":status", status)])
}

pub(super) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(3, 0, stream, &code.to_be_bytes())
}

pub(super) fn go_away(last: u32, code: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// A gRPC call: a message that is not compressed.
pub(super) fn call(stream: u32, method: &str) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":path", method),
        ("content-type", "application/grpc+proto"),
    ];
    [
        headers(stream, 0, &fields),
        frame(0, END_STREAM, stream, &[0, 0, 0, 0, 2, 8, 1]),
    ]
    .concat()
}

pub(super) fn called(stream: u32, grpc_status: &str) -> Vec<u8> {
    [
        headers(
            stream,
            0,
            &[(":status", "200"), ("content-type", "application/grpc")],
        ),
        frame(0, 0, stream, &[0, 0, 0, 0, 2, 8, 1]),
        headers(
            stream,
            END_STREAM,
            &[
                ("grpc-status", grpc_status),
                ("grpc-message", "no words are kept"),
            ],
        ),
    ]
    .concat()
}

/// A connection on which both sides have said hello.
pub(super) fn greeted() -> Conversation {
    Conversation::new()
        .up([PREFACE, &SETTINGS].concat())
        .down(SETTINGS)
}

pub(super) const STREAM_RESET: Cut = Cut::UpstreamStream(2);
