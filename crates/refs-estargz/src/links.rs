//! Leads hard links to their files.

use crate::{
    Error, Limits, LinkFault, Result, TocPart,
    record::{Records, What},
};

/// Links to links are followed so often; the format itself never makes more than one step necessary.
const LINK_STEPS: usize = 40;

/// Gives each hard link the file at the end of its chain.
///
/// A link by way of another has a longer target than the table spelt out for it. Those count as if it had, so that many
/// short links to one short link to a long path don't fill all memory of whoever makes entries of them.
pub(crate) fn resolve(records: &mut Records, limits: &Limits) -> Result<()> {
    let mut added_bytes = 0;
    for index in 0..records.len() {
        let What::Unresolved { target } = records.rows[index].what else { continue };
        let mut passed = vec![index];
        let file = follow(records, &records.texts[target], &mut passed).map_err(|fault| Error::Link {
            path: records.path(index).to_owned(),
            target: records.texts[target].to_owned(),
            fault,
        })?;
        // The links on the way are resolved, too: each is followed once, and not again for every link that leads to it.
        for link in passed {
            added_bytes += added(records, link, file);
            records.rows[link].what = What::Hardlink { file };
        }
        if added_bytes > limits.toc_inflated {
            return Err(Error::TocLimit { part: TocPart::Inflated, limit: limits.toc_inflated });
        }
    }
    Ok(())
}

/// How many bytes of target a link gets that the table did not spell out for it.
fn added(records: &Records, link: usize, file: u32) -> u64 {
    let path = records.path(file as usize);
    match records.rows[link].what {
        What::Unresolved { target } if records.texts[target] != *path => path.len() as u64,
        _ => 0,
    }
}

/// The file at the end of the chain that goes on at `target`; the links on the way there are added to `passed`.
fn follow(records: &Records, target: &str, passed: &mut Vec<usize>) -> Result<u32, LinkFault> {
    let mut target = target;
    for _ in 0..LINK_STEPS {
        let index = records.find(target).ok_or(LinkFault::Missing)?;
        match records.rows[index].what {
            What::File { .. } => return Ok(index as u32),
            What::Hardlink { file } => return Ok(file),
            What::Unresolved { target: next } => target = &records.texts[next],
            _ => return Err(LinkFault::NotFile),
        }
        passed.push(index);
    }
    Err(LinkFault::Circle)
}
