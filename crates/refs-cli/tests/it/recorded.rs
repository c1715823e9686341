//! What the cache says of a tag that it gives without asking.

use refs_testkit::FakeRegistry;

use crate::support::{Machine, pushed, registry, small};

const AS_IT_WAS: &str = "`v1` is as the registry had it ";

const ASKED_AGAIN: &str = " ago; without `--offline` it is asked again";

/// A machine that has pulled `o/r:v1` of a registry as `before`, and the digest of that.
fn pulled() -> (Machine, FakeRegistry, String, String) {
    let (machine, registry) = (Machine::new(), registry());
    let digest = pushed(&machine, &registry, &small()).split_once('@').unwrap().1.to_owned();
    let at = format!("{}/o/r:v1", registry.host());
    machine.prints(&format!("pull {at} before"));
    (machine, registry, at, digest)
}

#[test]
fn an_answer_without_asking_tells_how_old_it_is() {
    let (machine, registry, at, digest) = pulled();
    let by_digest = format!("{}/o/r@{digest}", registry.host());
    for line in ["resolve AT", "pull AT here --force"] {
        let run = machine.run(&format!("{} --offline", line.replace("AT", &at)));
        assert!(run.stderr.starts_with("hint: `v1` is as the registry had it "), "{}", run.stderr);
        assert!(run.stderr.ends_with(" ago; without `--offline` it is asked again\n"), "{}", run.stderr);
        assert_eq!((run.code, run.stderr.lines().count()), (0, 1));
        let json = machine.json(&format!("{} --offline", line.replace("AT", &at)));
        assert!(json["tagSeen"].as_str().unwrap().ends_with('Z'), "{json}");
        assert!(json.get("tagMovedTo").is_none(), "{json}");
        for line in [format!("{} --offline", line.replace("AT", &by_digest)), line.replace("AT", &at)] {
            assert!(machine.json(&line).get("tagSeen").is_none(), "{line}");
            machine.prints(&line);
        }
    }
}

#[test]
fn a_tag_that_was_found_gone_is_given_no_more() {
    let (machine, registry, at, digest) = pulled();
    machine.prints(&format!("rm {at} --yes"));
    for line in ["resolve AT", "pull AT here", "ls AT"] {
        machine.prints(&format!("resolve {at} --offline -q"));
        machine.fails(&line.replace("AT", &at), 3, &["manifest `v1` not found"]);
        let kept = format!("{}/o/r@{digest}", registry.host());
        let words = ["is not in the cache: the registry has said that it has no such tag", " ago; ", kept.as_str()];
        for line in ["resolve AT", "pull AT here", "ls AT", "cat AT README.md"] {
            machine.fails(&format!("{} --offline", line.replace("AT", &at)), 3, &words);
        }
        machine.fails(&format!("tags {}/o/r --offline", registry.host()), 3, &["is not in the cache"]);
        machine.prints(&format!("ls {kept} --offline"));
        machine.prints(&format!("tag {kept} v1"));
        machine.prints(&format!("ls {at}"));
        machine.prints(&format!("rm {at} --yes"));
    }
}

#[test]
fn a_tag_that_has_moved_to_what_is_not_kept_is_given_as_it_was_and_that_is_said() {
    let (machine, registry, at, old) = pulled();
    let new = pushed(&machine, &registry, &small().file("new", "new")).split_once('@').unwrap().1.to_owned();
    let resolved = |digest: &str| format!("{}/o/r@{digest}\n", registry.host());
    assert_eq!(machine.prints(&format!("resolve {at}")), resolved(&new));
    let run = machine.run(&format!("resolve {at} --offline"));
    assert_eq!((run.code, run.text()), (0, resolved(&old)));
    assert!(run.stderr.ends_with(&format!(" ago, it led to {new}, which is not in the cache\n")), "{}", run.stderr);
    let json = machine.json(&format!("pull {at} here --offline"));
    assert_eq!((&json["digest"], &json["tagMovedTo"]), (&old.as_str().into(), &new.as_str().into()));
    assert_eq!(machine.read("here"), machine.read("before"));

    // Beside a digest, the tag is compared with what the registry said last.
    assert_eq!(machine.prints(&format!("resolve {at}@{new} --offline -q")), resolved(&new));
    let json = machine.json(&format!("resolve {at}@{new} --offline"));
    assert_eq!((&json["digest"], json.get("tagMovedTo")), (&new.as_str().into(), None));
    let words = ["tag `v1` of", &format!("leads to {new}\n\nhint: {AS_IT_WAS}"), ASKED_AGAIN];
    machine.fails(&format!("resolve {at}@{old} --offline"), 11, &words);

    machine.prints(&format!("pull {}/o/r@{new} new", registry.host()));
    machine.prints(&format!("resolve {at}@{new} --offline -q"));
    machine.fails(&format!("resolve {at}@{old} --offline"), 11, &words);
    let asked = machine.fails(&format!("resolve {at}@{old}"), 11, &["hint: leave out the tag"]);
    assert!(!asked.stderr.contains(AS_IT_WAS), "{}", asked.stderr);
    let json = machine.json(&format!("pull {at} there --offline"));
    assert_eq!((&json["digest"], json.get("tagMovedTo")), (&new.as_str().into(), None));
    assert_eq!(machine.read("there"), machine.read("new"));
}
