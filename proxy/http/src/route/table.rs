//! The table of all routes of a run: found without a lock, bounded, readable at any time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use hopscope_attribution::evidence::{Route, RouteId};

use super::fold::{FoldedPath, fold};
use super::pattern::Pattern;

/// Routes that a table holds before everything new is [`RouteTable::OVERFLOW`].
pub(super) const ROUTE_LIMIT: usize = 1_000;

/// Hash slots; four times the routes keeps probes short.
const SLOTS: usize = 4_096;

/// Slots looked at before a path counts as overflow: a bound on what hostile paths can cost.
const PROBES: usize = 32;

/// Numbers routes by name. A hit costs a hash and a comparison: no lock, no allocation.
#[derive(Debug)]
pub struct RouteTable {
    patterns: Vec<Pattern>,
    keep_query: bool,
    names: Box<[OnceLock<Box<str>>]>,
    /// Indexes into `names`, by hash of the name.
    slots: Box<[OnceLock<u16>]>,
    /// How many names there are; its lock is taken only to add one.
    count: Mutex<u16>,
    overflowed: AtomicU64,
}

impl RouteTable {
    /// The route of a request whose head was not read to its target.
    pub const UNREAD: RouteId = RouteId(0);
    /// The route of every request that found the table full.
    pub const OVERFLOW: RouteId = RouteId(1);

    /// A table in which `patterns` come first, in their order. With `keep_query`, query strings are part of the
    /// routes' names; without, they are never looked at.
    pub fn new(patterns: Vec<Pattern>, keep_query: bool) -> Self {
        let table = Self {
            patterns: Vec::new(),
            keep_query,
            names: (0..ROUTE_LIMIT).map(|_| OnceLock::new()).collect(),
            slots: (0..SLOTS).map(|_| OnceLock::new()).collect(),
            count: Mutex::new(0),
            overflowed: AtomicU64::new(0),
        };
        table.intern(b":unread");
        table.intern(b":overflow");
        for pattern in &patterns {
            table.intern(pattern.text().as_bytes());
        }
        Self { patterns, ..table }
    }

    /// The route of a request's target: origin form, absolute form, `*`, or CONNECT's authority.
    pub fn of_target(&self, target: &[u8]) -> RouteId {
        let (path, query) = split_target(target);
        for pattern in &self.patterns {
            if pattern.matches(path) {
                return self.intern(pattern.text().as_bytes());
            }
        }
        let mut name = FoldedPath::new();
        fold(path, &mut name);
        if self.keep_query && !query.is_empty() {
            name.push(b"?");
            name.push(query);
        }
        self.intern(name.as_bytes())
    }

    /// The route of a gRPC call: its path names service and method, neither of which varies.
    pub fn of_call(&self, path: &[u8]) -> RouteId {
        for pattern in &self.patterns {
            if pattern.matches(path) {
                return self.intern(pattern.text().as_bytes());
            }
        }
        let mut name = FoldedPath::new();
        name.push(path);
        self.intern(name.as_bytes())
    }

    /// The name of a route, if the number was given by this table.
    pub fn name(&self, route: RouteId) -> Option<&str> {
        self.names.get(usize::from(route.0))?.get().map(AsRef::as_ref)
    }

    /// All routes so far; a [`RouteId`] is an index into it. It only ever grows.
    pub fn routes(&self) -> Vec<Route> {
        self.names
            .iter()
            .map_while(OnceLock::get)
            .map(|name| Route(name.to_string()))
            .collect()
    }

    /// Requests whose route found the table full.
    pub fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// The number of a name of printable ASCII, given now if it has none.
    fn intern(&self, name: &[u8]) -> RouteId {
        let hash = hash(name);
        for probe in 0..PROBES {
            let Some(slot) = self.slots.get((hash + probe) % SLOTS) else {
                break;
            };
            let index = match slot.get() {
                Some(index) => *index,
                None => match self.add(slot, name) {
                    Some(index) => index,
                    None => break,
                },
            };
            if self
                .names
                .get(usize::from(index))
                .and_then(OnceLock::get)
                .is_some_and(|n| n.as_bytes() == name)
            {
                return RouteId(index);
            }
        }
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        Self::OVERFLOW
    }

