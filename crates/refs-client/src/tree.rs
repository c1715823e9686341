//! What is beneath an artifact: the manifests of an index, configs and layers, and what refers to each of them.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use refs_registry::{Descriptor, ErrorKind, Filter, Manifest, Source};
use refs_url::{Digest, Target};

use crate::{Client, Location, Result, graph};

/// Manifests that are asked for at once.
const AT_ONCE: usize = 8;

/// How much of an artifact's surroundings is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeOptions {
    /// Manifests that may be above one another, the artifact's own included; 8.
    pub max_depth: usize,
    /// Manifests in all; 1,000.
    pub max_manifests: usize,
    /// Bytes of manifests and lists of referrers in all; 8 MiB.
    pub max_bytes: u64,
}

impl Default for TreeOptions {
    fn default() -> Self {
        Self { max_depth: 8, max_manifests: 1_000, max_bytes: 8 << 20 }
    }
}

/// One piece of content, and what is beneath it.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is to the one above it.
    pub role: Role,
    /// Its type, digest and size, as the one above it has them.
    pub descriptor: Descriptor,
    /// Whether [`children`](Node::children) are all there is beneath it.
    pub beneath: Beneath,
    /// Of an index its manifests, of an image its config and layers; then what refers to it.
    pub children: Vec<Self>,
}

/// What a [`Node`] is to the one above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// What was asked for: there is nothing above it.
    Root,
    /// A manifest that an index lists.
    Manifest,
    /// The config of an image.
    Config,
    /// A layer of an image, or what else a manifest has of content.
    Layer,
    /// A manifest whose subject it is.
    Referrer,
}

/// What is known of what is beneath a [`Node`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Beneath {
    /// All of it.
    Known,
    /// It is in an earlier node of the same digest.
    Repeated,
    /// Nothing: the repository does not have the manifest.
    Absent,
    /// Nothing: the client is offline, and its store does not have the manifest.
    NotCached,
    /// Nothing: the manifest is none that this library reads.
    Unreadable,
    /// Not all of it, as a limit of [`TreeOptions`] was reached.
    Cut,
}

impl Client {
    /// The artifact at `at` with all that is beneath it: manifests, configs, layers and referrers, each digest once with its
    /// children. No blob is fetched. Of a client that is offline it is what its store has: referrers are not kept there, and
    /// are left out.
    ///
    /// # Errors
    /// `Location` when `at` names no tag and no digest; `Registry`, also for a manifest beneath, unless it is not there.
    pub async fn tree(&self, at: &Location, options: &TreeOptions) -> Result<Node> {
        at.needs_target()?;
        let (source, target) = self.find(at, self.meter()).await?;
        let root = source.manifest(&target).await?;
        let found = Walk::new(&*source, options).gather(&root).await?;
        Ok(Drawing { found, drawn: HashSet::new(), levels: options.max_depth }.node(Role::Root, root.descriptor, 0))
    }
}

/// What a manifest turned out to be.
#[derive(Debug)]
struct Found {
    beneath: Beneath,
    children: Vec<(Role, Descriptor)>,
}

/// A way through manifests, level by level, from an artifact down.
struct Walk<'a> {
    source: &'a dyn Source,
    options: &'a TreeOptions,
    found: HashMap<Digest, Found>,
    bytes_left: u64,
}

impl<'a> Walk<'a> {
    fn new(source: &'a dyn Source, options: &'a TreeOptions) -> Self {
        Self { source, options, found: HashMap::new(), bytes_left: options.max_bytes }
    }

    /// Looks at the manifest `root` and those beneath it, as far as the limits allow.
    async fn gather(mut self, root: &Manifest) -> Result<HashMap<Digest, Found>> {
        let looked = survey(self.source, root, self.bytes_left).await?;
        self.take(root.descriptor.digest.clone(), looked);
        for _ in 1..self.options.max_depth {
            let mut level = self.below();
            level.truncate(self.options.max_manifests.saturating_sub(self.found.len()));
            if level.is_empty() || self.bytes_left == 0 {
                break;
            }
            let (source, limit) = (self.source, self.bytes_left);
            let look =
                |digest: Digest| async move { look(source, &digest, limit).await.map(|looked| (looked, digest)) };
            let mut looks = stream::iter(level.into_iter().map(look)).buffered(AT_ONCE);
            while self.bytes_left > 0
                && let Some((looked, digest)) = looks.try_next().await?
            {
                self.take(digest, looked);
            }
        }
        Ok(self.found)
    }

    fn take(&mut self, digest: Digest, (found, bytes): (Found, u64)) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.found.insert(digest, found);
    }

    /// The manifests that are known of and have not been looked at, each once, in an order of their own.
    fn below(&self) -> Vec<Digest> {
        let children = self.found.values().flat_map(|found| &found.children);
        let unseen = children.filter(|(role, child)| leads_on(*role, child) && !self.found.contains_key(&child.digest));
        let mut unseen: Vec<_> = unseen.map(|(_, child)| child.digest.clone()).collect();
        unseen.sort_unstable();
        unseen.dedup();
        unseen
    }
}

/// The manifest `digest` as [`survey`] finds it.
async fn look(source: &dyn Source, digest: &Digest, limit: u64) -> Result<(Found, u64)> {
    match source.manifest(&Target::Digest(digest.clone())).await {
        Ok(manifest) => survey(source, &manifest, limit).await,
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((Found::nothing(Beneath::Absent), 0)),
        Err(error) if error.kind() == ErrorKind::NotCached => Ok((Found::nothing(Beneath::NotCached), 0)),
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok((Found::nothing(Beneath::Unreadable), 0)),
        Err(error) => Err(error.into()),
    }
}

