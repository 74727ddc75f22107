//! The Huffman code of RFC 7541, appendix B, decoded.
//!
//! The code is canonical: the codes of one length are consecutive numbers in the order of their symbols, and follow on
//! those of the shorter ones. Its lengths alone are therefore the whole table.

use super::Broken;

/// Bits of each symbol's code; the last is the end of the string, which is never sent.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The longest code, in bits.
const LONGEST: usize = 30;
/// Codes up to this length are found by one look into a table.
const SHORT: u32 = 8;

const CODE: Code = Code::of(&LENGTHS);

struct Code {
    /// Symbols in the order of their codes.
    symbols: [u16; 257],
    /// Of each length: the index of its first symbol less its first code, and the first window of 32 bits beyond it.
    lengths: [(u32, u64); LONGEST + 1],
    /// By the first eight bits: a symbol and its length, 0 where the code is longer.
    short: [(u8, u8); 1 << SHORT],
}

impl Code {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::indexing_slicing,
        reason = "evaluated by the compiler, where a wrong index is an error"
    )]
    const fn of(lengths: &[u8; 257]) -> Self {
        let mut code = Self {
            symbols: [0; 257],
            lengths: [(0, 0); LONGEST + 1],
            short: [(0, 0); 1 << SHORT],
        };
        let (mut next, mut index, mut length) = (0_u32, 0_usize, 1_usize);
        while length <= LONGEST {
            next <<= 1;
            code.lengths[length].0 = (index as u32).wrapping_sub(next);
            let mut symbol = 0;
            while symbol < lengths.len() {
                if lengths[symbol] as usize == length {
                    code.symbols[index] = symbol as u16;
                    if length as u32 <= SHORT {
                        let spare = SHORT - length as u32;
                        let mut low = 0;
                        while low < 1 << spare {
                            code.short[((next << spare) + low) as usize] = (symbol as u8, length as u8);
                            low += 1;
                        }
                    }
                    index += 1;
                    next += 1;
                }
                symbol += 1;
            }
            code.lengths[length].1 = (next as u64) << (32 - length);
            length += 1;
        }
        code
    }

    /// The symbol that a window of 32 bits starts with, and its length; the end of the string and what is no code are
    /// neither.
    fn long(&self, window: u32) -> Option<(u8, u32)> {
        let (length, (offset, _)) = self
            .lengths
            .iter()
            .enumerate()
            .skip(SHORT as usize + 1)
            .find(|(_, (_, beyond))| u64::from(window) < *beyond)?;
        let length = u32::try_from(length).ok()?;
        let index = (window >> (32 - length)).wrapping_add(*offset);
        let symbol = self.symbols.get(usize::try_from(index).ok()?)?;
        Some((u8::try_from(*symbol).ok()?, length))
    }
}

/// Decodes a string, byte by byte.
///
/// # Errors
///
/// Where it is not in this code, or does not end as it must: with fewer than eight ones.
pub(super) fn decode(coded: &[u8], mut out: impl FnMut(u8)) -> Result<(), Broken> {
    let mut bits = 0_u64;
    let mut held = 0_u32;
    let mut rest = coded.iter();
    loop {
        while held <= 32 {
            let Some(byte) = rest.next() else { break };
            bits |= u64::from(*byte) << (56 - held);
            held += 8;
        }
        if held == 0 {
            return Ok(());
        }
        let window = u32::try_from(bits >> 32).unwrap_or(u32::MAX);
        let short = usize::try_from(window >> (32 - SHORT)).unwrap_or_default();
        let found = match CODE.short.get(short) {
            Some((symbol, length)) if *length > 0 => Some((*symbol, u32::from(*length))),
            Some(_) | None => CODE.long(window),
        };
        match found {
            Some((symbol, length)) if length <= held => {
                out(symbol);
                bits <<= length;
                held -= length;
            }
            // What is left is the padding: the first bits of the longest code, all of them ones.
            Some(_) | None if held < 8 && bits >> (64 - held) == (1 << held) - 1 => return Ok(()),
            Some(_) | None => return Err(Broken),
        }
    }
}