    /// Fills an empty slot, unless the table is full. Another worker may have filled it meanwhile, with another name.
    #[cold]
    fn add(&self, slot: &OnceLock<u16>, name: &[u8]) -> Option<u16> {
        let mut count = self
            .count
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(index) = slot.get() {
            return Some(*index);
        }
        let text = std::str::from_utf8(name).ok()?;
        self.names.get(usize::from(*count))?.set(text.into()).ok()?;
        let index = *count;
        *count += 1;
        slot.set(index).ok()?;
        Some(index)
    }
}

/// A target's path, which starts with a slash or is a word of ours, and its query without the question mark.
fn split_target(target: &[u8]) -> (&[u8], &[u8]) {
    let origin = match target {
        [b'/', ..] => target,
        b"*" => return (b"*", b""),
        _ => match target.windows(3).position(|three| three == b"://") {
            Some(scheme) => {
                let authority = target.get(scheme + 3..).unwrap_or_default();
                match authority.iter().position(|byte| matches!(byte, b'/' | b'?')) {
                    Some(slash) => authority.get(slash..).unwrap_or_default(),
                    None => b"/",
                }
            }
            None => return (b":authority", b""),
        },
    };
    let end = origin
        .iter()
        .position(|byte| matches!(byte, b'?' | b'#'))
        .unwrap_or(origin.len());
    let (path, rest) = origin.split_at(end);
    (
        if path.is_empty() { b"/" } else { path },
        rest.get(1..).unwrap_or_default(),
    )
}

/// FNV-1a, folded to the table: short names, no need to resist more than [`PROBES`] allows.
fn hash(name: &[u8]) -> usize {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    usize::try_from((hash ^ (hash >> 32)) & (SLOTS as u64 - 1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> RouteTable {
        RouteTable::new(vec!["/users/:name/cart".parse().unwrap()], false)
    }

    fn route(table: &RouteTable, target: &str) -> String {
        table.name(table.of_target(target.as_bytes())).unwrap().to_owned()
    }

    #[test]
    fn every_form_of_target_finds_its_path() {
        let table = table();
        for (target, name) in [
            ("/products/17?sort=price", "/products/:id"),
            ("http://shop.example:3000/products/17", "/products/:id"),
            ("http://shop.example", "/"),
            ("http://shop.example?x=1", "/"),
            ("*", "*"),
            ("shop.example:443", ":authority"),
            ("/a#b", "/a"),
            ("/users/zoe/cart", "/users/:name/cart"),
        ] {
            assert_eq!(route(&table, target), name, "{target}");
        }
    }

    #[test]
    fn the_same_name_is_the_same_number_and_names_stay_readable() {
        let table = table();
        let first = table.of_target(b"/products/1");
        assert_eq!(table.of_target(b"/products/2"), first);
        assert_eq!(
            table.routes()[usize::from(first.0)],
            Route("/products/:id".to_owned())
        );
        assert_eq!(table.routes()[0], Route(":unread".to_owned()));
        assert_eq!(table.routes()[1], Route(":overflow".to_owned()));
    }

    #[test]
    fn a_query_is_named_only_when_asked_for() {
        let asked = RouteTable::new(Vec::new(), true);
        assert_eq!(route(&asked, "/search?q=a b"), "/search?q=a?b");
        assert_eq!(route(&table(), "/search?q=secret"), "/search");
    }

    #[test]
    fn a_million_random_routes_are_a_thousand_and_one_overflow() {
        let table = table();
        for n in 0..100_000_u32 {
            let word: String = n
                .to_string()
                .bytes()
                .map(|digit| char::from(b'a' + digit - b'0'))
                .collect();
            table.of_target(format!("/{word}").as_bytes());
        }
        assert_eq!(table.routes().len(), ROUTE_LIMIT);
        assert!(table.overflowed() > 90_000);
        assert_eq!(table.of_target(b"/one/more"), RouteTable::OVERFLOW);
        assert_eq!(route(&table, "/users/x/cart"), "/users/:name/cart");
    }

    #[test]
    fn threads_that_race_for_a_route_agree_on_its_number() {
        let table = table();
        let number = |table: &RouteTable| {
            (0..200)
                .map(|n| table.of_target(format!("/r/{}", "x".repeat(n)).as_bytes()))
                .collect::<Vec<_>>()
        };
        let (one, other) = std::thread::scope(|scope| {
            let one = scope.spawn(|| number(&table));
            let other = scope.spawn(|| number(&table));
            (one.join().unwrap(), other.join().unwrap())
        });
        assert_eq!(one, other);
    }
}
