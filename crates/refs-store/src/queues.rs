//! What goes first where there is no room for all: S3-FIFO by bytes (Yang et al., “FIFO queues are all you need for cache
//! eviction”, SOSP 2023).
//!
//! What comes waits in a small queue, and goes when nobody has read it by the end of that; what was read moves to the main
//! queue, where each reading is good for one more round. What went unread is remembered by its name: when it comes again, it
//! belongs to the main queue at once. So what is read once, however much that is, pushes out only its like.

use std::collections::{HashMap, HashSet, VecDeque};

use serde::{Deserialize, Serialize};

/// More readings say no more.
const MAX_READINGS: u8 = 3;
/// So many names of what is gone are remembered. How many bytes that was does not matter: a few large things would make all
/// else forgotten.
const MAX_GHOSTS: usize = 1 << 13;
/// What came is a tenth of what there is.
const SMALL_SHARE: u64 = 10;

/// What there is, by its turn to go.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Queues {
    small: VecDeque<Item>,
    main: VecDeque<Item>,
    /// What has gone from the small queue, the latest last.
    ghosts: VecDeque<String>,
}

/// Something that takes room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// How often it was read, as far as that matters.
    pub(crate) readings: u8,
    /// When it was read last, in nanoseconds of any clock.
    pub(crate) read: u64,
}

/// What became of something whose turn it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Gone,
    /// It can't go now.
    Stays,
}

impl Queues {
    /// Brings the queues up to what `found` says there is: what is new joins, in the order in which it was read; what was
    /// read since counts that; what is not there any more has left.
    pub(crate) fn update(&mut self, mut found: Vec<Item>) {
        found.sort_by(|one, other| (one.read, &one.name).cmp(&(other.read, &other.name)));
        let by_name: HashMap<&str, &Item> = found.iter().map(|item| (item.name.as_str(), item)).collect();
        for queue in [&mut self.small, &mut self.main] {
            queue.retain_mut(|item| by_name.get(item.name.as_str()).is_some_and(|now| item.update(now)));
        }
        let known: HashSet<String> = self.small.iter().chain(&self.main).map(|item| item.name.clone()).collect();
        found.retain(|item| !known.contains(&item.name));
        for item in found {
            self.join(item);
        }
    }

    /// What comes again is known to be wanted.
    fn join(&mut self, item: Item) {
        match self.ghosts.iter().position(|ghost| *ghost == item.name) {
            Some(place) => {
                self.ghosts.remove(place);
                self.main.push_back(item);
            }
            None => self.small.push_back(item),
        }
    }

    /// Lets go what `goes` takes, each in its turn, until there are no more than `target` of `limit` bytes.
    ///
    /// # Errors
    /// Those of `goes`; what has gone by then has left.
    pub(crate) fn evict<E>(
        &mut self,
        limit: u64,
        target: u64,
        mut goes: impl FnMut(&Item) -> Result<Turn, E>,
    ) -> Result<(), E> {
        let small_limit = limit / SMALL_SHARE;
        let (mut small_bytes, mut main_bytes) = (bytes(&self.small), bytes(&self.main));
        let mut staying = (VecDeque::new(), VecDeque::new());
        let mut evict = || {
            while small_bytes + main_bytes > target {
                let takes_small = !self.small.is_empty() && (small_bytes > small_limit || self.main.is_empty());
                let queue = if takes_small { &mut self.small } else { &mut self.main };
                let Some(item) = queue.pop_front() else { break };
                let its_bytes = if takes_small { &mut small_bytes } else { &mut main_bytes };
                *its_bytes -= item.bytes;
                if item.readings > 0 {
                    main_bytes += item.bytes;
                    self.main.push_back(if takes_small { item.promoted() } else { item.after_round() });
                    continue;
                }
                match goes(&item) {
                    Ok(Turn::Gone) if takes_small => self.ghosts.push_back(item.name),
                    Ok(Turn::Gone) => {}
                    stays => {
                        *its_bytes += item.bytes;
                        (if takes_small { &mut staying.0 } else { &mut staying.1 }).push_back(item);
                        stays?;
                    }
                }
            }
            Ok(())
        };
        let evicted = evict();
        // It is their turn again next time.
        let (mut small, mut main) = staying;
        small.append(&mut self.small);
        main.append(&mut self.main);
        (self.small, self.main) = (small, main);
        let forgotten = self.ghosts.len().saturating_sub(MAX_GHOSTS);
        self.ghosts.drain(..forgotten);
        evicted
    }
}

fn bytes(queue: &VecDeque<Item>) -> u64 {
    queue.iter().map(|item| item.bytes).sum()
}

