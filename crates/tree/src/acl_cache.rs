//! Access lists, each stored once: znodes carry a number.
//!
//! Numbers are local to a server (snapshots carry a table of their own). A list lives as long as a
//! znode has it. A snapshot of an older Java server may name a list that its table lacks; such a
//! number is kept as *missing* and means that nobody but a super user is let in, until a replayed
//! transaction gives the znode its list.

use std::collections::BTreeMap;
use std::sync::Arc;

use zabd_jute::Acl;

/// A list's number within one tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AclNumber(u32);

impl AclNumber {
    /// No list: everything is open to everybody.
    pub(crate) const OPEN: AclNumber = AclNumber(0);
}

/// Shared with snapshots that are being written.
pub(crate) type List = Arc<[Acl<'static>]>;

#[derive(Clone, Debug)]
struct Entry {
    list: List,
    /// How many znodes have it.
    users: usize,
}

/// See the module's description.
#[derive(Clone, Debug)]
pub(crate) struct AclCache {
    entries: BTreeMap<AclNumber, Entry>,
    numbers: BTreeMap<List, AclNumber>,
    next: u32,
    none: List,
}

impl AclCache {
    pub(crate) fn new() -> Self {
        Self { entries: BTreeMap::new(), numbers: BTreeMap::new(), next: 1, none: [].into() }
    }

    /// The number of a list, for one more znode. An empty list is no list.
    pub(crate) fn take(&mut self, list: &[Acl<'_>]) -> AclNumber {
        if list.is_empty() || is_open(list) {
            return AclNumber::OPEN;
        }
        let list: List = list.iter().cloned().map(Acl::into_owned).collect();
        if let Some(&number) = self.numbers.get(&list) {
            self.entries.get_mut(&number).expect("every number has an entry").users += 1;
            return number;
        }
        let number = self.free_number();
        self.numbers.insert(list.clone(), number);
        self.entries.insert(number, Entry { list, users: 1 });
        number
    }

    /// A number that no list has. They are used up one behind the other, so that a snapshot that is being written
    /// never meets a number for the second time; after four thousand million lists they begin again.
    fn free_number(&mut self) -> AclNumber {
        loop {
            let number = AclNumber(self.next);
            self.next = self.next.checked_add(1).unwrap_or(1);
            if !self.entries.contains_key(&number) {
                return number;
            }
        }
    }

    /// One znode less has this list.
    pub(crate) fn give_back(&mut self, number: AclNumber) {
        if number == AclNumber::OPEN {
            return;
        }
        let entry = self.entries.get_mut(&number).expect("a list in use is known");
        entry.users -= 1;
        if entry.users == 0 {
            let entry = self.entries.remove(&number).expect("the entry was just there");
            self.numbers.remove(&entry.list);
        }
    }

    /// The list, empty if there is none.
    pub(crate) fn list(&self, number: AclNumber) -> &[Acl<'static>] {
        if number == AclNumber::OPEN { &self.none } else { &self.entries[&number].list }
    }

    /// All lists with their numbers, for a snapshot.
    pub(crate) fn table(&self) -> Vec<(i64, List)> {
        self.entries.iter().map(|(number, entry)| (i64::from(number.0), entry.list.clone())).collect()
    }

    /// The number that a snapshot gives a list, −1 for none.
    pub(crate) fn persisted(number: AclNumber) -> i64 {
        if number == AclNumber::OPEN { -1 } else { i64::from(number.0) }
    }
}

/// The list that a znode without a list shows; storing it as none keeps most znodes out of the cache.
pub(crate) fn is_open(list: &[Acl<'_>]) -> bool {
    matches!(list, [only] if *only == Acl::open())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lists_share_a_number_until_the_last_user_goes() {
        let mut cache = AclCache::new();
        let list = [Acl::new(1, "ip", "10.0.0.1")];
        let number = cache.take(&list);
        assert_eq!(cache.take(&list), number);
        cache.give_back(number);
        assert_eq!(cache.list(number), list);
        cache.give_back(number);
        assert!(cache.table().is_empty());
        assert_ne!(cache.take(&list), number, "numbers are not reused");
    }

    #[test]
    fn numbers_begin_again_and_pass_over_those_in_use() {
        let mut cache = AclCache::new();
        let first = cache.take(&[Acl::new(1, "ip", "10.0.0.1")]);
        cache.next = u32::MAX;
        let last = cache.take(&[Acl::new(1, "ip", "10.0.0.2")]);
        let next = cache.take(&[Acl::new(1, "ip", "10.0.0.3")]);
        assert_eq!((first.0, last.0, next.0), (1, u32::MAX, 2));
    }

    #[test]
    fn the_open_list_is_no_list() {
        let mut cache = AclCache::new();
        assert_eq!(cache.take(&[Acl::open()]), AclNumber::OPEN);
        assert_eq!(cache.list(AclNumber::OPEN), []);
        cache.give_back(AclNumber::OPEN);
    }
}
