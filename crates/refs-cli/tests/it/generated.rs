//! `refs completions`, `refs man`

use std::fs;

use crate::support::Machine;

#[test]
fn each_shell_gets_a_script_that_knows_the_commands() {
    let machine = Machine::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = machine.prints(&format!("completions {shell}"));
        for word in ["push", "pull", "plain-http"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    machine.fails("completions tcsh", 2, &["invalid value 'tcsh'"]);
}

#[test]
fn a_manual_page_is_printed_or_one_written_for_each_command() {
    let machine = Machine::new();
    let page = machine.prints("man");
    assert!(page.contains(".TH refs 1"), "{page}");
    assert_eq!(machine.prints("man pages"), "");
    let pages: Vec<_> = fs::read_dir(machine.path("pages")).unwrap().map(|page| page.unwrap().file_name()).collect();
    assert!(
        ["refs.1", "refs-push.1", "refs-ls.1"].iter().all(|name| pages.iter().any(|page| page == name)),
        "{pages:?}"
    );
}

#[test]
fn pages_that_cannot_be_written_are_an_error() {
    let machine = Machine::new();
    fs::write(machine.path("file"), "").unwrap();
    machine.fails("man file", 1, &["cannot write to `file`"]);
}
