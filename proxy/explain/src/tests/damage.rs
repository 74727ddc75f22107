//! Any input, and every kind of damage to real results: nothing panics, and what is told adds up.

use proptest::prelude::*;

use super::*;

const TOKENS: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "metrics",
    "http_reqs",
    "count",
    "\"metrics\":",
    "http_req_failed......: ",
    "✓ 99999999999999999999",
    "✗",
    "↳",
    "of",
    "requests in",
    "Latency",
    "1e308",
    "-1",
    "18446744073709551615",
    "\n",
    "metric_name,timestamp,metric_value\n",
    "http_reqs,1,",
];

/// One file of each form.
const FILES: &[&str] = &[
    "seed.json",
    "k6-summary-export.json",
    "k6-handle-summary.json",
    "k6-2-summary.json",
    "k6-compact.txt",
    "k6-full-scenarios.txt",
    "k6-legacy.txt",
    "k6-log.txt",
    "k6-points.csv",
    "k6-points.ndjson",
    "oha.json",
    "wrk.txt",
    "wrk2.txt",
    "wrk-resets.txt",
    "hey-mixrst.txt",
    "hey.csv",
    "ab-mixrst.txt",
    "ab-died.txt",
    "siege-mixrst.json",
    "autocannon-mixrst.json",
    "locust.json",
    "locust.txt",
    "locust-stats.csv",
    "artillery.json",
    "artillery.txt",
    "newman.json",
    "newman.txt",
    "vegeta.txt",
    "vegeta.json",
    "vegeta-results.ndjson",
    "ghz.json",
    "ghz.txt",
    "jmeter.csv",
    "jmeter.xml",
    "jmeter.txt",
    "jmeter-statistics.json",
    "gatling.txt",
    "gatling-3.12.txt",
    "gatling-simulation.log",
    "gatling-stats.json",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_input_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        drop(all(&bytes));
    }

    #[test]
    fn no_text_of_its_own_words_makes_it_panic(words in proptest::collection::vec(0..TOKENS.len(), 0..60)) {
        let text: String = words.into_iter().filter_map(|word| TOKENS.get(word).copied()).collect();
        drop(all(text.as_bytes()));
    }

    #[test]
    fn no_damage_to_a_real_result_makes_it_panic(
        file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(), end in any::<prop::sample::Index>(),
    ) {
        let name = FILES[file.index(FILES.len())];
        let mut bytes = golden::bytes(name);
        bytes.truncate(16_384);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(end.index(bytes.len()) + 1);
        if let Ok(explained) = all(&bytes) {
            prop_assert!(render(&explained, Screen::PLAIN).ends_with('\n'));
        }
    }
}
