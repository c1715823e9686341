//! How a container of an image runs, by the image's config.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{ImageConfig, Platform};
use crate::error::ConfigFault;

impl ImageConfig {
    /// The platform that the image is for.
    ///
    /// # Errors
    /// `Field` for a variant, version or feature that is no text.
    pub fn platform(&self) -> Result<Platform, ConfigFault> {
        let option = |field| {
            text(field, self.extra.get(field)).map(|text| Some(text.to_owned()).filter(|text| !text.is_empty()))
        };
        let os_features = list("os.features", self.extra.get("os.features"))?;
        Ok(Platform {
            variant: option("variant")?,
            os_version: option("os.version")?,
            os_features: os_features.into_iter().map(str::to_owned).collect(),
            ..Platform::new(&self.os, &self.architecture)
        })
    }

    /// When the image was made, by [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339#section-5.6) if it holds to the
    /// spec; empty when it does not say so.
    ///
    /// # Errors
    /// `Field`, as all that follow.
    pub fn created(&self) -> Result<&str, ConfigFault> {
        text("created", self.extra.get("created"))
    }

    /// The program that runs, and its first arguments.
    ///
    /// # Errors
    /// `Field` when it is no list of texts.
    pub fn entrypoint(&self) -> Result<Vec<&str>, ConfigFault> {
        list("config.Entrypoint", self.config.get("Entrypoint"))
    }

    /// The arguments that follow those of the entry point, or the program and its arguments when there is none.
    ///
    /// # Errors
    /// `Field` when it is no list of texts.
    pub fn cmd(&self) -> Result<Vec<&str>, ConfigFault> {
        list("config.Cmd", self.config.get("Cmd"))
    }

    /// The environment as it is written: entries in their order, of the form `NAME=VALUE` if they hold to the spec.
    ///
    /// # Errors
    /// `Field` when it is no list of texts.
    pub fn env(&self) -> Result<Vec<&str>, ConfigFault> {
        list("config.Env", self.config.get("Env"))
    }

    /// The variables of the environment: what stands before the first `=` of an entry, and what stands behind it. An entry
    /// without one is left out; of two for the same variable the later counts.
    ///
    /// # Errors
    /// `Field` when it is no list of texts.
    pub fn variables(&self) -> Result<BTreeMap<&str, &str>, ConfigFault> {
        Ok(self.env()?.into_iter().filter_map(|entry| entry.split_once('=')).collect())
    }

    /// The directory that the program starts in; empty when it does not say so.
    ///
    /// # Errors
    /// `Field` when it is no text.
    pub fn working_dir(&self) -> Result<&str, ConfigFault> {
        text("config.WorkingDir", self.config.get("WorkingDir"))
    }

    /// Who runs the program: `USER`, `UID`, `USER:GROUP` and so on; empty when it does not say so.
    ///
    /// # Errors
    /// `Field` when it is no text.
    pub fn user(&self) -> Result<&str, ConfigFault> {
        text("config.User", self.config.get("User"))
    }

    /// Free words about a container of the image.
    ///
    /// # Errors
    /// `Field` when it is no object, or holds something else than texts.
    pub fn labels(&self) -> Result<BTreeMap<&str, &str>, ConfigFault> {
        let (field, expected) = ("config.Labels", "an object of texts");
        let labels = object(field, expected, self.config.get("Labels"))?.into_iter().flatten();
        labels
            .map(|(name, value)| match value {
                Value::String(text) => Ok((name.as_str(), text.as_str())),
                _ => Err(ConfigFault::Field { field, expected, found: "an object of other things" }),
            })
            .collect()
    }

    /// The ports that a container listens on, such as `8080/tcp`, sorted as texts.
    ///
    /// # Errors
    /// `Field` when it is no object.
    pub fn exposed_ports(&self) -> Result<Vec<&str>, ConfigFault> {
        keys("config.ExposedPorts", self.config.get("ExposedPorts"))
    }

    /// The directories that a container keeps elsewhere, sorted.
    ///
    /// # Errors
    /// `Field` when it is no object.
    pub fn volumes(&self) -> Result<Vec<&str>, ConfigFault> {
        keys("config.Volumes", self.config.get("Volumes"))
    }

