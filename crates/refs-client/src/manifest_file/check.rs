//! Holds a document against the schema: every fault is found, not just the first.

use std::ops::RangeInclusive;

use super::{
    Classification, ClassificationType, Content, Faults, Finding, FindingKind, Hints, ManifestFile, Packaging,
    Position, Provenance,
    node::{self, Node, Value, position_of, quoted},
    rules,
};
use crate::{layer::distance, pack, select::Selection};

const TOP: &[&str] = &["schema_version", "ref", "content", "provenance", "packaging", "hints", "metadata"];
const REF: &[&str] = &["title", "link"];
const CONTENT: &[&str] = &["description", "summary", "classifications", "tags"];
const CLASSIFICATION: &[&str] = &["type", "description"];
const PROVENANCE: &[&str] = &["authors", "created", "updated", "source", "license"];
const PACKAGING: &[&str] = &["exclude"];
const HINTS: &[&str] = &["suggested_queries", "primary_files"];

const TEXT: &str = "text that is not empty";
const TEXTS: &str = "a list of texts that are not empty";
const DATE_TIME: &str = "a date and time by RFC 3339, such as `2024-05-01T12:00:00Z`";

/// A manifest file that holds to its schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// What it says.
    pub manifest: ManifestFile,
    /// What had better be otherwise.
    pub warnings: Vec<Finding>,
}

/// Reads and checks a manifest file.
///
/// # Errors
/// All faults there are.
pub(super) fn check(yaml: &[u8]) -> Result<Checked, Faults> {
    let whole = |kind| Faults(vec![Finding { position: None, field: String::new(), kind }]);
    if yaml.len() as u64 > ManifestFile::MAX_BYTES {
        return Err(whole(FindingKind::TooLarge { limit: ManifestFile::MAX_BYTES }));
    }
    let Ok(text) = std::str::from_utf8(yaml) else {
        return Err(whole(FindingKind::Syntax("it is not UTF-8".to_owned())));
    };
    let document = node::parse(text).map_err(|fault| Faults(vec![fault]))?;
    let mut check = Check { faults: Vec::new(), warnings: Vec::new() };
    let manifest = check.document(&document);
    if check.faults.is_empty() { Ok(Checked { manifest, warnings: check.warnings }) } else { Err(Faults(check.faults)) }
}

struct Check {
    faults: Vec<Finding>,
    warnings: Vec<Finding>,
}

/// A mapping whose fields the schema knows; one that is not there has none.
struct Section<'a> {
    path: String,
    position: Option<Position>,
    entries: &'a [(serde_saphyr::Spanned<String>, Node)],
}

/// A text in the document.
struct Spot<'a> {
    field: String,
    position: Option<Position>,
    text: &'a str,
}

impl<'a> Section<'a> {
    /// The value of a field; a null is no value.
    fn node(&self, name: &str) -> Option<&'a Node> {
        let (_, node) = self.entries.iter().find(|(key, _)| key.value == name)?;
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

impl Check {
    fn document(&mut self, document: &Node) -> ManifestFile {
        let Some(top) = self.mapping(String::new(), document, TOP) else { return ManifestFile::default() };
        let schema_version = self.required(&top, "schema_version", "a version, such as `1.0.0`");
        let schema_version = self.ruled(schema_version, rules::is_schema_version, "a version `1.MINOR.PATCH`");
        let (title, link) = self.naming(&top);
        ManifestFile {
            schema_version,
            title,
            link,
            content: self.content(&top),
            provenance: self.provenance(&top),
            packaging: self.packaging(&top),
            hints: self.hints(&top),
            metadata: self.metadata(&top),
        }
    }

    fn naming(&mut self, top: &Section<'_>) -> (String, String) {
        let Some(section) = self.section(top, "ref", REF) else { return Default::default() };
        let title = self.required(&section, "title", TEXT);
        self.recommend(title.as_ref(), 5..=100, "5 to 100 characters");
        let title = owned(title);
        let link = self.required(&section, "link", "a name, such as `go-guide`");
        let link = self.ruled(link, rules::is_link, "lower-case letters, digits and hyphens, no hyphen at an end");
        (title, link)
    }

