//! Commands that go on where an earlier run of them was stopped.

use std::{fs, process::Stdio};

use refs_registry::MediaType;
use refs_testkit::{Close, FakeRegistry, Fault, Image, On, image::gzip};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    hostile::tar_entry,
    support::{Machine, finished, noise, now, put, registry, small, wait_until},
};

/// Longer than what is fetched without a look at the table of contents first.
const LARGE: usize = 8 << 20;
/// The end of a layer with its table of contents, and a manifest.
const SLACK: u64 = 300 << 10;

/// A machine, a registry that has a large layer as `o/r:v1`, and the size of that.
fn place() -> (Machine, FakeRegistry, u64) {
    let (machine, registry) = (Machine::new(), registry());
    machine.write("source", &small().file("large.bin", noise(LARGE)));
    let printed = machine.json(&format!("push source {}/o/r:v1", registry.host()));
    registry.take_requests();
    let size = printed["layer"]["size"].as_u64().unwrap();
    (machine, registry, size)
}

/// 60 % of `size` bytes, rounded up: whoever rounds it down again finds 60.
const fn sixty_percent(size: u64) -> u64 {
    (size * 60).div_ceil(100)
}

/// The bytes that the registry has sent since the last time.
fn sent(registry: &FakeRegistry) -> u64 {
    registry.take_requests().iter().filter(|seen| seen.method == "GET").map(|seen| seen.sent).sum()
}

/// The bytes of blobs that were not fetched to their end.
fn kept(machine: &Machine, registry: &FakeRegistry) -> u64 {
    let notes = machine.cache().join(format!("origins/open/{}/o/r/_partials/sha256", registry.host()));
    let listed = fs::read_dir(notes).into_iter().flatten();
    listed.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

/// Pulls until `bytes` have come, of which all but a few are kept, and sends `signal`; gives what was said.
fn stopped(machine: &Machine, registry: &FakeRegistry, bytes: u64, signal: Signal) -> (i32, String) {
    // The first request is for the table of contents.
    registry.fault(On::get("/blobs/").skip(1), Fault::Stall { after: bytes });
    let mut command = machine.command(&format!("pull {}/o/r:v1 here", registry.host()));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(|| kept(machine, registry) == bytes);
    kill_process(Pid::from_child(&child), signal).unwrap();
    let run = finished(child);
    assert_eq!(run.text(), "");
    (run.code, run.stderr)
}

#[track_caller]
fn pulls_the_rest(machine: &Machine, registry: &FakeRegistry, size: u64) {
    registry.clear_faults();
    registry.take_requests();
    machine.prints(&format!("pull {}/o/r:v1 here --force", registry.host()));
    let sent = sent(registry);
    assert!(sent <= size * 40 / 100 + SLACK, "{sent} of {size}");
    assert!(fs::read(machine.path("here/large.bin")).unwrap() == noise(LARGE));
    assert_eq!(kept(machine, registry), 0);
}

#[test]
fn m142_a_pull_that_is_killed_at_60_percent_fetches_only_the_rest() {
    let (machine, registry, size) = place();
    let (code, stderr) = stopped(&machine, &registry, sixty_percent(size), Signal::KILL);
    assert_eq!((code, stderr.as_str()), (-128 - 9, ""));
    pulls_the_rest(&machine, &registry, size);
}

#[test]
fn m151_a_pull_that_is_interrupted_says_what_is_kept() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let (machine, registry, size) = place();
        let stopped = stopped(&machine, &registry, sixty_percent(size), signal);
        let words = "hint: 4.80 MiB of 8.00 MiB (60 %) are kept; the same command fetches the rest only\n";
        assert_eq!(stopped, (code, words.to_owned()));
        pulls_the_rest(&machine, &registry, size);
    }
}

#[test]
fn a_pull_over_a_link_that_cuts_every_20_percent_ends_well() {
    let (machine, registry, size) = place();
    registry.fault(On::get("/blobs/").skip(1).times(4), Fault::Cut { after: size / 5, close: Close::Fin });
    let at = format!("{}/o/r:v1", registry.host());
    for percent in ["20", "40", "60", "80"] {
        let run = machine.run(&format!("pull {at} here")).failed(7, &["are kept; the same command"]);
        let told = run.stderr.lines().last().unwrap();
        let about = percent.parse::<u32>().unwrap();
        assert!(told.contains(&format!("({about} %)")) || told.contains(&format!("({} %)", about - 1)), "{told}");
    }
    machine.prints(&format!("pull {at} here"));
    let sent = sent(&registry);
    assert!(sent <= size + SLACK, "{sent} of {size}");
    assert!(fs::read(machine.path("here/large.bin")).unwrap() == noise(LARGE));
}

