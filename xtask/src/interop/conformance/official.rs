//! The suite of the distribution spec itself, over `refs serve`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::setup::SetUp;
use crate::error::{Error, Result};
use crate::interop::process::Outcome;
use crate::interop::summary::Summary;
use crate::interop::tools::Tools;

/// What the suite leaves to the registry, all of it asked for. The one thing left out is a manifest whose blobs are missing,
/// which a registry may refuse, as ours does.
const EVERYTHING: [(&str, &str); 6] = [
    ("OCI_VERSION", "1.1"),
    ("OCI_TLS", "disabled"),
    ("OCI_API_BLOBS_DIGEST_HEADER", "true"),
    ("OCI_API_BLOBS_UPLOAD_CANCEL", "true"),
    ("OCI_API_MANIFESTS_DIGEST_HEADER", "true"),
    ("OCI_API_MANIFESTS_TAG_PARAM", "true"),
];

/// What it runs over.
pub(super) const PROGRAM: &str = SetUp::RefsServe.program();

/// What the row over `program` is called.
pub(super) fn name(program: &str) -> String {
    format!("conformance: {program}, the suite of the distribution spec")
}

/// Runs the suite, as a row: every test of it has to pass, and none may be skipped.
pub(super) fn run(tools: &Tools, summary: &mut Summary) {
    let start = Instant::now();
    let name = name(&SetUp::RefsServe.versioned_program(tools));
    match check(tools) {
        Ok(tests) => summary.note(&format!("{name}: {tests} tests"), &Ok(()), start.elapsed()),
        Err(error) => summary.note(&name, &Err(error), start.elapsed()),
    }
}

/// Runs the suite at an empty server; gives how many tests there were.
fn check(tools: &Tools) -> Result<usize> {
    let program = tools.conformance.as_ref().ok_or(Error::MissingTool("conformance"))?;
    let started = SetUp::RefsServe.start(tools)?;
    let dir = tempfile::tempdir().map_err(Error::file("create", "a temporary directory"))?;
    let mut command = Command::new(program);
    // Apart from the settings of whoever runs this, whose names would be the same.
    command.env_clear().envs(EVERYTHING).env("OCI_REGISTRY", started.host()).env("OCI_RESULTS_DIR", dir.path());
    // Its exit code says less than its report: it ends well when it has skipped something.
    Outcome::of(command.current_dir(dir.path()))?;
    Report::read(&dir.path().join("junit.xml"))?.verdict()
}

/// What came of each test.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    passed: usize,
    /// `STATUS NAME` of every other one.
    others: Vec<String>,
}

impl Report {
    fn read(path: &Path) -> Result<Self> {
        fs::read_to_string(path).map(|junit| Self::parse(&junit)).map_err(Error::file("read", path))
    }

    /// Reads the heads of the elements `testcase`. In what the suite writes, `<` and `>` are nowhere but in tags.
    fn parse(junit: &str) -> Self {
        let mut report = Self::default();
        for head in junit.split("<testcase ").skip(1).filter_map(|rest| rest.split('>').next()) {
            match attribute(head, "status") {
                Some("passed") => report.passed += 1,
                status => report.others.push(format!(
                    "{} {}",
                    status.unwrap_or("unknown"),
                    attribute(head, "name").unwrap_or_default()
                )),
            }
        }
        report
    }

    /// How many tests passed, when all of them did.
    fn verdict(self) -> Result<usize> {
        if self.others.is_empty() && self.passed > 0 {
            return Ok(self.passed);
        }
        let found = format!("{} passed; {}", self.passed, self.others.join(", "));
        Err(Error::Unexpected { what: "tests".to_owned(), expected: "every one passed".to_owned(), found })
    }
}

/// The value of an attribute in a tag.
fn attribute<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = head.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(cases: &str) -> Option<usize> {
        Report::parse(&format!("<testsuites tests=\"9\"><testsuite>{cases}</testsuite></testsuites>")).verdict().ok()
    }

    #[test]
    fn every_test_has_to_pass() {
        let passed = r#"<testcase name="a/b" classname="" time="0.1" status="passed"><system-err>&lt;testcase</system-err></testcase>"#;
        let skipped = r#"<testcase name="c" classname="" status="skipped"></testcase>"#;
        assert_eq!(verdict(&passed.repeat(2)), Some(2));
        assert_eq!(verdict(&[passed, skipped].concat()), None);
        assert_eq!(verdict(r#"<testcase name="c" classname=""></testcase>"#), None);
        assert_eq!(verdict(""), None);
        assert_eq!(Report::parse(skipped).others, ["skipped c"]);
    }
}
