//! The figures of caches as Markdown.

use super::super::statistics::{Spread, ratio};
use super::{Cache, Column, Table, Unit};

impl Table {
    pub(super) fn new(name: &'static str, unit: Unit, caches: &[Cache]) -> Self {
        let column = |cache: &Cache| Column { name: cache.name.clone(), figures: Vec::new(), spread: None };
        Self { name, unit, columns: caches.iter().map(column).collect() }
    }

    /// With what its figures come to.
    pub(super) fn closed(mut self) -> Self {
        for column in &mut self.columns {
            column.spread = Spread::of(column.figures.iter().flatten().copied());
        }
        self
    }

    pub(super) fn markdown(&self) -> String {
        let unit = self.unit.name();
        let mut text =
            format!("\n### {}\n\n| | {unit} | min–max | refs ÷ this (min–max) |\n|---|---|---|---|\n", self.name);
        let ours = self.columns.first().map(|column| column.figures.as_slice()).unwrap_or_default();
        for (number, column) in self.columns.iter().enumerate() {
            let Some(Spread { median, min, max }) = column.spread else {
                text.push_str(&format!("| {} | failed | | |\n", column.name));
                continue;
            };
            let ratio = ratio(ours, &column.figures).filter(|_| number > 0);
            let ratio =
                ratio.map_or_else(String::new, |it| format!("**{:.2}** ({:.2}–{:.2})", it.median, it.min, it.max));
            let digits = if self.unit == Unit::Milliseconds { 1 } else { 0 };
            text.push_str(&format!(
                "| {} | {median:.digits$} | {min:.digits$}–{max:.digits$} | {ratio} |\n",
                column.name
            ));
        }
        text
    }
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::MegabytesPerSecond => "MB/s",
            Self::RequestsPerSecond => "requests/s",
            Self::Milliseconds => "ms",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, figures: &[f64]) -> Column {
        let (name, figures) = (name.to_owned(), figures.iter().copied().map(Some).collect());
        Column { name, figures, spread: None }
    }

    #[test]
    fn a_ratio_stands_beside_each_peer_and_one_that_failed_says_so() {
        let columns = vec![column("refs", &[4.0, 6.0]), column("peer", &[2.0, 2.0]), column("broken", &[])];
        let text = Table { name: "hot", unit: Unit::MegabytesPerSecond, columns }.closed().markdown();
        assert!(text.contains("| refs | 5 | 4–6 |  |\n"), "{text}");
        assert!(text.contains("| peer | 2 | 2–2 | **2.50** (2.00–3.00) |\n"), "{text}");
        assert!(text.contains("| broken | failed | | |\n"), "{text}");
    }
}
