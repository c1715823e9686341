//! What a shell is offered: commands and options, and what the cache knows of references and paths.

use std::{io::Write, process::Command};

use refs_testkit::FakeRegistry;

use crate::{
    login::started_at_terminal,
    support::{Machine, ended, finished, read_to, registry, small},
};

/// A machine that has pulled `o/r` by two tags and `o/other` by one, and has named neither of two others.
fn place() -> (Machine, FakeRegistry) {
    let (machine, registry) = (Machine::new(), registry());
    let host = registry.host();
    machine.write("source", &small().file("$(reboot)", "").file("notes/a b", "").file("notes/c", "").file("{e}", ""));
    for at in ["o/r:v1", "o/r:v2", "o/r:next", "o/other:v1", "p/q:v1"] {
        machine.prints(&format!("push source {host}/{at}"));
    }
    for at in ["o/r:v1", "o/r:v2", "o/other:v1"] {
        machine.prints(&format!("ls {host}/{at}"));
    }
    registry.take_requests();
    (machine, registry)
}

/// What bash would offer for a line, whose `HOST` is the registry's, when a key is pressed at its end: what it puts in the
/// place of the last word, as it parts words itself.
#[track_caller]
fn check(machine: &Machine, registry: &FakeRegistry, line: &str, expected: &[&str]) {
    let host = registry.host().to_string();
    let line = line.replace("HOST", &host);
    let run = ended(&mut bash(machine, &line));
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{line}");
    let expected: Vec<_> = expected.iter().map(|word| word.replace("HOST", &host)).collect();
    assert_eq!(run.text().lines().collect::<Vec<_>>(), expected, "{line}");
    assert_eq!(registry.requests().len(), 0, "{line}");
}

/// Parts a line as bash does, which can't be asked to do so without a terminal.
fn parted(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in line.split(' ') {
        let mut rest = word;
        loop {
            let end = match rest.find([':', '@', '=']) {
                Some(0) => rest.find(|c| ![':', '@', '='].contains(&c)).unwrap_or(rest.len()),
                Some(end) => end,
                None => rest.len(),
            };
            words.push(rest[..end].to_owned());
            rest = &rest[end..];
            if rest.is_empty() {
                break;
            }
        }
    }
    words
}

fn bash(machine: &Machine, line: &str) -> Command {
    let words = parted(line);
    let last = words.last().filter(|last| !last.starts_with([':', '@', '='])).map_or("", String::as_str);
    let mut command = Command::new("bash");
    let asked = "source <(refs completions bash); COMP_LINE=$LINE COMP_POINT=${#LINE}; \
        COMP_WORDS=(\"${@:2}\"); COMP_CWORD=$(($# - 2)); _refs refs \"$1\" 2>&1; \
        [[ ${#COMPREPLY[@]} = 0 ]] || printf '%s\\n' \"${COMPREPLY[@]}\"";
    command.args(["--norc", "-c", asked, "bash", last]).args(&words);
    on(machine, &mut command);
    command.env("LINE", line);
    command
}

/// Lets a shell run on `machine`, where it finds the program.
fn on(machine: &Machine, shell: &mut Command) {
    let own = machine.command("");
    shell
        .env_clear()
        .current_dir(machine.path(""))
        .envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_refs"));
    let paths = [program.parent().unwrap(), "/usr/bin".as_ref(), "/bin".as_ref()];
    shell.env("PATH", std::env::join_paths(paths).unwrap());
}

/// What a bash at a terminal makes of each line when a key is pressed at its end. It ends by itself when it waits for long.
fn typed(machine: &Machine, lines: &[&str]) -> Vec<String> {
    const SETUP: &str = "TMOUT=60; PS1=; source <(refs completions bash); \
                         show() { echo \"<<$READLINE_LINE>>\"; READLINE_LINE=; }; \
                         bind -x '\"\\C-x\": show'; echo rea\"\"dy\n";
    let mut bash = Command::new("bash");
    on(machine, bash.args(["--norc", "--noprofile", "-i"]));
    let (mut child, mut terminal) = started_at_terminal(bash.env("TERM", "dumb").env("LC_ALL", "C.UTF-8"));
    let mut stdout = child.stdout.take().unwrap();
    terminal.write_all(SETUP.as_bytes()).unwrap();
    read_to("ready\n", &mut stdout);
    let press = |line: &&str| {
        terminal.write_all(format!("{line}\t\u{18}").as_bytes()).unwrap();
        read_to("<<", &mut stdout);
        read_to(">>\n", &mut stdout).trim_end_matches(">>\n").to_owned()
    };
    let seen = lines.iter().map(press).collect();
    terminal.write_all(b"exit\n").unwrap();
    assert_eq!(finished(child).code, 0);
    seen
}

