//! What a manifest file says.

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, Serializer};

use super::{Checked, Faults, check};

/// The manifest file of an artifact, as far as this version of its schema (`1.x`) goes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ManifestFile {
    /// The version of the schema, `1.MINOR.PATCH`.
    pub schema_version: String,
    /// `ref.title`: what people call the artifact.
    pub title: String,
    /// `ref.link`: the name under which it is linked into a working tree; lower-case letters, digits and hyphens.
    pub link: String,
    /// What is in it.
    pub content: Content,
    /// Where it comes from.
    pub provenance: Provenance,
    /// How it is packed.
    pub packaging: Packaging,
    /// Where to begin.
    pub hints: Hints,
    /// Anything else: nobody but its author knows what it means.
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

/// What is in an artifact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// In a sentence or two.
    pub description: String,
    /// At length.
    pub summary: Option<String>,
    /// What kinds of documents; at least one.
    pub classifications: Vec<Classification>,
    /// Words to find it by; at least one.
    pub tags: Vec<String>,
}

/// A kind of document in an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Classification {
    /// Which kind.
    #[serde(rename = "type")]
    pub kind: ClassificationType,
    /// What it covers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Where an artifact comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Who wrote it.
    pub authors: Vec<String>,
    /// When it was written first; a date and time by RFC 3339.
    pub created: Option<String>,
    /// When it was written last; a date and time by RFC 3339.
    pub updated: Option<String>,
    /// Where its source is.
    pub source: Option<String>,
    /// Under which licence it may be used.
    pub license: Option<String>,
}

/// How an artifact is packed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packaging {
    /// What a push leaves out, in gitignore's grammar.
    pub exclude: Vec<String>,
}

/// Where a reader begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// Questions that the artifact answers.
    pub suggested_queries: Vec<String>,
    /// Globs for the files to read first. The small ones among them are packed beside the table of contents.
    pub primary_files: Vec<String>,
}

macro_rules! classification_types {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// A kind of document.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ClassificationType {
            $($(#[$doc])* $variant,)*
        }

        impl ClassificationType {
            /// All kinds that the schema knows.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The kind as the schema writes it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

classification_types! {
    /// Teaches step by step.
    Tutorial = "tutorial",
    /// Describes an interface call by call.
    ApiReference = "api-reference",
    /// Says how things are to be done.
    Guidelines = "guidelines",
    /// Explains how a system is built.
    Architecture = "architecture",
    /// Says what to do when something happens.
    Runbook = "runbook",
    /// Says what must hold.
    Specification = "specification",
    /// To look things up.
    Reference = "reference",
    /// Code to learn from.
    CodeExamples = "code-examples",
    /// Code to start from.
    CodeTemplates = "code-templates",
    /// Code to call.
    CodeLibrary = "code-library",
    /// None of these.
    Uncategorized = "uncategorized",
}

impl ClassificationType {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for ClassificationType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ClassificationType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl ManifestFile {
    /// A manifest file has no more bytes than this: 256 KiB.
    pub const MAX_BYTES: u64 = 256 << 10;

    /// Reads a manifest file from YAML, whose depth and aliases are bounded as well.
    ///
    /// # Errors
    /// All that is wrong with it. What is no YAML is one fault, as nothing can be said of the rest.
    pub fn parse(yaml: &[u8]) -> Result<Checked, Faults> {
        check::check(yaml)
    }

    /// What a push says of the artifact in the annotations of its image manifest.
    #[must_use]
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let Provenance { authors, created, source, license, .. } = &self.provenance;
        let json = |value: serde_json::Value| value.to_string();
        let authors = (!authors.is_empty()).then(|| json(authors.clone().into()));
        let classifications = serde_json::to_string(&self.content.classifications).ok();
        let annotations = [
            ("org.opencontainers.image.title", Some(self.title.clone())),
            ("org.opencontainers.image.description", Some(self.content.description.clone())),
            ("org.opencontainers.image.authors", authors),
            ("org.opencontainers.image.created", created.clone()),
            ("org.opencontainers.image.source", source.clone()),
            ("org.opencontainers.image.licenses", license.clone()),
            ("com.sow.ref.classifications", classifications),
            ("com.sow.ref.tags", Some(self.content.tags.join(","))),
            ("com.sow.ref.link", Some(self.link.clone())),
        ];
        annotations.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}
