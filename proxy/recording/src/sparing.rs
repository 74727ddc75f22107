//! How a recording stays below the size that it was given: of some connections nothing is kept, and that is counted.
//!
//! Which connections are kept is decided by a hash of their number, so that what is kept of one is kept whole, its row and
//! those of its exchanges, and those that are kept are a uniform sample of all. Each time that half of the room that was
//! left has been used, half as many are kept: so the end is never reached, however long the run. Counts per second are
//! never left out: a part of the room is theirs.

use hopscope_attribution::evidence::ConnectionId;

/// Of the whole size, the share that rows of connections and exchanges may take: the rest is for the counts.
const ROWS: u64 = 3;
/// What [`ROWS`] are parts of.
const PARTS: u64 = 4;
/// The least size that a recording can be limited to: its tables and their first rows have about 200 KB, and the last words
/// have 256 KiB.
pub const LEAST_BYTES: u64 = 4 * 1024 * 1024;

/// What is kept of the connections from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sparing {
    /// The size that rows may reach; `None` without a limit.
    rows: Option<u64>,
    /// One connection in two to the power of this is kept.
    halvings: u32,
}

impl Sparing {
    /// For a recording of at most so many bytes.
    pub(super) fn within(bytes: Option<u64>) -> Self {
        Self {
            rows: bytes.map(|bytes| bytes / PARTS * ROWS),
            halvings: 0,
        }
    }

    /// Says how large the recording is, and gives `true` when fewer connections are kept from now on.
    pub(super) fn heed(&mut self, bytes: u64) -> bool {
        let Some(rows) = self.rows else {
            return false;
        };
        let left = rows.saturating_sub(bytes);
        let before = self.halvings;
        // Half of the room is left at the first halving, a quarter at the second; with nothing left, nothing is kept.
        while self.halvings < 63 && left < rows >> (self.halvings + 1) {
            self.halvings += 1;
        }
        if left == 0 {
            self.halvings = 63;
        }
        self.halvings > before
    }

    /// Whether rows of this connection are kept.
    pub(super) const fn keeps(self, connection: ConnectionId) -> bool {
        self.halvings == 0 || scattered(connection.0) >> (64 - self.halvings) == 0
    }

    /// One connection in so many is kept.
    pub(super) const fn one_in(self) -> u64 {
        1 << self.halvings
    }
}

/// Bits that depend on all bits of the number: the finaliser of `SplitMix64`.
const fn scattered(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(sparing: Sparing) -> std::collections::BTreeSet<u64> {
        (1..100_000)
            .filter(|id| sparing.keeps(ConnectionId(*id)))
            .collect()
    }

    #[test]
    fn without_a_limit_everything_is_kept() {
        let mut sparing = Sparing::within(None);
        assert!(!sparing.heed(u64::MAX));
        assert_eq!(kept(sparing).len(), 99_999);
    }

    #[test]
    fn each_half_of_the_room_halves_what_is_kept() {
        let mut sparing = Sparing::within(Some(4_000));
        assert!(!sparing.heed(1_499));
        assert_eq!(sparing.one_in(), 1);
        assert!(sparing.heed(1_501));
        assert_eq!(sparing.one_in(), 2);
        let halved = kept(sparing);
        assert!((48_000..52_000).contains(&halved.len()), "{}", halved.len());
        assert!(sparing.heed(2_300));
        assert_eq!(sparing.one_in(), 4);
        let quartered = kept(sparing);
        assert!((23_500..26_500).contains(&quartered.len()), "{}", quartered.len());
        assert!(quartered.is_subset(&halved), "of those that were kept before");
    }

    #[test]
    fn where_no_room_is_left_nothing_is_kept() {
        let mut sparing = Sparing::within(Some(4_000));
        assert!(sparing.heed(3_000));
        assert!(kept(sparing).is_empty());
    }
}
