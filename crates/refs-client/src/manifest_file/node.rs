//! YAML with the place of each value, so that every fault can be shown where it is.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::Number;
use serde_saphyr::Spanned;

use super::{FindingKind, Position, finding::Finding};

/// No manifest file needs more, and a stranger's must not cost more.
const MAX_DEPTH: usize = 32;
const MAX_ALIASES: usize = 100;
const MAX_NODES: usize = 20_000;
const MAX_SHOWN_CHARS: usize = 60;

/// A value, and where it is.
pub(super) type Node = Spanned<Value>;

/// A value of YAML.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Mapping(Vec<(Spanned<String>, Node)>),
}

/// Reads one document.
pub(super) fn parse(yaml: &str) -> Result<Node, Finding> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_merge_keys: MAX_ALIASES,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_NODES,
            max_replay_stack_depth: MAX_DEPTH,
        },
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(yaml, options).map_err(|error| syntax(&error))
}

fn syntax(error: &serde_saphyr::Error) -> Finding {
    let position = error.location().and_then(position);
    let message = error.without_snippet().render_with_formatter(&serde_saphyr::UserMessageFormatter);
    let message = message.lines().next().unwrap_or_default();
    // The place is told before the message.
    let message = message.rsplit_once(" at line ").map_or(message, |(before, _)| before);
    let message = match message.split_once("limits breached: ") {
        Some((_, breach)) => breached(breach).to_owned(),
        None => message.to_owned(),
    };
    Finding { position, field: String::new(), kind: FindingKind::Syntax(message) }
}

/// A limit in plain words, which the parser names by its own type.
fn breached(breach: &str) -> &'static str {
    let name = breach.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    match name {
        "Documents" => "it has more than one document",
        "Depth" => "it is nested too deep",
        "Aliases" | "Anchors" | "MergeKeys" | "AliasAnchorRatio" => "it has too many anchors and aliases",
        _ => "it has more values than are read of a manifest file",
    }
}

/// Where `node` is used, even if an alias says that it is written elsewhere.
pub(super) fn position_of<T>(node: &Spanned<T>) -> Option<Position> {
    position(node.referenced)
}

fn position(location: serde_saphyr::Location) -> Option<Position> {
    (location.line() > 0).then(|| Position { line: location.line(), column: location.column() })
}

impl Value {
    /// The value for a person, shortened.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Boolean(value) => format!("the boolean {value}"),
            Self::Number(number) => format!("the number {number}"),
            Self::Text(text) if text.is_empty() => "empty text".to_owned(),
            Self::Text(text) => quoted(text),
            Self::List(_) => "a list".to_owned(),
            Self::Mapping(_) => "a mapping".to_owned(),
        }
    }

    /// The same in JSON.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Boolean(value) => (*value).into(),
            Self::Number(number) => number.clone().into(),
            Self::Text(text) => text.as_str().into(),
            Self::List(list) => list.iter().map(|node| node.value.to_json()).collect(),
            Self::Mapping(entries) => {
                entries.iter().map(|(key, node)| (key.value.clone(), node.value.to_json())).collect()
            }
        }
    }
}

/// `text` between backticks; a long one without its end.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, a boolean, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("the number is not finite"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Value::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = mapping.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Mapping(entries))
    }
}