    fn content(&mut self, top: &Section<'_>) -> Content {
        let Some(section) = self.section(top, "content", CONTENT) else { return Content::default() };
        let description = self.required(&section, "description", TEXT);
        self.recommend(description.as_ref(), 50..=200, "50 to 200 characters");
        let content = Content {
            description: owned(description),
            summary: self.optional(&section, "summary"),
            classifications: self.classifications(&section),
            tags: self.texts(&section, "tags"),
        };
        if content.tags.is_empty() && section.node("tags").is_none_or(is_empty_list) {
            self.missing(&section, "tags", "at least one text");
        }
        content
    }

    fn classifications(&mut self, content: &Section<'_>) -> Vec<Classification> {
        const NAME: &str = "classifications";
        let nodes = self.list(content, NAME, "a list of mappings with a `type`");
        if nodes.is_empty() && content.node(NAME).is_none_or(is_empty_list) {
            self.missing(content, NAME, "at least one mapping with a `type`");
        }
        let nodes = nodes.iter().enumerate();
        nodes.filter_map(|(i, node)| self.classification(format!("{}[{i}]", content.path(NAME)), node)).collect()
    }

    fn classification(&mut self, path: String, node: &Node) -> Option<Classification> {
        let section = self.mapping(path, node, CLASSIFICATION)?;
        let kinds = || ClassificationType::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
        let kind = self.required(&section, "type", "a kind of document, such as `guidelines`");
        let description = self.optional(&section, "description");
        let spot = kind?;
        let Some(kind) = ClassificationType::parse(spot.text) else {
            self.invalid(&spot, kinds());
            return None;
        };
        Some(Classification { kind, description })
    }

    fn provenance(&mut self, top: &Section<'_>) -> Provenance {
        let Some(section) = self.section(top, "provenance", PROVENANCE) else { return Provenance::default() };
        Provenance {
            authors: self.texts(&section, "authors"),
            created: self.date_time(&section, "created"),
            updated: self.date_time(&section, "updated"),
            source: self.optional(&section, "source"),
            license: self.optional(&section, "license"),
        }
    }

    fn packaging(&mut self, top: &Section<'_>) -> Packaging {
        let Some(section) = self.section(top, "packaging", PACKAGING) else { return Packaging::default() };
        let spots = self.spots(&section, "exclude");
        for spot in spots.iter().filter(|spot| !pack::is_exclusion(spot.text)) {
            self.invalid(spot, "a pattern in gitignore's grammar".to_owned());
        }
        Packaging { exclude: all_owned(spots) }
    }

    fn hints(&mut self, top: &Section<'_>) -> Hints {
        let Some(section) = self.section(top, "hints", HINTS) else { return Hints::default() };
        let suggested_queries = self.texts(&section, "suggested_queries");
        let spots = self.spots(&section, "primary_files");
        for spot in spots.iter().filter(|spot| Selection::new(&[spot.text.to_owned()]).is_err()) {
            self.invalid(spot, "a path or a glob".to_owned());
        }
        Hints { suggested_queries, primary_files: all_owned(spots) }
    }

    fn metadata(&mut self, top: &Section<'_>) -> serde_json::Map<String, serde_json::Value> {
        let Some(node) = top.node("metadata") else { return serde_json::Map::new() };
        if let serde_json::Value::Object(metadata) = node.value.to_json() {
            return metadata;
        }
        self.unexpected("metadata".to_owned(), node, "a mapping");
        serde_json::Map::new()
    }