/// What is beneath and what refers to `manifest`, and how many bytes it took to know, of at most about `limit`.
async fn survey(source: &dyn Source, manifest: &Manifest, limit: u64) -> Result<(Found, u64)> {
    let (mut found, mut bytes) = (Found::of(manifest), manifest.raw.len() as u64);
    let mut referrers = source.referrers(&manifest.descriptor.digest, Filter::default());
    loop {
        let referrer = match referrers.try_next().await {
            Ok(Some(referrer)) => referrer,
            Ok(None) => break,
            Err(error) if error.kind() == ErrorKind::NotCached => break,
            Err(error) => return Err(error.into()),
        };
        if bytes > limit {
            found.beneath = Beneath::Cut;
            break;
        }
        bytes += serde_json::to_vec(&referrer).map_or(limit, |json| json.len() as u64);
        found.children.push((Role::Referrer, referrer));
    }
    Ok((found, bytes))
}

impl Found {
    const fn nothing(beneath: Beneath) -> Self {
        Self { beneath, children: Vec::new() }
    }

    fn of(manifest: &Manifest) -> Self {
        let Ok(children) = graph::members(manifest) else { return Self::nothing(Beneath::Unreadable) };
        Self { beneath: Beneath::Known, children }
    }
}

/// Whether there may be something beneath it.
fn leads_on(role: Role, descriptor: &Descriptor) -> bool {
    !matches!(role, Role::Config | Role::Layer) && descriptor.media_type.is_manifest()
}

/// What was found, made a tree.
struct Drawing {
    found: HashMap<Digest, Found>,
    drawn: HashSet<Digest>,
    levels: usize,
}

impl Drawing {
    /// The node of `descriptor`, which `above` manifests are above of.
    fn node(&mut self, role: Role, descriptor: Descriptor, above: usize) -> Node {
        let leads_on = leads_on(role, &descriptor);
        let leaf = |descriptor, beneath| Node { role, descriptor, beneath, children: Vec::new() };
        if self.drawn.contains(&descriptor.digest) {
            return leaf(descriptor, Beneath::Repeated);
        }
        // By another way to it, it may be looked at where there is room for what is beneath.
        if leads_on && above >= self.levels {
            return leaf(descriptor, Beneath::Cut);
        }
        self.drawn.insert(descriptor.digest.clone());
        match self.found.remove(&descriptor.digest).filter(|_| leads_on) {
            None => leaf(descriptor, if leads_on { Beneath::Cut } else { Beneath::Known }),
            Some(Found { beneath, children }) => {
                let children = children.into_iter().map(|(role, child)| self.node(role, child, above + 1)).collect();
                Node { role, descriptor, beneath, children }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use refs_registry::MediaType;

    use super::*;

    fn manifest(name: &str) -> Descriptor {
        Descriptor::of(MediaType::OCI_MANIFEST, name.as_bytes())
    }

    fn blob(name: &str) -> Descriptor {
        Descriptor::of(MediaType::OCI_LAYER, name.as_bytes())
    }

    /// Draws what `found` says, which is a list of parents with their children; capital letters are manifests.
    #[track_caller]
    fn check(found: &[(&str, &str)], levels: usize, expect: &str) {
        let descriptor = |name: &str| if name.chars().any(char::is_uppercase) { manifest(name) } else { blob(name) };
        let child = |name: char| {
            let role = if name.is_uppercase() { Role::Manifest } else { Role::Layer };
            (role, descriptor(&name.to_string()))
        };
        let names: HashMap<Digest, char> =
            ('A'..='z').map(|name| (descriptor(&name.to_string()).digest, name)).collect();
        let found = found.iter().map(|(name, children)| {
            (manifest(name).digest, Found { beneath: Beneath::Known, children: children.chars().map(child).collect() })
        });
        let mut drawing = Drawing { found: found.collect(), drawn: HashSet::new(), levels };
        let mut shown = String::new();
        show(&drawing.node(Role::Root, manifest("A"), 0), &names, &mut shown);
        assert_eq!(shown, expect);
    }

    fn show(node: &Node, names: &HashMap<Digest, char>, into: &mut String) {
        let mark = match node.beneath {
            Beneath::Known => "",
            Beneath::Repeated => "^",
            Beneath::Absent | Beneath::NotCached | Beneath::Unreadable => "?",
            Beneath::Cut => "-",
        };
        write!(into, "{}{mark}", names[&node.descriptor.digest]).unwrap();
        if !node.children.is_empty() {
            into.push('(');
            node.children.iter().for_each(|child| show(child, names, into));
            into.push(')');
        }
    }

    #[test]
    fn what_is_repeated_is_drawn_once() {
        check(&[("A", "BC"), ("B", "xy"), ("C", "xz")], 8, "A(B(xy)C(x^z))");
        check(&[("A", "BB"), ("B", "xx")], 8, "A(B(xx^)B^)");
        check(&[("A", "BC"), ("B", "C"), ("C", "A")], 8, "A(B(C(A^))C^)");
    }

    #[test]
    fn what_is_too_deep_or_was_not_looked_at_is_cut() {
        check(&[("A", "B"), ("B", "C"), ("C", "x")], 2, "A(B(C-))");
        check(&[("A", "BC"), ("B", "CD"), ("C", "x")], 2, "A(B(C-D-)C(x))");
        check(&[("A", "Bx")], 8, "A(B-x)");
    }
}
