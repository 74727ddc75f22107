//! An agent's answer: whatever a node, or somebody in its place, answers, is read or refused in one line; and what is saved
//! of it is read again as the same.
#![no_main]

use hopscope_agent::answer::Answer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let answers = match Answer::saved(&text) {
        Ok(answers) => answers,
        Err(error) => {
            let told = error.to_string();
            assert!(!told.contains('\n') && told.len() < 1_000, "{told}");
            return;
        }
    };
    let save = |answers: &[Answer]| -> String {
        let texts = answers.iter().map(|answer| answer.save().expect("what was read can be written"));
        texts.collect()
    };
    let saved = save(&answers);
    let again = Answer::saved(&saved).expect("what was written can be read");
    assert_eq!(save(&again), saved);
});