#[test]
fn commands_and_options_are_completed() {
    let (machine, registry) = place();
    check(&machine, &registry, "refs pu", &["push", "pull"]);
    check(&machine, &registry, "refs blob g", &["get"]);
    check(&machine, &registry, "refs pull --max-f", &["--max-file-size", "--max-files"]);
    check(&machine, &registry, "refs ls HOST/o/r:v1 --format ", &["text", "json"]);
    check(&machine, &registry, "refs ls HOST/o/r:v1 --format=j", &["json"]);
    check(&machine, &registry, "refs push sou", &["source/"]);
}

#[test]
fn references_are_those_that_the_cache_knows() {
    let (machine, registry) = place();
    let host = registry.host().to_string();
    let (name, port) = host.split_once(':').unwrap();
    let both = [format!("{port}/o/other:"), format!("{port}/o/r:")];
    check(&machine, &registry, &format!("refs pull {name}:"), &[&both[0], &both[1]]);
    check(&machine, &registry, "refs cp ", &["HOST/o/other:", "HOST/o/r:"]);
    check(&machine, &registry, "refs pull HOST/o/r", &[&both[1]]);
    check(&machine, &registry, "refs pull HOST/o/r:", &["v1", "v2"]);
    for scheme in ["oci://", "docker://"] {
        check(&machine, &registry, &format!("refs pull {scheme}HOST/o/r"), &[&both[1]]);
        check(&machine, &registry, &format!("refs pull {scheme}HOST/o/r:"), &["v1", "v2"]);
    }
    check(&machine, &registry, "refs diff HOST/o/r:v1 HOST/o/r:v", &["v1", "v2"]);
    check(&machine, &registry, "refs pull HOST/o/r:x", &[]);
    check(&machine, &registry, "refs pull HOST/o/none:", &[]);
    check(&machine, &registry, "refs tags HOST/o/o", &[both[0].trim_end_matches(':')]);
    check(&machine, &registry, "refs repos 1", &["HOST"]);
}

#[test]
fn what_was_pruned_with_all_else_is_not_offered() {
    let (machine, registry) = place();
    machine.prints("cache prune --all");
    check(&machine, &registry, "refs pull HOST/", &[]);
    check(&machine, &registry, "refs pull HOST/o/r:", &[]);
    check(&machine, &registry, "refs repos 1", &[]);
}

#[test]
fn paths_are_those_of_a_table_of_contents_that_the_cache_has() {
    let (machine, registry) = place();
    check(
        &machine,
        &registry,
        "refs cat HOST/o/r:v1 ",
        &[".sow-ref.yaml", "README.md", "bin/", "guide/", "notes/", r"\{e\}"],
    );
    check(&machine, &registry, "refs cat HOST/o/r:v1 notes/", &[r"notes/a\ b", "notes/c"]);
    check(&machine, &registry, "refs ls HOST/o/r:v1 --path gui", &["guide/"]);
    for quote in ["\"", "'"] {
        check(&machine, &registry, &format!("refs ls {quote}HOST/o/r:v1{quote} --path gui"), &["guide/"]);
        check(&machine, &registry, &format!("refs cat {quote}HOST/o/r:v1{quote} gui"), &["guide/"]);
    }
    check(&machine, &registry, "refs cat HOST/o/r:next R", &[]);
    check(&machine, &registry, "refs cat HOST/o/r:v1 nothing", &[]);
}

/// Names, and how a pattern has them.
const STRANGE: [(&str, &str); 5] =
    [("[d]", "[[]d[]]"), ("*", "[*]"), ("what?", "what[?]"), ("{e,f}", "[{]e,f[}]"), (r"a\b", r"a[\]b")];

