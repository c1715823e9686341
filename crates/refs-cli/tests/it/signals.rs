//! Signals while work is under way.

use std::process::{Command, Stdio};

use futures_util::TryStreamExt;
use refs_registry::MediaType;
use refs_testkit::{FakeRegistry, Fault, Image, On, Seen, open_uploads};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Machine, Run, finished, noise, now, pushed, put, read_to, registry, small, wait_until};

const SIGNALS: [(Signal, i32); 4] = [(Signal::INT, 130), (Signal::QUIT, 131), (Signal::TERM, 143), (Signal::HUP, 129)];

/// `program`, deaf to no signal even if the tests themselves are: what runs them may have been told to outlive its terminal.
fn heeding(program: &Command) -> Command {
    let mut command = Command::new("/usr/bin/env");
    command.arg("--default-signal=HUP").arg(program.get_program()).args(program.get_args()).env_clear();
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(program.get_current_dir().unwrap()).stdin(Stdio::null());
    command
}

/// Runs `line`, and sends `signal` once the requests have come to where `is_there` says.
fn stopped(
    machine: &Machine,
    registry: &FakeRegistry,
    line: &str,
    signal: Signal,
    is_there: impl Fn(&[Seen]) -> bool,
) -> Run {
    let child = heeding(&machine.command(line)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(|| is_there(&registry.requests()));
    kill_process(Pid::from_child(&child), signal).unwrap();
    finished(child)
}

#[test]
fn a_pull_that_is_stopped_leaves_nothing() {
    const STALL: u64 = 100_000;
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small().file("large.bin", noise(1 << 20)));
    let at = format!("{}/o/r:v1", registry.host());
    for (signal, code) in SIGNALS {
        for line in ["pull AT here --quiet", "pull AT here --path *.bin", "cat AT large.bin"] {
            registry.fault(On::get("/blobs/").always(), Fault::Stall { after: STALL });
            let is_stalled =
                |seen: &[Seen]| seen.iter().any(|seen| seen.path.contains("/blobs/") && seen.sent >= STALL);
            let run = stopped(&machine, &registry, &line.replace("AT", &at), signal, is_stalled);
            assert_eq!((run.code, run.text().as_str(), run.stderr.as_str()), (code, "", ""));
            assert_eq!(machine.names(), [""; 0]);
            registry.clear_faults();
            registry.take_requests();
        }
    }
    machine.prints(&format!("pull {at} here"));
    assert_eq!(std::fs::read(machine.path("here/large.bin")).unwrap(), noise(1 << 20));
}

#[test]
fn m151_an_unpack_that_is_stopped_leaves_nothing_and_what_was_there() {
    const STALL: u64 = 100_000;
    let machine = Machine::new();
    let large = |name: &str| small().file(name, noise(1 << 20));
    let image = Image::new().tree(&large("low.bin")).tree(&large("high.bin"));
    machine.write("old", &small());
    let old = machine.read("old");
    for (signal, code) in SIGNALS {
        for line in ["unpack AT here", "unpack AT here --no-cache", "unpack AT old --force"] {
            // Both layers are asked for, and one of the requests may come when the program has ended.
            let registry = registry();
            put(&registry, &image);
            registry.fault(On::get("/blobs/").always(), Fault::Stall { after: STALL });
            let is_stalled =
                |seen: &[Seen]| seen.iter().any(|seen| seen.path.contains("/blobs/") && seen.sent >= STALL);
            let line = line.replace("AT", &format!("{}/o/r:v1", registry.host()));
            let run = stopped(&machine, &registry, &line, signal, is_stalled);
            assert_eq!((run.code, run.text().as_str()), (code, ""), "{}", run.stderr);
            assert_eq!((machine.names(), machine.read("old")), (vec!["old".to_owned()], old.clone()));
        }
    }
    let registry = registry();
    put(&registry, &image);
    machine.prints(&format!("unpack {}/o/r:v1 here", registry.host()));
    assert_eq!(std::fs::read(machine.path("here/low.bin")).unwrap(), noise(1 << 20));
}

#[test]
fn a_forced_pull_that_is_stopped_leaves_the_old_files() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    machine.write("here", &small());
    registry.fault(On::get("/blobs/").always(), Fault::Stall { after: 10 });
    let line = format!("pull {}/o/r:v1 here --force", registry.host());
    let run = stopped(&machine, &registry, &line, Signal::TERM, |seen| seen.last().is_some_and(|seen| seen.sent == 10));
    assert_eq!((run.code, machine.names()), (143, vec!["here".to_owned()]));
    assert_eq!(std::fs::read(machine.path("here/README.md")).unwrap(), b"read me\n");
}

#[test]
fn a_push_that_is_stopped_tags_nothing() {
    let machine = Machine::new();
    machine.write("small", &small());
    machine.write("large", &small().file("large.bin", noise(5 << 20)));
    for (signal, code) in SIGNALS {
        // What a push that was stopped has left, the next one need not send.
        let registry = registry();
        let at = format!("{}/o/r:v1", registry.host());
        for source in ["small", "large"] {
            registry.fault(On::any("/blobs/uploads/").skip(1).always(), Fault::Stall { after: 0 });
            // However far it comes before the signal does, the registry takes no manifest now.
            let wait = vec![("retry-after", "30".to_owned())];
            registry.fault(On::put("/manifests/").always(), Fault::Status { status: 429, headers: wait });
            // The session begins. What follows is not answered, or is the last that is answered on its connection.
            let is_stalled =
                |seen: &[Seen]| seen.iter().filter(|seen| seen.path.contains("/blobs/uploads/")).count() > 1;
            let line = format!("push {source} {at} --retries 3");
            let run = stopped(&machine, &registry, &line, signal, is_stalled);
            assert_eq!((run.code, run.text().as_str(), run.stderr.as_str()), (code, "", ""));
            let tags = now(registry.repository("o/r").tags(None).try_collect::<Vec<_>>());
            assert!(tags.as_ref().map_or(true, Vec::is_empty), "{tags:?}");
            registry.clear_faults();
            registry.take_requests();
        }
        for source in ["small", "large"] {
            machine.prints(&format!("push {source} {at}"));
        }
        assert_eq!(machine.run(&format!("cat {at} large.bin")).stdout, noise(5 << 20));
    }
}

