//! Figures *per namespace*, as Java has them: something for each child of the root.
//!
//! A client may make a million children of the root, and whoever asks for figures wants those of the namespaces that are in use.
//! So there is room for some, and one that is new takes the place of the one that is used least. What was used counts the less the
//! older it is (each that gives way raises what all others are measured by), or namespaces that are long gone would keep
//! new ones out for ever.

use std::collections::BTreeMap;

/// Java keeps all there ever were.
pub const NAMESPACES_MAX: usize = 1024;
/// Longer names are not told apart.
pub const NAME_BYTES_MAX: usize = 4096;

/// See the module's description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces<T> {
    kept: BTreeMap<Box<str>, Kept<T>>,
    /// The weight of the last one that gave way.
    age: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Kept<T> {
    figure: T,
    /// How often it was used.
    uses: u64,
    /// Who has the least gives way.
    weight: u64,
}

/// The child of the root that a path is, or is below.
pub fn namespace(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.split('/').next().filter(|name| !name.is_empty())
}

impl<T: Default> Namespaces<T> {
    /// The figure of a namespace that is used so many times; nothing, if its name is too long.
    pub fn used(&mut self, name: &str, times: u64) -> Option<&mut T> {
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        if !self.kept.contains_key(name) {
            self.make_room();
            self.kept.insert(name.into(), Kept::default());
        }
        let kept = self.kept.get_mut(name).expect("it was just found or put there");
        kept.uses += times;
        kept.weight = self.age + kept.uses;
        Some(&mut kept.figure)
    }

    fn make_room(&mut self) {
        if self.kept.len() < NAMESPACES_MAX {
            return;
        }
        let least = self.kept.iter().min_by_key(|(_, kept)| kept.weight);
        if let Some((name, weight)) = least.map(|(name, kept)| (name.clone(), kept.weight)) {
            self.kept.remove(&name);
            self.age = weight;
        }
    }
}

impl<T> Namespaces<T> {
    /// What there is, by namespace.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.kept.iter().map(|(name, kept)| (&**name, &kept.figure))
    }

    /// The same, to be changed; that is no use of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut T)> {
        self.kept.iter_mut().map(|(name, kept)| (&**name, &mut kept.figure))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(namespaces: &mut Namespaces<u64>, name: &str) {
        *namespaces.used(name, 1).unwrap() += 1;
    }

    fn seen(namespaces: &Namespaces<u64>, name: &str) -> Option<u64> {
        namespaces.iter().find(|(known, _)| *known == name).map(|(_, count)| *count)
    }

    #[test]
    fn a_namespace_is_a_child_of_the_root() {
        for (path, name) in
            [("/a", Some("a")), ("/a/b/c", Some("a")), ("/b/", Some("b")), ("/", None), ("", None)]
        {
            assert_eq!(namespace(path), name, "{path}");
        }
    }

    #[test]
    fn namespaces_are_bounded() {
        let mut namespaces = Namespaces::default();
        (0..3000).for_each(|n| add(&mut namespaces, &n.to_string()));
        assert_eq!(namespaces.count(), NAMESPACES_MAX);
        assert!(namespaces.used(&"n".repeat(NAME_BYTES_MAX), 1).is_some());
        assert!(namespaces.used(&"n".repeat(NAME_BYTES_MAX + 1), 1).is_none());
        assert_eq!(namespaces.count(), NAMESPACES_MAX);
    }

    #[test]
    fn who_makes_many_namespaces_does_not_hide_one_in_use() {
        let mut namespaces = Namespaces::default();
        for n in 0..20_000 {
            add(&mut namespaces, &n.to_string());
            if n % 100 == 0 {
                add(&mut namespaces, "used");
            }
        }
        assert_eq!(seen(&namespaces, "used"), Some(200));
    }

    #[test]
    fn namespaces_that_are_gone_keep_no_new_one_out() {
        let mut namespaces = Namespaces::default();
        for n in 0..NAMESPACES_MAX {
            (0..50).for_each(|_| add(&mut namespaces, &n.to_string()));
        }
        // Each takes the place of the other until both have outweighed what is gone.
        for _ in 0..200 {
            add(&mut namespaces, "new");
            add(&mut namespaces, "newer");
        }
        let seen = seen(&namespaces, "new").zip(seen(&namespaces, "newer"));
        assert!(seen.is_some_and(|(new, newer)| new > 100 && newer > 100), "{seen:?}");
    }
}
