//! `refs cache`

use std::{
    fs,
    fs::{File, FileTimes},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use refs_testkit::{Image, require_layout};
use serde_json::Value;

use crate::support::{CLOSED, Machine, noise, put, registry, small};

/// A machine that has pulled an image of a layer of 100,000 bytes.
fn place() -> (Machine, PathBuf) {
    let (machine, registry) = (Machine::new(), registry());
    put(&registry, &Image::new().file("data", noise(100_000)));
    machine.prints(&format!("pull {}/o/r:v1 here", registry.host()));
    let cache = machine.cache();
    (machine, cache)
}

/// The blob in the cache that has so many bytes.
fn blob(cache: &std::path::Path, bytes: u64) -> PathBuf {
    let listed = fs::read_dir(cache.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    listed.into_iter().find(|path| path.metadata().unwrap().len() == bytes).unwrap()
}

fn harm(path: &std::path::Path) {
    fs::remove_file(path).unwrap();
    fs::write(path, "harm").unwrap();
}

#[test]
fn what_the_cache_holds_is_told() {
    let machine = Machine::new();
    let empty = machine.json("cache info");
    assert_eq!((&empty["bytes"], &empty["maxBytes"]), (&0.into(), &(4_u64 << 30).into()), "{empty}");
    assert!(!machine.cache().exists());

    let (machine, cache) = place();
    let info = machine.json("cache info");
    assert_eq!(info["schemaVersion"], 1);
    assert_eq!(info["path"], cache.display().to_string());
    assert!(info["bytes"].as_u64().unwrap() > 100_000, "{info}");
    assert_eq!((&info["quarantined"]["files"], &info["uploads"]), (&0.into(), &0.into()), "{info}");
    assert_eq!(info["images"], serde_json::json!([]));
    let text = machine.prints("cache info");
    assert!(text.starts_with(&format!("{}: ", cache.display())) && text.contains(" of 4.00 GiB\n"), "{text}");
}

#[test]
fn m140_damage_is_told_with_exit_8_and_fetched_anew() {
    let (machine, cache) = place();
    let sound = machine.json("cache verify");
    assert_eq!((&sound["damaged"], &sound["unlisted"]), (&serde_json::json!([]), &serde_json::json!([])), "{sound}");
    assert!(sound["bytes"].as_u64().unwrap() > 100_000, "{sound}");

    let text = machine.prints("cache verify");
    assert!(text.contains(" blobs, ") && text.ends_with(" each hashed: 0 damaged\n"), "{text}");

    let layer = blob(&cache, 100_000);
    harm(&layer);
    let run = machine.run("cache verify");
    assert_eq!(run.code, 8, "{run:?}");
    let told = String::from_utf8(run.stdout).unwrap();
    assert!(told.starts_with(&format!("damaged, and moved to quarantine: {}\n", layer.display())), "{told}");
    assert!(run.stderr.starts_with("error: something in the cache was damaged"), "{}", run.stderr);
    require_layout(&cache);
    assert_eq!(machine.json("cache info")["quarantined"]["files"], 1);
    machine.prints("cache verify");
}

#[test]
fn what_is_asked_for_is_pruned_and_nothing_else() {
    let (machine, cache) = place();
    let layer = blob(&cache, 100_000);
    let nothing = machine.json("cache prune");
    assert_eq!((&nothing["removed"]["files"], &nothing["temporary"]["files"]), (&0.into(), &0.into()), "{nothing}");
    machine.json("cache prune --older-than 1d");
    assert!(layer.exists());

    let times = FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(2 * 86_400));
    File::open(&layer).unwrap().set_times(times).unwrap();
    let old = machine.json("cache prune --older-than 1d12h");
    assert_eq!(old["removed"], serde_json::json!({ "files": 1, "bytes": 100_000 }));
    assert!(!layer.exists());
    let small = machine.json("cache prune --max-size 1M");
    assert_eq!(small["removed"]["files"], 0);
    let would = machine.json("cache prune --all --dry-run");
    assert_eq!((&would["dryRun"], &would["kept"]["files"]), (&true.into(), &0.into()), "{would}");
    assert!(would["removed"]["files"].as_u64().unwrap() > 0, "{would}");
    let text = machine.prints("cache prune --older-than 0 --dry-run");
    assert!(text.starts_with("would remove ") && text.ends_with(", keep 0 (0 B)\n"), "{text}");
    let text = machine.prints("cache prune --older-than 0");
    assert!(text.starts_with("removed ") && text.ends_with(", kept 0 (0 B)\n"), "{text}");
    require_layout(&cache);
}

#[test]
fn images_are_fetched_into_the_cache_and_read_there_by_name() {
    let (machine, registry) = (Machine::new(), registry());
    put(&registry, &Image::new().tree(&small()));
    let name = format!("{}/o/r:v1", registry.host());
    let first = machine.json(&format!("cache fetch {name}"));
    assert_eq!(
        (&first["reference"], &first["fetched"], &first["present"]),
        (&name.as_str().into(), &2.into(), &0.into())
    );
    assert!(first["fetchedBytes"].as_u64().unwrap() > 0 && first["digest"].is_string(), "{first}");
    let text = machine.prints(&format!("cache fetch {name} {name}"));
    let line =
        format!("{name}: {}, 0 blobs fetched, 2 there already, 0 B fetched\n", first["digest"].as_str().unwrap());
    assert_eq!(text, line.repeat(2));
    let info = machine.json("cache info");
    assert_eq!(info["images"][0]["name"], name, "{info}");
    require_layout(&machine.cache());

    let listed = machine.prints(&format!("ls {name}"));
    registry.take_requests();
    assert_eq!(machine.prints(&format!("ls ocidir://{}:{name}", machine.cache().display())), listed);
    machine.prints(&format!("unpack ocidir://{}:{name} here", machine.cache().display()));
    assert!(registry.take_requests().is_empty());
    machine.fails(&format!("cache fetch {name} --no-cache"), 2, &["there is no cache"]);
    machine.fails("cache fetch", 2, &[]);
    machine.fails(&format!("cache fetch {}/o/r:other", registry.host()), 3, &[]);
}

#[test]
fn images_are_fetched_although_another_fails_whose_code_is_the_first() {
    let (machine, registry) = (Machine::new(), registry());
    put(&registry, &Image::new().tree(&small()));
    let at = format!("{}/o/r", registry.host());
    let line = format!("cache fetch {at}:none {CLOSED}/o/r:v1 {at}:v1");
    let run = machine.run(&line);
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(run.text().starts_with(&format!("{at}:v1: sha256:")), "{}", run.text());
    let told: Vec<_> = run.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    let [none, unreachable] = told[..] else { panic!("{told:?}") };
    assert!(none.starts_with(&format!("error: cannot fetch {at}:none: manifest `none` not found")), "{none}");
    assert!(
        unreachable.starts_with(&format!("error: cannot fetch {CLOSED}/o/r:v1: cannot reach {CLOSED}")),
        "{unreachable}"
    );
    assert_eq!(run.stderr.matches("\nhint: ").count(), 2, "{}", run.stderr);

    let run = machine.run(&format!("{line} --format json"));
    let told: Vec<Value> = run.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let codes: Vec<_> = told.iter().map(|told| told["error"]["exit"].as_u64().unwrap()).collect();
    assert_eq!((run.code, codes), (3, vec![3, 7]));
}

#[test]
fn what_a_killed_process_left_is_pruned() {
    let (machine, cache) = place();
    let left = cache.join("ingest/upload-0123456789abcdefghijklmn");
    fs::write(&left, "left").unwrap();
    let would = machine.json("cache prune --dry-run");
    assert_eq!((&would["temporary"], left.exists()), (&serde_json::json!({ "files": 1, "bytes": 4 }), true));
    let text = machine.prints("cache prune --dry-run");
    assert!(text.starts_with("would remove 0 (0 B) and 1 (4 B) of unfinished work, keep "), "{text}");
    let pruned = machine.json("cache prune");
    assert_eq!((&pruned["temporary"], left.exists()), (&would["temporary"], false));
    harm(&blob(&cache, 100_000));
    machine.run("cache verify");
    let pruned = machine.json("cache prune");
    assert_eq!(pruned["removed"], serde_json::json!({ "files": 1, "bytes": 4 }));
    require_layout(&cache);
}

#[test]
fn without_a_cache_there_is_nothing_to_look_after() {
    let machine = Machine::new();
    for line in ["cache info --no-cache", "cache verify --no-cache", "cache prune --all --max-size 1M"] {
        machine.fails(line, 2, &[]);
    }
    machine.fails("cache prune --older-than soon", 2, &["expected a time, such as 30d, 12h or 1d12h"]);
}