    /// The signal that ends the program, such as `SIGTERM`; empty when it does not say so.
    ///
    /// # Errors
    /// `Field` when it is no text.
    pub fn stop_signal(&self) -> Result<&str, ConfigFault> {
        text("config.StopSignal", self.config.get("StopSignal"))
    }

    /// How Docker finds out whether a container is well, as written: the image spec has no such field.
    #[must_use]
    pub fn healthcheck(&self) -> Option<&Value> {
        self.config.get("Healthcheck").filter(|value| !value.is_null())
    }
}

fn text<'a>(field: &'static str, value: Option<&'a Value>) -> Result<&'a str, ConfigFault> {
    match value {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(ConfigFault::Field { field, expected: "a text", found: kind_of(other) }),
    }
}

fn list<'a>(field: &'static str, value: Option<&'a Value>) -> Result<Vec<&'a str>, ConfigFault> {
    let expected = "a list of texts";
    let values = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(values)) => values,
        Some(other) => return Err(ConfigFault::Field { field, expected, found: kind_of(other) }),
    };
    let texts = values.iter().map(|value| value.as_str());
    texts.collect::<Option<_>>().ok_or(ConfigFault::Field { field, expected, found: "a list of other things" })
}

/// The keys of an object that stands for a set.
fn keys<'a>(field: &'static str, value: Option<&'a Value>) -> Result<Vec<&'a str>, ConfigFault> {
    let mut keys: Vec<_> =
        object(field, "an object", value)?.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    keys.sort_unstable();
    Ok(keys)
}