impl Item {
    /// Takes over what there is `now`, and says that it is still there.
    fn update(&mut self, now: &Self) -> bool {
        if self.read != now.read {
            self.readings = (self.readings + 1).min(MAX_READINGS);
        }
        (self.bytes, self.read) = (now.bytes, now.read);
        true
    }

    /// Readings in the small queue have brought it into the main queue, and are used up by that.
    fn promoted(self) -> Self {
        Self { readings: 0, ..self }
    }

    /// One reading is used up by another round in the main queue.
    fn after_round(self) -> Self {
        Self { readings: self.readings.saturating_sub(1), ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    const LIMIT: u64 = 1000;

    /// A cache with queues, where each item is of as many bytes as it is asked for with at first.
    #[derive(Default)]
    struct Cache {
        queues: Queues,
        here: Vec<Item>,
        time: u64,
    }

    impl Cache {
        /// Reads what is called `name`; gives whether it was here. It does not go for its own sake, nor does what `stays`.
        fn read(&mut self, name: u32, bytes: u64, stays: impl Fn(&Item) -> bool) -> bool {
            self.time += 1;
            let (name, read) = (name.to_string(), self.time);
            let found = self.here.iter_mut().find(|item| item.name == name);
            let was_here = found.is_some();
            match found {
                Some(item) => (item.read, item.readings) = (read, 1),
                None => self.here.push(Item { name: name.clone(), bytes, readings: 0, read }),
            }
            if self.bytes() > LIMIT {
                self.queues.update(self.here.clone());
                let here = &mut self.here;
                let evicted = self.queues.evict(LIMIT, LIMIT, |item| {
                    if item.name == name || stays(item) {
                        return Ok::<_, Infallible>(Turn::Stays);
                    }
                    here.retain(|other| other.name != item.name);
                    Ok(Turn::Gone)
                });
                evicted.unwrap();
            }
            was_here
        }

        fn bytes(&self) -> u64 {
            self.here.iter().map(|item| item.bytes).sum()
        }
    }

    fn nothing_stays(_: &Item) -> bool {
        false
    }

    proptest! {
        #[test]
        fn there_is_never_more_than_the_limit(asked in vec((0..60_u32, 1..=LIMIT / 2), 1..400)) {
            let mut cache = Cache::default();
            for (name, bytes) in asked {
                cache.read(name, bytes, nothing_stays);
                prop_assert!(cache.bytes() <= LIMIT);
                let Queues { small, main, .. } = &cache.queues;
                let mut names: Vec<_> = small.iter().chain(main).map(|item| &item.name).collect();
                names.sort();
                names.dedup();
                prop_assert_eq!(names.len(), small.len() + main.len());
            }
        }

        #[test]
        fn what_was_read_twice_outlasts_any_scan(scan in vec(1..=LIMIT / 4, 1..400)) {
            let mut cache = Cache::default();
            for name in (0..10).chain(0..10) {
                cache.read(name, 50, nothing_stays);
            }
            for (name, bytes) in (100..).zip(scan) {
                cache.read(name, bytes, nothing_stays);
                prop_assert!(cache.read(name % 10, 50, nothing_stays), "{} is gone", name % 10);
            }
        }

        #[test]
        fn what_stays_is_never_taken(asked in vec((0..60_u32, 1..=LIMIT / 4), 1..300)) {
            let mut cache = Cache::default();
            let stays = |item: &Item| item.name == "0";
            cache.read(0, LIMIT / 4, stays);
            for (name, bytes) in asked {
                cache.read(name + 1, bytes, stays);
                prop_assert!(cache.here.iter().any(stays));
                prop_assert!(cache.bytes() <= LIMIT);
            }
        }
    }

    #[test]
    fn what_comes_again_is_not_taken_for_new() {
        let mut cache = Cache::default();
        for name in 0..5 {
            cache.read(name, 300, nothing_stays);
        }
        assert!(!cache.read(1, 300, nothing_stays));
        for name in 10..40 {
            cache.read(name, 300, nothing_stays);
        }
        assert!(cache.read(1, 300, nothing_stays));
    }

    #[test]
    fn names_of_what_is_gone_are_bounded() {
        let mut cache = Cache::default();
        for name in 0..MAX_GHOSTS as u32 + 100 {
            cache.read(name, LIMIT, nothing_stays);
        }
        let ghosts = &cache.queues.ghosts;
        assert_eq!((ghosts.len(), ghosts.back().unwrap()), (MAX_GHOSTS, &(MAX_GHOSTS + 98).to_string()));
    }
}
