//! The running kernel's types: where a field lies, what an enum's values are called, what a tracepoint hands over.
//!
//! They are read where they lie, some five megabytes with a hundred thousand types: only the start of each and the way
//! to it by its name are noted. Total on hostile bytes: a blob that contradicts itself is refused, a type that refers to
//! itself is not followed for ever. Format: Documentation/bpf/btf.rst of the kernel.

/// Where the kernel shows its own types.
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

const KIND_PTR: u8 = 2;
const KIND_STRUCT: u8 = 4;
const KIND_UNION: u8 = 5;
const KIND_ENUM: u8 = 6;
const KIND_TYPEDEF: u8 = 8;
const KIND_FUNC_PROTO: u8 = 13;
/// How many typedefs, qualifiers or nested anonymous structs are followed before a blob is taken for a loop.
const MAX_DEPTH: usize = 32;

/// Why a blob is no BTF.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// The first bytes are not BTF's, or of the other byte order.
    #[error("no BTF header of this machine's byte order")]
    Header,
    /// The blob ends within what its header or a type announces.
    #[error("cut off at byte {0}")]
    Truncated(usize),
    /// A kind that this reader does not know; its length is unknown too.
    #[error("type {id} is of the unknown kind {kind}")]
    Kind {
        /// Its number.
        id: usize,
        /// Its kind.
        kind: u8,
    },
}

/// A kernel's types.
#[derive(Debug)]
pub struct Btf<'a> {
    strings: &'a [u8],
    types: &'a [u8],
    /// Where each type begins, by its number less one: number 0 is `void`, which is not there.
    starts: Vec<u32>,
    /// The last type of each bucket of names; 0 for none.
    buckets: Vec<u32>,
    /// The type before it in the same bucket, by a type's number less one; 0 for none.
    before: Vec<u32>,
}

/// What stands at the start of a type.
#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: u8,
    /// Of a struct: whether member offsets carry a bit-field size above bit 23.
    bit_fields: bool,
    /// Size, or the type that is referred to.
    size_or_target: u32,
    /// Where its entries begin, how many there are, and how many words each has.
    entries: usize,
    count: usize,
    stride: usize,
}

/// A struct's member or an enum's value.
struct Member {
    name: u32,
    /// Type of a member; the number of an enum's value.
    value: u32,
    offset: u32,
}

