//! kubectl's lines: whatever a pipe gives, in whatever pieces, the same short and harmless lines come of it; and an
//! error is read alike in the three shapes in which kubectl's versions write it.
//!
//! The input's first byte is the size of the pieces.
#![no_main]

use hopscope_tunnel::lines::splitter::{LONGEST_LINE, Splitter};
use hopscope_tunnel::lines::{chatter, read};
use libfuzzer_sys::fuzz_target;

fn split(bytes: &[u8], piece: usize) -> Vec<String> {
    let mut splitter = Splitter::default();
    let mut lines = Vec::new();
    for piece in bytes.chunks(piece) {
        splitter.push(piece, |line| lines.push(line.to_owned()));
    }
    splitter.finish(|line| lines.push(line.to_owned()));
    lines
}

/// Go's `strconv.Quote`, for what can be printed.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted + "\""
}

/// One error as kubectl writes it up to 1.30, from 1.31 to 1.36, and from 1.37 on.
fn shapes(error: &str) -> [String; 3] {
    let header = "E0102 15:04:05.000000   77 portforward.go:400]";
    let told = format!("an error occurred forwarding 8080 -> 80: {error}");
    [
        format!("{header} {told}"),
        format!("{header} \"Unhandled Error\" err={}", quoted(&told)),
        format!(
            "{header} \"An error occurred forwarding\" err={} localPort=8080 remotePort=80",
            quoted(error)
        ),
    ]
}

fuzz_target!(|input: &[u8]| {
    let Some((&piece, bytes)) = input.split_first() else {
        return;
    };
    let whole = split(bytes, usize::MAX);
    assert_eq!(split(bytes, usize::from(piece).max(1)), whole);
    assert!(whole.len() <= bytes.split(|byte| *byte == b'\n').count());
    for line in &whole {
        // A byte that is not UTF-8 becomes a character of three.
        assert!(line.len() <= 3 * LONGEST_LINE);
        assert!(!line.chars().any(char::is_control));
        let reading = read(line);
        if let Some(inner) = &reading.inner {
            assert!(inner.len() <= line.len() + 2);
        }
        if let Some(listening) = reading.listening {
            assert_eq!(reading.local_port, Some(listening.port()));
        }
        if let Some(upgrade) = chatter::upgrade(line) {
            assert!(line.contains(&upgrade.pod) && line.contains(&upgrade.namespace));
        }
    }
    let error: String = String::from_utf8_lossy(bytes)
        .chars()
        .filter(|character| character.is_ascii_graphic() || *character == ' ')
        .take(500)
        .collect();
    let [plain, unhandled, structured] = shapes(error.trim()).map(|line| {
        let read = read(&line);
        (read.meaning, read.local_port, read.remote_port, read.inner)
    });
    assert_eq!(plain, unhandled, "{error}");
    assert_eq!(plain, structured, "{error}");
});