    /// The mapping under `name`; an empty one when there is none, so that each field that it must have is found missing.
    fn section<'a>(&mut self, top: &Section<'a>, name: &str, known: &'static [&'static str]) -> Option<Section<'a>> {
        match top.node(name) {
            Some(node) => self.mapping(top.path(name), node, known),
            None => Some(Section { path: top.path(name), position: top.position, entries: &[] }),
        }
    }

    fn mapping<'a>(&mut self, path: String, node: &'a Node, known: &'static [&'static str]) -> Option<Section<'a>> {
        let Value::Mapping(entries) = &node.value else {
            self.unexpected(path, node, "a mapping");
            return None;
        };
        let section = Section { path, position: position_of(node), entries };
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.value.as_str())) {
            // What was to be left out must not be published for a slip of the pen.
            let meant = known.iter().find(|name| known == PACKAGING && is_much_like(&key.value, name));
            let kind = match meant {
                Some(meant) => FindingKind::Misspelt { meant },
                None => FindingKind::Unknown { allowed: known },
            };
            let is_fault = section.path.is_empty() || meant.is_some();
            let finding = Finding { position: position_of(key), field: section.path(&key.value), kind };
            // At the top a name is the schema's to give; below, a later minor version may know more of them.
            if is_fault { self.faults.push(finding) } else { self.warnings.push(finding) }
        }
        Some(section)
    }

    fn list<'a>(&mut self, section: &Section<'a>, name: &str, allowed: &'static str) -> &'a [Node] {
        match section.node(name) {
            None => &[],
            Some(Node { value: Value::List(nodes), .. }) => nodes,
            Some(node) => {
                self.unexpected(section.path(name), node, allowed);
                &[]
            }
        }
    }

    fn spots<'a>(&mut self, section: &Section<'a>, name: &str) -> Vec<Spot<'a>> {
        let nodes = self.list(section, name, TEXTS).iter().enumerate();
        nodes.filter_map(|(i, node)| self.text(format!("{}[{i}]", section.path(name)), node)).collect()
    }

    fn texts(&mut self, section: &Section<'_>, name: &str) -> Vec<String> {
        all_owned(self.spots(section, name))
    }

    fn text<'a>(&mut self, field: String, node: &'a Node) -> Option<Spot<'a>> {
        match &node.value {
            Value::Text(text) if !text.trim().is_empty() => Some(Spot { field, position: position_of(node), text }),
            _ => {
                self.unexpected(field, node, TEXT);
                None
            }
        }
    }

    fn required<'a>(&mut self, section: &Section<'a>, name: &str, allowed: &'static str) -> Option<Spot<'a>> {
        let Some(node) = section.node(name) else {
            self.missing(section, name, allowed);
            return None;
        };
        self.text(section.path(name), node)
    }

    fn optional(&mut self, section: &Section<'_>, name: &str) -> Option<String> {
        let spot = self.text(section.path(name), section.node(name)?)?;
        Some(spot.text.to_owned())
    }

    fn date_time(&mut self, section: &Section<'_>, name: &str) -> Option<String> {
        let spot = self.text(section.path(name), section.node(name)?);
        Some(self.ruled(spot, rules::is_date_time, DATE_TIME))
    }

    fn ruled(&mut self, spot: Option<Spot<'_>>, rule: fn(&str) -> bool, allowed: &'static str) -> String {
        if let Some(spot) = spot.as_ref().filter(|spot| !rule(spot.text)) {
            self.invalid(spot, allowed.to_owned());
        }
        owned(spot)
    }

    fn recommend(&mut self, spot: Option<&Spot<'_>>, characters: RangeInclusive<usize>, recommended: &'static str) {
        let Some(spot) = spot else { return };
        let count = spot.text.chars().count();
        if !characters.contains(&count) {
            let s = if count == 1 { "" } else { "s" };
            let kind = FindingKind::Unfit { found: format!("{count} character{s}"), recommended };
            self.warnings.push(Finding { position: spot.position, field: spot.field.clone(), kind });
        }
    }

    fn missing(&mut self, section: &Section<'_>, name: &str, allowed: &'static str) {
        let kind = FindingKind::Missing { allowed };
        self.faults.push(Finding { position: section.position, field: section.path(name), kind });
    }

    fn invalid(&mut self, spot: &Spot<'_>, allowed: String) {
        let kind = FindingKind::Invalid { found: quoted(spot.text), allowed };
        self.faults.push(Finding { position: spot.position, field: spot.field.clone(), kind });
    }

    fn unexpected(&mut self, field: String, node: &Node, allowed: &str) {
        let kind = FindingKind::Invalid { found: node.value.shown(), allowed: allowed.to_owned() };
        self.faults.push(Finding { position: position_of(node), field, kind });
    }
}

/// Whether `key` begins as `name` does, or is it but for two letters.
fn is_much_like(key: &str, name: &str) -> bool {
    let key = key.to_lowercase();
    let is_short = key.len() <= 2 * name.len();
    key.get(..4) == name.get(..4) || is_short && distance(&key, name) <= 2
}

fn is_empty_list(node: &Node) -> bool {
    matches!(&node.value, Value::List(nodes) if nodes.is_empty())
}

fn owned(spot: Option<Spot<'_>>) -> String {
    spot.map(|spot| spot.text.to_owned()).unwrap_or_default()
}

fn all_owned(spots: Vec<Spot<'_>>) -> Vec<String> {
    spots.into_iter().map(|spot| spot.text.to_owned()).collect()
}
