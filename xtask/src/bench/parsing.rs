//! Reading references: ours and oci-client's, each form, in one process; and the first one in a process.

use std::process::Command;

use serde::{Deserialize, Serialize};

use super::options::Options;
use super::row::Row;
use super::setting::Setting;
use super::statistics::Spread;
use crate::error::{Error, Result};
use crate::interop::process::Outcome;

/// What the program `xtask/peers/oci-client` measures.
#[derive(Debug, Serialize)]
pub(crate) struct Parsing {
    forms: Vec<Form>,
    /// Nanoseconds of the first parse in a process, over as many processes.
    first_refs_ns: Option<Spread>,
    first_oci_client_ns: Option<Spread>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Form {
    form: String,
    text: String,
    /// How often `Parts` allocated in one call.
    #[serde(default)]
    parts_allocations: usize,
    parts_ns: f64,
    reference_ns: f64,
    is_oci_ref_ns: f64,
    oci_client_ns: f64,
}

/// `None` without the peer.
pub(crate) fn measure(setting: &Setting, options: &Options) -> Option<Parsing> {
    let table = printed(setting, "{oci-client} parse").ok()?;
    let mut forms: Vec<Form> = serde_json::from_str(&table).ok()?;
    for form in &mut forms {
        let mut names = setting.names(None, &[]).ok()?;
        names.set("text", form.text.as_str());
        let mut command = Row { name: "oci-client", line: "{allocations} {text}" }.command(&names).ok()?;
        form.parts_allocations = Outcome::of(&mut command).and_then(Outcome::text).ok()?.parse().ok()?;
    }
    let processes = if options.is_quick() { 51 } else { 301 };
    let first = |line: &'static str| {
        let times = (0..processes).map_while(|_| printed(setting, line).ok()?.parse().ok());
        Spread::of(times)
    };
    let first_refs_ns = first("{oci-client} first refs ghcr.io/org/app:v1.2.3");
    let first_oci_client_ns = first("{oci-client} first oci ghcr.io/org/app:v1.2.3");
    Some(Parsing { forms, first_refs_ns, first_oci_client_ns })
}

fn printed(setting: &Setting, line: &'static str) -> Result<String> {
    let names = setting.names(None, &[])?;
    let mut command: Command = Row { name: "oci-client", line }.command(&names)?;
    match Outcome::of(&mut command)?.text() {
        Err(error @ Error::Command { .. }) => {
            println!("bench: {error}");
            Err(error)
        }
        text => text,
    }
}

impl Parsing {
    /// How many forms `Parts` allocated for; it promises none.
    pub(crate) fn allocating_forms(&self) -> usize {
        self.forms.iter().filter(|form| form.parts_allocations > 0).count()
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = "\n### parsing\n\n\
            | form | Parts ns | Reference ns | is_oci_ref ns | oci-client ns | oci-client ÷ Parts | oci-client ÷ Reference | allocations of Parts |\n\
            |---|---|---|---|---|---|---|---|\n"
            .to_owned();
        for form in &self.forms {
            let Form { form, parts_allocations, parts_ns, reference_ns, is_oci_ref_ns, oci_client_ns, .. } = form;
            text.push_str(&format!(
                "| {form} | {parts_ns:.0} | {reference_ns:.0} | {is_oci_ref_ns:.0} | {oci_client_ns:.0} | **{:.0}** | **{:.0}** | {parts_allocations} |\n",
                oci_client_ns / parts_ns,
                oci_client_ns / reference_ns,
            ));
        }
        for (name, spread) in [("refs-url", self.first_refs_ns), ("oci-client", self.first_oci_client_ns)] {
            if let Some(Spread { median, min, max }) = spread {
                let [median, min, max] = [median, min, max].map(|ns| ns / 1e3);
                text.push_str(&format!("\nFirst parse in a process, {name}: {median:.1} µs ({min:.1}–{max:.1}).\n"));
            }
        }
        text
    }
}
