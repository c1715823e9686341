//! A JSON object whose values keep their text and whose fields keep their order.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// An object that is read, changed in one place, and written again.
#[derive(Default)]
pub(super) struct JsonObject {
    fields: Vec<(String, Box<RawValue>)>,
}

impl JsonObject {
    pub(super) fn parse(text: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(text)
    }

    /// The text of a field's value; the last one's, as every reader of JSON has it, when there are several.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.get())
    }

    /// Makes `text` the value of the field, in its old place if it had one.
    pub(super) fn set(&mut self, name: &str, text: &str) -> serde_json::Result<()> {
        let value = RawValue::from_string(text.to_owned())?;
        match self.fields.iter_mut().rev().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value,
            None => self.fields.push((name.to_owned(), value)),
        }
        Ok(())
    }

    /// Keeps the fields whose names `is_kept`, and gives the values of the others.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) -> Vec<Zeroizing<String>> {
        let (kept, removed) = std::mem::take(&mut self.fields).into_iter().partition(|(key, _)| is_kept(key));
        self.fields = kept;
        let removed: Vec<(String, Box<RawValue>)> = removed;
        removed.into_iter().map(|(_, value)| Zeroizing::new(value.get().to_owned())).collect()
    }

    /// The object as text, indented with tabs as docker does it, for a place that is `depth` objects deep.
    pub(super) fn to_text(&self, depth: usize) -> Zeroizing<String> {
        if self.fields.is_empty() {
            return Zeroizing::new("{}".to_owned());
        }
        let line = format!("\n{}", "\t".repeat(depth));
        let name = |name: &String| serde_json::Value::from(name.as_str()).to_string();
        let fields = self.fields.iter().map(|(key, value)| format!("{line}\t{}: {}", name(key), value.get()));
        let fields = Zeroizing::new(fields.collect::<Vec<_>>().join(","));
        Zeroizing::new(format!("{{{}{line}}}", fields.as_str()))
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = JsonObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonObject, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(JsonObject { fields })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl fmt::Debug for JsonObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.fields.iter().map(|(key, _)| key)).finish()
    }
}
