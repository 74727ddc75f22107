//! Header compression (RFC 7541), decoded as a bystander needs it.
//!
//! Own code rather than a crate: those that exist hand out, and keep in their tables, every name and value. Here only
//! the fields that evidence needs are kept; of all others the table holds the size alone, which is what its evictions
//! depend on. So no cookie and no token is held, and a table costs a fraction of what it stands for. The tests hold it
//! against the encoder of the `h2` crate.

mod fields;
mod huffman;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

pub(crate) use fields::Name;
use fields::STATIC;

/// What an entry costs beside its bytes (section 4.1).
const OVERHEAD: usize = 32;
/// The table's size until its encoder says otherwise (RFC 9113, section 6.5.2).
const INITIAL: usize = 4_096;
/// The largest table that is followed. What servers and browsers ask for is 64 KiB at most.
const LARGEST: usize = 64 * 1_024;

/// What came is not HPACK, or asks for more than is followed: nothing after it can be decoded either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// One direction's decoder.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// The newest first.
    entries: VecDeque<Entry>,
    size: usize,
    limit: usize,
}

#[derive(Debug)]
struct Entry {
    size: usize,
    name_length: usize,
    name: Name,
    /// Empty where the name does not matter.
    value: Box<[u8]>,
}

/// A string as it stands in a block.
#[derive(Clone, Copy, Debug)]
struct Text<'b> {
    bytes: &'b [u8],
    coded: bool,
}

impl Decoder {
    pub(crate) const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            limit: INITIAL,
        }
    }

    /// Decodes a whole block, and shows the fields that matter.
    ///
    /// # Errors
    ///
    /// Where it is broken. The table is of no use then.
    pub(crate) fn block(
        &mut self,
        mut block: &[u8],
        field: &mut impl FnMut(Name, &[u8]),
    ) -> Result<(), Broken> {
        let mut value = Vec::new();
        while let Some(first) = block.first().copied() {
            match first {
                0x80.. => {
                    let index = integer(&mut block, 7)?;
                    self.indexed(index, field)?;
                }
                0x40..0x80 => self.literal(&mut block, 6, true, &mut value, field)?,
                0x20..0x40 => {
                    let size = integer(&mut block, 5)?;
                    if size > LARGEST {
                        return Err(Broken);
                    }
                    self.limit = size;
                    self.evict(0);
                }
                0..0x20 => self.literal(&mut block, 4, false, &mut value, field)?,
            }
        }
        Ok(())
    }

    fn indexed(&self, index: usize, field: &mut impl FnMut(Name, &[u8])) -> Result<(), Broken> {
        let at = index.checked_sub(1).ok_or(Broken)?;
        let (name, value) = if let Some((name, value)) = STATIC.get(at) {
            (Name::of(name.as_bytes()), value.as_bytes())
        } else {
            let entry = self.entries.get(at - STATIC.len()).ok_or(Broken)?;
            (entry.name, &*entry.value)
        };
        if name != Name::Other {
            field(name, value);
        }
        Ok(())
    }

    fn literal(
        &mut self,
        block: &mut &[u8],
        prefix: u32,
        keep: bool,
        value: &mut Vec<u8>,
        field: &mut impl FnMut(Name, &[u8]),
    ) -> Result<(), Broken> {
        let index = integer(block, prefix)?;
        let (name, name_length) = if let Some(at) = index.checked_sub(1) {
            self.name(at)?
        } else {
            let text = text(block)?;
            value.clear();
            text.decode(|byte| value.push(byte))?;
            (Name::of(value), value.len())
        };
        let text = text(block)?;
        value.clear();
        let mut length = 0;
        if name != Name::Other {
            text.decode(|byte| value.push(byte))?;
            length = value.len();
            field(name, value);
        } else if keep {
            text.decode(|_| length += 1)?;
        }
        if keep {
            self.add(name, name_length, length, value);
        }
        Ok(())
    }

    /// The name of an entry, and its length.
    fn name(&self, at: usize) -> Result<(Name, usize), Broken> {
        if let Some((name, _)) = STATIC.get(at) {
            return Ok((Name::of(name.as_bytes()), name.len()));
        }
        let entry = self.entries.get(at - STATIC.len()).ok_or(Broken)?;
        Ok((entry.name, entry.name_length))
    }

    fn add(&mut self, name: Name, name_length: usize, value_length: usize, value: &[u8]) {
        let size = name_length + value_length + OVERHEAD;
        self.evict(size);
        if size <= self.limit {
            self.size += size;
            self.entries.push_front(Entry {
                size,
                name_length,
                name,
                value: value.into(),
            });
        }
    }

    /// Makes room for so many bytes, by taking out all where there is not enough.
    fn evict(&mut self, room: usize) {
        while self.size.saturating_add(room) > self.limit {
            let Some(oldest) = self.entries.pop_back() else {
                return;
            };
            self.size -= oldest.size;
        }
    }

    /// What the entries stand for, in bytes: at most [`LARGEST`].
    #[cfg(test)]
    fn size(&self) -> usize {
        self.size
    }
}

/// An integer with a prefix of so many bits (section 5.1).
fn integer(block: &mut &[u8], prefix: u32) -> Result<usize, Broken> {
    let (first, rest) = block.split_first().ok_or(Broken)?;
    *block = rest;
    let most = (1_usize << prefix) - 1;
    let mut value = usize::from(*first) & most;
    if value < most {
        return Ok(value);
    }
    // Four more bytes are 2^28: more than any block holds.
    for shift in [0, 7, 14, 21] {
        let (byte, rest) = block.split_first().ok_or(Broken)?;
        *block = rest;
        value += usize::from(*byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Broken)
}

/// A string (section 5.2).
fn text<'b>(block: &mut &'b [u8]) -> Result<Text<'b>, Broken> {
    let coded = block.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(block, 7)?;
    let (bytes, rest) = block.split_at_checked(length).ok_or(Broken)?;
    *block = rest;
    Ok(Text { bytes, coded })
}

impl Text<'_> {
    fn decode(self, mut out: impl FnMut(u8)) -> Result<(), Broken> {
        if self.coded {
            return huffman::decode(self.bytes, out);
        }
        self.bytes.iter().for_each(|byte| out(*byte));
        Ok(())
    }
}
