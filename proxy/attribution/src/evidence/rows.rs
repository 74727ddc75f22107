//! Rows in little memory: a run has millions of connections and exchanges, and all of them are judged.
//!
//! A row is packed. What many rows have in common (path, ends, protocol, hosts) is kept once, as their kind, and
//! numbers take as many bytes as they usually need. A row that does not fit is kept whole beside the others. Reading a
//! row gives a copy of it. [`PackedConnection`] and [`PackedExchange`] say what is kept.

mod connection;
mod exchange;
mod small;

use std::collections::BTreeMap;
use std::fmt;

use super::connection::{Connection, ConnectionId};
use super::exchange::Exchange;
use small::Small;

pub use connection::{ConnectionKind, PackedConnection};
pub use exchange::{ExchangeKind, PackedExchange};

/// Connections, as many as a run has.
pub type Connections = Rows<Connection>;

/// Exchanges, as many as a run has.
pub type Exchanges = Rows<Exchange>;

/// A record that can be packed.
pub trait Row: Copy {
    /// What many rows have in common.
    type Kind: Copy + Ord;
    /// The rest of a row.
    type Packed: Copy;

    /// The record in two parts; `None` where a number is too large for its place.
    fn pack(&self) -> Option<(Self::Kind, Self::Packed)>;

    /// The record again.
    fn unpack(kind: &Self::Kind, packed: &Self::Packed) -> Self;

    /// Stands in the place of a row that is kept whole.
    const NOTHING: Self::Packed;
}

/// A list of records, packed.
#[derive(Clone)]
pub struct Rows<T: Row> {
    slots: Vec<Slot<T::Packed>>,
    kinds: Vec<T::Kind>,
    numbers: BTreeMap<T::Kind, u16>,
    /// The kind of the last row: most are like the one before.
    last: Option<u16>,
    whole: Vec<T>,
}

/// One row: its kind, or where it is kept whole.
#[derive(Clone, Copy)]
struct Slot<P> {
    /// Number of its kind, or [`WHOLE`] and more: then those above are the upper bits of its place among the whole.
    kind: Small<3>,
    packed: P,
}

/// Kinds are numbered below this; a number from here on is that of a row that is kept whole.
const WHOLE: u64 = 1 << 14;

impl<T: Row> Rows<T> {
    /// No rows, and room for so many.
    pub fn with_capacity(rows: usize) -> Self {
        Self {
            slots: Vec::with_capacity(rows),
            ..Self::default()
        }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many of them are kept whole: they take several times as much memory as the others.
    pub const fn whole(&self) -> usize {
        self.whole.len()
    }

    /// Adds a row at the end. Of more than 16 million rows that do not fit, the last are not kept.
    pub fn push(&mut self, row: T) {
        self.push_within(row, usize::MAX);
    }

    /// The same where no more than so many rows are to be kept whole; `false` where it would have been one more.
    pub fn push_within(&mut self, row: T, whole: usize) -> bool {
        let slot = self.slot(row, whole);
        self.slots.extend(slot);
        slot.is_some()
    }

    /// Changes the row at this place, where there is one.
    pub fn change(&mut self, index: usize, change: impl FnOnce(&mut T)) {
        if let Some(mut row) = self.get(index) {
            change(&mut row);
            let slot = self.slot(row, usize::MAX);
            if let (Some(place), Some(slot)) = (self.slots.get_mut(index), slot) {
                *place = slot;
            }
        }
    }

    /// Changes every row.
    pub fn change_all(&mut self, mut change: impl FnMut(&mut T)) {
        (0..self.len()).for_each(|index| self.change(index, &mut change));
    }

    fn slot(&mut self, row: T, whole: usize) -> Option<Slot<T::Packed>> {
        let packed = row
            .pack()
            .and_then(|(kind, packed)| Some((self.number(kind)?, packed)));
        if let Some((kind, packed)) = packed {
            return Some(Slot { kind, packed });
        }
        let place = self.whole.len();
        let number = WHOLE + place as u64;
        let kind = Small::of(number).filter(|_| place < whole)?;
        self.whole.push(row);
        let packed = T::NOTHING;
        Some(Slot { kind, packed })
    }

    /// The row at this place.
    #[expect(
        clippy::inline_always,
        reason = "what a caller does not look at is not unpacked"
    )]
    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<T> {
        self.slots.get(index).and_then(|slot| self.read(slot))
    }

    /// The last row.
    pub fn last(&self) -> Option<T> {
        self.slots.last().and_then(|slot| self.read(slot))
    }

    /// Every row, in order.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter {
            rows: self,
            slots: self.slots.iter(),
        }
    }

    /// Puts the rows in the order of a key; rows with the same key may change places.
    pub fn sort_unstable_by_key<K: Ord>(&mut self, key: impl Fn(&T) -> K) {
        let mut slots = std::mem::take(&mut self.slots);
        slots.sort_unstable_by_key(|slot| self.read(slot).as_ref().map(&key));
        self.slots = slots;
    }

    /// Takes out the rows that are asked for, by their place, in order; the others stay.
    pub fn extract(&mut self, mut wanted: impl FnMut(usize, &T) -> bool) -> Vec<T> {
        let mut slots = std::mem::take(&mut self.slots);
        let mut taken = Vec::new();
        let mut index = 0;
        slots.retain(|slot| {
            let row = self.read(slot).filter(|row| wanted(index, row));
            index += 1;
            taken.extend(row);
            row.is_none()
        });
        self.slots = slots;
        taken
    }

    /// Keeps the rows that are wanted.
    pub fn retain(&mut self, mut wanted: impl FnMut(&T) -> bool) {
        drop(self.extract(|_, row| !wanted(row)));
    }

    /// Changes the rows as a plain list. All of them are unpacked for it: for few rows.
    pub fn edit<R>(&mut self, change: impl FnOnce(&mut Vec<T>) -> R) -> R {
        let mut rows: Vec<T> = self.iter().collect();
        let result = change(&mut rows);
        *self = Self::from(rows);
        result
    }

    #[expect(
        clippy::inline_always,
        reason = "what a caller does not look at is not unpacked"
    )]
    #[inline(always)]
    fn read(&self, slot: &Slot<T::Packed>) -> Option<T> {
        let number = slot.kind.get();
        match number.checked_sub(WHOLE) {
            None => {
                let kind = self.kinds.get(usize::try_from(number).ok()?)?;
                Some(T::unpack(kind, &slot.packed))
            }
            Some(place) => self.whole.get(usize::try_from(place).ok()?).copied(),
        }
    }

    /// The number of a kind, a new one where there is room.
    fn number(&mut self, kind: T::Kind) -> Option<Small<3>> {
        let like_the_last = self
            .last
            .filter(|&last| self.kinds.get(usize::from(last)) == Some(&kind));
        let known = like_the_last.or_else(|| self.numbers.get(&kind).copied());
        let number = known.or_else(|| self.new_number(kind))?;
        self.last = Some(number);
        Small::of(number.into())
    }

    fn new_number(&mut self, kind: T::Kind) -> Option<u16> {
        let number = u16::try_from(self.kinds.len()).ok();
        let number = number.filter(|number| u64::from(*number) < WHOLE)?;
        self.kinds.push(kind);
        self.numbers.insert(kind, number);
        Some(number)
    }
}

