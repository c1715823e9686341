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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(before: &str, name: &str, text: &str, expect: &str) {
        let mut object = JsonObject::parse(before.as_bytes()).unwrap();
        object.set(name, text).unwrap();
        assert_eq!(object.to_text(0).as_str(), expect);
    }

    #[test]
    fn a_field_is_set_in_its_place_and_the_others_keep_their_text() {
        check("{}", "a", "1", "{\n\t\"a\": 1\n}");
        check("{\"b\":1.50,\"a\":2}", "b", "{}", "{\n\t\"b\": {},\n\t\"a\": 2\n}");
        check("{ \"b\" : [ 1e3 ] }", "a", "\"x\"", "{\n\t\"b\": [ 1e3 ],\n\t\"a\": \"x\"\n}");
        check("{\"a\":1,\"a\":2}", "a", "3", "{\n\t\"a\": 1,\n\t\"a\": 3\n}");
        check("{\"\\u0001\\\"\":1}", "a", "2", "{\n\t\"\\u0001\\\"\": 1,\n\t\"a\": 2\n}");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "[]", "null", "{", "{}x", "{\"a\"}"] {
            assert!(JsonObject::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(JsonObject::default().set("a", "{").is_err());
    }

    proptest! {
        #[test]
        fn a_field_that_is_set_and_removed_leaves_the_rest(
            fields in prop::collection::btree_map(".{0,8}", (any::<i64>(), ".{0,8}"), 0..8),
            name in "[a-z]{9}",
        ) {
            let before = serde_json::to_value(&fields).unwrap();
            let mut object = JsonObject::parse(before.to_string().as_bytes()).unwrap();
            object.set(&name, "{\"auth\":\"x\"}").unwrap();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&object.to_text(1)).unwrap()[&name]["auth"].clone(), "x");
            let removed = object.retain(|key| key != name);
            prop_assert_eq!(removed.len(), 1);
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&object.to_text(0)).unwrap(), before);
        }
    }
}
