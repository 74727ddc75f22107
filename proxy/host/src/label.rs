//! Text of strangers, made fit to be shown: any user names his processes, and a cluster's objects name their reasons.

/// Without what moves a terminal's cursor, hides text or turns its direction: control characters, and the format
/// characters of Unicode, become U+FFFD each.
pub fn shown(text: &str) -> String {
    text.chars()
        .map(|c| {
            if is_hidden(c) {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_hides_or_turns_is_replaced_and_all_else_stays() {
        assert_eq!(shown("k6-\u{1b}[31mred\n"), "k6-\u{fffd}[31mred\u{fffd}");
        assert_eq!(
            shown("a\u{202e}b\u{2066}c\u{200f}d\u{9b}"),
            "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}"
        );
        assert_eq!(shown("쿠버네티스-é_9"), "쿠버네티스-é_9");
    }
}
