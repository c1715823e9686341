//! One command line of a series, and what its words stand for.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};

/// A way to do the work of a series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Words and `{names}`. With a `|`, `&&` or a quote a shell runs it, as a person would.
    pub(crate) line: &'static str,
}

/// What the names stand for in one run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(BTreeMap<&'static str, String>);

impl Names {
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.insert(name, value.into());
    }

    /// The same at the registry `host`, for the values that say `{host}`.
    pub(crate) fn at(&self, host: &str) -> Self {
        Self(self.0.iter().map(|(name, value)| (*name, value.replace("{host}", host))).collect())
    }

    pub(crate) fn set_path(&mut self, name: &'static str, value: &Path) {
        self.set(name, value.display().to_string());
    }
}

impl Row {
    /// Whether this is our own program.
    pub(crate) fn is_ours(&self) -> bool {
        self.line.starts_with("{refs} ")
    }

    pub(crate) fn uses(&self, name: &str) -> bool {
        self.line.contains(&format!("{{{name}}}"))
    }

    /// The command.
    ///
    /// # Errors
    /// [`Error::MissingTool`] for a program that is not there.
    pub(crate) fn command(&self, names: &Names) -> Result<Command> {
        let line = self.filled(names)?;
        if !line.contains(['|', '&', '\'']) {
            let mut words = line.split_whitespace();
            let mut command = Command::new(words.next().unwrap_or_default());
            command.args(words);
            return Ok(command);
        }
        let mut command = Command::new("bash");
        command.args(["-o", "pipefail", "-c", &line]);
        Ok(command)
    }

    fn filled(&self, names: &Names) -> Result<String> {
        let mut filled = String::new();
        let mut rest = self.line;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(Error::Usage("a name in a row does not end"))?;
            let known = names.0.iter().find(|(known, _)| **known == name);
            let (_, value) = known.ok_or(Error::MissingTool(self.name))?;
            filled.push_str(before);
            filled.push_str(value);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &'static str, words: &[&str]) {
        let mut names = Names::default();
        names.set("crane", "/bin/crane");
        names.set("out", "/tmp/out");
        let command = Row { name: "row", line }.command(&names).unwrap();
        let found: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).collect();
        assert_eq!(found, words);
    }

    #[test]
    fn a_shell_runs_only_what_needs_one() {
        check("{crane} ls  {out}", &["/bin/crane", "ls", "/tmp/out"]);
        check("{crane} | tar x -C {out}", &["bash", "-o", "pipefail", "-c", "/bin/crane | tar x -C /tmp/out"]);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Row { name: "peer", line: "{peer} run" }.command(&Names::default()).unwrap_err();
        assert!(matches!(error, Error::MissingTool("peer")));
    }
}
