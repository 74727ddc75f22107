//! The running kernel's types: where a field lies, what an enum's values are called, what a tracepoint hands over.
//!
//! Total on hostile bytes: a blob that contradicts itself is refused, a type that refers to itself is not followed for
//! ever. Format: Documentation/bpf/btf.rst of the kernel.

use std::collections::HashMap;

/// Where the kernel shows its own types.
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

const KIND_PTR: u8 = 2;
const KIND_STRUCT: u8 = 4;
const KIND_UNION: u8 = 5;
const KIND_ENUM: u8 = 6;
const KIND_TYPEDEF: u8 = 8;
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
pub struct Btf {
    strings: Vec<u8>,
    types: Vec<Type>,
    by_name: HashMap<(Vec<u8>, u8), usize>,
}

#[derive(Debug, Default)]
struct Type {
    kind: u8,
    /// Of a struct: whether member offsets carry a bit-field size above bit 23.
    bit_fields: bool,
    /// Size, or the type that is referred to.
    size_or_target: u32,
    members: Vec<Member>,
}

/// A struct's member, an enum's value or a function's parameter.
#[derive(Debug)]
struct Member {
    name: u32,
    /// Type of a member or parameter; the number of an enum's value.
    value: u32,
    offset: u32,
}

impl Btf {
    /// Reads a blob.
    ///
    /// # Errors
    /// When it is no BTF, or ends early.
    pub fn parse(blob: &[u8]) -> Result<Self, BtfError> {
        if blob.get(..2) != Some(&0xeb9f_u16.to_ne_bytes()) {
            return Err(BtfError::Header);
        }
        let header = word(blob, 4)? as usize;
        let section = |offset_at: usize| -> Result<&[u8], BtfError> {
            let from = header.saturating_add(word(blob, offset_at)? as usize);
            let to = from.saturating_add(word(blob, offset_at + 4)? as usize);
            blob.get(from..to).ok_or(BtfError::Truncated(blob.len()))
        };
        let types = section(8)?;
        let mut btf = Self {
            strings: section(16)?.to_vec(),
            types: vec![Type::default()],
            by_name: HashMap::new(),
        };
        let mut at = 0;
        while at < types.len() {
            let (name, read) = read_type(types, &mut at, btf.types.len())?;
            let id = btf.types.len();
            if name != 0 {
                let key = (btf.name(name).to_vec(), read.kind);
                btf.by_name.entry(key).or_insert(id);
            }
            btf.types.push(read);
        }
        Ok(btf)
    }

    /// Byte offset of a field, `path` being its name or names joined by dots, through anonymous members too.
    pub fn offset(&self, of_struct: &str, path: &str) -> Option<u32> {
        let mut at = *self.by_name.get(&(of_struct.as_bytes().to_vec(), KIND_STRUCT))?;
        let mut bits = 0_u32;
        for field in path.split('.') {
            let (offset, next) = self.member(at, field.as_bytes(), MAX_DEPTH)?;
            bits = bits.checked_add(offset)?;
            at = next;
        }
        Some(bits / 8)
    }

    /// The values of an enum with the longest common prefix given cut off: `(number, name)`.
    pub fn enumeration(&self, name: &str, prefix: &str) -> Vec<(u32, String)> {
        let Some(found) = self.by_name.get(&(name.as_bytes().to_vec(), KIND_ENUM)) else {
            return Vec::new();
        };
        let members = self.types.get(*found).map_or(&[][..], |found| &found.members);
        let named = |member: &Member| {
            let name = String::from_utf8_lossy(self.name(member.name)).into_owned();
            let short = name.strip_prefix(prefix).unwrap_or(&name).to_owned();
            (member.value, short)
        };
        members.iter().map(named).collect()
    }

    /// How many arguments a tracepoint hands to a BPF program; `None` when this kernel has no such tracepoint.
    pub fn tracepoint_arguments(&self, tracepoint: &str) -> Option<usize> {
        let name = format!("btf_trace_{tracepoint}").into_bytes();
        let mut at = *self.by_name.get(&(name, KIND_TYPEDEF))?;
        for _ in 0..MAX_DEPTH {
            let found = self.types.get(at)?;
            if found.kind != KIND_PTR && !is_alias(found.kind) {
                // The first parameter is the tracepoint's own data.
                return found.members.len().checked_sub(1);
            }
            at = found.size_or_target as usize;
        }
        None
    }

