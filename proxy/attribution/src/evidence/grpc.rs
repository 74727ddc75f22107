//! The status of a gRPC call, which stands in the trailers of an answer whose HTTP status is 200.
//!
//! It is kept as a status above every one of HTTP's, so that one number says what an answer came to. OK is not among
//! them: a call that went well has HTTP's own status.

/// What is added to a gRPC status code.
const BASE: u16 = 10_000;

/// The names of the codes (grpc/grpc, doc/statuscodes.md).
const WORDS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The status that stands for a code.
pub const fn status(code: u8) -> u16 {
    BASE + code as u16
}

/// The code that a status stands for, if it does.
pub fn code(status: u16) -> Option<u8> {
    status.checked_sub(BASE).and_then(|code| u8::try_from(code).ok())
}

/// A status as a person reads it: `503`, `gRPC 14 UNAVAILABLE`.
pub fn told(status: u16) -> String {
    match code(status) {
        None => status.to_string(),
        Some(code) => match WORDS.get(usize::from(code)) {
            Some(word) => format!("gRPC {code} {word}"),
            None => format!("gRPC {code}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_a_status_of_its_own_that_no_http_status_is() {
        for number in 0..=u8::MAX {
            assert_eq!(code(status(number)), Some(number));
        }
        for http in 100..1_000 {
            assert_eq!(code(http), None);
            assert_eq!(told(http), http.to_string());
        }
        assert_eq!(told(status(14)), "gRPC 14 UNAVAILABLE");
        assert_eq!(told(status(99)), "gRPC 99");
        assert_eq!(code(u16::MAX), None);
    }
}