fn object<'a>(
    field: &'static str,
    expected: &'static str,
    value: Option<&'a Value>,
) -> Result<Option<&'a Map<String, Value>>, ConfigFault> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(other) => Err(ConfigFault::Field { field, expected, found: kind_of(other) }),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::super::RootFs;
    use super::*;

    fn read(json: &Value) -> ImageConfig {
        ImageConfig::parse(json.to_string().as_bytes()).unwrap()
    }

    /// A config of which `config` holds one field.
    fn with(name: &str, value: &Value) -> ImageConfig {
        read(&serde_json::json!({"config": {name: value}}))
    }

    const NULL: Value = Value::Null;

    #[test]
    fn what_is_missing_or_null_is_empty() {
        let nulls =
            serde_json::json!({"architecture": null, "os": null, "config": null, "rootfs": null, "created": null});
        let names =
            ["Entrypoint", "Cmd", "Env", "WorkingDir", "User", "Labels", "ExposedPorts", "Volumes", "StopSignal"];
        let mut null_fields = read(&serde_json::json!({"rootfs": {"type": null, "diff_ids": null}}));
        null_fields.config = names.iter().chain(&["Healthcheck"]).map(|name| ((*name).to_owned(), NULL)).collect();
        for config in [read(&serde_json::json!({})), read(&nulls), null_fields] {
            assert_eq!(
                (config.architecture.as_str(), config.os.as_str(), &config.rootfs),
                ("", "", &RootFs::default())
            );
            assert_eq!((config.entrypoint(), config.cmd(), config.env()), (Ok(vec![]), Ok(vec![]), Ok(vec![])));
            assert_eq!((config.working_dir(), config.user(), config.stop_signal()), (Ok(""), Ok(""), Ok("")));
            assert_eq!((config.variables(), config.labels()), (Ok(BTreeMap::new()), Ok(BTreeMap::new())));
            assert_eq!((config.exposed_ports(), config.volumes()), (Ok(vec![]), Ok(vec![])));
            assert_eq!((config.created(), config.healthcheck()), (Ok(""), None));
            assert_eq!(config.platform(), Ok(Platform::new("", "")));
        }
    }

    #[test]
    fn container_is_described() {
        let config = read(&serde_json::json!({
            "architecture": "arm64", "os": "linux", "variant": "v8", "os.version": "1", "os.features": ["f"],
            "created": "2026-01-02T03:04:05Z", "history": [{"created_by": "x"}],
            "config": {
                "Entrypoint": ["/bin/server", "--port"], "Cmd": ["80"], "WorkingDir": "/srv", "User": "1000:50",
                "Labels": {"b": "2", "a": ""}, "ExposedPorts": {"80/tcp": {}, "443/tcp": {}}, "Volumes": {"/data": {}},
                "StopSignal": "SIGQUIT", "Healthcheck": {"Test": ["NONE"]}, "OnBuild": ["kept"],
            },
        }));
        assert_eq!((config.entrypoint(), config.cmd()), (Ok(vec!["/bin/server", "--port"]), Ok(vec!["80"])));
        assert_eq!(
            (config.working_dir(), config.user(), config.stop_signal()),
            (Ok("/srv"), Ok("1000:50"), Ok("SIGQUIT"))
        );
        assert_eq!(config.labels(), Ok(BTreeMap::from([("a", ""), ("b", "2")])));
        assert_eq!((config.exposed_ports(), config.volumes()), (Ok(vec!["443/tcp", "80/tcp"]), Ok(vec!["/data"])));
        assert_eq!(config.healthcheck(), Some(&serde_json::json!({"Test": ["NONE"]})));
        assert_eq!(
            (config.created(), config.platform().unwrap().to_string()),
            (Ok("2026-01-02T03:04:05Z"), "linux(1+f)/arm64/v8".to_owned())
        );
        assert_eq!(
            (&config.config["OnBuild"], &config.extra["history"][0]["created_by"]),
            (&serde_json::json!(["kept"]), &"x".into())
        );
    }

    #[track_caller]
    fn check_variables(env: &[&str], expected: &[(&str, &str)]) {
        let config = with("Env", &serde_json::json!(env));
        assert_eq!(config.env().unwrap(), env);
        assert_eq!(config.variables().unwrap(), expected.iter().copied().collect());
    }

    #[test]
    fn variables_are_split_at_the_first_equals_sign() {
        check_variables(&["PATH=/bin:/sbin", "EMPTY="], &[("PATH", "/bin:/sbin"), ("EMPTY", "")]);
        check_variables(&["OPTS=a=b=c"], &[("OPTS", "a=b=c")]);
        check_variables(&["=hidden", "=", "a"], &[("", "")]);
        check_variables(&["NOTHING", "A=1", "A=2", "A"], &[("A", "2")]);
    }

    #[track_caller]
    fn check_fault<T: std::fmt::Debug>(read: Result<T, ConfigFault>, expected: &str) {
        assert_eq!(read.unwrap_err().to_string(), expected);
    }

    #[test]
    fn other_kinds_of_values_are_told() {
        let five = &serde_json::json!(5);
        check_fault(
            with("Entrypoint", &"sh".into()).entrypoint(),
            "`config.Entrypoint` is a text, and must be a list of texts",
        );
        check_fault(
            with("Cmd", &serde_json::json!(["a", 5])).cmd(),
            "`config.Cmd` is a list of other things, and must be a list of texts",
        );
        check_fault(
            with("Env", &serde_json::json!({"A": "1"})).env(),
            "`config.Env` is an object, and must be a list of texts",
        );
        check_fault(
            with("Env", &serde_json::json!([null])).variables(),
            "`config.Env` is a list of other things, and must be a list of texts",
        );
        check_fault(with("WorkingDir", five).working_dir(), "`config.WorkingDir` is a number, and must be a text");
        check_fault(with("User", five).user(), "`config.User` is a number, and must be a text");
        check_fault(
            with("Labels", &serde_json::json!([])).labels(),
            "`config.Labels` is a list, and must be an object of texts",
        );
        check_fault(
            with("Labels", &serde_json::json!({"a": 5})).labels(),
            "`config.Labels` is an object of other things, and must be an object of texts",
        );
        check_fault(
            with("ExposedPorts", &serde_json::json!(["80"])).exposed_ports(),
            "`config.ExposedPorts` is a list, and must be an object",
        );
        check_fault(
            with("Volumes", &true.into()).volumes(),
            "`config.Volumes` is true or false, and must be an object",
        );
        check_fault(with("StopSignal", five).stop_signal(), "`config.StopSignal` is a number, and must be a text");
        check_fault(read(&serde_json::json!({"created": 5})).created(), "`created` is a number, and must be a text");
        check_fault(read(&serde_json::json!({"variant": 8})).platform(), "`variant` is a number, and must be a text");
    }

    #[test]
    fn one_field_does_not_keep_the_others_from_being_read() {
        let config = read(&serde_json::json!({"config": {"Env": 5, "Cmd": ["sh"]}}));
        assert_eq!(config.cmd(), Ok(vec!["sh"]));
    }
}