impl Connections {
    /// The identity of the connection at this place; nothing else of it is unpacked.
    #[inline]
    pub fn id(&self, index: usize) -> Option<ConnectionId> {
        let slot = self.slots.get(index)?;
        match slot.kind.get().checked_sub(WHOLE) {
            None => Some(slot.packed.id()),
            Some(place) => Some(self.whole.get(usize::try_from(place).ok()?)?.id),
        }
    }
}

impl<T: Row> Default for Rows<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            kinds: Vec::new(),
            numbers: BTreeMap::new(),
            last: None,
            whole: Vec::new(),
        }
    }
}

impl<T: Row + fmt::Debug> fmt::Debug for Rows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<T: Row + PartialEq> PartialEq for Rows<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<T: Row> Extend<T> for Rows<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, rows: I) {
        rows.into_iter().for_each(|row| self.push(row));
    }
}

impl<T: Row> FromIterator<T> for Rows<T> {
    fn from_iter<I: IntoIterator<Item = T>>(rows: I) -> Self {
        let mut all = Self::default();
        all.extend(rows);
        all
    }
}

impl<T: Row> From<Vec<T>> for Rows<T> {
    fn from(rows: Vec<T>) -> Self {
        rows.into_iter().collect()
    }
}

impl<'r, T: Row> IntoIterator for &'r Rows<T> {
    type Item = T;
    type IntoIter = Iter<'r, T>;

    fn into_iter(self) -> Iter<'r, T> {
        self.iter()
    }
}

impl<T: Row> IntoIterator for Rows<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter().collect::<Vec<T>>().into_iter()
    }
}

/// Rows, one after the other.
pub struct Iter<'r, T: Row> {
    rows: &'r Rows<T>,
    slots: std::slice::Iter<'r, Slot<T::Packed>>,
}

impl<T: Row> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Self {
            rows: self.rows,
            slots: self.slots.clone(),
        }
    }
}

impl<T: Row> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("left", &self.slots.len()).finish()
    }
}

impl<T: Row> Iterator for Iter<'_, T> {
    type Item = T;

    #[expect(
        clippy::inline_always,
        reason = "what a caller does not look at is not unpacked"
    )]
    #[inline(always)]
    fn next(&mut self) -> Option<T> {
        self.slots.next().and_then(|slot| self.rows.read(slot))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.slots.size_hint()
    }
}

impl<T: Row> DoubleEndedIterator for Iter<'_, T> {
    fn next_back(&mut self) -> Option<T> {
        self.slots.next_back().and_then(|slot| self.rows.read(slot))
    }
}

impl<T: Row> ExactSizeIterator for Iter<'_, T> {}

#[cfg(test)]
mod tests;