#[test]
fn names_that_a_pattern_would_read_otherwise_are_offered_as_it_means_them() {
    let (machine, registry) = (Machine::new(), registry());
    let at = format!("{}/o/r:v1", registry.host());
    let tree = STRANGE.iter().fold(small().file("odd/d", "").file("odd/[dir]/f", ""), |tree, (name, _)| {
        tree.file(&format!("odd/{name}"), "")
    });
    machine.write("source", &tree);
    machine.prints(&format!("push source {at}"));
    machine.prints(&format!("ls {at}"));
    let offered = |shell: &str, word: &str| {
        let mut command = machine.command("");
        command.env("REFS_COMPLETE", shell).args(["--", "refs", "ls", &at, "--path", word]);
        ended(&mut command).text().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut expected: Vec<String> = STRANGE.iter().map(|(_, pattern)| format!("odd/{pattern}")).collect();
    expected.extend(["odd/d".to_owned(), "odd/[[]dir[]]/".to_owned()]);
    expected.sort();
    for shell in ["zsh", "fish"] {
        assert_eq!(offered(shell, "odd/"), expected, "{shell}");
        assert_eq!(offered(shell, "odd/[[]di"), ["odd/[[]dir[]]/"], "{shell}");
        assert_eq!(offered(shell, "odd/[[]dir[]]/"), ["odd/[[]dir[]]/f"], "{shell}");
    }
    // Fish would put the rest of it behind what was typed.
    assert_eq!(offered("zsh", "odd/what?"), ["odd/what[?]"]);
    assert_eq!(offered("fish", "odd/what?"), [""; 0]);
    for (name, pattern) in STRANGE {
        let mut command = machine.command(&format!("ls {at} --path"));
        let shown = format!("odd/{name}\n").replace('\\', r"\\");
        assert_eq!(ended(command.arg(format!("odd/{pattern}"))).printed(), shown);
    }
    registry.take_requests();
    let quoted: Vec<String> = STRANGE.iter().map(|(_, pattern)| in_bash(pattern)).collect();
    for (begun, expected) in [("[d]", &quoted[0]), ("wha", &quoted[2]), ("a", &quoted[4])] {
        check(&machine, &registry, &format!("refs ls HOST/o/r:v1 --path odd/{begun}"), &[&format!("odd/{expected}")]);
    }
    check(&machine, &registry, "refs cat HOST/o/r:v1 odd/wh", &[r"odd/what\?"]);
}

/// `pattern`, with what bash would expand quoted.
fn in_bash(pattern: &str) -> String {
    let quote = |c: char| if c.is_alphanumeric() || c == ',' { vec![c] } else { vec!['\\', c] };
    pattern.chars().flat_map(quote).collect()
}

#[test]
fn layouts_are_named_by_their_paths_and_by_what_they_list() {
    let (machine, registry) = place();
    for at in ["lay:v1", "lay:ghcr.io/o/r:v2", "lay:ghcr.io/o/r:v3", "layouts/own:v1", "layouts/.hidden:v1"] {
        machine.prints(&format!("push source ocidir://{at}"));
    }
    machine.write("lay-source", &small());
    check(&machine, &registry, "refs ls oci", &["ocidir://"]);
    check(&machine, &registry, "refs ls ocidir://la", &["//lay:", "//lay-source/", "//layouts/"]);
    check(&machine, &registry, "refs ls ocidir://layouts/", &["//layouts/own:"]);
    check(&machine, &registry, "refs ls ocidir://layouts/.", &["//layouts/.hidden:"]);
    check(&machine, &registry, "refs tags ocidir://layouts/", &["//layouts/own"]);
    check(&machine, &registry, "refs ls ocidir://lay:", &["ghcr.io/o/r:", "v1"]);
    check(&machine, &registry, "refs cp ocidir://lay:v1 ocidir://lay:gh", &["ghcr.io/o/r:"]);
    check(&machine, &registry, "refs ls ocidir://lay:ghcr.io/o/r:", &["v2", "v3"]);
    check(&machine, &registry, "refs tags ocidir://lay:", &["ghcr.io/o/r"]);
    check(&machine, &registry, "refs cat ocidir://lay:v1 gui", &["guide/"]);
    check(&machine, &registry, "refs ls ocidir://none:", &[]);
    check(&machine, &registry, "refs ls ocidir://none/", &[]);
}

#[test]
fn at_a_terminal_bash_completes_what_has_to_be_quoted_as_it_was_begun() {
    let (machine, registry) = place();
    for at in ["lay dir/own:v1", "it's/own:v1", "plain/own:ghcr.io/o/r:v2"] {
        let mut push = machine.command("push source");
        ended(push.arg(format!("ocidir://{at}")));
    }
    std::fs::create_dir(machine.path("a$(touch made) b")).unwrap();
    let at = format!("{}/o/r:v1", registry.host());
    let rows = [
        ("refs ls ocidir://plain/own:gh", "refs ls ocidir://plain/own:ghcr.io/o/r:"),
        (r"refs ls ocidir://lay\ d", r"refs ls ocidir://lay\ dir/"),
        ("refs ls ocidir://lay", r"refs ls ocidir://lay\ dir/"),
        (r"refs ls ocidir://lay\ dir/", r"refs ls ocidir://lay\ dir/own:"),
        (r"refs ls ocidir://lay\ dir/own:", r"refs ls ocidir://lay\ dir/own:v1 "),
        (r#"refs ls "ocidir://lay d"#, r#"refs ls "ocidir://lay dir/""#),
        (r#"refs ls "ocidir://lay dir/""#, r#"refs ls "ocidir://lay dir/"own:"#),
        (r#"refs ls "ocidir://lay dir/own:"#, r#"refs ls "ocidir://lay dir/own:v1" "#),
        ("refs ls 'ocidir://it", r"refs ls 'ocidir://it'\''s/'"),
        ("refs ls ocidir://it", r"refs ls ocidir://it\'s/"),
        (&format!("refs cat {at} notes/a"), &format!(r"refs cat {at} notes/a\ b ")),
        (&format!(r#"refs ls "{at}" --path gui"#), &format!(r#"refs ls "{at}" --path guide/"#)),
        (&format!("refs cat {at} 'notes/a"), &format!("refs cat {at} 'notes/a b' ")),
        (&format!("refs ls {at} --path '{{"), &format!("refs ls {at} --path '[{{]e[}}]' ")),
        (&format!("refs ls {at} --path=\"{{"), &format!("refs ls {at} --path=\"[{{]e[}}]\" ")),
        (&format!("refs ls {at} --path=\\{{"), &format!(r"refs ls {at} --path=\[\{{\]e\[\}}\] ")),
        ("refs push a", "refs push a"),
    ];
    let seen = typed(&machine, &rows.map(|(line, _)| line));
    assert_eq!(seen, rows.map(|(_, expected)| expected));
    assert!(!machine.path("made").exists());
}

#[test]
fn what_a_shell_quotes_is_offered_as_it_is_but_for_what_a_terminal_obeys() {
    let machine = Machine::new();
    for name in ["a dir", "a$(reboot)", "a\u{1b}[2J", "a\nb"] {
        std::fs::create_dir(machine.path(name)).unwrap();
    }
    for shell in ["zsh", "fish"] {
        let mut command = machine.command("");
        let offered = ended(command.env("REFS_COMPLETE", shell).args(["--", "refs", "ls", "ocidir://a"]));
        let lines: Vec<_> = offered.text().lines().map(str::to_owned).collect();
        assert_eq!(lines, ["ocidir://a dir/", "ocidir://a$(reboot)/"], "{shell}");
        let mut command = machine.command("");
        let offered = ended(command.env("REFS_COMPLETE", shell).args(["--", "refs", "pul"]));
        assert_eq!(offered.text(), "pull\tExtract an artifact, or a part of it\n", "{shell}");
    }
}

#[test]
fn without_a_cache_nothing_is_offered_or_made() {
    let (machine, registry) = (Machine::new(), registry());
    check(&machine, &registry, "refs pull HOST/o/r:", &[]);
    check(&machine, &registry, "refs cat HOST/o/r:v1 R", &[]);
    assert!(!machine.cache().exists());
    std::fs::write(machine.cache(), "no folder").unwrap();
    check(&machine, &registry, "refs pull HOST/o/r:", &[]);
}

#[test]
fn whatever_goes_wrong_nothing_is_said() {
    let machine = Machine::new();
    for (shell, words) in
        [("tcsh", "refs p"), ("", "refs p"), ("bash", ""), ("bash", "refs no such"), ("zsh", "refs p")]
    {
        let mut command = machine.command("");
        command.args(["--"]).args(words.split(' ')).env("REFS_COMPLETE", shell);
        let run = ended(&mut command);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{shell}: {words}");
    }
}

#[test]
fn names_of_files_that_a_shell_would_run_are_not_offered() {
    let machine = Machine::new();
    for name in ["$(reboot)", "a b;id", "plain"] {
        std::fs::create_dir(machine.path(name)).unwrap();
    }
    for shell in ["bash", "powershell"] {
        let mut command = machine.command("");
        let offered = command.env("REFS_COMPLETE", shell).args(["--", "refs", "push", ""]);
        let offered = String::from_utf8(ended(offered).stdout).unwrap();
        assert!(
            offered.contains("plain") && !offered.contains("reboot") && !offered.contains("id"),
            "{shell}: {offered}"
        );
    }
}