#[test]
fn a_pull_over_a_link_that_cuts_every_20_percent_needs_one_run_if_it_may_try_again() {
    let (machine, registry, size) = place();
    registry.fault(On::get("/blobs/").skip(1).times(4), Fault::Cut { after: size / 5, close: Close::Fin });
    machine.run(&format!("pull {}/o/r:v1 here --retries 4", registry.host())).printed();
    assert!(sent(&registry) <= size + SLACK);
}

/// A layer whose second entry leads out, and of which there is more to come then.
#[test]
fn what_is_kept_of_an_artifact_that_is_refused_is_no_hint() {
    let (machine, registry) = (Machine::new(), registry());
    let file = |name| tar_entry(name, b'0', "", &noise(4 << 20));
    let tar = [file("a"), tar_entry("../b", b'0', "", b"evil"), file("c"), file("d"), vec![0; 1024]].concat();
    put(&registry, &Image::new().layer(MediaType::OCI_LAYER_GZIP, gzip(&tar)));
    registry.fault(On::get("/blobs/").always(), Fault::Stall { after: 6 << 20 });
    let at = format!("{}/o/r:v1", registry.host());
    let run = machine.run(&format!("pull {at} here")).failed(9, &["`../b`"]);
    assert!(!run.stderr.contains("are kept"), "{}", run.stderr);
}

#[test]
fn without_the_cache_nothing_is_kept_of_what_broke_off() {
    let (machine, registry, size) = place();
    registry.fault(On::get("/blobs/").skip(1), Fault::Cut { after: size / 2, close: Close::Fin });
    let run = machine.run(&format!("pull {}/o/r:v1 here --no-cache", registry.host())).failed(7, &[]);
    assert!(!run.stderr.contains("kept"), "{}", run.stderr);
    assert!(!machine.cache().join("origins").exists());
}

#[test]
fn errors_in_json_stay_one_object() {
    let (machine, registry, size) = place();
    registry.fault(On::get("/blobs/").skip(1), Fault::Cut { after: size / 2, close: Close::Fin });
    let run = machine.run(&format!("pull {}/o/r:v1 here --format json", registry.host()));
    assert_eq!(run.code, 7);
    serde_json::from_str::<serde_json::Value>(&run.stderr).unwrap();
}

/// The bytes of layers that the registry was sent since the last time.
fn received(registry: &FakeRegistry) -> u64 {
    registry.take_requests().iter().filter(|seen| seen.path.contains("/uploads/")).map(|seen| seen.received).sum()
}

/// What a push sends in one request.
const PIECE: usize = 8 << 20;

/// Pushes a layer of which two pieces are 60 % until the registry has these, and has answered to the first, and
/// sends `signal`; gives what was said.
fn stopped_push(machine: &Machine, registry: &FakeRegistry, signal: Signal) -> (i32, String) {
    machine.write("source", &small().file("large.bin", noise(2 * PIECE * 10 / 6)));
    // The session begins, and each piece comes in a request of its own.
    registry.fault(On::any("/uploads/").skip(2), Fault::Stall { after: 0 });
    let mut command = machine.command(&format!("push source {}/o/r:v1", registry.host()));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(|| registry.requests().iter().map(|seen| seen.received).sum::<u64>() == 2 * PIECE as u64);
    kill_process(Pid::from_child(&child), signal).unwrap();
    let run = finished(child);
    registry.clear_faults();
    registry.take_requests();
    (run.code, run.stderr)
}

#[test]
fn m149_a_push_that_is_killed_at_60_percent_sends_only_the_rest() {
    let (machine, registry) = (Machine::new(), registry());
    stopped_push(&machine, &registry, Signal::KILL);
    let pushed = machine.json(&format!("push source {}/o/r:v1", registry.host()));
    let size = pushed["layer"]["size"].as_u64().unwrap();
    let sent = received(&registry);
    assert!(sent <= size * 40 / 100 + SLACK, "{sent} of {size}");
    let stored =
        now(registry.repository("o/r").stat_blob(&pushed["layer"]["digest"].as_str().unwrap().parse().unwrap()));
    assert_eq!(stored.unwrap(), Some(size));
    assert_eq!(fs::read_dir(machine.cache().join("uploads")).unwrap().count(), 0);
}

#[test]
fn m151_a_push_that_is_interrupted_says_what_is_sent() {
    let (machine, registry) = (Machine::new(), registry());
    let (code, said) = stopped_push(&machine, &registry, Signal::INT);
    assert_eq!(code, 130);
    // The answer to the second piece may be on its way.
    let words = |sent| {
        format!(
            "hint: the registry has {sent} MiB of what was on its way; the same command sends the rest only, if the registry still has it\n"
        )
    };
    assert!(["8.00", "16.00"].map(words).contains(&said), "{said}");
    machine.prints(&format!("push source {}/o/r:v1", registry.host()));
    assert!(received(&registry) <= 2 * PIECE as u64 + SLACK);
}