    fn member(&self, of: usize, field: &[u8], depth: usize) -> Option<(u32, usize)> {
        let depth = depth.checked_sub(1)?;
        let of = self.types.get(self.behind_aliases(of)?)?;
        if of.kind != KIND_STRUCT && of.kind != KIND_UNION {
            return None;
        }
        for member in &of.members {
            let offset = if of.bit_fields {
                member.offset & 0x00ff_ffff
            } else {
                member.offset
            };
            let name = self.name(member.name);
            if name == field {
                return Some((offset, member.value as usize));
            }
            if name.is_empty()
                && let Some((inner, found)) = self.member(member.value as usize, field, depth)
            {
                return Some((offset.checked_add(inner)?, found));
            }
        }
        None
    }

    fn behind_aliases(&self, mut at: usize) -> Option<usize> {
        for _ in 0..MAX_DEPTH {
            let found = self.types.get(at)?;
            if !is_alias(found.kind) {
                return Some(at);
            }
            at = found.size_or_target as usize;
        }
        None
    }

    fn name(&self, at: u32) -> &[u8] {
        let from = self.strings.get(at as usize..).unwrap_or_default();
        from.split(|byte| *byte == 0).next().unwrap_or_default()
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

fn read_type(types: &[u8], at: &mut usize, id: usize) -> Result<(u32, Type), BtfError> {
    let name = word(types, *at)?;
    let flags = word(types, *at + 4)?;
    let size_or_target = word(types, *at + 8)?;
    *at += 12;
    let kind = ((flags >> 24) & 0x1f) as u8;
    let count = (flags & 0xffff) as usize;
    // Words of each trailing entry, entries, and which word holds the value and the offset.
    let (stride, entries) = match kind {
        1 | 14 | 17 => (1, 1),
        3 => (3, 1),
        KIND_STRUCT | KIND_UNION | 15 | 19 => (3, count),
        KIND_ENUM | 13 => (2, count),
        KIND_PTR | KIND_TYPEDEF | 7 | 9..=12 | 16 | 18 => (0, 0),
        unknown => return Err(BtfError::Kind { id, kind: unknown }),
    };
    let keep = matches!(kind, KIND_STRUCT | KIND_UNION | KIND_ENUM | 13);
    let mut members = Vec::new();
    for _ in 0..entries {
        if keep {
            let offset = if stride == 3 { word(types, *at + 8)? } else { 0 };
            members.push(Member {
                name: word(types, *at)?,
                value: word(types, *at + 4)?,
                offset,
            });
        }
        *at += stride * 4;
    }
    if *at > types.len() {
        return Err(BtfError::Truncated(types.len()));
    }
    Ok((
        name,
        Type {
            kind,
            bit_fields: flags >> 31 == 1,
            size_or_target,
            members,
        },
    ))
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
        let btf = Btf::parse(&blob(&types, b"\0outer\0a\0b\0c\0d\0")).unwrap();
        assert_eq!(btf.offset("outer", "a"), Some(0));
        assert_eq!(btf.offset("outer", "b.d"), Some(8));
        assert_eq!(btf.offset("outer", "nothing"), None);
        assert_eq!(btf.offset("nobody", "a"), None);
    }

    #[test]
    fn a_struct_that_contains_itself_is_not_followed_for_ever() {
        let types = [1, STRUCT | 1, 8, 0, 1, 0, 0, 8 << 24, 2];
        let btf = Btf::parse(&blob(&types, b"\0loop\0")).unwrap();
        assert_eq!(btf.offset("loop", "field"), None);
    }

    #[test]
    fn an_enums_values_lose_their_prefix() {
        let types = [1, (6 << 24) | 2, 4, 7, 0, 13, 3];
        let btf = Btf::parse(&blob(&types, b"\0drops\0X_ONE\0X_TWO\0")).unwrap();
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
            if let Ok(btf) = Btf::parse(&blob(&types, &strings)) {
                for (name, _) in btf.by_name.keys() {
                    if let Ok(name) = std::str::from_utf8(name) {
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