/// Whether sessions of uploads were begun, and each has ended.
fn all_sessions_ended(seen: &[Seen]) -> bool {
    seen.iter().any(|seen| seen.method.as_str() == "POST" && seen.status == 202) && open_uploads(seen) == 0
}

/// Registries with an image of several large layers, of which no bytes come beyond the first.
fn stalled() -> (FakeRegistry, FakeRegistry) {
    let (from, to) = (registry(), registry());
    let layers = [1, 2, 3].map(|seed| noise((2 << 20) + seed));
    let image = layers.iter().fold(Image::new(), |image, layer| image.layer(MediaType::OCI_LAYER, layer.clone()));
    put(&from, &image);
    from.fault(On::get("/blobs/").always(), Fault::Stall { after: 1 << 20 });
    (from, to)
}

fn uploads_under_way(seen: &[Seen]) -> bool {
    seen.iter().filter(|seen| seen.path.contains("/blobs/uploads/") && seen.received >= 1 << 19).count() == 3
}

#[test]
fn a_copy_that_is_stopped_leaves_no_session_open() {
    let machine = Machine::new();
    for (signal, code) in SIGNALS {
        let (from, to) = stalled();
        let line = format!("cp {}/o/r:v1 {}/o/to:v1", from.host(), to.host());
        let run = stopped(&machine, &to, &line, signal, uploads_under_way);
        assert_eq!((run.code, run.text().as_str(), run.stderr.as_str()), (code, "", ""));
        assert!(all_sessions_ended(&to.requests()), "{:?}", to.requests());
    }
}

#[test]
fn a_copy_that_fails_leaves_no_session_open() {
    let (machine, (from, to)) = (Machine::new(), stalled());
    let mut command = machine.command(&format!("cp {}/o/r:v1 {}/o/to:v1 --retries 0", from.host(), to.host()));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(|| uploads_under_way(&to.requests()));
    from.stop();
    assert_eq!(finished(child).code, 7);
    assert!(all_sessions_ended(&to.requests()), "{:?}", to.requests());
}

#[test]
fn a_pack_that_is_stopped_leaves_nothing() {
    let machine = Machine::new();
    machine.write("source", &small());
    let large = std::fs::File::create(machine.path("source/large")).unwrap();
    large.set_len(1 << 38).unwrap();
    for (signal, code) in SIGNALS {
        let mut command = heeding(&machine.command("pack source docs.tgz"));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until(|| machine.names().len() > 1);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let run = finished(child);
        assert_eq!((run.code, run.text().as_str()), (code, ""), "{}", run.stderr);
        assert_eq!(machine.names(), ["source"]);
    }
}

#[test]
fn signals_that_were_ignored_from_the_start_stay_so() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    registry.fault(On::get("/manifests/").always(), Fault::Stall { after: 0 });
    let line = format!("resolve {}/o/r:v1 --platform linux/amd64", registry.host());
    let program = machine.command(&line);
    let mut ignoring = Command::new("/bin/sh");
    let script = "trap '' HUP INT QUIT; exec \"$0\" \"$@\"";
    ignoring.args(["-c", script]).arg(program.get_program()).args(program.get_args());
    let child =
        ignoring.env("REFS_CACHE_DIR", machine.cache()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(|| !registry.requests().is_empty());
    for signal in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM] {
        kill_process(Pid::from_child(&child), signal).unwrap();
    }
    assert_eq!(finished(child).code, 143);
}

#[test]
fn what_waits_for_a_registry_can_be_stopped() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    registry.fault(On::any("/v2/").always(), Fault::Stall { after: 0 });
    for line in ["ls AT:v1", "pull AT:v1", "tags AT"] {
        let line = line.replace("AT", &format!("{}/o/r", registry.host()));
        let run = stopped(&machine, &registry, &line, Signal::INT, |seen| !seen.is_empty());
        assert_eq!((run.code, run.text().as_str()), (130, ""), "{line}: {}", run.stderr);
        registry.take_requests();
    }
}

#[test]
fn plain_progress_is_a_line_on_stderr() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small().file("large.bin", noise(1 << 20)).file("other.bin", noise(2 << 20)));
    registry.fault(On::get("/blobs/").always(), Fault::Stall { after: 100_000 });
    let line = format!("pull {}/o/r:v1 here --path large.bin --progress plain", registry.host());
    let mut command = machine.command(&line);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = child.stderr.as_mut().unwrap();
    // A line tells what is known by then, and what is left out is known when the table of contents has come.
    let mut lines = std::iter::repeat_with(|| read_to("\n", stderr)).take(20);
    let line = lines.find(|line| line.ends_with(", 2.00 MiB skipped\n")).unwrap();
    assert!(line.starts_with("pulling: ") && line.contains(" of "), "{line}");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let run = finished(child);
    assert_eq!((run.code, run.text().as_str()), (143, ""));
}
