//! What was used last, and how many bytes there are in all.

use std::collections::BTreeMap;

use refs_url::Digest;

use crate::store::Origin;

/// Something that a store in memory keeps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    /// Whole content.
    Content(Digest),
    /// All parts of content that came from an origin.
    Parts(Origin, Digest),
    SeekIndex(Digest),
}

/// Items by when they were used, and their bytes.
#[derive(Debug, Default)]
pub(super) struct Recency {
    /// When each was used last, and its bytes.
    items: BTreeMap<Item, (u64, u64)>,
    uses: BTreeMap<u64, Item>,
    next_use: u64,
    bytes: u64,
}

impl Recency {
    /// Notes that `item` has so many bytes more, and is used.
    pub(super) fn add(&mut self, item: Item, bytes: u64) {
        let had = self.remove(&item);
        let bytes = had.saturating_add(bytes);
        self.bytes = self.bytes.saturating_add(bytes);
        self.uses.insert(self.next_use, item.clone());
        self.items.insert(item, (self.next_use, bytes));
        self.next_use += 1;
    }

    /// Notes that `item` is used, if it is here.
    pub(super) fn touch(&mut self, item: &Item) {
        if self.items.contains_key(item) {
            self.add(item.clone(), 0);
        }
    }

    /// Forgets `item`, and gives the bytes that it had.
    pub(super) fn remove(&mut self, item: &Item) -> u64 {
        let Some((used, bytes)) = self.items.remove(item) else { return 0 };
        self.uses.remove(&used);
        self.bytes -= bytes;
        bytes
    }

    /// Forgets what was not used for the longest time, until the rest has no more than `limit` bytes, and gives that. What
    /// `stays` is passed by.
    pub(super) fn evict(&mut self, limit: u64, stays: impl Fn(&Item) -> bool) -> Vec<Item> {
        let mut excess = self.bytes.saturating_sub(limit);
        let mut evicted = Vec::new();
        for item in self.uses.values().filter(|item| !stays(item)) {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(self.items.get(item).map_or(0, |(_, bytes)| *bytes));
            evicted.push(item.clone());
        }
        for item in &evicted {
            self.remove(item);
        }
        evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str) -> Item {
        Item::Content(Digest::sha256(name.as_bytes()))
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first_unless_it_stays() {
        let mut recency = Recency::default();
        for name in ["one", "two", "three", "four"] {
            recency.add(item(name), 10);
        }
        recency.touch(&item("one"));
        recency.touch(&item("absent"));
        assert_eq!(recency.evict(40, |_| false), []);
        assert_eq!(recency.evict(25, |stays| *stays == item("two")), [item("three"), item("four")]);
        assert_eq!(recency.remove(&item("two")), 10);
        assert_eq!(recency.evict(9, |_| false), [item("one")]);
        assert_eq!((recency.bytes, recency.items.len(), recency.uses.len()), (0, 0, 0));
    }

    #[test]
    fn bytes_of_an_item_add_up() {
        let mut recency = Recency::default();
        recency.add(item("one"), 10);
        recency.add(item("one"), 5);
        recency.add(item("two"), 1);
        assert_eq!(recency.evict(15, |_| false), [item("one")]);
        assert_eq!(recency.bytes, 1);
    }
}
