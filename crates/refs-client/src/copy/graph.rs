//! The manifests of a copy, and the order in which they are written.

use std::collections::{HashMap, HashSet};

use refs_registry::{Descriptor, Manifest};
use refs_url::Digest;

/// A manifest that is part of a copy.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Its bytes, as far as there is anything to do with them.
    pub(super) manifest: Option<Manifest>,
    /// The manifests that it leads to, of those that are copied.
    pub(super) manifests: Vec<Digest>,
    /// The blobs that it leads to.
    pub(super) blobs: Vec<Descriptor>,
    pub(super) standing: Standing,
}

/// Whether a manifest is at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It need not be written.
    Present,
    /// It has to be written.
    Absent,
}

/// The manifests of a copy, by digest.
pub(super) type Nodes = HashMap<Digest, Node>;

/// `digests` in the order to write them: each list can be written at once, when those before it have been. What leads back
/// to itself, as only a function of the caller's own can say, comes last.
pub(super) fn waves(nodes: &Nodes, digests: &[Digest]) -> Vec<Vec<Digest>> {
    let among: HashSet<&Digest> = digests.iter().collect();
    let mut above: HashMap<&Digest, Vec<&Digest>> = HashMap::new();
    let mut missing: HashMap<&Digest, usize> = HashMap::new();
    for digest in digests {
        let below = nodes.get(digest).map_or(&[][..], |node| &node.manifests);
        let below = below.iter().filter(|below| among.contains(below));
        missing.insert(digest, below.clone().count());
        below.for_each(|below| above.entry(below).or_default().push(digest));
    }
    let mut waves = Vec::new();
    let mut ready: Vec<&Digest> = digests.iter().filter(|digest| missing.get(digest) == Some(&0)).collect();
    let mut written: HashSet<&Digest> = HashSet::new();
    while !ready.is_empty() {
        written.extend(ready.iter());
        let mut next = Vec::new();
        for parent in ready.iter().filter_map(|digest| above.get(digest)).flatten() {
            if let Some(missing) = missing.get_mut(parent) {
                *missing -= 1;
                if *missing == 0 {
                    next.push(*parent);
                }
            }
        }
        waves.push(ready.into_iter().cloned().collect());
        ready = next;
    }
    let rest: Vec<Digest> = digests.iter().filter(|digest| !written.contains(digest)).cloned().collect();
    if !rest.is_empty() {
        waves.push(rest);
    }
    waves
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(name: char) -> Digest {
        Digest::sha256(name.to_string().as_bytes())
    }

    fn nodes(edges: &[(char, &str)]) -> (Nodes, Vec<Digest>) {
        let node = |below: &str| Node {
            manifest: None,
            manifests: below.chars().map(digest).collect(),
            blobs: Vec::new(),
            standing: Standing::Absent,
        };
        let nodes = edges.iter().map(|(name, below)| (digest(*name), node(below))).collect();
        (nodes, edges.iter().map(|(name, _)| digest(*name)).collect())
    }

    #[track_caller]
    fn check(edges: &[(char, &str)], expect: &str) {
        let (nodes, digests) = nodes(edges);
        let name = |found: &Digest| edges.iter().find(|(name, _)| digest(*name) == *found).unwrap().0;
        let found: Vec<String> = waves(&nodes, &digests).iter().map(|wave| wave.iter().map(name).collect()).collect();
        assert_eq!(found.join(" "), expect);
    }

    #[test]
    fn what_is_listed_is_written_before_what_lists_it() {
        check(&[('a', "bc"), ('b', ""), ('c', "d"), ('d', "")], "bd c a");
        check(&[('a', "bc"), ('b', "c"), ('c', "")], "c b a");
        check(&[('a', "bb"), ('b', "")], "b a");
        check(&[('a', "z")], "a");
        check(&[], "");
    }

    #[test]
    fn what_leads_back_to_itself_comes_last() {
        check(&[('a', "b"), ('b', "a"), ('c', "")], "c ab");
        check(&[('a', "a")], "a");
    }

    proptest! {
        #[test]
        fn each_manifest_is_written_once_and_after_what_it_lists(
            edges in proptest::collection::vec(proptest::collection::vec(0_usize..12, 0..4), 1..12),
        ) {
            // Each lists later ones only, as digests make it.
            let names: Vec<char> = ('a'..='z').take(edges.len()).collect();
            let edges: Vec<(char, String)> = edges.iter().enumerate().map(|(at, below)| {
                let later = below.iter().map(|step| at + 1 + step).filter(|later| *later < names.len());
                (names[at], later.map(|later| names[later]).collect())
            }).collect();
            let edges: Vec<(char, &str)> = edges.iter().map(|(name, below)| (*name, below.as_str())).collect();
            let (nodes, digests) = nodes(&edges);
            let mut written = HashSet::new();
            for wave in waves(&nodes, &digests) {
                for digest in &wave {
                    prop_assert!(nodes[digest].manifests.iter().all(|below| written.contains(below)));
                }
                for digest in wave {
                    prop_assert!(written.insert(digest));
                }
            }
            prop_assert_eq!(written.len(), digests.len());
        }
    }
}