impl<'a> Btf<'a> {
    /// Reads a blob.
    ///
    /// # Errors
    /// When it is no BTF, or ends early.
    pub fn parse(blob: &'a [u8]) -> Result<Self, BtfError> {
        if blob.get(..2) != Some(&0xeb9f_u16.to_ne_bytes()) {
            return Err(BtfError::Header);
        }
        let header = word(blob, 4)? as usize;
        let section = |offset_at: usize| -> Result<&'a [u8], BtfError> {
            let from = header.saturating_add(word(blob, offset_at)? as usize);
            let to = from.saturating_add(word(blob, offset_at + 4)? as usize);
            blob.get(from..to).ok_or(BtfError::Truncated(blob.len()))
        };
        let mut btf = Self {
            strings: section(16)?,
            types: section(8)?,
            starts: Vec::new(),
            buckets: Vec::new(),
            before: Vec::new(),
        };
        let mut at = 0_u32;
        while (at as usize) < btf.types.len() {
            let read = Type::read(btf.types, at as usize, btf.starts.len() + 1)?;
            btf.starts.push(at);
            let end = read.entries + read.count * read.stride * 4;
            at = u32::try_from(end).map_err(|_too_long| BtfError::Truncated(btf.types.len()))?;
        }
        btf.sort_in();
        Ok(btf)
    }

    fn sort_in(&mut self) {
        self.buckets = vec![0; self.starts.len().next_power_of_two()];
        self.before = vec![0; self.starts.len()];
        for (id, at) in (1..).zip(0..self.starts.len()) {
            let Some(found) = self.get(id) else { continue };
            let bucket = self.bucket(self.name(found.name));
            if found.name != 0
                && let (Some(last), Some(before)) = (self.buckets.get_mut(bucket), self.before.get_mut(at))
            {
                *before = *last;
                *last = id;
            }
        }
    }

    /// FNV-1a, cut down to the number of buckets.
    fn bucket(&self, name: &[u8]) -> usize {
        let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        let hash = name.iter().fold(0x811c_9dc5, step);
        hash as usize & self.buckets.len().saturating_sub(1)
    }

    /// The first type of this name and kind.
    fn find(&self, name: &str, kind: u8) -> Option<(u32, Type)> {
        let mut at = *self.buckets.get(self.bucket(name.as_bytes()))?;
        let mut first = None;
        while let Some(found) = self.get(at) {
            if found.kind == kind && self.name(found.name) == name.as_bytes() {
                first = Some((at, found));
            }
            at = self.before.get((at as usize).checked_sub(1)?).copied()?;
        }
        first
    }

    /// Byte offset of a field, `path` being its name or names joined by dots, through anonymous members too.
    pub fn offset(&self, of_struct: &str, path: &str) -> Option<u32> {
        let (mut at, _) = self.find(of_struct, KIND_STRUCT)?;
        let mut bits = 0_u32;
        for field in path.split('.') {
            let (offset, next) = self.member(at, field.as_bytes(), MAX_DEPTH)?;
            bits = bits.checked_add(offset)?;
            at = next;
        }
        Some(bits / 8)
    }

    /// The values of an enum with the prefix given cut off: `(number, name)`.
    pub fn enumeration(&self, name: &str, prefix: &str) -> Vec<(u32, String)> {
        let Some((_, found)) = self.find(name, KIND_ENUM) else {
            return Vec::new();
        };
        let named = |member: Member| {
            let name = String::from_utf8_lossy(self.name(member.name)).into_owned();
            let short = name.strip_prefix(prefix).unwrap_or(&name).to_owned();
            (member.value, short)
        };
        self.members(found).map(named).collect()
    }

    /// How many arguments a tracepoint hands to a BPF program; `None` when this kernel has no such tracepoint.
    pub fn tracepoint_arguments(&self, tracepoint: &str) -> Option<usize> {
        let (_, mut found) = self.find(&format!("btf_trace_{tracepoint}"), KIND_TYPEDEF)?;
        for _ in 0..MAX_DEPTH {
            if found.kind == KIND_FUNC_PROTO {
                // The first parameter is the tracepoint's own data.
                return found.count.checked_sub(1);
            }
            if found.kind != KIND_PTR && !is_alias(found.kind) {
                return None;
            }
            found = self.get(found.size_or_target)?;
        }
        None
    }

    fn member(&self, of: u32, field: &[u8], depth: usize) -> Option<(u32, u32)> {
        let depth = depth.checked_sub(1)?;
        let of = self.behind_aliases(of)?;
        if of.kind != KIND_STRUCT && of.kind != KIND_UNION {
            return None;
        }
        for member in self.members(of) {
            let offset = if of.bit_fields {
                member.offset & 0x00ff_ffff
            } else {
                member.offset
            };
            let name = self.name(member.name);
            if name == field {
                return Some((offset, member.value));
            }
            if name.is_empty()
                && let Some((inner, found)) = self.member(member.value, field, depth)
            {
                return Some((offset.checked_add(inner)?, found));
            }
        }
        None
    }

    fn behind_aliases(&self, mut at: u32) -> Option<Type> {
        for _ in 0..MAX_DEPTH {
            let found = self.get(at)?;
            if !is_alias(found.kind) {
                return Some(found);
            }
            at = found.size_or_target;
        }
        None
    }

    fn get(&self, id: u32) -> Option<Type> {
        let at = self.starts.get((id as usize).checked_sub(1)?)?;
        Type::read(self.types, *at as usize, id as usize).ok()
    }

    fn members(&self, of: Type) -> impl Iterator<Item = Member> + '_ {
        let read = move |number: usize| {
            let at = of.entries + number * of.stride * 4;
            let offset = if of.stride == 3 {
                word(self.types, at + 8).ok()?
            } else {
                0
            };
            Some(Member {
                name: word(self.types, at).ok()?,
                value: word(self.types, at + 4).ok()?,
                offset,
            })
        };
        (0..of.count).map_while(read)
    }

    fn name(&self, at: u32) -> &'a [u8] {
        let from = self.strings.get(at as usize..).unwrap_or_default();
        let end = memchr::memchr(0, from).unwrap_or(from.len());
        from.get(..end).unwrap_or_default()
    }
}

impl Type {
    fn read(types: &[u8], at: usize, id: usize) -> Result<Self, BtfError> {
        let flags = word(types, at + 4)?;
        let kind = ((flags >> 24) & 0x1f) as u8;
        let listed = (flags & 0xffff) as usize;
        let (stride, count) = match kind {
            1 | 14 | 17 => (1, 1),
            3 => (3, 1),
            KIND_STRUCT | KIND_UNION | 15 | 19 => (3, listed),
            KIND_ENUM | KIND_FUNC_PROTO => (2, listed),
            KIND_PTR | KIND_TYPEDEF | 7 | 9..=12 | 16 | 18 => (0, 0),
            unknown => return Err(BtfError::Kind { id, kind: unknown }),
        };
        let entries = at + 12;
        let read = Self {
            name: word(types, at)?,
            kind,
            bit_fields: flags >> 31 == 1,
            size_or_target: word(types, at + 8)?,
            entries,
            count,
            stride,
        };
        if entries + count * stride * 4 > types.len() {
            return Err(BtfError::Truncated(types.len()));
        }
        Ok(read)
    }
}

