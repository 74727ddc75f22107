//! The one table of causes: what each says happened, what can show it, and what to do about it.
//!
//! Headline, findings and advice take their words from here, `docs/causes.md` is this table as a page, and
//! `hopscope explain --cause WORD` prints one entry of it.

mod backend;
mod client;
mod lb;
mod open;
mod tunnel;

use std::fmt::Write as _;

use crate::cause::Cause;
use crate::hop::Hop;

/// What is known of one cause.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The cause.
    pub cause: Cause,
    /// What a charge says happened, fit for the middle of a sentence. `{forwarder}` stands for the forwarder's name.
    pub reason: &'static str,
    /// Which evidence can show it.
    pub evidence: &'static str,
    /// What to do, and why; the most useful first.
    pub remedies: &'static [Remedy],
}

/// What to do, and why. `{forwarder}` stands for the forwarder's name.
pub type Remedy = (&'static str, &'static str);

const fn entry(
    cause: Cause,
    reason: &'static str,
    evidence: &'static str,
    remedies: &'static [Remedy],
) -> Entry {
    Entry {
        cause,
        reason,
        evidence,
        remedies,
    }
}

/// The parts of the table, in the order of [`Cause::ALL`].
const PARTS: [&[Entry]; 5] = [
    client::ENTRIES,
    tunnel::ENTRIES,
    lb::ENTRIES,
    backend::ENTRIES,
    open::ENTRIES,
];

/// Every cause has one entry, and the entries stand in the order of the causes.
const _: () = {
    let (mut part, mut next) = (0, 0);
    while part < PARTS.len() {
        let mut at = 0;
        while at < PARTS[part].len() {
            assert!(PARTS[part][at].cause as usize == Cause::ALL[next] as usize);
            at += 1;
            next += 1;
        }
        part += 1;
    }
    assert!(next == Cause::ALL.len());
};

/// The whole table, in the order of [`Cause::ALL`].
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    PARTS.into_iter().flatten()
}

/// What is known of a cause.
pub fn of(cause: Cause) -> &'static Entry {
    const NONE: &Entry = &entry(Cause::Undetermined, "", "", &[]);
    entries().find(|entry| entry.cause == cause).unwrap_or(NONE)
}

/// A text of the table with the forwarder's name in it.
pub(crate) fn with_forwarder(text: &str, name: &str) -> String {
    text.replace("{forwarder}", name)
}

/// One entry as text for a terminal: what `hopscope explain --cause WORD` prints. `None` for a word that is no cause.
pub fn explain(word: &str) -> Option<String> {
    let cause = Cause::from_word(word)?;
    let entry = of(cause);
    let say = |text: &str| with_forwarder(text, FORWARDER);
    let mut text = String::new();
    let mut line = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    line(&format!("{} (charged to: {})", cause.word(), cause.hop()));
    line("");
    line(&format!("  Means:     {}", cause.means()));
    line(&format!("  Report:    {}", say(entry.reason)));
    line(&format!("  Shown by:  {}", say(entry.evidence)));
    for (action, why) in entry.remedies {
        line(&format!("  Do:        {}", say(action)));
        line(&format!("             {}", say(why)));
    }
    Some(text)
}

/// The forwarder's name where no run is told of.
const FORWARDER: &str = "the forwarder";

/// The table as `docs/causes.md`.
pub fn page() -> String {
    let mut page = String::from(
        "# Causes\n\n<!-- Generated from proxy/attribution/src/catalogue: `UPDATE_EXPECT=1 cargo test -p hopscope-attribution` writes it. -->\n\n\
         Every failure is charged once, with one of these words. The word says the hop.\n\
         `hopscope explain --cause WORD` prints one of them.\n",
    );
    for hop in Hop::ALL {
        let causes = || entries().filter(move |entry| entry.cause.hop() == hop);
        if causes().next().is_none() {
            continue;
        }
        _ = write!(page, "\n## `{hop}`\n");
        for entry in causes() {
            let say = |text: &str| with_forwarder(text, FORWARDER);
            _ = write!(
                page,
                "\n### `{}`\n\n{}\n\n- In a report: \"{}\".\n- Shown by: {}.\n",
                entry.cause,
                entry.cause.means(),
                say(entry.reason),
                say(entry.evidence)
            );
            for (action, why) in entry.remedies {
                _ = writeln!(page, "- What to do: {} {}", say(action), say(why));
            }
        }
    }
    page
}
