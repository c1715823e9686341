//! `refs completions`, `refs man`

use std::fs;

use crate::support::{Machine, ended};

#[test]
fn each_shell_gets_a_script_that_asks_the_program() {
    let machine = Machine::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = machine.prints(&format!("completions {shell}"));
        assert!(script.contains("REFS_COMPLETE") && script.contains(shell), "{script}");
        let mut asked = machine.command("");
        asked.args(["--", "refs", "pu"]).env("REFS_COMPLETE", shell).env("_CLAP_COMPLETE_INDEX", "1");
        let offered = ended(&mut asked).printed();
        assert!(offered.contains("push") && offered.contains("pull"), "{shell} is offered {offered}");
    }
    machine.fails("completions tcsh", 2, &["invalid value 'tcsh'"]);
}

#[test]
fn a_manual_page_is_printed_or_one_written_for_each_command() {
    let machine = Machine::new();
    let page = machine.prints("man");
    assert!(page.contains(".TH refs 1"), "{page}");
    let codes = "\n.SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\ndone\n.TP\n\\fB1\\fR\n";
    assert!(page.contains(codes) && page.contains("\\fB11\\fR\nsomething is in the way"), "{page}");
    assert_eq!(machine.prints("man pages"), "");
    let pages: Vec<_> = fs::read_dir(machine.path("pages")).unwrap().map(|page| page.unwrap().file_name()).collect();
    assert!(
        ["refs.1", "refs-push.1", "refs-ls.1", "refs-blob-get.1"]
            .iter()
            .all(|name| pages.iter().any(|page| page == name)),
        "{pages:?}"
    );
    let page = fs::read_to_string(machine.path("pages/refs-blob-get.1")).unwrap();
    assert!(page.contains(".TH refs-blob-get 1") && page.contains(codes), "{page}");
}

#[test]
fn help_of_every_command_has_an_example() {
    let machine = Machine::new();
    let help = machine.prints("--help");
    let lines = help.split("Commands:\n").nth(1).unwrap().lines().take_while(|line| !line.is_empty());
    // What a line is too short for goes on, further to the right.
    let names = lines.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    let commands: Vec<_> = names.filter_map(|line| line.split(' ').next()).filter(|name| *name != "help").collect();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        let help = machine.prints(&format!("{command} --help"));
        assert!(help.contains(&format!("\nExamples:\n  refs {command}")), "{help}");
    }
}

#[test]
fn pages_that_cannot_be_written_are_an_error() {
    let machine = Machine::new();
    fs::write(machine.path("file"), "").unwrap();
    machine.fails("man file", 1, &["cannot write to `file`"]);
}