#[test]
fn a_push_of_other_files_than_those_it_was_killed_with_sends_all_of_them() {
    let (machine, registry) = (Machine::new(), registry());
    stopped_push(&machine, &registry, Signal::KILL);
    machine.write("source", &small().file("a.txt", "changed"));
    let pushed = machine.json(&format!("push source {}/o/r:v1", registry.host()));
    let size = pushed["layer"]["size"].as_u64().unwrap();
    assert!(received(&registry) >= size);
    assert_eq!(machine.prints(&format!("cat {}/o/r:v1 a.txt", registry.host())), "changed");
}

#[test]
fn a_push_whose_session_fails_for_ever_begins_another() {
    let (machine, registry) = (Machine::new(), registry());
    stopped_push(&machine, &registry, Signal::KILL);
    let fails = Fault::Status { status: 500, headers: Vec::new() };
    registry.fault(On::get("/uploads/").always(), fails);
    machine.prints(&format!("push source {}/o/r:v1 --retries 0", registry.host()));
    let begun = registry.take_requests().iter().filter(|seen| seen.method == "POST").count();
    assert!(begun >= 1, "{begun}");
}

/// What a large layer goes to a registry in.
const COPIED: usize = 64 << 20;

/// Copies a layer of a piece and a half until the registry has the piece and some more, and sends `signal`; gives what was
/// said, and the size of the layer.
fn stopped_in_a_layer(machine: &Machine, from: &FakeRegistry, to: &FakeRegistry, signal: Signal) -> (String, u64) {
    let layer = vec![7; COPIED + COPIED / 2];
    let size = layer.len() as u64;
    put(from, &Image::new().layer(MediaType::OCI_LAYER, layer));
    from.fault(On::get("/blobs/").always(), Fault::Stall { after: COPIED as u64 + (4 << 20) });
    let mut command = machine.command(&format!("cp {}/o/r:v1 {}/o/r:v1", from.host(), to.host()));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(|| {
        let requests = to.requests();
        let pieces = requests.iter().filter(|seen| seen.method == "PATCH");
        pieces.filter(|seen| seen.status == 202 || seen.received >= 2 << 20).count() == 2
    });
    kill_process(Pid::from_child(&child), signal).unwrap();
    let said = finished(child).stderr;
    from.clear_faults();
    from.take_requests();
    to.take_requests();
    (said, size)
}

#[test]
fn a_copy_between_registries_that_was_killed_moves_the_rest_of_a_layer() {
    for signal in [Signal::KILL, Signal::INT] {
        let (machine, from, to) = (Machine::new(), registry(), registry());
        let (said, size) = stopped_in_a_layer(&machine, &from, &to, signal);
        let hint = "hint: the registry has 64.00 MiB of what was on its way; the same command sends the rest only";
        assert_eq!(said.contains(hint), signal == Signal::INT, "{said}");
        assert_eq!(machine.run(&format!("cp {}/o/r:v1 {}/o/r:v1", from.host(), to.host())).code, 0);
        let read: u64 = from.requests().iter().filter(|seen| seen.path.contains("/blobs/")).map(|seen| seen.sent).sum();
        let sent: u64 = to.requests().iter().filter(|seen| seen.method == "PATCH").map(|seen| seen.received).sum();
        assert_eq!(read, sent);
        assert!((COPIED as u64 / 2 - (4 << 20)..=size - COPIED as u64).contains(&sent), "{sent} of {size}");
        assert_eq!(fs::read_dir(machine.cache().join("uploads")).unwrap().count(), 0);
    }
}

#[test]
fn without_the_cache_a_layer_is_sent_as_one() {
    let (machine, from, to) = (Machine::new(), registry(), registry());
    let (layer, size) = (vec![7; COPIED + 1], COPIED as u64 + 1);
    put(&from, &Image::new().layer(MediaType::OCI_LAYER, layer));
    assert_eq!(machine.run(&format!("cp {}/o/r:v1 {}/o/r:v1 --no-cache", from.host(), to.host())).code, 0);
    let sent = to.requests().into_iter().filter(|seen| seen.received > 1000 && seen.path.contains("/uploads/"));
    assert_eq!(
        sent.map(|seen| (seen.method.to_string(), seen.received)).collect::<Vec<_>>(),
        [("PUT".to_owned(), size)]
    );
}
