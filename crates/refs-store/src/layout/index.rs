//! `index.json`: which manifests a layout lists, and by which tags.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use refs_registry::{Descriptor, MediaType, spec::Index};
use refs_url::{Digest, Tag, Target};
use serde_json::Value;

use super::names::{Claim, Name, Names, name, named, set_name, take_name};

/// The index of a layout, or the part of it that is a repository's. Each manifest has an entry for each of its tags, or a
/// single one without a tag. What other programs wrote beside that is kept. A clone is cheap until it is changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LayoutIndex {
    document: Arc<Index>,
    names: Names,
}

impl LayoutIndex {
    pub(super) fn empty() -> Self {
        Self::of(Index {
            schema_version: 2,
            media_type: Some(MediaType::OCI_INDEX),
            artifact_type: None,
            manifests: Vec::new(),
            subject: None,
            annotations: Default::default(),
            extra: Default::default(),
        })
    }

    fn of(document: Index) -> Self {
        Self { document: Arc::new(document), names: Names::All }
    }

    /// The same, whose tags are those in `names`.
    pub(super) fn with_names(self, names: Names) -> Self {
        Self { names, ..self }
    }

    pub(super) fn parse(json: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(json).or_else(|_not_as_is| lenient(json)).map(Self::of)
    }

    pub(super) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&*self.document)
    }

    pub(super) fn entries(&self) -> &[Descriptor] {
        &self.document.manifests
    }

    fn entries_mut(&mut self) -> &mut Vec<Descriptor> {
        &mut Arc::make_mut(&mut self.document).manifests
    }

    /// Whose tags these are.
    pub(super) const fn scope(&self) -> &Names {
        &self.names
    }

    /// The tags, sorted, each once.
    pub(super) fn tags(&self) -> Vec<Tag> {
        let mut claims: BTreeMap<Tag, Claim<'_>> = BTreeMap::new();
        for entry in self.entries() {
            match self.names.read(entry) {
                Some(Name::Exact(tag)) => drop(claims.insert(tag, Claim::Exact)),
                Some(Name::Reference(tag)) => claims.entry(tag).or_insert(Claim::Of(&entry.digest)).add(&entry.digest),
                None => {}
            }
        }
        claims.retain(|_, claim| *claim != Claim::Disputed);
        claims.into_keys().collect()
    }

    pub(super) fn find(&self, target: &Target) -> Option<&Descriptor> {
        match target {
            Target::Tag(tag) => self.tagged(tag),
            Target::Digest(digest) => self.entries().iter().find(|entry| entry.digest == *digest),
        }
    }

    /// Whether the repository is the whole layout, or something is listed by its name.
    pub(super) fn is_known(&self) -> bool {
        self.names == Names::All
            || self.entries().iter().any(|entry| name(entry).is_some() && self.names.include(entry))
    }

    /// The names that manifests are listed by, sorted, each once: all that there are, or a repository's tags.
    pub(super) fn names(&self) -> Vec<String> {
        match self.names {
            Names::All => {
                let names: BTreeSet<_> = self.entries().iter().filter_map(name).collect();
                names.into_iter().map(str::to_owned).collect()
            }
            Names::Of(_) => self.tags().iter().map(ToString::to_string).collect(),
        }
    }

    /// The entry [`named`](Self::named) exactly `tag`; else the one named by a reference
    /// with that tag (`ghcr.io/org/repo:v1`), when all such references lead to the same manifest.
    fn tagged(&self, tag: &Tag) -> Option<&Descriptor> {
        if let Some(entry) = self.named(tag) {
            return Some(entry);
        }
        let mut named = self.entries().iter().filter(|entry| self.names.refer(entry, tag));
        let first = named.next()?;
        named.all(|other| other.digest == first.digest).then_some(first)
    }

    /// The entry named exactly `tag`, the last one when some program wrote several.
    pub(super) fn named(&self, tag: &Tag) -> Option<&Descriptor> {
        let exact = self.names.of(tag);
        self.entries().iter().rfind(|entry| name(entry) == Some(&exact))
    }

    /// Lists `manifest` under each of `tags`, and at least once.
    pub(super) fn put(&mut self, manifest: &Descriptor, tags: &[Tag]) {
        for tag in tags {
            let exact = self.names.of(tag);
            self.take_names(|entry| name(entry) == Some(&exact) && entry.digest != manifest.digest);
            if !self.entries().iter().any(|entry| name(entry) == Some(&exact)) {
                self.add_name(manifest, exact);
            }
        }
        if self.find(&Target::Digest(manifest.digest.clone())).is_none() {
            self.entries_mut().push(manifest.clone());
        }
    }

    /// Lists `entry` in the place of whatever has its name.
    pub(super) fn put_named(&mut self, entry: &Descriptor) {
        let mut same = self.entries().iter().filter(|other| name(other) == name(entry));
        if same.next() == Some(entry) && same.next().is_none() {
            return;
        }
        self.entries_mut().retain(|other| name(other) != name(entry));
        self.entries_mut().push(entry.clone());
    }

    /// Whether something is listed by the name of `entry`.
    pub(super) fn has_name_of(&self, entry: &Descriptor) -> bool {
        self.entries().iter().any(|other| name(other) == name(entry))
    }

    /// Drops all entries of `digests`.
    pub(super) fn remove_all(&mut self, digests: &BTreeSet<Digest>) {
        self.entries_mut().retain(|entry| !digests.contains(&entry.digest));
    }

    /// Takes `tag` from its manifest, which stays listed; says whether there was one. A reference that ends in `tag` is the
    /// name of another repository's tag, and stays.
    pub(super) fn remove_tag(&mut self, tag: &Tag) -> bool {
        let exact = self.names.of(tag);
        let found = self.entries().iter().any(|entry| name(entry) == Some(&exact));
        self.take_names(|entry| name(entry) == Some(&exact));
        found
    }

    /// Drops the entries of `digest`, but for those of other repositories; says whether there were any.
    pub(super) fn remove(&mut self, digest: &Digest) -> bool {
        let before = self.entries().len();
        let Self { document, names } = self;
        Arc::make_mut(document).manifests.retain(|entry| entry.digest != *digest || !names.include(entry));
        self.entries().len() < before
    }

    /// Takes the names off the entries that `which` picks, and drops those of a manifest that is still listed by another.
    fn take_names(&mut self, which: impl Fn(&Descriptor) -> bool) {
        let mut at = 0;
        while at < self.entries().len() {
            let entry = &self.entries()[at];
            if !which(entry) {
                at += 1;
                continue;
            }
            let listed = self.entries().iter().filter(|other| other.digest == entry.digest).count();
            if listed > 1 {
                self.entries_mut().remove(at);
            } else {
                take_name(&mut self.entries_mut()[at]);
                at += 1;
            }
        }
    }

    /// Names the entry of `manifest` that has no name yet, or a new one.
    fn add_name(&mut self, manifest: &Descriptor, exact: String) {
        let mut unnamed = self.entries_mut().iter_mut().filter(|entry| name(entry).is_none());
        match unnamed.find(|entry| entry.digest == manifest.digest) {
            Some(entry) => set_name(entry, exact),
            None => self.entries_mut().push(named(manifest, &exact, None)),
        }
    }
}

