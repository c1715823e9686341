//! Rules about the text of the sources.

use std::fs;
use std::path::{Path, PathBuf};

use super::rules::{IMPURE_MODULES, IMPURE_NAMES, MAX_LINES, PRINTERS, PURE};
use super::violation::Violation;
use crate::error::{Error, Result};
use crate::workspace::Workspace;

const PRINT_MACROS: &[&str] = &["print!", "println!", "eprint!", "eprintln!", "dbg!"];

/// Every broken rule in the `src` directories of the workspace.
pub(crate) fn violations(workspace: &Workspace) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    for room in workspace.members() {
        for path in rust_files(&room.dir().join("src"))? {
            let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
            let shown = path.strip_prefix(&workspace.root).unwrap_or(&path);
            found.extend(check(&room.name, shown, &text));
        }
    }
    Ok(found)
}

/// The `.rs` files below `dir`, without those that hold only tests.
fn rust_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::file("list", dir))? {
        let path = entry.map_err(Error::file("list", dir))?.path();
        let is_tests = path.file_stem().is_some_and(|stem| stem == "tests");
        if path.is_dir() && !is_tests {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_tests {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn check(room: &str, path: &Path, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let is_code = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    let lines: Vec<_> = outside_tests(text).into_iter().filter(|(_, line)| is_code(line)).collect();
    if lines.len() > MAX_LINES {
        found.push(Violation::LongFile { path: path.to_owned(), lines: lines.len(), most: MAX_LINES });
    }
    let mut group = String::new();
    for (number, line) in lines {
        let wrong = misplaced(room, line).or_else(|| impure_in_group(room, &mut group, line));
        found.extend(wrong.map(|what| Violation::Source {
            path: path.to_owned(),
            line: number,
            what,
            room: room.to_owned(),
        }));
    }
    found
}

/// The numbered lines that are not in a `#[cfg(test)]` module. rustfmt closes a module in the column where it opened.
fn outside_tests(text: &str) -> Vec<(usize, &str)> {
    let mut kept = Vec::new();
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line)).peekable();
    while let Some((number, line)) = lines.next() {
        let opens = |next: &(usize, &str)| next.1.trim_start().starts_with("mod ") && next.1.ends_with('{');
        if line.trim() == "#[cfg(test)]" && lines.peek().is_some_and(opens) {
            let end = line.replace("#[cfg(test)]", "}");
            for (_, line) in lines.by_ref() {
                if line == end {
                    break;
                }
            }
        } else {
            kept.push((number, line));
        }
    }
    kept
}

fn misplaced(room: &str, line: &str) -> Option<String> {
    if !PRINTERS.contains(&room)
        && let Some(name) = PRINT_MACROS.iter().find(|name| has_word(line, name))
    {
        return Some((*name).to_owned());
    }
    if !PURE.contains(&room) {
        return None;
    }
    let module = IMPURE_MODULES.iter().map(|module| format!("std::{module}")).find(|path| has_word(line, path));
    module.or_else(|| IMPURE_NAMES.iter().find(|name| has_word(line, name)).map(|name| (*name).to_owned()))
}

/// Finds `use std::{…, env, …}` over one or several lines; `group` holds what is open of it.
fn impure_in_group(room: &str, group: &mut String, line: &str) -> Option<String> {
    if !PURE.contains(&room) {
        return None;
    }
    match line.find("std::{") {
        Some(start) => group.push_str(&line[start..]),
        None if !group.is_empty() => group.push_str(line),
        None => return None,
    }
    if !group.contains(';') {
        return None;
    }
    let whole = std::mem::take(group);
    let module = IMPURE_MODULES.iter().find(|module| has_word(&whole, module))?;
    Some(format!("std::{module}"))
}

/// Whether `word` stands in `line` with no letter, digit or `_` on either side of it.
fn has_word(line: &str, word: &str) -> bool {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(in_name) && (word.ends_with('!') || !after.is_some_and(in_name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn finds(room: &str, text: &str, expected: &[&str]) {
        let found: Vec<String> = check(room, Path::new("a.rs"), text).iter().map(Violation::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_of_400_lines_passes_and_one_more_does_not() {
        finds("refs-url", &"x;\n".repeat(400), &[]);
        finds("refs-url", &"x;\n".repeat(401), &["a.rs: 401 lines of code outside its tests; at most 400"]);
        finds("refs-url", &"x;\n\n    // why\n/// what\n".repeat(400), &[]);
    }

    #[test]
    fn lines_of_a_test_module_do_not_count_and_those_after_it_do() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    x;\n".repeat(300));
        finds("refs-url", &("x;\n".repeat(200) + &tests + &"x;\n".repeat(200)), &[]);
        let long = "x;\n".repeat(200) + &tests + &"x;\n".repeat(201);
        finds("refs-url", &long, &["a.rs: 401 lines of code outside its tests; at most 400"]);
    }

    #[test]
    fn printing_outside_the_command_line_is_found() {
        finds("refs-store", "fn f() {\n    println!(\"x\");\n}", &["a.rs:2: `println!` has no place in refs-store"]);
        finds("refs-store", "eprint!(\"x\");", &["a.rs:1: `eprint!` has no place in refs-store"]);
        finds("refs-cli", "println!();", &[]);
        finds("refs-store", "/// println!();\n// dbg!(x);\nmy_print!();", &[]);
        finds("refs-store", "#[cfg(test)]\nmod tests {\n    println!();\n}", &[]);
    }

    #[test]
    fn the_environment_in_a_pure_crate_is_found_however_it_is_imported() {
        finds("refs-url", "use std::env;", &["a.rs:1: `std::env` has no place in refs-url"]);
        finds("refs-estargz", "std::env::var(\"X\")", &["a.rs:1: `std::env` has no place in refs-estargz"]);
        finds("refs-url", "use std::{env, fmt};", &["a.rs:1: `std::env` has no place in refs-url"]);
        finds("refs-url", "use std::{\n    fmt,\n    env,\n};", &["a.rs:4: `std::env` has no place in refs-url"]);
        finds("refs-url", "use std::{fmt, str};\nlet env = 1;", &[]);
        finds("refs-store", "use std::env;", &[]);
        finds("refs-url", "use std::environment;", &[]);
    }

    #[test]
    fn a_clock_a_file_or_a_socket_in_a_pure_crate_is_found() {
        finds("refs-estargz", "Instant::now()", &["a.rs:1: `Instant` has no place in refs-estargz"]);
        finds("refs-url", "std::fs::read(p)", &["a.rs:1: `std::fs` has no place in refs-url"]);
        finds("refs-url", "use std::net::{TcpStream};", &["a.rs:1: `TcpStream` has no place in refs-url"]);
        finds("refs-url", "use std::net::Ipv6Addr;", &[]);
        finds("refs-store", "Instant::now(); std::fs::read(p)", &[]);
    }
}
