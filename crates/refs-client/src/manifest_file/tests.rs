//! Every rule of the schema, by the words in which its breach is told.

use proptest::prelude::*;

use super::{check::check, *};

const GOOD: &str = "\
schema_version: 1.0.0
ref:
  title: Go guide
  link: go-guide
content:
  description: How this house writes Go, from the layout of a module to the wording of an error.
  classifications:
    - type: guidelines
      description: What reviewers ask for
    - {type: code-examples}
  tags: [go, style]
";

fn told(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

/// The faults of the good document after `from` in it was made `to`.
#[track_caller]
fn check_fault(from: &str, to: &str, expected: &[&str]) {
    assert!(GOOD.contains(from), "{from}");
    let faults = check(GOOD.replacen(from, to, 1).as_bytes()).map_or_else(|faults| faults.0, |_| Vec::new());
    assert_eq!(told(&faults), expected, "{to}");
}

#[track_caller]
fn check_added(added: &str, expected: &[&str]) {
    let faults = check(format!("{GOOD}{added}").as_bytes()).map_or_else(|faults| faults.0, |_| Vec::new());
    assert_eq!(told(&faults), expected, "{added}");
}

#[track_caller]
fn check_warning(from: &str, to: &str, expected: &[&str]) {
    assert!(GOOD.contains(from), "{from}");
    assert_eq!(told(&check(GOOD.replacen(from, to, 1).as_bytes()).unwrap().warnings), expected, "{to}");
}

#[test]
fn a_full_manifest_is_read() {
    let more = "\
provenance:
  authors: [Ann, Bo]
  created: 2024-05-01T12:00:00Z
  updated: 2024-05-02T12:00:00+02:00
  source: https://example.com/guide
  license: MIT
packaging: {exclude: ['*.draft.md', tmp/]}
hints:
  suggested_queries: [How are errors worded?]
  primary_files: [guide.md, 'first/**']
metadata: {team: docs, 1: {deep: [1, 2.5, true, null]}}
";
    let Checked { manifest, warnings } = check(format!("{GOOD}{more}").as_bytes()).unwrap();
    assert_eq!(warnings, []);
    assert_eq!((manifest.title.as_str(), manifest.link.as_str()), ("Go guide", "go-guide"));
    assert_eq!(manifest.content.classifications[1].kind, ClassificationType::CodeExamples);
    assert_eq!(manifest.packaging.exclude, ["*.draft.md", "tmp/"]);
    assert_eq!(manifest.hints.primary_files, ["guide.md", "first/**"]);
    let metadata = serde_json::json!({ "team": "docs", "1": { "deep": [1, 2.5, true, null] } });
    assert_eq!(serde_json::Value::Object(manifest.metadata.clone()), metadata);
    let annotations = manifest.annotations();
    let expected = [
        (
            "com.sow.ref.classifications",
            r#"[{"type":"guidelines","description":"What reviewers ask for"},{"type":"code-examples"}]"#,
        ),
        ("com.sow.ref.link", "go-guide"),
        ("com.sow.ref.tags", "go,style"),
        ("org.opencontainers.image.authors", r#"["Ann","Bo"]"#),
        ("org.opencontainers.image.created", "2024-05-01T12:00:00Z"),
        (
            "org.opencontainers.image.description",
            "How this house writes Go, from the layout of a module to the wording of an error.",
        ),
        ("org.opencontainers.image.licenses", "MIT"),
        ("org.opencontainers.image.source", "https://example.com/guide"),
        ("org.opencontainers.image.title", "Go guide"),
    ];
    assert_eq!(annotations.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_not_said_is_not_annotated() {
    let annotations = check(GOOD.as_bytes()).unwrap().manifest.annotations();
    let absent = ["authors", "created", "source", "licenses"].map(|key| format!("org.opencontainers.image.{key}"));
    assert!(absent.iter().all(|key| !annotations.contains_key(key)), "{annotations:?}");
}

#[test]
fn schema_version_is_checked() {
    const VERSION: &str = "schema_version: 1.0.0";
    let other = |found: &str| format!("1:17: schema_version: found {found}, allowed: a version `1.MINOR.PATCH`");
    check_fault(VERSION, "schema_version: 2.0.0", &[&other("`2.0.0`")]);
    check_fault(VERSION, "schema_version: v1.0.0", &[&other("`v1.0.0`")]);
    check_fault(
        VERSION,
        "schema_version: 1.0",
        &["1:17: schema_version: found the number 1.0, allowed: text that is not empty"],
    );
    check_fault(
        "schema_version: 1.0.0\n",
        "",
        &["1:1: schema_version: nothing is given; it needs a version, such as `1.0.0`"],
    );
}

#[test]
fn names_are_checked() {
    let text = |found: &str| format!("3:10: ref.title: found {found}, allowed: text that is not empty");
    check_fault("title: Go guide", "title: ''", &[&text("empty text")]);
    check_fault("title: Go guide", "title: true", &[&text("the boolean true")]);
    check_fault("title: Go guide", "title: [a]", &[&text("a list")]);
    check_fault("title: Go guide", "title: {a: b}", &[&text("a mapping")]);
    check_fault("title: Go guide", "title:", &["3:3: ref.title: nothing is given; it needs text that is not empty"]);
    let link = "lower-case letters, digits and hyphens, no hyphen at an end";
    for bad in ["Go", "-go", "go-", "g", "go_guide"] {
        check_fault(
            "link: go-guide",
            &format!("link: {bad}"),
            &[&format!("4:9: ref.link: found `{bad}`, allowed: {link}")],
        );
    }
    check_fault(
        "ref:\n  title: Go guide\n  link: go-guide\n",
        "ref: go\n",
        &["2:6: ref: found `go`, allowed: a mapping"],
    );
}

#[test]
fn content_is_checked() {
    let kinds = "tutorial, api-reference, guidelines, architecture, runbook, specification, reference, code-examples, \
                 code-templates, code-library, uncategorized";
    check_fault(
        "{type: code-examples}",
        "{type: howto}",
        &[&format!("10:14: content.classifications[1].type: found `howto`, allowed: {kinds}")],
    );
    check_fault(
        "{type: code-examples}",
        "guidelines",
        &["10:7: content.classifications[1]: found `guidelines`, allowed: a mapping"],
    );
    check_fault(
        "{type: code-examples}",
        "{}",
        &["10:7: content.classifications[1].type: nothing is given; it needs a kind of document, such as `guidelines`"],
    );
    check_fault("[go, style]", "[]", &["6:3: content.tags: nothing is given; it needs at least one text"]);
    check_fault("  tags: [go, style]\n", "", &["6:3: content.tags: nothing is given; it needs at least one text"]);
    check_fault("[go, style]", "go", &["11:9: content.tags: found `go`, allowed: a list of texts that are not empty"]);
    check_fault(
        "[go, style]",
        "[go, 5]",
        &["11:14: content.tags[1]: found the number 5, allowed: text that is not empty"],
    );
}

#[test]
fn optional_fields_are_checked() {
    check_added(
        "provenance: {created: 2024-05-01, authors: Ann}",
        &[
            "12:44: provenance.authors: found `Ann`, allowed: a list of texts that are not empty",
            "12:23: provenance.created: found `2024-05-01`, allowed: a date and time by RFC 3339, such as `2024-05-01T12:00:00Z`",
        ],
    );
    check_added(
        "packaging:\n  exclude:\n    - ok\n    - 'a['\n",
        &["15:7: packaging.exclude[1]: found `a[`, allowed: a pattern in gitignore's grammar"],
    );
    check_added(
        "hints: {primary_files: ['{a']}",
        &["12:25: hints.primary_files[0]: found `{a`, allowed: a path or a glob"],
    );
    check_added("metadata: [free]", &["12:11: metadata: found a list, allowed: a mapping"]);
    check_added("provenance:\npackaging: ~\nmetadata:\n", &[]);
}

#[test]
fn unknown_fields_are_faults_at_the_top_and_warnings_below() {
    check_added(
        "extra: 1\n",
        &[
            "12:1: extra: found a field that is not known, allowed: schema_version, ref, content, provenance, packaging, hints, metadata",
        ],
    );
    check_warning(
        "  link:",
        "  slug: x\n  link:",
        &["4:3: ref.slug: found a field that is not known, allowed: title, link"],
    );
}

#[test]
fn a_misspelt_list_of_what_to_leave_out_is_a_fault() {
    for key in ["exclusions", "excludes", "Exclude", "exlude", "excluded"] {
        check_added(
            &format!("packaging: {{{key}: [secret/]}}"),
            &[&format!("12:13: packaging.{key}: found a field that is not known; did you mean `exclude`?")],
        );
    }
    let later = check(format!("{GOOD}packaging: {{order: [a]}}").as_bytes()).unwrap();
    assert_eq!(later.warnings.len(), 1);
}

#[test]
fn lengths_are_recommended() {
    check_warning("Go guide", "Go", &["3:10: ref.title: found 2 characters, recommended: 5 to 100 characters"]);
    check_warning("Go guide", "Naïve", &[]);
    check_warning(
        "Go guide",
        &"x".repeat(101),
        &["3:10: ref.title: found 101 characters, recommended: 5 to 100 characters"],
    );
    check_warning(
        "How this house writes Go, from the layout of a module to the wording of an error.",
        "d",
        &["6:16: content.description: found 1 character, recommended: 50 to 200 characters"],
    );
}

#[test]
fn all_faults_are_told_at_once() {
    let faults = check(b"schema_version: 3.0.0\nref: {title: 5}\nnonsense: 1\n").unwrap_err();
    let fields: Vec<&str> = faults.0.iter().map(|finding| finding.field.as_str()).collect();
    let expected = [
        "nonsense",
        "schema_version",
        "ref.title",
        "ref.link",
        "content.description",
        "content.classifications",
        "content.tags",
    ];
    assert_eq!(fields, expected);
}

#[track_caller]
fn check_whole(yaml: &[u8], word: &str) {
    let faults = check(yaml).unwrap_err();
    assert_eq!(faults.0.len(), 1, "{faults}");
    assert!(faults.to_string().contains(word), "{faults}");
}

#[test]
fn what_is_no_manifest_at_all_is_one_fault() {
    check_whole(b"", "found nothing, allowed: a mapping");
    check_whole(b"just text", "found `just text`, allowed: a mapping");
    check_whole(b"- a\n- b\n", "found a list, allowed: a mapping");
    check_whole(b"a: \xff", "UTF-8");
    check_whole(b"metadata: {n: .inf}", "1:15: value `.inf` is not a finite number");
    check_whole(b"ref: {title: [", "1:");
    check_whole(b"ref: {}\nref: {}\n", "2:");
    check_whole(b"a: 1\n---\nb: 2\n", "it has more than one document");
}

#[test]
fn a_stranger_cannot_make_it_costly() {
    let mut large = GOOD.to_owned();
    let padding = ManifestFile::MAX_BYTES as usize - large.len() - 1;
    large.extend(["#", &"x".repeat(padding)]);
    assert!(check(large.as_bytes()).is_ok());
    check_whole(format!("{large}x").as_bytes(), "it has more than 262144 bytes");
    let deep = |depth: usize| format!("{GOOD}metadata: {}{}\n", "{a: ".repeat(depth), "}".repeat(depth));
    assert!(check(deep(16).as_bytes()).is_ok());
    check_whole(deep(100).as_bytes(), "");
    check_whole(format!("{GOOD}metadata: {}", "[".repeat(100_000)).as_bytes(), "");
    let laughs = (1..9).map(|i| format!("  a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(", ")));
    let bomb = format!("{GOOD}metadata:\n  a0: &a0 [lol]\n{}", laughs.collect::<String>());
    check_whole(bomb.as_bytes(), "");
    let many = format!("{GOOD}metadata: [{}]\n", "1,".repeat(30_000));
    check_whole(many.as_bytes(), "");
}

#[test]
fn an_alias_is_what_it_stands_for() {
    let yaml = GOOD.replacen("title: Go guide", "title: &t Go guide", 1).replacen("[go, style]", "[*t]", 1);
    assert_eq!(check(yaml.as_bytes()).unwrap().manifest.content.tags, ["Go guide"]);
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(yaml in any::<Vec<u8>>(), text in "[a-z:\\-{}\\[\\]&*!|>'\"# \n]{0,60}") {
        drop(check(&yaml));
        drop(check(text.as_bytes()));
        drop(check(format!("{GOOD}metadata:\n  {text}").as_bytes()));
    }

    #[test]
    fn a_change_of_one_byte_never_panics(at in 0..GOOD.len(), byte in any::<u8>()) {
        let mut yaml = GOOD.as_bytes().to_vec();
        yaml[at] = byte;
        drop(check(&yaml));
    }
}
