//! Which paths of an artifact are meant.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use refs_estargz::Entry;

use crate::{Error, Result};

/// A choice of paths.
#[derive(Debug, Clone)]
pub(crate) enum Selection {
    /// All of them.
    All,
    /// Those that match a pattern.
    Some(Matching),
}

/// Paths that match any of several globs.
#[derive(Debug, Clone)]
pub(crate) struct Matching {
    globs: GlobSet,
    /// What a pattern with a trailing `/` means besides all below: the directory itself.
    directories: GlobSet,
    /// A path that comes along whatever the globs say.
    along: Option<String>,
}

impl Selection {
    /// The paths that match any of `patterns`; all when there are none. `*` stops at `/`, `**` does not; a trailing `/`
    /// means a directory and all below, and so does a plain path that is a directory's; a leading `./` or `/` means nothing.
    ///
    /// # Errors
    /// `InvalidGlob`.
    pub(crate) fn new(patterns: &[String]) -> Result<Self> {
        if patterns.is_empty() {
            return Ok(Self::All);
        }
        let (mut globs, mut directories) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for pattern in patterns {
            let glob = |text: &str| {
                let glob = GlobBuilder::new(text).literal_separator(true).build();
                glob.map_err(|source| Error::InvalidGlob { pattern: pattern.clone(), source })
            };
            let text = normalised(pattern);
            if let Some(directory) = text.strip_suffix("/**").filter(|_| pattern.ends_with('/')) {
                directories.add(glob(directory)?);
            }
            // A plain path may be a directory's, which nobody wants to be empty.
            if !text.is_empty() && !text.contains(['*', '?', '[', '{', '\\']) {
                globs.add(glob(&format!("{text}/**"))?);
            }
            globs.add(glob(&text)?);
        }
        let built = |set: GlobSetBuilder| {
            set.build().map_err(|source| Error::InvalidGlob { pattern: patterns.join(", "), source })
        };
        Ok(Self::Some(Matching { globs: built(globs)?, directories: built(directories)?, along: None }))
    }

    /// The same paths, and `path` with them.
    pub(crate) fn along_with(mut self, path: &str) -> Self {
        if let Self::Some(matching) = &mut self {
            matching.along = Some(path.to_owned());
        }
        self
    }

    /// Whether `entry` is meant.
    pub(crate) fn contains(&self, entry: &Entry) -> bool {
        match self {
            Self::All => true,
            Self::Some(matching) => matching.along.as_deref() == Some(entry.path.as_str()) || self.names(entry),
        }
    }

    /// Whether `entry` is meant by a pattern, and not just comes along.
    pub(crate) fn names(&self, entry: &Entry) -> bool {
        match self {
            Self::All => true,
            Self::Some(matching) => {
                self.names_file(&entry.path) || entry.is_directory() && matching.directories.is_match(&entry.path)
            }
        }
    }
}

impl Selection {
    /// Whether a file at `path` would be meant by a pattern.
    pub(crate) fn names_file(&self, path: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(matching) => matching.globs.is_match(path),
        }
    }
}

/// The pattern that means `path`, whatever characters it has: one with a `/` at its end means all below it, too.
#[must_use]
pub fn literal_pattern(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for c in path.chars() {
        // In brackets, also `\` is a character as others are.
        if "*?[]{}\\".contains(c) { pattern.extend(['[', c, ']']) } else { pattern.push(c) }
    }
    pattern
}