/// typedef, volatile, const, restrict, type tag.
const fn is_alias(kind: u8) -> bool {
    matches!(kind, KIND_TYPEDEF | 9 | 10 | 11 | 18)
}

fn word(blob: &[u8], at: usize) -> Result<u32, BtfError> {
    let bytes = blob.get(at..).and_then(<[u8]>::first_chunk::<4>);
    bytes
        .map(|bytes| u32::from_ne_bytes(*bytes))
        .ok_or(BtfError::Truncated(at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A blob of the given types, and strings joined by NUL after an empty first one.
    pub(crate) fn blob(types: &[u32], strings: &[u8]) -> Vec<u8> {
        let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut blob = 0xeb9f_u16.to_ne_bytes().to_vec();
        blob.extend([1, 0]);
        let lengths = [24, 0, types.len(), types.len(), strings.len()];
        for length in lengths {
            blob.extend(u32::try_from(length).unwrap().to_ne_bytes());
        }
        blob.extend(types);
        blob.extend(strings);
        blob
    }

    const STRUCT: u32 = 4 << 24;

    #[test]
    fn a_field_is_found_within_anonymous_members_and_behind_typedefs() {
        // struct outer { int a; union { struct inner b; }; }, typedef struct inner t; struct inner { int c; int d; }
        let types = [
            /* 1 */ 0,
            1 << 24,
            4,
            32, // int
            /* 2 */ 1,
            STRUCT | 2,
            12,
            7,
            1,
            0,
            0,
            3,
            32, // outer
            /* 3 */ 0,
            (5 << 24) | 1,
            8,
            9,
            4,
            0, // the anonymous union
            /* 4 */ 0,
            8 << 24,
            5, // typedef
            /* 5 */ 0,
            STRUCT | 2,
            8,
            11,
            1,
            0,
            13,
            1,
            32,
        ];
        let blob = blob(&types, b"\0outer\0a\0b\0c\0d\0");
        let btf = Btf::parse(&blob).unwrap();
        assert_eq!(btf.offset("outer", "a"), Some(0));
        assert_eq!(btf.offset("outer", "b.d"), Some(8));
        assert_eq!(btf.offset("outer", "nothing"), None);
        assert_eq!(btf.offset("nobody", "a"), None);
    }

    #[test]
    fn a_struct_that_contains_itself_is_not_followed_for_ever() {
        let types = [1, STRUCT | 1, 8, 0, 1, 0, 0, 8 << 24, 2];
        let blob = blob(&types, b"\0loop\0");
        let btf = Btf::parse(&blob).unwrap();
        assert_eq!(btf.offset("loop", "field"), None);
    }

    #[test]
    fn an_enums_values_lose_their_prefix() {
        let types = [1, (6 << 24) | 2, 4, 7, 0, 13, 3];
        let blob = blob(&types, b"\0drops\0X_ONE\0X_TWO\0");
        let btf = Btf::parse(&blob).unwrap();
        let expected = vec![(0, "ONE".to_owned()), (3, "TWO".to_owned())];
        assert_eq!(btf.enumeration("drops", "X_"), expected);
        assert_eq!(btf.enumeration("others", "X_"), []);
    }

    #[test]
    fn this_machines_kernel_is_readable_where_it_shows_its_types() {
        let Ok(kernel) = std::fs::read(KERNEL_BTF) else {
            return;
        };
        let btf = Btf::parse(&kernel).unwrap();
        assert!(btf.offset("sock", "sk_err").is_some());
        assert_eq!(btf.tracepoint_arguments("inet_sock_set_state"), Some(3));
        assert_eq!(btf.tracepoint_arguments("no_such_tracepoint"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn hostile_types_are_refused_or_read_but_never_followed_off_the_end(
            types in proptest::collection::vec(any::<u32>(), 0..64),
            strings in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let blob = blob(&types, &strings);
            if let Ok(btf) = Btf::parse(&blob) {
                for id in 1..=u32::try_from(btf.starts.len()).unwrap() {
                    let found = btf.get(id).unwrap();
                    if let Ok(name) = std::str::from_utf8(btf.name(found.name)) {
                        let _offset = btf.offset(name, "a.b");
                        let _values = btf.enumeration(name, "");
                        let _arguments = btf.tracepoint_arguments(name);
                    }
                }
            }
        }

        #[test]
        fn any_bytes_at_all_are_refused_or_read(blob in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _refused_or_read = Btf::parse(&blob);
        }
    }
}
