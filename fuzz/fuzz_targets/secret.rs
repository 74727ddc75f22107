//! Secrets: whatever stands around it, a secret that is marked as one by its place does not come through; and what was
//! redacted once is redacted for good.
//!
//! The input's first byte chooses the place, the rest is the secret and what stands before it.
#![no_main]

use hopscope_http::{ObserverConfig, RouteTable};
use hopscope_secret::{address, command, shape, text};
use libfuzzer_sys::fuzz_target;

/// A word that no program writes by itself, made of the bytes: what must not be found again.
fn planted(bytes: &[u8]) -> String {
    let mut secret = String::from("q7");
    for byte in bytes.iter().take(24) {
        secret.push_str(&format!("{byte:02x}"));
    }
    secret + "Zk"
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fuzz_target!(|input: &[u8]| {
    let Some((&place, rest)) = input.split_first() else {
        return;
    };
    let (secret, around) = rest.split_at(rest.len().min(24));
    let secret = planted(secret);
    let around = String::from_utf8_lossy(around);
    // Nothing makes them panic, or grow without bound.
    let told = text::redacted(&around);
    assert!(told.len() <= around.len() * 4 + 16);
    assert_eq!(text::redacted(&told).contains(&secret), told.contains(&secret));
    drop(address::redacted(&around));
    drop(shape::of(rest));
    let one = words(&[&around]);
    assert_eq!(command::redacted(&one).len(), 1);
    // One word before the secret, without what would end it.
    let word: String = around.chars().filter(|c| c.is_ascii_alphanumeric()).take(12).collect();
    let line = match place % 12 {
        0 => command::redacted(&words(&["curl", "-H", &format!("X-{word}: {secret}")])).join(" "),
        1 => command::redacted(&words(&["curl", "-u", &format!("{word}:{secret}"), "{url}"])).join(" "),
        2 => command::redacted(&words(&["k6", "run", "-e", &format!("{word}_TOKEN={secret}")])).join(" "),
        3 => command::redacted(&words(&["sh", "-c", &format!("{word}; curl -H 'X-{word}: {secret}' {{url}}")])).join(" "),
        4 => command::redacted(&words(&[&word, "--api-key", &secret])).join(" "),
        5 => address::redacted(&format!("https://{word}:{secret}@{word}.test/{word}")),
        6 => address::redacted(&format!("https://{word}.test/{word}?{word}={secret}")),
        7 => text::redacted(&format!("{around} Authorization: Bearer {secret}")),
        8 => text::redacted(&format!("{{\"token\":\"{secret}\",\"{word}\":1}}")),
        9 => text::redacted(&format!("{word}_password={secret}")),
        10 => text::redacted(&format!("Get \"https://{word}:{secret}@{word}.test:6443/api\": EOF")),
        _ => {
            let observing = ObserverConfig {
                routes: RouteTable::new(Vec::new(), false),
                head_limit: 1_024,
                inject_id: false,
            };
            let route = observing.routes.of_target(format!("/{word}/reset/{secret}").as_bytes());
            observing.routes.name(route).unwrap_or_default().to_owned()
        }
    };
    assert!(!line.contains(&secret), "{line}");
});
