//! Runs the rows of a series, taking turns.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::measure::{self, Cost};
use super::options::Options;
use super::proxy::Traffic;
use super::report::{Measured, Table};
use super::row::{Names, Row};
use super::series::Series;
use super::setting::{Contents, Setting, empty_large_files};
use crate::error::{Error, Result};
use crate::interop::process::Outcome;

/// Runs series in one setting.
#[derive(Debug)]
pub(crate) struct Runner<'a> {
    setting: &'a Setting,
    options: &'a Options,
    /// The cache of the rows that find theirs filled.
    warm: PathBuf,
}

/// The places of one run; each is made anew.
struct Places {
    base: PathBuf,
    out: PathBuf,
    cache: PathBuf,
    scratch: PathBuf,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(setting: &'a Setting, options: &'a Options) -> Self {
        Self { setting, options, warm: setting.fresh("warm-cache") }
    }

    /// A round to warm up, in which what came is compared; the timed rounds; and a round through the proxy, which nobody times.
    pub(crate) fn run(&self, series: &Series) -> Result<Table> {
        let names = self.setting.names(series.tree, series.rows)?;
        let mut rows: Vec<Measured> = series.rows.iter().map(|row| Measured::new(row.name, row.is_ours())).collect();
        self.warm_up(series, &names, &mut rows)?;
        for _ in 0..self.options.rounds(series.weight) {
            for (row, measured) in series.rows.iter().zip(&mut rows) {
                let cost = measured.attempt(|| Ok(self.timed(row, &names, self.setting.host())?.0))?;
                measured.costs.push(cost);
            }
        }
        for (row, measured) in series.rows.iter().zip(&mut rows).filter(|_| series.tree.is_some()) {
            measured.traffic = measured.attempt(|| self.traffic(row, &names))?;
        }
        Ok(Table { series: series.name.clone(), tree: series.tree.map(|tree| tree.name()), rows })
    }

    fn warm_up(&self, series: &Series, names: &Names, rows: &mut [Measured]) -> Result<()> {
        let mut expected = None;
        for (row, measured) in series.rows.iter().zip(rows) {
            let contents = measured.attempt(|| Ok(self.timed(row, names, self.setting.host())?.1))?;
            let Some(contents) = contents else { continue };
            let expected = expected.get_or_insert(contents);
            // More is not amiss: a tar extracts the table of contents of an eStargz layer as a file.
            if contents.files < expected.files || contents.bytes < expected.bytes {
                let Contents { files, bytes } = contents;
                measured.note = Some(format!("not all that refs wrote: {files} files of {bytes} bytes"));
            }
        }
        Ok(())
    }

    fn timed(&self, row: &Row, names: &Names, host: &str) -> Result<(Cost, Contents)> {
        let (command, places) = self.prepared(row, names, host)?;
        settle()?;
        let cost = measure::run(&command, &places.scratch)?;
        let contents = Contents::below(&places.out)?;
        empty_large_files(&places.base)?;
        Ok((cost, contents))
    }

    /// What goes over the wire in a run. The proxy is another host than the registry: nothing of it is in a cache yet.
    fn traffic(&self, row: &Row, names: &Names) -> Result<Traffic> {
        if row.uses("warm") {
            self.timed(row, names, &self.setting.proxy.host())?;
        }
        self.setting.proxy.take();
        self.timed(row, names, &self.setting.proxy.host())?;
        Ok(self.setting.proxy.take())
    }

    /// The command of one run, and the places that it may write to.
    fn prepared(&self, row: &Row, names: &Names, host: &str) -> Result<(Command, Places)> {
        let base = self.setting.fresh("run");
        let [out, cache, scratch] = ["out", "cache", "cost.json"].map(|name| base.join(name));
        let places = Places { base: base.clone(), out, cache, scratch };
        fs::create_dir_all(&places.out).map_err(Error::file("create", &places.out))?;
        let mut names = names.at(host);
        names.set_path("out", &places.out);
        names.set_path("file", &base.join("layer.tar"));
        names.set_path("side", &base.join("layout"));
        names.set("warm", "");
        names.set("to", format!("{host}/pushed/{}:v1", name_of(&base)));
        names.set("elsewhere", format!("{}/pushed/{}:v1", self.setting.elsewhere(), name_of(&base)));
        let mut command = row.command(&names)?;
        let cache: &Path = if row.uses("warm") { &self.warm } else { &places.cache };
        self.setting.surroundings(&mut command, cache);
        Ok((command, places))
    }
}

/// What runs before must not be written to disk in the time of the next.
fn settle() -> Result<()> {
    Outcome::of(&mut Command::new("sync"))?.stdout()?;
    Ok(())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
