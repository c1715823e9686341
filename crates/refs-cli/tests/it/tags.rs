//! `refs tags`

use refs_testkit::{FakeRegistry, Image};

use crate::support::{Machine, now};

const TAGS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn five_tags() -> FakeRegistry {
    let registry = FakeRegistry::builder().page(2).start_blocking();
    now(Image::new().push(&*registry.repository("o/r"), &TAGS)).unwrap();
    registry
}

#[test]
fn tags_of_all_pages_are_listed() {
    let (machine, registry) = (Machine::new(), five_tags());
    assert_eq!(machine.prints(&format!("tags {}/o/r", registry.host())), "a\nb\nc\nd\ne\n");
    assert_eq!(registry.requests().len(), 3);
}

#[test]
fn a_limit_asks_for_no_page_that_is_not_needed() {
    let (machine, registry) = (Machine::new(), five_tags());
    assert_eq!(machine.prints(&format!("tags {}/o/r --limit 3", registry.host())), "a\nb\nc\n");
    assert_eq!(registry.take_requests().len(), 2);
    assert_eq!(machine.prints(&format!("tags {}/o/r --limit 2", registry.host())), "a\nb\n");
    assert_eq!(registry.take_requests().len(), 1);
    assert_eq!(machine.prints(&format!("tags {}/o/r --limit 0", registry.host())), "");
}

#[test]
fn json_is_one_object_for_each_tag() {
    let (machine, registry) = (Machine::new(), five_tags());
    let tags = machine.json_lines(&format!("tags {}/o/r", registry.host()));
    let names: Vec<_> = tags.iter().map(|tag| tag["tag"].as_str().unwrap()).collect();
    assert_eq!(names, TAGS);
}

#[test]
fn a_tag_behind_the_repository_is_refused() {
    let (machine, registry) = (Machine::new(), five_tags());
    let at = format!("{}/o/r", registry.host());
    let hint = format!("hint: `refs tags {at}` lists them; `refs resolve {at}:a` prints what this one leads to");
    machine.fails(&format!("tags {at}:a"), 2, &["names a tag or a digest", &hint]);
    machine.fails(&format!("tags {at}@sha256:{} --semver", "0".repeat(64)), 2, &["names a tag or a digest"]);
    machine.fails("tags ocidir://none:v1", 2, &["hint: `refs tags ocidir://none` lists"]);
    assert_eq!(registry.requests().len(), 0);
}
