//! What came of it, as Markdown and as JSON.

use serde::Serialize;

use super::machine::Machine;
use super::measure::Cost;
use super::mirror;
use super::parsing::Parsing;
use super::proxy::Traffic;
use super::statistics::{Spread, ratio};
use crate::error::{Error, Result};

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// The size of our own program.
    pub(crate) binary_bytes: Option<u64>,
    pub(crate) mirror: Option<mirror::Figures>,
    pub(crate) tables: Vec<Table>,
    pub(crate) parsing: Option<Parsing>,
}

/// One series; the first row is our own.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    pub(crate) series: String,
    pub(crate) tree: Option<String>,
    pub(crate) rows: Vec<Measured>,
}

/// One row.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    #[serde(skip)]
    is_ours: bool,
    /// One a round; nothing for a round that failed.
    pub(crate) costs: Vec<Option<Cost>>,
    pub(crate) traffic: Option<Traffic>,
    /// What a reader must know to compare.
    pub(crate) note: Option<String>,
    /// Why it ended too early.
    pub(crate) failure: Option<String>,
}

impl Measured {
    pub(crate) fn new(name: &'static str, is_ours: bool) -> Self {
        Self { name, is_ours, costs: Vec::new(), traffic: None, note: None, failure: None }
    }

    /// Does `work` unless an earlier round failed, and keeps the failure if there is one.
    ///
    /// # Errors
    /// What is neither the program's nor a missing program's failure: then the setting is broken.
    pub(crate) fn attempt<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
        if self.failure.is_some() {
            return Ok(None);
        }
        match work() {
            Ok(done) => Ok(Some(done)),
            Err(error @ (Error::Command { .. } | Error::MissingTool(_))) => {
                self.failure = Some(said(&error));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn walls(&self) -> Vec<Option<f64>> {
        self.costs.iter().map(|cost| cost.map(|cost| cost.wall_ms)).collect()
    }

    fn spread(&self, figure: impl Fn(&Cost) -> f64) -> Option<Spread> {
        Spread::of(self.costs.iter().flatten().map(figure))
    }

    fn markdown(&self, ours: &Self) -> String {
        if let Some(failure) = &self.failure {
            return format!("| {} | failed: {failure} |  |  |  |  |  |  |  |\n", cell(self.name));
        }
        let shown = |figure: Option<f64>| figure.map_or_else(|| "–".to_owned(), rounded);
        let wall = self.spread(|cost| cost.wall_ms);
        let ends = wall.map_or_else(String::new, |wall| format!("{}–{}", rounded(wall.min), rounded(wall.max)));
        let cpu = self.spread(|cost| cost.cpu_ms);
        let rss = self.spread(|cost| cost.rss_bytes as f64 / MIB);
        let traffic = self.traffic.map_or_else(
            || "– | – | –".to_owned(),
            |traffic| {
                let [sent, received] = [traffic.sent_bytes, traffic.received_bytes].map(|bytes| bytes as f64 / 1e6);
                format!("{} | {sent:.3} | {received:.3}", traffic.requests)
            },
        );
        let ratio = ratio(&ours.walls(), &self.walls()).filter(|_| !self.is_ours);
        let ratio = ratio
            .map_or_else(String::new, |ratio| format!("**{:.2}** ({:.2}–{:.2})", ratio.median, ratio.min, ratio.max));
        let note = self.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
        format!(
            "| {}{note} | {} | {ends} | {} | {} | {traffic} | {ratio} |\n",
            cell(self.name),
            shown(wall.map(|wall| wall.median)),
            shown(cpu.map(|cpu| cpu.median)),
            shown(rss.map(|rss| rss.max)),
        )
    }
}

impl Table {
    pub(crate) fn markdown(&self) -> String {
        let tree = self.tree.as_ref().map(|tree| format!(" ({tree})")).unwrap_or_default();
        let mut text = format!("\n### {}{tree}\n\n{HEAD}", self.series);
        for row in &self.rows {
            text.push_str(&row.markdown(&self.rows[0]));
        }
        text
    }
}

const MIB: f64 = 1024.0 * 1024.0;
const HEAD: &str = "\
| | wall ms | min–max | CPU ms | peak MiB | requests | MB sent | MB received | refs ÷ this (min–max) |
|---|---|---|---|---|---|---|---|---|
";

impl Report {
    pub(crate) fn new(machine: Machine) -> Self {
        Self { machine, binary_bytes: None, mirror: None, tables: Vec::new(), parsing: None }
    }

    /// What to know before the tables.
    pub(crate) fn head(&self) -> String {
        let Machine { processor, cores, kernel, load } = &self.machine;
        format!(
            "\n## refs beside its peers\n\n{cores} × {processor}, Linux {kernel}, load {load} before the first run. \
             Medians; the ratio is the median of the ratios of each round. CPU is user and system time of all processes of a \
             row, memory the peak of its \
             largest process, of which 3.6 MiB or so are the measuring parent's.\n"
        )
    }

    pub(crate) fn binary(&self) -> String {
        let binary = self.binary_bytes.map(|bytes| format!("\nThe binary of refs has {:.2} MB.\n", bytes as f64 / 1e6));
        binary.unwrap_or_default()
    }

    pub(crate) fn parsing_markdown(&self) -> String {
        self.parsing.as_ref().map_or_else(
            || "\nParsing was not measured: oci-client could not be built.\n".to_owned(),
            Parsing::markdown,
        )
    }

    pub(crate) fn json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// How many rows of ours failed, and limits of parsing that were missed.
    pub(crate) fn own_failures(&self) -> usize {
        let rows = self.tables.iter().flat_map(|table| &table.rows);
        let failed = rows.filter(|row| row.is_ours && row.failure.is_some()).count();
        failed + self.parsing.as_ref().map_or(0, Parsing::allocating_forms)
    }
}

/// Three digits, as much as such figures are good for.
fn rounded(figure: f64) -> String {
    match figure {
        ..10.0 => format!("{figure:.2}"),
        10.0..100.0 => format!("{figure:.1}"),
        _ => format!("{figure:.0}"),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// What a program said first, or what is wrong with running it; in one line.
fn said(error: &Error) -> String {
    let text = error.to_string();
    let words = match error {
        Error::Command { output, .. } => output.lines().find(|line| !line.trim().is_empty()),
        _ => None,
    };
    cell(words.unwrap_or(&text).trim()).chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &'static str, walls: &[f64]) -> Measured {
        let cost = |wall_ms: &f64| Some(Cost { wall_ms: *wall_ms, cpu_ms: 1.0, rss_bytes: 1 << 20 });
        Measured { costs: walls.iter().map(cost).collect(), ..Measured::new(name, name == "refs") }
    }

    #[test]
    fn a_peer_that_fails_is_a_row_that_says_so() {
        let mut peer = row("peer", &[]);
        let error = Error::Command {
            line: "peer".to_owned(),
            status: std::process::ExitStatus::default(),
            output: "\nno such | thing\nat all".to_owned(),
        };
        assert_eq!(peer.attempt(|| Err::<(), _>(error)).unwrap(), None);
        assert_eq!(peer.attempt(|| Ok(1)).unwrap(), None);
        let table = Table { series: "pull".to_owned(), tree: None, rows: vec![row("refs", &[1.0]), peer] };
        assert!(table.markdown().contains("no such \\| thing |"), "{}", table.markdown());
    }

    #[test]
    fn a_ratio_stands_beside_each_peer() {
        let table = Table {
            series: "pull".to_owned(),
            tree: None,
            rows: vec![row("refs", &[10.0, 20.0, 15.0]), row("crane | tar", &[40.0, 40.0, 45.0])],
        };
        let text = table.markdown();
        assert!(
            text.contains("| crane \\| tar | 40.0 | 40.0–45.0 | 1.00 | 1.00 | – | – | – | **0.33** (0.25–0.50) |"),
            "{text}"
        );
    }
}
