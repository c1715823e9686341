//! Where symbolic links lead when the links on their way are followed.

use std::collections::{BTreeMap, HashMap};

use refs_estargz::{Entry, Kind};

use super::{
    confine::{OUTSIDE_BY_LINK, PATH_BYTES, shortened, split},
    plan::{Place, Plan},
};
use crate::{Error, Result};

/// Checks that no symbolic link leads out of the root.
///
/// Taking targets as text is not enough: where `a/b/up` points to `../..`, the target `a/b/up/../x` looks as if it stays
/// inside, and does not. So each link is followed through the others, and each only once. A link that leads nowhere, or in
/// a circle, is harmless.
///
/// # Errors
/// `UnsafeLink`.
pub(super) fn check(plan: &Plan) -> Result<()> {
    let mut ends = HashMap::new();
    for (path, place) in plan.iter() {
        if let Place::Symlink { target, .. } = place {
            follow(plan, path, target, &mut ends)?;
        }
    }
    Ok(())
}

/// Checks the symbolic links of a tree, each a path and a target, as [`check`] will when somebody pulls them.
///
/// # Errors
/// `UnsafeLink`, `UnsafePath`.
pub(crate) fn check_tree<'a>(links: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<()> {
    let mut plan = Plan::default();
    for (path, target) in links {
        let kind = Kind::Symlink { target: target.to_owned() };
        let (path, xattrs) = (path.to_owned(), BTreeMap::new());
        plan.add(&Entry { path, kind, mode: 0o777, mtime: 0, uid: 0, gid: 0, xattrs, digest: None })?;
    }
    check(&plan)
}

/// Where a link leads.
#[derive(Debug, Clone)]
enum End {
    /// To this path; the root is the empty one.
    At(String),
    /// To nothing that can be told: it is still being followed, so it leads in a circle.
    Circle,
}

/// A link that is being followed.
struct Walk<'a> {
    link: &'a str,
    target: &'a str,
    at: String,
    rest: std::str::Split<'a, char>,
}

impl<'a> Walk<'a> {
    fn start(link: &'a str, target: &'a str) -> Self {
        Self { link, target, at: split(link).0.to_owned(), rest: target.split('/') }
    }

    /// One component up.
    fn up(&mut self) -> Result<()> {
        if self.at.is_empty() {
            return Err(self.refused(OUTSIDE_BY_LINK));
        }
        self.at.truncate(split(&self.at).0.len());
        Ok(())
    }

    /// One component down. Links that each lead on from the end of another could make a path of any length, and all ends
    /// are kept.
    fn down(&mut self, component: &str) -> Result<()> {
        if !self.at.is_empty() {
            self.at.push('/');
        }
        self.at.push_str(component);
        if self.at.len() > PATH_BYTES {
            return Err(self.refused("it leads to a path that is too long"));
        }
        Ok(())
    }

    fn refused(&self, reason: &'static str) -> Error {
        Error::UnsafeLink { path: shortened(self.link), target: shortened(self.target), reason }
    }
}

/// Follows a link and all the links on its way, with a stack of its own: a chain can be as long as there are entries.
fn follow<'a>(plan: &'a Plan, link: &'a str, target: &'a str, ends: &mut HashMap<&'a str, End>) -> Result<()> {
    let mut walks = Vec::new();
    if !ends.contains_key(link) {
        walks.push(Walk::start(link, target));
        ends.insert(link, End::Circle);
    }
    while let Some(walk) = walks.last_mut() {
        match walk.rest.next() {
            Some("" | ".") => continue,
            Some("..") => {
                walk.up()?;
                continue;
            }
            Some(component) => walk.down(component)?,
            None => {
                let end = std::mem::take(&mut walk.at);
                ends.insert(walk.link, End::At(end.clone()));
                walks.pop();
                if let Some(before) = walks.last_mut() {
                    before.at = end;
                }
                continue;
            }
        }
        let Some((link, target)) = plan.symlink(&walk.at) else { continue };
        match ends.get(link) {
            Some(End::At(end)) => walk.at.clone_from(end),
            // All that is on the stack depends on it, and so leads in a circle too.
            Some(End::Circle) => return Ok(()),
            None => {
                ends.insert(link, End::Circle);
                walks.push(Walk::start(link, target));
            }
        }
    }
    Ok(())
}
