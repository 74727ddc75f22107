//! Header blocks: names and values, and the zlib stream in which they travel.

use std::io;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::dictionary;
use super::malformed::Malformed;

/// A header block may not be larger than this once it is inflated; kubectl's have some 60 bytes.
pub const MAX_INFLATED: usize = 64 * 1024;

/// Names (lower case) and values, in the order in which they travel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// None at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more; the name is put in lower case.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// The value of the first header of that name, whatever the name's case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(have, _)| have.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The block before compression.
    fn to_block(&self) -> Vec<u8> {
        let mut block = length(self.0.len()).to_vec();
        for (name, value) in &self.0 {
            for string in [name, value] {
                block.extend(length(string.len()));
                block.extend(string.as_bytes());
            }
        }
        block
    }

    /// Reads an inflated block. Text that is not UTF-8 is replaced, not refused: the Go library takes any bytes.
    fn from_block(mut block: &[u8]) -> Result<Self, Malformed> {
        let count = take_length(&mut block)?;
        let mut headers = Self::new();
        for _ in 0..count {
            let name = take_string(&mut block)?;
            let value = take_string(&mut block)?;
            headers.0.push((name, value));
        }
        Ok(headers)
    }
}

fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

fn take_length(block: &mut &[u8]) -> Result<usize, Malformed> {
    let (head, rest) = block.split_first_chunk::<4>().ok_or(Malformed::HeaderBlock)?;
    *block = rest;
    usize::try_from(u32::from_be_bytes(*head)).map_err(|_too_large| Malformed::HeaderBlock)
}

fn take_string(block: &mut &[u8]) -> Result<String, Malformed> {
    let len = take_length(block)?;
    let (string, rest) = block.split_at_checked(len).ok_or(Malformed::HeaderBlock)?;
    *block = rest;
    Ok(String::from_utf8_lossy(string).into_owned())
}

/// One direction's outgoing zlib stream: it lives as long as the connection.
#[derive(Debug)]
pub(super) struct Deflater(Compress);

impl Deflater {
    /// Primed with the dictionary.
    ///
    /// # Errors
    /// When zlib refuses the dictionary, which a correct zlib never does.
    pub(super) fn new() -> io::Result<Self> {
        let mut zlib = Compress::new(Compression::best(), true);
        zlib.set_dictionary(dictionary::bytes())
            .map_err(io::Error::other)?;
        Ok(Self(zlib))
    }

    /// Appends the compressed block, flushed so that the receiver can inflate it at once.
    pub(super) fn deflate(&mut self, headers: &Headers, out: &mut Vec<u8>) -> io::Result<()> {
        let block = headers.to_block();
        let before = self.0.total_in();
        loop {
            out.reserve(256);
            let consumed = consumed_since(before, self.0.total_in());
            let input = block.get(consumed..).unwrap_or_default();
            self.0
                .compress_vec(input, out, FlushCompress::Sync)
                .map_err(io::Error::other)?;
            // zlib is done with a flush when it leaves room in the output.
            if consumed_since(before, self.0.total_in()) == block.len() && out.len() < out.capacity() {
                return Ok(());
            }
        }
    }
}

/// One direction's incoming zlib stream.
#[derive(Debug)]
pub(super) struct Inflater(Decompress);

impl Inflater {
    /// Nothing inflated yet.
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// Inflates one block and reads it.
    pub(super) fn inflate(&mut self, compressed: &[u8]) -> Result<Headers, Malformed> {
        let mut block = Vec::new();
        let before = self.0.total_in();
        loop {
            let consumed = consumed_since(before, self.0.total_in());
            let input = compressed.get(consumed..).unwrap_or_default();
            block.reserve(1024);
            let filled = block.len();
            match self.0.decompress_vec(input, &mut block, FlushDecompress::Sync) {
                Ok(Status::Ok | Status::BufError) => {}
                Ok(Status::StreamEnd) => return Err(Malformed::Compression),
                Err(error) if error.needs_dictionary() == Some(dictionary::ADLER32) => {
                    let primed = self.0.set_dictionary(dictionary::bytes());
                    primed.map_err(|_refused| Malformed::Compression)?;
                    continue;
                }
                Err(_corrupt) => return Err(Malformed::Compression),
            }
            if block.len() > MAX_INFLATED {
                return Err(Malformed::HeaderBlock);
            }
            let all_taken = consumed_since(before, self.0.total_in()) == compressed.len();
            if all_taken && block.len() < block.capacity() {
                return Headers::from_block(&block);
            }
            if !all_taken && block.len() == filled && consumed_since(before, self.0.total_in()) == consumed {
                return Err(Malformed::Compression);
            }
        }
    }
}

fn consumed_since(before: u64, now: u64) -> usize {
    usize::try_from(now - before).unwrap_or(usize::MAX)
}
