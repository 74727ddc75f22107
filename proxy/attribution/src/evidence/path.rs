//! The paths over which the load travelled.

/// Index into [`super::Evidence::paths`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub u8);

/// One way from hopscope to the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The name given with `--via NAME=TARGET`.
    pub name: String,
    /// What stands between hopscope and the application.
    pub kind: PathKind,
    /// The target as it was typed.
    pub target: String,
}

/// What stands between hopscope and the application on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathKind {
    /// A `kubectl port-forward`.
    Tunnel,
    /// A load balancer or ingress.
    Lb,
    /// Nothing: the application's own address.
    Direct,
    /// The name did not say. Nothing between hopscope and the application may be assumed, nor its absence.
    Unstated,
}

impl PathKind {
    /// Every kind that a name can declare, with the word that declares it.
    pub const DECLARED: [(Self, &'static str); 3] = [
        (Self::Tunnel, "tunnel"),
        (Self::Lb, "lb"),
        (Self::Direct, "direct"),
    ];

    /// The kind that a path's name declares by its first word. A word ends at `-`, `_` or a digit, in any case:
    /// `tunnel`, `lb-blue`, `direct2` and `LB` declare one; `directus` and `lbs` are words of their own.
    pub fn from_name(name: &str) -> Self {
        let first = first_word(name);
        Self::DECLARED
            .into_iter()
            .find(|(_, word)| word.eq_ignore_ascii_case(first))
            .map_or(Self::Unstated, |(kind, _)| kind)
    }

    /// The word of a kind that the first word of a name nearly is, where it is none: one letter away from it, or
    /// shortened to at least three of its letters.
    pub fn nearly(name: &str) -> Option<&'static str> {
        let first = first_word(name).to_ascii_lowercase();
        Self::DECLARED
            .into_iter()
            .map(|(_, word)| word)
            .filter(|word| *word != first)
            .find(|word| abbreviates(&first, word) || (word.len() > 3 && one_letter_away(&first, word)))
    }

    /// The kind with this word in reports.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Tunnel, Self::Lb, Self::Direct, Self::Unstated]
            .into_iter()
            .find(|kind| kind.word() == word)
    }

    /// The word used in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tunnel => "tunnel",
            Self::Lb => "lb",
            Self::Direct => "direct",
            Self::Unstated => "unstated",
        }
    }
}

fn first_word(name: &str) -> &str {
    name.split(|c: char| matches!(c, '-' | '_') || c.is_ascii_digit())
        .next()
        .unwrap_or_default()
}

/// Whether `short` is `word` with letters left out, its first letter and at least two more kept.
fn abbreviates(short: &str, word: &str) -> bool {
    let mut letters = word.bytes();
    short.len() >= 3
        && short.len() < word.len()
        && short.as_bytes().first() == word.as_bytes().first()
        && short.bytes().all(|letter| letters.any(|next| next == letter))
}

/// Whether one letter added, left out, changed, or exchanged with its neighbour makes `word` of `typed`.
fn one_letter_away(typed: &str, word: &str) -> bool {
    let (typed, word) = (typed.as_bytes(), word.as_bytes());
    let (short, long) = if typed.len() <= word.len() {
        (typed, word)
    } else {
        (word, typed)
    };
    if short == long || long.len() - short.len() > 1 {
        return false;
    }
    let same = short.iter().zip(long).take_while(|(a, b)| a == b).count();
    let behind = |bytes: &[u8], skip: usize| bytes.get(same + skip..).unwrap_or_default().to_vec();
    if short.len() < long.len() {
        return behind(short, 0) == behind(long, 1);
    }
    let exchanged = short.get(same) == long.get(same + 1) && short.get(same + 1) == long.get(same);
    behind(short, 1) == behind(long, 1) || (exchanged && behind(short, 2) == behind(long, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_declared_by_a_whole_word() {
        for (name, kind) in [
            ("tunnel", PathKind::Tunnel),
            ("tunnel-a", PathKind::Tunnel),
            ("tunnel2", PathKind::Tunnel),
            ("Tunnel", PathKind::Tunnel),
            ("lb", PathKind::Lb),
            ("LB_blue", PathKind::Lb),
            ("direct2", PathKind::Direct),
            ("direct-pod", PathKind::Direct),
            ("directus", PathKind::Unstated),
            ("directory", PathKind::Unstated),
            ("lbs", PathKind::Unstated),
            ("lbaas", PathKind::Unstated),
            ("tunneling", PathKind::Unstated),
            ("staging", PathKind::Unstated),
            ("my-lb", PathKind::Unstated),
            ("", PathKind::Unstated),
        ] {
            assert_eq!(PathKind::from_name(name), kind, "{name}");
        }
    }

    #[test]
    fn a_word_that_is_nearly_a_kind_is_noticed() {
        for (name, word) in [
            ("tunl", "tunnel"),
            ("tunel", "tunnel"),
            ("tunnle", "tunnel"),
            ("tunnell-1", "tunnel"),
            ("tunnels", "tunnel"),
            ("tun", "tunnel"),
            ("funnel", "tunnel"),
            ("dirct", "direct"),
            ("dirrect", "direct"),
            ("dircet", "direct"),
            ("direkt", "direct"),
            ("dir2", "direct"),
        ] {
            assert_eq!(PathKind::nearly(name), Some(word), "{name}");
        }
    }

    #[test]
    fn other_words_are_nobodys_typing_errors() {
        for name in [
            "tunnel",
            "lb",
            "direct",
            "direct2",
            "directus",
            "directory",
            "lbs",
            "alb",
            "db",
            "staging",
            "blue",
            "t",
            "d",
            "prod",
            "",
            "-",
            "tunneling",
            "dev",
            "ingress",
            "tls",
        ] {
            assert_eq!(PathKind::nearly(name), None, "{name}");
        }
    }
}
