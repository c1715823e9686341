use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use refs_registry::{
    Error, SystemClock,
    auth::{Candidate, Credential, Credentials, DockerConfig, GitHub, Programs},
};
use refs_url::Host;
use tempfile::TempDir;

use crate::setup::{DEADLINES, TestClock};

/// A folder with programs and a configuration file.
pub(crate) struct Desk {
    folder: TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program that is this shell script.
    pub(crate) fn program(&self, name: &str, script: &str) {
        // Another program writes it: a file that this one holds open for writing, or a child that is just being started by
        // another test, cannot be run.
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "cat > \"$0\" && chmod +x \"$0\""]).arg(self.path(name)).stdin(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        write!(shell.stdin.take().unwrap(), "#!/bin/sh\ncd {}\n{script}\n", self.folder.path().display()).unwrap();
        assert!(shell.wait().unwrap().success());
    }

    pub(crate) fn programs(&self) -> Programs {
        let search = Some(self.folder.path().as_os_str().to_owned());
        Programs { search, clock: Arc::new(SystemClock), timeout: Duration::from_secs(60) }
    }

    /// The configuration file with this text.
    pub(crate) fn config(&self, json: &str) -> DockerConfig {
        fs::write(self.path("config.json"), json).unwrap();
        self.file()
    }

    pub(crate) fn file(&self) -> DockerConfig {
        DockerConfig::at(self.path("config.json")).with_programs(self.programs())
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

fn shown(candidates: &[Candidate]) -> Vec<String> {
    let text = |candidate: &Candidate| match &candidate.credential {
        Credential::Basic { username, password } => format!("{username}:{}", password.reveal()),
        Credential::Identity(token) => format!("identity {}", token.reveal()),
        other => format!("{other:?}"),
    };
    candidates.iter().map(text).collect()
}

/// The error and its causes, in one line.
fn told(error: &Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What a helper that is this script gives for `r.test`, beside an entry in `auths`.
async fn check(script: &str, expect: Result<&[&str], &str>) {
    let desk = Desk::new();
    desk.program("docker-credential-x", script);
    let config = desk.config(r#"{"credHelpers":{"r.test":"x"},"auths":{"r.test":{"auth":"dTpw"}}}"#);
    let given = config.candidates(&host("r.test"), None).await;
    match expect {
        Ok(expect) => assert_eq!(shown(&given.unwrap()), expect, "{script}"),
        Err(expect) => assert_eq!(told(&given.unwrap_err()), expect, "{script}"),
    }
}

#[tokio::test]
async fn what_a_helper_says_is_taken_before_the_files_own_entries() {
    check(r#"echo '{"Username":"a","Secret":"b"}'"#, Ok(&["a:b", "u:p"])).await;
    check(r#"echo '{"ServerURL":"r","Username":"a","Secret":"b","more":[]}'"#, Ok(&["a:b", "u:p"])).await;
    check(r#"echo '{"Username":"<token>","Secret":"t"}'"#, Ok(&["identity t", "u:p"])).await;
    check(r#"echo warning >&2; echo '{"Username":"a","Secret":"b"}'"#, Ok(&["a:b", "u:p"])).await;
}

#[tokio::test]
async fn m050_a_helper_that_keeps_nothing_leaves_it_to_the_file() {
    check("echo credentials not found in native keychain; exit 1", Ok(&["u:p"])).await;
    check("echo credentials not found in native keychain >&2; exit 1", Ok(&["u:p"])).await;
    check("echo no credentials server URL; exit 1", Ok(&["u:p"])).await;
    check("echo no credentials username; exit 1", Ok(&["u:p"])).await;
    check(r#"echo '{"Username":"","Secret":""}'"#, Ok(&["u:p"])).await;
    check("echo '{}'", Ok(&["u:p"])).await;
}

#[tokio::test]
async fn m050_a_helper_that_fails_or_says_too_much_is_an_error_that_names_it() {
    const NAMED: &str = "cannot use credential helper `docker-credential-x`: ";
    check("echo the vault is sealed; exit 1", Err(&format!("{NAMED}it failed: the vault is sealed"))).await;
    check("echo the vault is sealed >&2; exit 1", Err(&format!("{NAMED}it failed: the vault is sealed"))).await;
    check("exit 1", Err(&format!("{NAMED}it failed"))).await;
    check("echo hello", Err(&format!("{NAMED}its answer is not a user name and a secret"))).await;
    check("exec /bin/cat /dev/zero", Err(&format!("{NAMED}it said more than 65536 bytes"))).await;
}

#[tokio::test]
async fn m050_a_helper_is_asked_for_the_host_as_docker_files_it() {
    // Helpers read lines: a host with a second one would speak for another.
    Host::parse("r.test\nhost=evil.test").unwrap_err();
    let desk = Desk::new();
    desk.program("docker-credential-x", "echo $1 $(/bin/cat) >> asked; echo credentials not found; exit 1");
    let config = desk.config(r#"{"credsStore":"x"}"#);
    for name in ["r.test:5000", "docker.io"] {
        assert_eq!(config.candidates(&host(name), None).await.unwrap(), []);
    }
    let asked = "get r.test:5000\nget https://r.test:5000\nget https://index.docker.io/v1/\nget docker.io\n";
    assert_eq!(desk.text("asked"), asked);
}

#[tokio::test]
async fn the_helper_of_a_host_goes_before_the_one_of_all() {
    let desk = Desk::new();
    for name in ["own", "common"] {
        desk.program(&format!("docker-credential-{name}"), &format!(r#"echo '{{"Username":"{name}","Secret":"b"}}'"#));
    }
    let config = desk.config(r#"{"credsStore":"common","credHelpers":{"https://r.test":"own","other.test":""}}"#);
    for (name, expect) in [("r.test", "own"), ("other.test", "common"), ("r.test:5000", "common")] {
        let given = config.candidates(&host(name), None).await.unwrap();
        assert_eq!(shown(&given), [format!("{expect}:b")], "{name}");
        assert_eq!(given[0].from, format!("credential helper `docker-credential-{expect}`"));
    }
}

#[tokio::test]
async fn a_helper_that_is_not_there_matters_only_to_the_host_it_is_named_for() {
    let desk = Desk::new();
    let given = async |json: &str| desk.config(json).candidates(&host("r.test"), None).await;
    let store = given(r#"{"credsStore":"gone","auths":{"r.test":{"auth":"dTpw"}}}"#).await.unwrap();
    assert_eq!(shown(&store), ["u:p"]);
    assert_eq!(given(r#"{"credHelpers":{"s.test":"gone"}}"#).await.unwrap(), []);
    let own = given(r#"{"credHelpers":{"r.test":"gone"}}"#).await.unwrap_err();
    assert_eq!(told(&own), "cannot use credential helper `docker-credential-gone`: it is not in PATH");
}

#[tokio::test]
async fn m050_the_name_of_a_helper_leads_nowhere_else() {
    let desk = Desk::new();
    desk.program("docker-credential-x", "touch ran");
    fs::create_dir(desk.path("docker-credential-")).unwrap();
    for name in ["/../docker-credential-x", "../x", "x;id", "x y", "x\\u0000", "\\u001b[31m"] {
        let config = desk.config(&format!(r#"{{"credHelpers":{{"r.test":"{name}"}}}}"#));
        let error = config.candidates(&host("r.test"), None).await.unwrap_err();
        assert!(told(&error).ends_with("is not the name of a helper"), "{}", told(&error));
        assert!(!told(&error).contains(char::is_control));
    }
    assert_eq!(fs::metadata(desk.path("ran")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn a_program_is_not_looked_for_in_the_current_folder() {
    let desk = Desk::new();
    desk.program("docker-credential-x", "echo '{}'");
    for search in [None, Some("".into()), Some(".:".into()), Some("relative".into())] {
        let programs = Programs { search, ..desk.programs() };
        let config = desk.config(r#"{"credHelpers":{"r.test":"x"}}"#).with_programs(programs);
        let error = config.candidates(&host("r.test"), None).await.unwrap_err();
        assert!(told(&error).ends_with("it is not in PATH"), "{}", told(&error));
    }
}

#[tokio::test]
async fn m050_a_helper_that_hangs_is_given_up_and_killed() {
    let desk = Desk::new();
    // It holds the other end of a pipe, which closes when it is killed.
    assert!(Command::new("mkfifo").arg(desk.path("pipe")).status().unwrap().success());
    desk.program("docker-credential-x", "exec 3> pipe; exec /bin/sleep 600");
    let clock = TestClock::new();
    let programs = Programs { timeout: DEADLINES.headers, clock: clock.clone(), ..desk.programs() };
    let config = desk.config(r#"{"credHelpers":{"r.test":"x"}}"#).with_programs(programs);
    let pipe = desk.path("pipe");
    let read = tokio::task::spawn_blocking(move || {
        let pipe = fs::File::open(pipe).unwrap();
        clock.pass_deadline();
        std::io::read_to_string(pipe).unwrap()
    });
    let error = config.candidates(&host("r.test"), None).await.unwrap_err();
    assert!(told(&error).ends_with("it did not end within 61 s"), "{}", told(&error));
    assert_eq!(read.await.unwrap(), "");
}

#[tokio::test]
async fn what_a_helper_gave_is_kept_until_it_is_refused_and_failures_are_not() {
    let desk = Desk::new();
    desk.program("docker-credential-x", r#"echo >> asked; /bin/cat answer"#);
    let config = desk.config(r#"{"credHelpers":{"r.test":"x"}}"#);
    config.candidates(&host("r.test"), None).await.unwrap_err();
    fs::write(desk.path("answer"), r#"{"Username":"a","Secret":"b"}"#).unwrap();
    let mut given = Vec::new();
    for _ in 0..3 {
        given = config.candidates(&host("r.test"), None).await.unwrap();
    }
    assert_eq!((shown(&given), desk.text("asked").lines().count()), (vec!["a:b".to_owned()], 2));
    config.refused(&given[0]);
    config.candidates(&host("r.test"), None).await.unwrap();
    assert_eq!(desk.text("asked").lines().count(), 3);
}

#[tokio::test]
async fn githubs_command_line_is_asked_for_githubs_registries_only_and_once() {
    let desk = Desk::new();
    desk.program("gh", "echo $* >> asked; echo gho_token");
    let github = GitHub::from_gh(desk.programs());
    for name in ["r.test", "ghcr.io.evil", "ghcr.io:5000"] {
        assert_eq!(github.candidates(&host(name), None).await.unwrap(), [], "{name}");
    }
    assert_eq!(desk.text("asked"), "");
    for name in ["ghcr.io", "GHCR.io", "docker.pkg.github.com"] {
        let given = github.candidates(&host(name), None).await.unwrap();
        assert_eq!(shown(&given), ["x-access-token:gho_token"], "{name}");
        assert_eq!(given[0].from, "`gh auth token`");
    }
    assert_eq!(desk.text("asked"), "auth token\n");
}

#[tokio::test]
async fn without_a_login_of_githubs_there_is_none() {
    for script in ["exit 1", "echo", "echo two words", "printf '\\377'"] {
        let desk = Desk::new();
        desk.program("gh", script);
        assert_eq!(GitHub::from_gh(desk.programs()).candidates(&host("ghcr.io"), None).await.unwrap(), [], "{script}");
    }
    assert_eq!(GitHub::from_gh(Desk::new().programs()).candidates(&host("ghcr.io"), None).await.unwrap(), []);
}
