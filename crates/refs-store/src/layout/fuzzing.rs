//! An `index.json` that others wrote, and what becomes of it when it is changed.

use std::collections::BTreeMap;

use refs_registry::{Descriptor, MediaType};
use refs_url::{Digest, Tag, Target};
use serde_json::{Map, Value};

use super::index::LayoutIndex;

const TAGS: [&str; 4] = ["v1", "v2", "latest", "3"];
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// More changes say nothing new.
const MOST_CHANGES: usize = 16;

/// Changes, a byte each, up to the first line feed; behind it, the index.
pub fn layout_index(data: &[u8]) {
    let line = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (changes, json) = data.split_at(line);
    let json = json.get(1..).unwrap_or_default();
    let Ok(mut index) = LayoutIndex::parse(json) else { return };
    let written = written(&index);
    let read: Value = serde_json::from_slice(json).unwrap_or_default();
    assert!(is_kept(&read, &written), "{read} became {written}");
    for change in changes.iter().take(MOST_CHANGES) {
        let before = index.clone();
        let (tag, manifest) = (tag(change >> 2), manifest(change >> 4));
        match change & 3 {
            0 => put(&mut index, &manifest, &[tag]),
            1 => put(&mut index, &manifest, &[]),
            2 => remove_tag(&mut index, &tag),
            _ => remove(&mut index, &manifest.digest),
        }
        leaves_the_rest(&before, &index, &manifest);
        let again = index.to_json().and_then(|json| LayoutIndex::parse(&json));
        match again {
            Ok(again) => assert!(is_kept(&self::written(&index), &self::written(&again)), "{index:?} became {again:?}"),
            Err(error) => panic!("what was written can't be read: {error}"),
        }
    }
}

fn tag(number: u8) -> Tag {
    match Tag::parse(TAGS[usize::from(number) % TAGS.len()]) {
        Ok(tag) => tag,
        Err(error) => panic!("{error}"),
    }
}

fn manifest(number: u8) -> Descriptor {
    Descriptor::of(MediaType::OCI_MANIFEST, &[b'a' + number % 4])
}

fn written(index: &LayoutIndex) -> Value {
    match index.to_json().and_then(|json| serde_json::from_slice(&json)) {
        Ok(value) => value,
        Err(error) => panic!("{index:?} has no JSON form: {error}"),
    }
}

fn put(index: &mut LayoutIndex, manifest: &Descriptor, tags: &[Tag]) {
    let mut expected = tagged(index);
    expected.extend(tags.iter().map(|tag| (tag.clone(), manifest.digest.clone())));
    index.put(manifest, tags);
    assert_eq!(tagged(index), expected);
    assert!(index.find(&Target::Digest(manifest.digest.clone())).is_some());
    let before = index.clone();
    index.put(manifest, tags);
    assert_eq!(*index, before, "the second time");
}

/// It takes one name, and no other that ends in it.
fn remove_tag(index: &mut LayoutIndex, tag: &Tag) {
    let mut expected = index.names();
    let was_there = expected.iter().any(|name| name == tag.as_str());
    expected.retain(|name| name != tag.as_str());
    assert_eq!(index.remove_tag(tag), was_there);
    assert_eq!(index.names(), expected);
}

fn remove(index: &mut LayoutIndex, digest: &Digest) {
    let mut expected = tagged(index);
    let is_listed = index.entries().iter().any(|entry| entry.digest == *digest);
    assert_eq!(index.remove(digest), is_listed);
    assert!(index.find(&Target::Digest(digest.clone())).is_none());
    // What was under a tag that another manifest claims, too, may show now.
    let left = tagged(index);
    expected.retain(|_, tagged| tagged != digest);
    assert!(expected.iter().all(|(tag, digest)| left.get(tag) == Some(digest)), "{expected:?} became {left:?}");
}

/// The tags, and what they lead to.
fn tagged(index: &LayoutIndex) -> BTreeMap<Tag, Digest> {
    let tags = index.tags();
    assert!(tags.is_sorted_by(|left, right| left < right));
    let lead = |tag: Tag| match index.find(&tag.clone().into()) {
        Some(entry) => (tag, entry.digest.clone()),
        None => panic!("{tag} leads nowhere"),
    };
    tags.into_iter().map(lead).collect()
}

/// What is in `after` and is not of `manifest` was there `before`, but for its name; so was all beside the list.
fn leaves_the_rest(before: &LayoutIndex, after: &LayoutIndex, manifest: &Descriptor) {
    let (mut before, mut after) = (written(before), written(after));
    let (was, is) = (before["manifests"].take(), after["manifests"].take());
    assert_eq!(before, after);
    let was: Vec<_> = was.as_array().into_iter().flatten().map(without_name).collect();
    for entry in is.as_array().into_iter().flatten() {
        let is_new = entry["digest"].as_str() == Some(manifest.digest.as_str());
        assert!(is_new || was.contains(&without_name(entry)), "{entry} is new");
    }
}

/// An entry, and its annotations apart from it: none are as good as an empty list of them.
fn without_name(entry: &Value) -> (Value, Map<String, Value>) {
    let mut entry = entry.clone();
    let annotations = entry.as_object_mut().and_then(|entry| entry.remove("annotations"));
    let mut annotations = match annotations {
        Some(Value::Object(annotations)) => annotations,
        _ => Map::new(),
    };
    annotations.remove(REF_NAME);
    (entry, annotations)
}

/// Whether `after` says all that `before` does. What is null or empty may be left out; the parser of JSON reads a fraction
/// to the nearest but one.
fn is_kept(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Null, _) => true,
        (Value::Array(before), Value::Null) => before.is_empty(),
        (Value::Object(before), Value::Null) => before.is_empty(),
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len() && before.iter().zip(after).all(|(before, after)| is_kept(before, after))
        }
        (Value::Object(before), Value::Object(after)) => {
            before.iter().all(|(key, before)| is_kept(before, after.get(key).unwrap_or(&Value::Null)))
        }
        (Value::Number(before), Value::Number(after)) if before.is_f64() => after.is_f64(),
        (before, after) => before == after,
    }
}
