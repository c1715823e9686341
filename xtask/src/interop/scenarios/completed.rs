//! Completion in shells that run: zsh at a terminal of its own, fish by asking it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::round_trip::pushed;
use crate::error::{Error, Result};
use crate::interop::bench::{Bench, require_equal};

/// Presses the key behind each line in turn, and prints what the line is then. A shell that waits for more has ended by
/// itself before anybody gives up on it.
const AT_A_TERMINAL: &str = r#"
zmodload zsh/zpty || exit 9
setup=$1; shift
zpty shell zsh -f -i
seen() {
    local all= part
    while zpty -r shell part; do
        all+=$part
        if [[ $all == *$1* ]]; then REPLY=$all; return 0; fi
    done
    exit 8
}
zpty -w shell "TMOUT=60 PS1= PS2= RPS1=; $setup
show() { print -r -- \"<\"\"<\${BUFFER}>\"\">\"; BUFFER=; zle accept-line }
zle -N show; bindkey '^X' show; print rea''dy"
seen ready
for line in "$@"; do
    zpty -n -w shell "$line"$'\t\x18'
    seen '>>'
    print -r -- "${${REPLY##*<<}%%>>*}|"
done
zpty -d shell
"#;
/// Both ways in which people have it read the script.
const SETUPS: [&str; 2] = [
    "autoload -Uz compinit; compinit -D -u; source ./functions/_refs",
    "fpath=($PWD/functions $fpath); autoload -Uz compinit; compinit -D -u",
];
/// A line, what zsh makes of it, and what fish says that its last word may become. `REPO` is a repository that was read
/// before.
const ROWS: [(&str, &str, &str); 11] = [
    ("refs pul", "refs pull ", "pull"),
    ("refs ls HOST/interop/sam", "refs ls REPO:", "REPO:"),
    ("refs ls REPO:", "refs ls REPO:v1 ", "REPO:v1"),
    ("refs cat REPO:v1 REA", "refs cat REPO:v1 README.md ", "README.md"),
    (r"refs ls ocidir://lay\ d", r"refs ls ocidir://lay\ dir/", "ocidir://lay dir/"),
    (r#"refs ls "ocidir://lay d"#, r#"refs ls "ocidir://lay dir/"#, "ocidir://lay dir/"),
    (r"refs ls ocidir://lay\ dir/", r"refs ls ocidir://lay\ dir/own:", "ocidir://lay dir/own:"),
    (r"refs ls ocidir://lay\ dir/own:", r"refs ls ocidir://lay\ dir/own:v1 ", "ocidir://lay dir/own:v1"),
    (r"refs ls ocidir://odd:v1 --path ", r"refs ls ocidir://odd:v1 --path \[\[\]a\[\]\]\[\*\].md ", "[[]a[]][*].md"),
    (r#"refs cat "ocidir://odd:v1" "#, r#"refs cat "ocidir://odd:v1" \[a\]\*.md "#, "[a]*.md"),
    ("refs ls ocidir://run", r"refs ls ocidir://run\$\(touch\ made\)/", "ocidir://run$(touch made)/"),
];

/// zsh completes references with a port, paths with spaces, and layouts, and runs nothing of their names.
pub(super) fn zsh(bench: &Bench<'_>) -> Result<()> {
    let folder = ground(bench, "zsh", "functions/_refs")?;
    let repository = bench.place.repository("interop/sample");
    for setup in SETUPS {
        let lines = ROWS.map(|(line, _, _)| filled(line, bench, &repository));
        let words = ["-f", "-c", AT_A_TERMINAL, "zsh", setup].into_iter().chain(lines.iter().map(String::as_str));
        let found = bench.zsh(&folder, &words.collect::<Vec<_>>())?.text()?;
        let expected = ROWS.map(|(_, expected, _)| filled(expected, bench, &repository) + "|");
        require_equal(&format!("what zsh completes after `{setup}`"), &expected.join("\n"), &found)?;
    }
    nothing_was_run(&folder)
}

/// The same in fish.
pub(super) fn fish(bench: &Bench<'_>) -> Result<()> {
    // fish's `string replace` fails where there was nothing to replace.
    const ASKED: &str = "source $argv[1]; complete -C $argv[2] | string replace --regex '\\t.*' ''; true";
    let folder = ground(bench, "fish", "refs.fish")?;
    let repository = bench.place.repository("interop/sample");
    for (line, _, expected) in ROWS {
        let [line, expected] = [line, expected].map(|text| filled(text, bench, &repository));
        let found = bench.fish(&folder, &["--no-config", "-c", ASKED, "refs.fish", &line])?.text()?;
        require_equal(&format!("what fish offers behind `{line}`"), &expected, &found)?;
    }
    nothing_was_run(&folder)
}

/// A folder with the script for `shell` at `path`, and layouts; the sample was read from the registry.
fn ground(bench: &Bench<'_>, shell: &str, path: &str) -> Result<PathBuf> {
    let reference = pushed(bench)?;
    bench.refs(&["ls", &reference])?.stdout()?;
    let folder = bench.path("ground");
    for name in ["functions", "lay dir", "run$(touch made)", "source"] {
        let made = folder.join(name);
        fs::create_dir_all(&made).map_err(Error::file("create", &made))?;
    }
    let odd = folder.join("source/[a]*.md");
    fs::write(&odd, "").map_err(Error::file("write", &odd))?;
    for (source, layout) in [(&bench.trees.sample, "lay dir/own:v1"), (&folder.join("source"), "odd:v1")] {
        let layout = format!("ocidir://{}/{layout}", folder.display());
        bench.refs(&["push".as_ref(), source.as_os_str(), OsStr::new(&layout)])?.stdout()?;
    }
    let (script, path) = (bench.refs(&["completions", shell])?.stdout()?, folder.join(path));
    fs::write(&path, script).map_err(Error::file("write", &path))?;
    Ok(folder)
}

fn filled(text: &str, bench: &Bench<'_>, repository: &str) -> String {
    text.replace("HOST", bench.place.host()).replace("REPO", repository)
}

fn nothing_was_run(folder: &Path) -> Result<()> {
    require_equal("whether the name of a directory was run", "false", &folder.join("made").exists().to_string())
}
