//! `cargo xtask bench`: the built `refs` beside its peers, on the same trees, at the same registry, in one run.
//!
//! The rows of a series take turns, a round at a time, so that whatever else the machine does falls on all of them. Every run
//! writes to a place of its own and nothing is deleted until the very end: a file system without a journal is slow for
//! minutes after it has lost many files.

mod machine;
mod measure;
mod mirror;
mod options;
mod parsing;
mod programs;
mod proxy;
mod report;
mod row;
mod runner;
mod series;
mod setting;
mod statistics;
mod tree;

use std::fs;

pub(crate) use measure::measured;
use options::Options;
use report::Report;
use runner::Runner;
use series::Series;
use setting::Setting;

use crate::error::{Error, Result};
use crate::workspace::Workspace;

/// Runs the series that `words` ask for; prints them as Markdown.
///
/// # Errors
/// A peer that fails is a row that says so. Only a failure of `refs`, or of the setting, fails the whole.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let options = Options::parse(words)?;
    let workspace = Workspace::load()?;
    let mut report = Report::new(machine::describe());
    print!("{}", report.head());
    if mirror::is_wanted(&options) {
        let figures = mirror::measure(&workspace, &options)?;
        print!("{}", figures.markdown());
        report.mirror = Some(figures);
    }
    let chosen = series::chosen(&options);
    if !chosen.is_empty() || options.wants("parsing") {
        let setting = Setting::prepare(&workspace)?;
        report.binary_bytes = Some(setting.binary_bytes);
        print!("{}", report.binary());
        run_series(&chosen, &setting, &options, &mut report)?;
    }
    if let Some(path) = &options.json {
        fs::write(path, report.json()).map_err(Error::file("write", path))?;
    }
    match report.own_failures() {
        0 => Ok(()),
        count => Err(Error::Bench { count }),
    }
}

fn run_series(chosen: &[Series], setting: &Setting, options: &Options, report: &mut Report) -> Result<()> {
    for series in chosen {
        let table = Runner::new(setting, options).run(series)?;
        print!("{}", table.markdown());
        report.tables.push(table);
    }
    if options.wants("parsing") {
        report.parsing = parsing::measure(setting, options);
        print!("{}", report.parsing_markdown());
    }
    Ok(())
}