/// Programs in Go write an empty list as `null`, and of a key that is there twice, the last counts.
fn lenient(json: &[u8]) -> serde_json::Result<Index> {
    let mut document: Value = serde_json::from_slice(json)?;
    if let Some(list) = document.get_mut("manifests").filter(|list| list.is_null()) {
        *list = Value::Array(Vec::new());
    }
    serde_json::from_value(document)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn manifest(content: &str) -> Descriptor {
        Descriptor::of(MediaType::OCI_MANIFEST, content.as_bytes())
    }

    fn tag(text: &str) -> Tag {
        Tag::parse(text).unwrap()
    }

    /// An index whose entries are `(content, name)`; an empty name is none.
    fn index(entries: &[(&str, &str)]) -> LayoutIndex {
        let mut index = LayoutIndex::empty();
        for (content, name) in entries {
            let mut entry = manifest(content);
            if !name.is_empty() {
                set_name(&mut entry, (*name).to_owned());
            }
            index.entries_mut().push(entry);
        }
        index
    }

    #[track_caller]
    fn resolves(index: &LayoutIndex, name: &str, content: Option<&str>) {
        let found = index.find(&Target::Tag(tag(name))).map(|entry| entry.digest.clone());
        assert_eq!(found, content.map(|content| Digest::sha256(content.as_bytes())));
        assert_eq!(index.tags().contains(&tag(name)), content.is_some());
    }

    #[test]
    fn a_reference_names_by_its_tag_unless_two_differ() {
        resolves(&index(&[("a", "ghcr.io/o/r:v1")]), "v1", Some("a"));
        resolves(&index(&[("a", "debian:v1")]), "v1", Some("a"));
        resolves(&index(&[("a", "ghcr.io/o/r:v1"), ("a", "ghcr.io/o/s:v1")]), "v1", Some("a"));
        resolves(&index(&[("a", "ghcr.io/o/r:v1"), ("b", "ghcr.io/o/s:v1")]), "v1", None);
        resolves(&index(&[("a", "v1"), ("b", "ghcr.io/o/s:v1")]), "v1", Some("a"));
        resolves(&index(&[("a", "ghcr.io/o/r")]), "latest", None);
        resolves(&index(&[("a", "not a name!")]), "latest", None);
    }

    #[test]
    fn of_two_entries_of_one_name_the_last_counts() {
        resolves(&index(&[("a", "v1"), ("b", "v1")]), "v1", Some("b"));
    }

    #[track_caller]
    fn after(entries: &[(&str, &str)], change: impl FnOnce(&mut LayoutIndex), expect: &[(&str, &str)]) {
        let mut changed = index(entries);
        change(&mut changed);
        assert_eq!(changed, index(expect));
    }

    #[test]
    fn putting_replaces_and_never_duplicates() {
        let put = |content, tags: &'static [&str]| {
            move |index: &mut LayoutIndex| {
                index.put(&manifest(content), &tags.iter().map(|text| tag(text)).collect::<Vec<_>>());
            }
        };
        after(&[], put("a", &[]), &[("a", "")]);
        after(&[("a", "")], put("a", &[]), &[("a", "")]);
        after(&[("a", "")], put("a", &["v1"]), &[("a", "v1")]);
        after(&[("a", "v1")], put("a", &[]), &[("a", "v1")]);
        after(&[("a", "v1")], put("a", &["v1"]), &[("a", "v1")]);
        after(&[("a", "v1")], put("a", &["v2"]), &[("a", "v1"), ("a", "v2")]);
        after(&[("a", "v1")], put("b", &["v1"]), &[("a", ""), ("b", "v1")]);
        after(&[("a", "v1"), ("a", "v2")], put("b", &["v1"]), &[("a", "v2"), ("b", "v1")]);
        after(&[("a", "v1"), ("b", "v1")], put("c", &["v1"]), &[("a", ""), ("b", ""), ("c", "v1")]);
        after(&[("a", "x.io/r:v1")], put("b", &["v1"]), &[("a", "x.io/r:v1"), ("b", "v1")]);
    }

    #[test]
    fn a_removed_tag_leaves_its_manifest_and_the_names_of_others() {
        let remove = |name| move |index: &mut LayoutIndex| assert!(index.remove_tag(&tag(name)));
        after(&[("a", "v1")], remove("v1"), &[("a", "")]);
        after(&[("a", "v1"), ("a", "v2")], remove("v1"), &[("a", "v2")]);
        after(&[("a", "v1"), ("b", "v1")], remove("v1"), &[("a", ""), ("b", "")]);
        after(&[("a", "x.io/r:v1"), ("b", "v1")], remove("v1"), &[("a", "x.io/r:v1"), ("b", "")]);
        assert!(!index(&[("a", "x.io/r:v1")]).remove_tag(&tag("v1")));
        assert!(!index(&[("a", "v1")]).remove_tag(&tag("v2")));
    }

    #[test]
    fn a_change_behind_a_name_leaves_all_others() {
        #[track_caller]
        fn check(entries: &[(&str, &str)], change: impl FnOnce(&mut LayoutIndex), expect: &[(&str, &str)]) {
            let behind = |index: &mut LayoutIndex| {
                let mut own = index.clone().with_names(Names::Of("x.io/r".into()));
                change(&mut own);
                *index = own.with_names(Names::All);
            };
            after(entries, behind, expect);
        }
        let (v1, digest) = (tag("v1"), Digest::sha256(b"a"));
        let by_digest = format!("x.io/r@{digest}");
        let put = |index: &mut LayoutIndex| index.put(&manifest("b"), &[tag("v1")]);
        check(&[("a", "v1")], put, &[("a", "v1"), ("b", "x.io/r:v1")]);
        check(&[("a", "x.io/r:v1")], put, &[("a", ""), ("b", "x.io/r:v1")]);
        check(&[("a", "x.io/r:v1"), ("a", "y.io/r:v1")], put, &[("a", "y.io/r:v1"), ("b", "x.io/r:v1")]);
        let untag = |index: &mut LayoutIndex| {
            index.remove_tag(&v1);
        };
        check(&[("a", "v1"), ("a", "x.io/r:v1")], untag, &[("a", "v1")]);
        check(&[("a", "v1"), ("a", "x.io/r/s:v1")], untag, &[("a", "v1"), ("a", "x.io/r/s:v1")]);
        let remove = |index: &mut LayoutIndex| {
            index.remove(&digest);
        };
        check(&[("a", ""), ("a", "x.io/r:v1"), ("a", &by_digest), ("b", "x.io/r:v2")], remove, &[("b", "x.io/r:v2")]);
        check(&[("a", "x.io/r:v1"), ("a", "x.io/rs:v1"), ("a", "v1")], remove, &[("a", "x.io/rs:v1"), ("a", "v1")]);
    }

    #[test]
    fn what_others_wrote_is_kept() {
        let json = br#"{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",
            "digest":"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb","size":1,
            "annotations":{"kept":"yes"},"of-theirs":[1.5]}],"more":{"deep":null},"annotations":{"a":"b"}}"#;
        let mut parsed = LayoutIndex::parse(json).unwrap();
        let before: Value = serde_json::from_slice(json).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&parsed.to_json().unwrap()).unwrap(), before);
        parsed.put(&manifest("a"), &[tag("v1")]);
        let [entry] = parsed.entries() else { panic!("{parsed:?}") };
        assert_eq!(entry.annotations["kept"], "yes");
        assert_eq!(entry.extra["of-theirs"][0], 1.5);
    }

    #[test]
    fn an_empty_list_may_be_null() {
        let parsed = LayoutIndex::parse(br#"{"schemaVersion":2,"manifests":null}"#).unwrap();
        assert!(parsed.entries().is_empty());
    }

    #[derive(Debug, Clone)]
    enum Change {
        Put(u8, Vec<u8>),
        RemoveTag(u8),
        Remove(u8),
    }

    fn change() -> impl Strategy<Value = Change> {
        let (manifests, tags) = (0..4_u8, 0..4_u8);
        prop_oneof![
            (manifests.clone(), proptest::collection::vec(tags.clone(), 0..3))
                .prop_map(|(m, tags)| Change::Put(m, tags)),
            tags.prop_map(Change::RemoveTag),
            manifests.prop_map(Change::Remove),
        ]
    }

    proptest! {
        #[test]
        fn an_index_is_a_map_of_tags_over_a_set_of_manifests(changes in proptest::collection::vec(change(), 0..24)) {
            let (manifest, tag) = (|n: u8| manifest(&n.to_string()), |n: u8| tag(&n.to_string()));
            let (mut index, mut tags, mut manifests) = (LayoutIndex::empty(), BTreeMap::new(), BTreeSet::new());
            for change in changes {
                match change {
                    Change::Put(m, named) => {
                        index.put(&manifest(m), &named.iter().copied().map(tag).collect::<Vec<_>>());
                        manifests.insert(manifest(m).digest);
                        tags.extend(named.into_iter().map(|t| (tag(t), manifest(m).digest)));
                    }
                    Change::RemoveTag(t) => prop_assert_eq!(index.remove_tag(&tag(t)), tags.remove(&tag(t)).is_some()),
                    Change::Remove(m) => {
                        let digest = manifest(m).digest;
                        prop_assert_eq!(index.remove(&digest), manifests.remove(&digest));
                        tags.retain(|_, tagged| *tagged != digest);
                    }
                }
            }
            let found = |tag: Tag| index.find(&tag.clone().into()).map(|entry| (tag, entry.digest.clone()));
            prop_assert_eq!(index.tags().into_iter().filter_map(found).collect::<BTreeMap<_, _>>(), tags.clone());
            let listed = index.entries().iter().map(|entry| entry.digest.clone());
            prop_assert_eq!(listed.collect::<BTreeSet<_>>(), manifests.clone());
            let untagged = manifests.iter().filter(|digest| !tags.values().any(|tagged| tagged == *digest)).count();
            prop_assert_eq!(index.entries().len(), tags.len() + untagged);
        }
    }
}
