//! How a container of an image runs, for `refs inspect`.

use std::{collections::BTreeMap, fmt};

use refs_registry::{error::ConfigFault, spec::ImageConfig};
use serde::Serialize;

use super::inspect::line;

/// What is empty is left out.
#[derive(Serialize, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    #[serde(skip_serializing_if = "String::is_empty")]
    created: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entrypoint: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cmd: Vec<String>,
    /// The variables, each once; the config has them in order.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    working_dir: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exposed_ports: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volumes: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<serde_json::Value>,
    /// What can't be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
}

impl Container {
    pub(super) fn of(config: &ImageConfig) -> Self {
        let mut faults = Faults::default();
        Self {
            created: faults.or_default(config.created()).to_owned(),
            entrypoint: texts(faults.or_default(config.entrypoint())),
            cmd: texts(faults.or_default(config.cmd())),
            env: pairs(faults.or_default(config.variables())),
            working_dir: faults.or_default(config.working_dir()).to_owned(),
            user: faults.or_default(config.user()).to_owned(),
            labels: pairs(faults.or_default(config.labels())),
            exposed_ports: texts(faults.or_default(config.exposed_ports())),
            volumes: texts(faults.or_default(config.volumes())),
            stop_signal: faults.or_default(config.stop_signal()).to_owned(),
            healthcheck: config.healthcheck().cloned(),
            faults: faults.0,
        }
    }
}

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    /// What was read; nothing, and a word about it, when it can't be.
    fn or_default<T: Default>(&mut self, read: Result<T, ConfigFault>) -> T {
        read.unwrap_or_else(|fault| {
            self.0.push(fault.to_string());
            T::default()
        })
    }
}

fn texts(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

fn pairs(pairs: BTreeMap<&str, &str>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A line for each thing; commands as lists in JSON, where it is plain which words they are of.
impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = |words: &Vec<String>| match words.as_slice() {
            [] => String::new(),
            words => serde_json::Value::from(words).to_string(),
        };
        for (name, text) in [
            ("created", &self.created),
            ("entrypoint", &command(&self.entrypoint)),
            ("cmd", &command(&self.cmd)),
            ("workdir", &self.working_dir),
            ("user", &self.user),
            ("stop signal", &self.stop_signal),
        ] {
            if !text.is_empty() {
                line(f, name, text)?;
            }
        }
        for (name, pairs) in [("env", &self.env), ("label", &self.labels)] {
            pairs.iter().try_for_each(|(key, value)| line(f, name, &format!("{key}={value}")))?;
        }
        for (name, texts) in [("port", &self.exposed_ports), ("volume", &self.volumes), ("config fault", &self.faults)]
        {
            texts.iter().try_for_each(|text| line(f, name, text))?;
        }
        self.healthcheck.iter().try_for_each(|check| line(f, "healthcheck", &check.to_string()))
    }
}
