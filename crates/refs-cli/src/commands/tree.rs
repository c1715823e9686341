//! `refs tree`

use std::{collections::BTreeMap, fmt, io};

use refs_client::{Beneath, Node, Role, TreeOptions};
use serde::Serialize;

use super::Failure;
use crate::{
    args::{Format, Tree},
    output::{Bytes, Output, escape},
    wiring::Session,
};

/// The name that a file was pushed under.
const TITLE: &str = "org.opencontainers.image.title";

#[derive(Serialize)]
struct Root<'a> {
    reference: String,
    #[serde(flatten)]
    tree: Shown<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    role: &'static str,
    media_type: &'a str,
    digest: &'a str,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    /// `known` when `children` are all there is.
    beneath: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<Self>,
}

pub(super) async fn run(session: &Session, args: Tree) -> Result<(), Failure> {
    let options = TreeOptions::default();
    let tree = session.showing("looking", session.client().tree(&args.at, &options)).await?;
    let mut output = session.output();
    match session.format() {
        Format::Json => output.object(&Root { reference: args.at.to_string(), tree: shown(&tree) })?,
        Format::Text => {
            output.line(&escape(&args.at.to_string()))?;
            print_below(&mut output, std::slice::from_ref(&tree), &mut String::new())?;
        }
    }
    output.flush()?;
    if session.knows_only_cached(&args.at) {
        session.hint("the cache does not keep what refers to it; without `--offline` the registry is asked for that");
    }
    Ok(())
}

/// Prints `nodes`, which have one above them. Every line begins with `indent`.
fn print_below(output: &mut Output, nodes: &[Node], indent: &mut String) -> io::Result<()> {
    for (index, node) in nodes.iter().enumerate() {
        let is_last = index + 1 == nodes.len();
        let (tee, bar) = if is_last { ("└── ", "    ") } else { ("├── ", "│   ") };
        output.line(&format_args!("{indent}{tee}{}", Line(node)))?;
        let length = indent.len();
        indent.push_str(bar);
        print_below(output, &node.children, indent)?;
        indent.truncate(length);
    }
    Ok(())
}

/// What a node is, its digest, type and size. Types, platforms and titles are a server's words.
struct Line<'a>(&'a Node);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Node { role, descriptor, beneath, .. } = self.0;
        let what = match (role, &descriptor.platform) {
            (Role::Manifest, Some(platform)) => platform.to_string(),
            (Role::Root, _) if descriptor.media_type.is_index() => "index".to_owned(),
            (Role::Root, _) => "manifest".to_owned(),
            _ => word(*role).to_owned(),
        };
        let kind = descriptor.artifact_type.as_ref().unwrap_or(&descriptor.media_type);
        write!(f, "{} {} {} {}", escape(&what), descriptor.digest, escape(kind.as_str()), Bytes(descriptor.size))?;
        if let Some(title) = descriptor.annotations.get(TITLE) {
            write!(f, " `{}`", escape(title))?;
        }
        f.write_str(match beneath {
            Beneath::Known => "",
            Beneath::Repeated => " (shown above)",
            Beneath::Absent => " (not in the repository)",
            Beneath::NotCached => " (not in the cache)",
            Beneath::Unreadable => " (cannot be read)",
            _ => " (there is more)",
        })
    }
}

fn shown(node: &Node) -> Shown<'_> {
    let Node { role, descriptor, beneath, children } = node;
    Shown {
        role: word(*role),
        media_type: descriptor.media_type.as_str(),
        digest: descriptor.digest.as_str(),
        size: descriptor.size,
        artifact_type: descriptor.artifact_type.as_ref().map(|kind| kind.as_str()),
        platform: descriptor.platform.as_ref().map(ToString::to_string),
        annotations: &descriptor.annotations,
        beneath: match beneath {
            Beneath::Known => "known",
            Beneath::Repeated => "repeated",
            Beneath::Absent => "absent",
            Beneath::NotCached => "notCached",
            Beneath::Unreadable => "unreadable",
            _ => "cut",
        },
        children: children.iter().map(shown).collect(),
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Root => "root",
        Role::Manifest => "manifest",
        Role::Config => "config",
        Role::Layer => "layer",
        Role::Referrer => "referrer",
        _ => "other",
    }
}
