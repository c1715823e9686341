//! A machine of its own for a test: a home, a work directory, and runs of the program in it.

use std::{
    fs,
    future::Future,
    io::Read,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use refs_registry::Manifest;
use refs_testkit::{FakeRegistry, Image, Tree};
use serde_json::Value;
use tempfile::TempDir;

/// A machine with nothing on it, on which the program runs in the directory `work`.
pub(crate) struct Machine {
    root: TempDir,
}

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit code; 128 and the signal for a program that was killed, as a shell has it, and then negative.
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

const NOTHING_READ: &str = "[read]\ncontainerd = []\ndocker = []\npodman = []\n";

impl Machine {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["home", "docker", "work"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        // Nothing is read of what the machine beneath has set for hosts.
        fs::write(root.path().join("config.toml"), NOTHING_READ).unwrap();
        Self { root }
    }

    /// `name` in the directory that the program runs in.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("work").join(name)
    }

    /// Sets `text` for hosts, beside which nothing is set.
    pub(crate) fn configure(&self, text: &str) -> PathBuf {
        let config = self.root.path().join("config.toml");
        fs::write(&config, format!("{NOTHING_READ}{text}")).unwrap();
        config
    }

    /// Where the program keeps what it fetched.
    pub(crate) fn cache(&self) -> PathBuf {
        self.root.path().join("cache")
    }

    /// The file that `docker login` writes.
    pub(crate) fn docker_config(&self) -> PathBuf {
        self.root.path().join("docker/config.json")
    }

    /// Does what `docker login` does.
    pub(crate) fn login(&self, registry: &FakeRegistry, user: &str, password: &str) {
        let login = serde_json::json!({ "username": user, "password": password });
        let config = serde_json::json!({ "auths": { (registry.host().as_str()): login } });
        fs::write(self.docker_config(), config.to_string()).unwrap();
    }

    /// The directory `name` with the files of `tree`.
    pub(crate) fn write(&self, name: &str, tree: &Tree) {
        tree.write(&self.path(name)).unwrap();
    }

    /// The files in the directory `name`.
    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> Tree {
        Tree::read(&self.path(name)).unwrap()
    }

    /// The names in the directory that the program runs in.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The program, about to run with `line` as its arguments, which are parted by spaces. Nothing is tried twice
    /// unless they say so.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_refs"));
        if !line.contains("--retries") {
            command.args(["--retries", "0"]);
        }
        command.args(line.split_whitespace());
        command.current_dir(self.path("")).env_clear().stdin(Stdio::null());
        command.env("HOME", self.root.path().join("home")).env("DOCKER_CONFIG", self.root.path().join("docker"));
        command.env("REFS_CACHE_DIR", self.cache()).env("REFS_CONFIG", self.root.path().join("config.toml"));
        // Tests run side by side, on machines that are busy.
        command.env("REFS_COMPLETE_TIMEOUT", "60s");
        command
    }

    /// Runs the program with `line` as its arguments.
    pub(crate) fn run(&self, line: &str) -> Run {
        ended(&mut self.command(line))
    }

    /// Runs the program, which must succeed and say nothing but what it prints.
    #[track_caller]
    pub(crate) fn prints(&self, line: &str) -> String {
        self.run(line).printed()
    }

    /// Runs the program for its JSON: one object.
    #[track_caller]
    pub(crate) fn json(&self, line: &str) -> Value {
        let mut objects = self.json_lines(line);
        assert_eq!(objects.len(), 1, "{objects:?}");
        objects.remove(0)
    }

    /// Runs the program for its JSON: one object a line, each of the version 1.
    #[track_caller]
    pub(crate) fn json_lines(&self, line: &str) -> Vec<Value> {
        let printed = self.prints(&format!("{line} --format json"));
        let objects: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        objects.iter().for_each(|object| assert_eq!(object["schemaVersion"], 1));
        objects
    }

    /// Runs the program, which must fail with `code` and an error that has each of `words`, and leave its directory as it
    /// was.
    #[track_caller]
    pub(crate) fn fails(&self, line: &str, code: i32, words: &[&str]) -> Run {
        let before = self.everything();
        let run = self.run(line).failed(code, words);
        assert_eq!(self.everything(), before);
        run
    }

    /// All paths below the directory that the program runs in, with their lengths.
    fn everything(&self) -> Vec<(PathBuf, u64)> {
        let mut found = Vec::new();
        let mut folders = vec![self.path("")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let metadata = fs::symlink_metadata(&path).unwrap();
                if metadata.is_dir() {
                    folders.push(path.clone());
                }
                // A directory's own length is the file system's affair.
                found.push((path, if metadata.is_file() { metadata.len() } else { 0 }));
            }
        }
        found.sort();
        found
    }
}

