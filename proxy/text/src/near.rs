//! Words that a mistyped one may be meant to be.

/// Words offered, at most.
const MOST: usize = 3;
/// Letters of a typed word that are looked at, at most: no word that is known is longer.
const LONGEST: usize = 64;

/// ` (did you mean `a` or `b`?)`, or nothing where no known word is near.
pub fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near: Vec<String> = nearest(typed, known)
        .into_iter()
        .map(|word| format!("`{word}`"))
        .collect();
    if near.is_empty() {
        String::new()
    } else {
        format!(" (did you mean {}?)", near.join(" or "))
    }
}

/// The known words that are near, the nearest first: at most a quarter of the letters differ.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let typed: Vec<char> = typed.to_lowercase().chars().take(LONGEST).collect();
    let allowed = (typed.len() / 4).max(1);
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .map(|word| (distance(&typed, word), word))
        .filter(|(distance, word)| *distance <= allowed && *distance < word.chars().count())
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(MOST).map(|(_, word)| word).collect()
}

/// How many letters are to be added, left out, changed or exchanged with their neighbour.
fn distance(typed: &[char], word: &str) -> usize {
    let word: Vec<char> = word.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=word.len()).collect();
    for (i, a) in typed.iter().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for (j, b) in word.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut least = (at(&row, j) + usize::from(a != b))
                .min(at(&row, j + 1) + 1)
                .min(at(&next, j) + 1);
            let exchanged = i > 0 && j > 0 && typed.get(i - 1) == Some(b) && word.get(j - 1) == Some(a);
            if exchanged {
                least = least.min(at(&before, j - 1) + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_words_are_offered() {
        let known = [
            "tunnel-lost",
            "tunnel-down",
            "backend-reset",
            "backend-refused",
            "lb",
        ];
        assert_eq!(nearest("tunel-lost", known), ["tunnel-lost"]);
        assert_eq!(nearest("backend-rest", known), ["backend-reset"]);
        assert_eq!(nearest("Tunnel-Dwon", known)[0], "tunnel-down");
        assert_eq!(nearest("something-else", known), Vec::<&str>::new());
        assert_eq!(nearest("", known), Vec::<&str>::new());
    }

    #[test]
    fn distances_count_exchanged_letters_once() {
        let distance = |typed: &str, word| distance(&typed.chars().collect::<Vec<_>>(), word);
        assert_eq!(distance("seed", "seed"), 0);
        assert_eq!(distance("sede", "seed"), 1);
        assert_eq!(distance("sead", "seed"), 1);
        assert_eq!(distance("", "seed"), 4);
    }

    #[test]
    fn the_offer_is_a_sentence_or_nothing() {
        assert_eq!(
            did_you_mean("seeed", ["seed", "healthy"]),
            " (did you mean `seed`?)"
        );
        assert_eq!(did_you_mean("x", ["seed"]), "");
    }
}
