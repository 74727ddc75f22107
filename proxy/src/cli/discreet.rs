//! What is said of wrong words and of our own faults: without the secrets that were typed or that passed.

use std::io::{self, Write};
use std::process::ExitCode;

use hopscope_secret::{command, text};

use super::{Exit, warn};

/// Says what clap says of the words that were typed, without the secrets in them; help and version are said as they are.
pub(super) fn about_usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        error.exit();
    }
    let typed: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let said = redacted(&error.render().to_string(), &typed);
    // A terminal that is gone leaves the exit code.
    drop(write!(io::stderr().lock(), "{said}"));
    Exit::Usage.into()
}

/// The message with each word of the command line in it as it may be told. A message quotes a word, or what stands behind
/// its `=`.
fn redacted(message: &str, typed: &[String]) -> String {
    let mut pairs = Vec::new();
    for (word, told) in typed.iter().zip(command::redacted(typed)) {
        let mut rest = word.as_str();
        while let Some((_, value)) = rest.split_once('=') {
            pairs.push((value.to_owned(), text::redacted(value)));
            rest = value;
        }
        pairs.push((word.clone(), told));
    }
    // The longest first: a shorter one may be a part of it.
    pairs.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
    let mut message = message.to_owned();
    for (word, told) in pairs {
        if word != told && word.len() > 1 {
            message = message.replace(&word, &told);
        }
    }
    message
}

/// Lets a panic say where it happened and why, in one line and without what a message may quote of the bytes at hand.
pub(super) fn about_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        // A slice of text that is cut within a character quotes the text.
        let message = message.split('`').next().unwrap_or_default();
        let message: String = text::redacted(message).chars().take(300).collect();
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        let thread = std::thread::current();
        warn(&format!(
            "hopscope: a fault of its own at {place} in thread {}: {message}; please report it",
            thread.name().unwrap_or("without a name")
        ));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_about_a_word_does_not_repeat_its_secret() {
        let typed = [
            "run".to_owned(),
            "--via=lb=https://alice:hunter2@shop.test/x".to_owned(),
            "--header".to_owned(),
            "Authorization: Bearer abc9".to_owned(),
        ];
        let message = "error: invalid value 'lb=https://alice:hunter2@shop.test/x' for '--via <PATH>': no\n\
                       error: unexpected argument 'Authorization: Bearer abc9' found\n";
        let told = redacted(message, &typed);
        assert!(!told.contains("hunter2") && !told.contains("abc9"), "{told}");
        assert!(told.contains("shop.test/x"), "{told}");
    }
}