fn normalised(pattern: &str) -> String {
    let mut rest = pattern;
    while let Some(shorter) = rest.strip_prefix("./").or_else(|| rest.strip_prefix('/')) {
        rest = shorter;
    }
    // Of `./` and `/` nothing is left, but they mean all below the root; no pattern at all means nothing.
    let is_root = rest.is_empty() && !pattern.is_empty();
    if is_root || rest.ends_with('/') { format!("{rest}**") } else { rest.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use refs_estargz::Kind;

    use super::*;

    fn entry(path: &str) -> Entry {
        let (path, kind, xattrs) = (path.to_owned(), Kind::Fifo, BTreeMap::new());
        Entry { path, kind, mode: 0o644, mtime: 0, uid: 0, gid: 0, xattrs, digest: None }
    }

    #[track_caller]
    fn check(pattern: &str, meant: &[&str], not_meant: &[&str]) {
        let selection = Selection::new(&[pattern.to_owned()]).unwrap();
        for path in meant {
            assert!(selection.contains(&entry(path)), "`{pattern}` does not mean {path}");
        }
        for path in not_meant {
            assert!(!selection.contains(&entry(path)), "`{pattern}` means {path}");
        }
    }

    #[test]
    fn words_mean_themselves() {
        check("config.json", &["config.json"], &["a/config.json", "config_json", "config.jsonx"]);
        check("docs", &["docs", "docs/a", "docs/a/b"], &["docsx", "a/docs", "docsx/a"]);
        check(".gitignore", &[".gitignore"], &["gitignore", "x.gitignore"]);
        check("!x", &["!x"], &["x", "y"]);
        check("a\\*", &["a*"], &["ab"]);
    }

    #[test]
    fn star_and_question_mark_stop_at_a_slash() {
        check("*.json", &["app.json", ".json"], &["app.txt", "a/b.json"]);
        check("test-*.txt", &["test-1.txt", "test-.txt"], &["test.txt", "a-test-1.txt"]);
        check("app-*-final.zip", &["app-1.0-final.zip"], &["app-final.zip", "app-a/b-final.zip"]);
        check("config/*.json", &["config/app.json"], &["data/app.json", "config/a/app.json"]);
        check("a?c", &["abc"], &["a/c", "ac"]);
        check("[ab]/[!a]", &["a/b", "b/c"], &["c/b", "a/a"]);
    }

    #[test]
    fn two_stars_mean_any_depth() {
        check("data/**/*.txt", &["data/f.txt", "data/sub/f.txt", "data/a/b/c/f.txt"], &["f.txt", "database/f.txt"]);
        check("**/*.txt", &["f.txt", "a/f.txt", "a/b/c/f.txt"], &["f.md"]);
        check("src/**/*.java", &["src/A.java", "src/a/b/A.java"], &["src/a/b/A.kt", "A.java"]);
        check("src/**/pkg/*.go", &["src/pkg/a.go", "src/a/b/pkg/a.go"], &["src/pkg/a/b.go", "src/a.go"]);
        check("data/**", &["data/x", "data/x/y"], &["database/x", "data", "a/data/x"]);
        check("*/x/**", &["a/x/y", "b/x/y/z"], &["x/y", "a/b/x/y"]);
        check("a/**/b/**/c", &["a/b/c", "a/1/b/2/3/c"], &["a/c", "a/1/c"]);
        check("**", &["a", "a/b/c"], &[]);
    }

    #[test]
    fn what_is_written_for_a_path_means_that_alone() {
        for (path, pattern) in
            [("a/[b]", "a/[[]b[]]"), ("*?", "[*][?]"), ("{a,b}", "[{]a,b[}]"), (r"a\b", r"a[\]b"), ("a-!^", "a-!^")]
        {
            assert_eq!(literal_pattern(path), pattern);
        }
        check(&literal_pattern("a[b]*"), &["a[b]*"], &["ab", "abc", "a[b]c", "a[b]*/x"]);
        check(&literal_pattern("a[b]/"), &["a[b]/c"], &["ab/c", "a[b]"]);
    }

    proptest! {
        #[test]
        fn a_path_is_meant_by_its_pattern_and_others_are_not(
            path in r"[ab*?\[\]{}!^,\\ -]{1,8}",
            other in r"[ab*?\[\]{}!^,\\ -]{1,8}",
        ) {
            let selection = Selection::new(&[literal_pattern(&path)]).unwrap();
            prop_assert!(selection.contains(&entry(&path)));
            prop_assert_eq!(selection.contains(&entry(&other)), other == path);
        }
    }

    #[test]
    fn braces_are_a_choice() {
        check("{a,b}.md", &["a.md", "b.md"], &["c.md", "ab.md"]);
        check("{src,test}/**/*.{go,rs}", &["src/a.go", "test/x/a.rs"], &["doc/a.go", "src/a.md"]);
    }

    #[test]
    fn slash_at_the_end_means_all_below() {
        check("data/", &["data/x", "data/x/y"], &["data", "database/x", "a/data/x"]);
        check("a/*/", &["a/b/c", "a/b/c/d"], &["a/b", "a"]);
    }

    #[test]
    fn slash_at_the_end_means_the_directory_too_if_it_is_one() {
        let directory = |path| Entry { kind: Kind::Directory, ..entry(path) };
        let selection = Selection::new(&["data/".to_owned(), "a/*/".to_owned(), "x/**".to_owned()]).unwrap();
        for path in ["data", "a/b", "data/x"] {
            assert!(selection.contains(&directory(path)), "{path}");
        }
        for path in ["x", "a", "b/data"] {
            assert!(!selection.contains(&directory(path)), "{path}");
        }
    }

    #[test]
    fn start_at_the_root_means_nothing() {
        for pattern in ["./a/b", "/a/b", "././a/b", "//a/b"] {
            check(pattern, &["a/b"], &["b", "x/a/b"]);
        }
        for pattern in ["./", "/"] {
            check(pattern, &["a", "a/b"], &[]);
        }
    }

    #[test]
    fn no_pattern_at_all_means_nothing() {
        check("", &[], &["a", "a/b", ".a"]);
    }

    #[test]
    fn patterns_of_bytes_beyond_ascii_are_words() {
        check("naïve.*", &["naïve.md"], &["naive.md"]);
        check("日*.txt", &["日本.txt", "日.txt"], &["本.txt"]);
        // One byte each, and this letter has three.
        check("日???.txt", &["日本.txt"], &["日.txt"]);
    }

    #[test]
    fn what_comes_along_is_not_named() {
        let selection = Selection::new(&["a".to_owned()]).unwrap().along_with(".m");
        assert!(selection.contains(&entry(".m")) && !selection.names(&entry(".m")));
        assert!(!selection.contains(&entry("sub/.m")));
        assert!(Selection::new(&[]).unwrap().along_with(".m").names(&entry(".m")));
    }

    #[test]
    fn what_is_no_glob_is_named() {
        for pattern in ["[", "a[", "[z-a]", "{a", "a}", "{a,{b,c}"] {
            let Err(Error::InvalidGlob { pattern: named, .. }) = Selection::new(&["ok".to_owned(), pattern.to_owned()])
            else {
                panic!("`{pattern}` is taken for a glob")
            };
            assert_eq!(named, pattern);
        }
    }
}
