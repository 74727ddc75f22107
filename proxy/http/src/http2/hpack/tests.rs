//! Tests of `hpack`: the examples of RFC 7541, appendix C, and what no encoder sends.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Broken, Decoder, LARGEST, Name};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .bytes()
        .filter(u8::is_ascii_hexdigit)
        .map(|digit| char::from(digit).to_digit(16).unwrap().try_into().unwrap())
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(Name, String)>, Broken> {
    let mut fields = Vec::new();
    decoder.block(block, &mut |name, value| {
        fields.push((name, String::from_utf8_lossy(value).into_owned()));
    })?;
    Ok(fields)
}

fn shown(decoder: &mut Decoder, hex: &str) -> Vec<(Name, String)> {
    decoded(decoder, &bytes(hex)).unwrap()
}

fn field(name: Name, value: &str) -> (Name, String) {
    (name, value.to_owned())
}

#[test]
fn requests_with_the_huffman_code_are_read_as_the_standard_has_them() {
    let mut decoder = Decoder::new();
    let first = shown(&mut decoder, "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff");
    assert_eq!(first, [field(Name::Method, "GET"), field(Name::Path, "/")]);
    assert_eq!(decoder.size(), 57);
    let second = shown(&mut decoder, "8286 84be 5886 a8eb 1064 9cbf");
    assert_eq!(
        second.last(),
        Some(&field(Name::Mark("cache-control"), "no-cache"))
    );
    assert_eq!(decoder.size(), 110);
    let third = shown(
        &mut decoder,
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    );
    assert_eq!(
        third,
        [field(Name::Method, "GET"), field(Name::Path, "/index.html")]
    );
    assert_eq!(decoder.size(), 164);
}

#[test]
fn the_table_evicts_what_the_standard_says() {
    let mut decoder = Decoder::new();
    decoder.limit = 256;
    let first = shown(
        &mut decoder,
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 \
         474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
    );
    assert_eq!(
        first,
        [
            field(Name::Status, "302"),
            field(Name::Mark("cache-control"), "private")
        ]
    );
    assert_eq!(decoder.size(), 222);
    let second = shown(&mut decoder, "4803 3330 37c1 c0bf");
    assert_eq!(
        second,
        [
            field(Name::Status, "307"),
            field(Name::Mark("cache-control"), "private")
        ]
    );
    assert_eq!(decoder.size(), 222, "302 had to go");
}

#[test]
fn values_that_do_not_matter_are_not_kept() {
    let mut decoder = Decoder::new();
    // authorization, with a value of six bytes, added to the table; then the same by its index.
    assert_eq!(shown(&mut decoder, "57 06 736563726574 be"), []);
    assert_eq!(decoder.size(), "authorization".len() + 6 + 32);
    assert!(decoder.entries.iter().all(|entry| entry.value.is_empty()));
}

#[test]
fn what_is_no_hpack_is_broken() {
    for hex in [
        "80",              // index 0
        "be",              // an entry that is not there
        "ff ffff ffff 7f", // a number beyond all bounds
        "40 05 61",        // a string that is longer than the block
        "44 81 00",        // padding of zeros
        "44 84 ffff ffff", // the end of the string within it
        "3f e1ff 0f",      // a table of a megabyte
        "44",              // a value that is missing
    ] {
        assert_eq!(decoded(&mut Decoder::new(), &bytes(hex)), Err(Broken), "{hex}");
    }
    assert_eq!(shown(&mut Decoder::new(), "20 82"), [field(Name::Method, "GET")]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn no_block_makes_it_fail_or_hold_more_than_its_bound(blocks in vec(vec(any::<u8>(), 0..200), 0..20)) {
        let mut decoder = Decoder::new();
        for block in &blocks {
            if decoded(&mut decoder, block).is_err() {
                break;
            }
            prop_assert!(decoder.size() <= LARGEST);
            let held: usize = decoder.entries.iter().map(|entry| entry.value.len()).sum();
            prop_assert!(held <= decoder.size());
        }
    }
}