impl Run {
    /// What it printed, if it ended well and said nothing else.
    #[track_caller]
    pub(crate) fn printed(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""));
        self.text()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    /// The same, if it failed with `code`, printed nothing, and told an error that has each of `words`.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, words: &[&str]) -> Self {
        let Self { stderr, .. } = &self;
        assert_eq!(self.code, code, "{stderr}");
        assert_eq!(self.text(), "");
        assert!(stderr.starts_with("error: "), "{stderr}");
        words.iter().for_each(|word| assert!(stderr.contains(word), "`{word}` is not in: {stderr}"));
        assert!(!stderr.contains("panicked"), "{stderr}");
        self
    }
}

/// Runs `command` to its end.
pub(crate) fn ended(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let code = status.code().unwrap_or_else(|| -128 - status.signal().unwrap_or_default());
    Run { code, stdout, stderr: String::from_utf8(stderr).unwrap() }
}

/// Waits for a program that was started with its outputs piped.
pub(crate) fn finished(child: Child) -> Run {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let code = status.code().unwrap_or_else(|| -128 - status.signal().unwrap_or_default());
    Run { code, stdout, stderr: String::from_utf8(stderr).unwrap() }
}

/// Waits until `is_so`, which another process or thread brings about.
#[track_caller]
pub(crate) fn wait_until(is_so: impl Fn() -> bool) {
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it never came");
        std::thread::yield_now();
    }
}

/// What comes from `from` up to and with `end`, and not a byte more.
pub(crate) fn read_to(end: &str, from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let mut byte = [0];
        from.read_exact(&mut byte).unwrap();
        bytes.extend(byte);
    }
    String::from_utf8(bytes).unwrap()
}

/// Where nobody listens, nor will: a port that was free a moment ago may be given to another test.
pub(crate) const CLOSED: &str = "127.0.0.1:1";

/// A registry that anyone may use.
pub(crate) fn registry() -> FakeRegistry {
    FakeRegistry::builder().start_blocking()
}

/// Runs `work`, which is a matter of memory.
pub(crate) fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// Puts `image` into the repository `o/r` under `v1`, without a request.
pub(crate) fn put(registry: &FakeRegistry, image: &Image) -> Manifest {
    now(image.push(&*registry.repository("o/r"), &["v1"])).unwrap()
}

/// Puts a layer of files that refs has packed into the repository `o/r` of `registry`, under `v1`.
pub(crate) fn pushed(machine: &Machine, registry: &FakeRegistry, tree: &Tree) -> String {
    machine.write("source", tree);
    let printed = machine.prints(&format!("push source {}/o/r:v1", registry.host()));
    fs::remove_dir_all(machine.path("source")).unwrap();
    registry.take_requests();
    printed.trim_end().to_owned()
}

/// A manifest file that leaves nothing to be warned of. It has 212 bytes.
pub(crate) const MANIFEST: &str = "\
schema_version: 1.0.0
ref: {title: Small guide, link: small-guide}
content: {description: 'How the house works, in two short guides and one program to run.', \
classifications: [{type: guidelines}], tags: [small]}
";

/// A small tree of each kind of file, with fixed times.
pub(crate) fn small() -> Tree {
    Tree::parse(&format!(
        r##"
        644 .sow-ref.yaml {MANIFEST:?} @1700000001
        644 README.md "read me\n" @1700000002
        755 bin/ @1700000003
        755 bin/run "#!/bin/sh\n" @1700000004
        755 guide/ @1700000005
        644 guide/one.md "one\n" @1700000006
        644 guide/two.md "two\n" @1700000007
        "##,
    ))
}

/// Bytes without a pattern that a compressor would find.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes: Vec<u8> = (0..length / 8 + 1).flat_map(|_| next().to_le_bytes()).collect();
    bytes.truncate(length);
    bytes
}
