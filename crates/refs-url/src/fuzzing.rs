//! What holds of every constraint and every list of tags: a function that takes any bytes, and panics where it does not. The
//! fuzz target in `fuzz/` calls it, and the test below with what that has found.

use crate::{
    Tag,
    version::{ChoiceError, ChoiceOptions, Constraint, Partial, Prereleases, best_tag, matching_tags, semver_tags},
};

/// A constraint, up to the first line feed, and tags, one a line.
pub fn constraint(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (constraint, tags) = text.split_once('\n').unwrap_or((&text, ""));
    let mut tags: Vec<Tag> = tags.lines().filter_map(|tag| tag.parse().ok()).collect();
    assert!(semver_tags(&tags).iter().all(|tag| tags.contains(tag)));
    let Some(constraint) = parsed(constraint) else { return };
    for prereleases in [Prereleases::WhereNamed, Prereleases::OfNamedVersion, Prereleases::Included] {
        for partial in [Partial::Ignored, Partial::Completed] {
            chosen(&mut tags, &constraint, &ChoiceOptions { prereleases, partial });
        }
    }
}

/// The constraint, which its own text gives again; or the error, which can be shown.
fn parsed(text: &str) -> Option<Constraint> {
    match Constraint::parse(text) {
        Ok(constraint) => {
            let shown = constraint.to_string();
            assert!(shown.len() <= text.len().max(1) && shown.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            assert_eq!(Constraint::parse(&shown).as_ref(), Ok(&constraint));
            Some(constraint)
        }
        Err(error) => {
            assert!(text.is_char_boundary(error.offset()), "{error:?}");
            let words = format!("{error}{}", error.hint().unwrap_or_default());
            assert!(words.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{words}");
            None
        }
    }
}

/// The best is one of the tags, satisfies the constraint, and is the same in whatever order they come.
fn chosen(tags: &mut [Tag], constraint: &Constraint, options: &ChoiceOptions) {
    let best = best_tag(tags, Some(constraint), options).cloned();
    let matching = matching_tags(tags, constraint, options);
    assert_eq!(best.as_ref().ok(), matching.first());
    assert!(matching.iter().all(|tag| tags.contains(tag) && constraint.accepts(tag, options)));
    assert_eq!(matching.len(), tags.iter().filter(|tag| constraint.accepts(tag, options)).count());
    match &best {
        Err(ChoiceError::NoMatch { available, .. }) => assert!((1..=5).contains(&available.len())),
        Err(ChoiceError::NoVersions { others }) => assert_eq!(*others, tags.len()),
        Ok(_) => {}
    }
    let any = best_tag(tags, None, options).cloned();
    tags.reverse();
    assert_eq!(best_tag(tags, Some(constraint), options).cloned(), best);
    assert_eq!(best_tag(tags, None, options).cloned(), any);
    assert_eq!(matching_tags(tags, constraint, options), matching);
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    #[test]
    fn what_was_found_in_constraints_holds() {
        super::replay::replay("constraint", super::constraint);
    }
}
