//! Which tags are versions, which is the best, and which constraints there are.
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use proptest::prelude::*;
use refs_url::{
    ParseErrorKind::{self, *},
    Tag,
    version::{
        ChoiceError, ChoiceOptions, Constraint, LeftOut, Partial, Prereleases, best_tag, matching_tags, semver_tags,
    },
};

fn tags(text: &str) -> Vec<Tag> {
    text.split_whitespace().map(|tag| tag.parse().unwrap()).collect()
}

fn with(prereleases: Prereleases) -> ChoiceOptions {
    ChoiceOptions { prereleases, ..ChoiceOptions::default() }
}

fn completed() -> ChoiceOptions {
    ChoiceOptions { partial: Partial::Completed, ..ChoiceOptions::default() }
}

#[track_caller]
fn check_versions(among: &str, expect: &str) {
    assert_eq!(semver_tags(&tags(among)), tags(expect), "of {among}");
}

#[test]
fn versions_come_from_the_highest_down_as_they_are_written() {
    check_versions("v1.0.0 latest 2.0.0 abc 1.5.0", "2.0.0 1.5.0 v1.0.0");
    check_versions(
        "1.9.0 1.10.0 1.10.0-rc.1 1.10.0-rc.11 1.10.0-rc.2",
        "1.10.0 1.10.0-rc.11 1.10.0-rc.2 1.10.0-rc.1 1.9.0",
    );
    check_versions("18446744073709551615.0.0 0.0.0", "18446744073709551615.0.0 0.0.0");
    check_versions("", "");
    check_versions("latest main", "");
}

#[test]
fn build_metadata_follows_an_underscore() {
    check_versions("1.0.0_build.7 1.0.0-rc.1_b-2", "1.0.0_build.7 1.0.0-rc.1_b-2");
    check_versions("1.0.0_ 1.0.0_a_b 1.0.0_a..b _1.0.0 1.0_b", "");
}

#[test]
fn dates_commits_and_what_is_left_out_are_no_versions() {
    check_versions(
        "20240101 2024.01.15 1234567 5 v1 1.2 v1.2 1.2.3.4 01.2.3 1.02.3 1.2.3-01 1.2.3- V1.2.3 vv1.2.3",
        "",
    );
    check_versions("2024.10.15 1.9.0 2024.1.5", "2024.10.15 2024.1.5 1.9.0");
    check_versions("18446744073709551616.0.0 1.99999999999999999999.0 x.1.2 1.2.x v 1.9.0", "1.9.0");
}

#[test]
fn versions_of_the_same_precedence_have_an_order() {
    let order = "1.2.0_b 1.2.0_a v1.2.0_a 1.2.0 v1.2.0 1.1.0";
    check_versions(order, order);
    check_versions("v1.2.0 1.1.0 1.2.0 v1.2.0_a 1.2.0_a 1.2.0_b", order);
    let partial = "1.0.0 1.0 1 v1.0.0 v1";
    assert_eq!(matching_tags(&tags("v1 1 v1.0.0 1.0 1.0.0"), &"*".parse().unwrap(), &completed()), tags(partial));
}

#[track_caller]
fn check(among: &str, constraint: &str, options: &ChoiceOptions, expect: &str) {
    let constraint: Option<Constraint> = (!constraint.is_empty()).then(|| constraint.parse().unwrap());
    let tags = tags(among);
    let found = best_tag(&tags, constraint.as_ref(), options).map(Tag::as_str);
    assert_eq!(found, Ok(expect), "of {among}");
}

#[test]
fn highest_that_satisfies_is_the_best() {
    let options = ChoiceOptions::default();
    check("1.0.0 2.0.0 3.0.0", "", &options, "3.0.0");
    check("1.0.0 2.0.0", "^2.0.0", &options, "2.0.0");
    check("1.0.0 1.1.0 1.2.0 2.0.0", "^1.0.0", &options, "1.2.0");
    check("v1.0.0 v2.0.0", "", &options, "v2.0.0");
    check("latest main 2.0.0 bad 1.0.0", "", &options, "2.0.0");
    check("20240101 2024.01.15 1234567 1.9.0", "", &options, "1.9.0");
    check("1.0.0 1.0.0_build 2.0.0_build", "=2.0.0", &options, "2.0.0_build");
    check("1.0.0 1.5.0 2.0.0", "<1.2 || 1.4 - 1.6", &options, "1.5.0");
}

#[test]
fn prereleases_are_chosen_where_they_are_asked_for() {
    let among = "1.0.0 1.1.0 2.0.0-rc.1";
    check(among, "", &ChoiceOptions::default(), "1.1.0");
    check(among, "", &with(Prereleases::OfNamedVersion), "1.1.0");
    check(among, "", &with(Prereleases::Included), "2.0.0-rc.1");
    check("1.0.0-rc.1 1.0.0-rc.2", "", &ChoiceOptions::default(), "1.0.0-rc.2");
    check(among, "^1.0.0", &ChoiceOptions::default(), "1.1.0");
    check(among, ">=1", &ChoiceOptions::default(), "1.1.0");
    check(among, ">=1", &with(Prereleases::Included), "2.0.0-rc.1");
    check(among, ">=1-0", &ChoiceOptions::default(), "2.0.0-rc.1");
    check(among, ">=1-0", &with(Prereleases::OfNamedVersion), "1.1.0");
    check(among, ">=2.0.0-rc.0", &with(Prereleases::OfNamedVersion), "2.0.0-rc.1");
    check("1.2.3-beta.4 1.2.4-beta.2", "~1.2.3-beta.2", &ChoiceOptions::default(), "1.2.4-beta.2");
    check("1.2.3-beta.4 1.2.4-beta.2", "~1.2.3-beta.2", &with(Prereleases::OfNamedVersion), "1.2.3-beta.4");
    check("1.0.0 1.3.3-alpha.2 3.0.0-rc.1", ">1.2.3-alpha.1, <2 || >=1", &ChoiceOptions::default(), "1.3.3-alpha.2");
}

#[test]
fn tags_are_completed_when_that_is_asked_for() {
    check("1 1.2 v1.3 1.2.9", "", &completed(), "v1.3");
    check("1 1.2 v1.3 1.2.9", "", &ChoiceOptions::default(), "1.2.9");
    check("2-rc.1 1.9-rc.1 1.8", "", &completed(), "1.8");
    check("2-rc.1 2.0.0-rc.2", "*-0", &completed(), "2.0.0-rc.2");
    check("2024 12345 v12345 20240101-abc 2024.01 2024.01.15", "", &completed(), "2024");
    check("1.2_b latest 1-2", "", &completed(), "1.2_b");
}

#[test]
fn errors_say_what_there_is_instead() {
    let constraint: Constraint = " ^9 ||  >=8 ".parse().unwrap();
    let among = tags("latest 1.0.0 1.1.0 1.2.0 1.3.0-rc.1 1.4.0 0.9.0 v1.2.0 20240101");
    let error = best_tag(&among, Some(&constraint), &ChoiceOptions::default()).unwrap_err();
    let words = "no tag satisfies `^9 || >=8`: the highest are 1.4.0, 1.3.0-rc.1, 1.2.0, v1.2.0, 1.1.0";
    assert_eq!(error.to_string(), words);
    let available = tags("1.4.0 1.3.0-rc.1 1.2.0 v1.2.0 1.1.0");
    assert_eq!(error, ChoiceError::NoMatch { constraint: constraint.clone(), available, left_out: None });
    for (among, others) in [("", 0), ("latest main 20240101", 3), ("99999999999999999999.0.0", 1)] {
        for constraint in [None, Some(&constraint)] {
            let error = best_tag(&tags(among), constraint, &ChoiceOptions::default()).unwrap_err();
            assert_eq!(error, ChoiceError::NoVersions { others });
        }
    }
    for (others, words) in [(0, "there are no tags"), (3, "none of the 3 tags is a version")] {
        assert_eq!(ChoiceError::NoVersions { others }.to_string(), words);
    }
}

#[track_caller]
fn check_left_out(among: &str, constraint: &str, expect: Option<&str>) {
    let (tags, constraint) = (tags(among), constraint.parse().unwrap());
    let found = LeftOut::of(&tags, &constraint, &ChoiceOptions::default());
    assert_eq!(found.map(|found| found.to_string()).as_deref(), expect, "{constraint} of {among}");
}

#[test]
fn prereleases_that_a_constraint_leaves_out_are_counted_with_what_names_them() {
    let among = "1.0.0 1.1.0-rc.1 2.0.0-rc.1 2.0.0-rc.2 3.0.0-rc.1 latest";
    check_left_out(among, "^2", Some("2 prereleases match `^2-0`"));
    check_left_out(among, "2.x.x", Some("2 prereleases match `2-0`"));
    check_left_out(among, "~ 1.1.0", Some("1 prerelease matches `~1.1.0-0`"));
    check_left_out(among, ">=1.1 <2||^ v3.0", Some("2 prereleases match `>=1.1-0, <2-0 || ^3.0-0`"));
    check_left_out(among, "1.1 - 2.0.0", Some("3 prereleases match `>=1.1-0, <=2.0.0`"));
    check_left_out(among, ">2", Some("1 prerelease matches `>2-0`"));
    check_left_out(among, "!=1.0.0, *", Some("4 prereleases match `!=1.0.0, *-0`"));
    for constraint in ["^4", "2.0.0", ">1.0.0", "^2-0", "^2-rc.1"] {
        check_left_out(among, constraint, None);
    }
    let error = best_tag(&tags(among), Some(&"^2".parse().unwrap()), &ChoiceOptions::default()).unwrap_err();
    let ChoiceError::NoMatch { left_out: Some(left_out), .. } = error else { panic!("{error:?}") };
    assert_eq!((left_out.count, &*left_out.constraint.to_string()), (2, "^2-0"));
}

#[track_caller]
fn check_error(text: &str, kind: ParseErrorKind, offset: usize, hint: Option<&str>) {
    let Err(error) = Constraint::parse(text) else { panic!("`{text}` parses") };
    let expect = (kind, offset, hint.map(String::from));
    assert_eq!((error.kind(), error.offset(), error.hint()), expect, "`{text}`");
    assert_eq!(error.input(), text);
}

const RANGE: Option<&str> = Some("a range is written `1.2 - 2.3`, with spaces around the `-` and without an operator");
const OR: Option<&str> = Some("`or` is written `||`");
const AND: Option<&str> = Some("`and` is written as a comma or a space");

#[test]
fn errors_of_constraints_name_what_was_expected_and_where() {
    check_error("not-valid-%%", ExpectedVersion, 0, None);
    check_error(">= bar", ExpectedVersion, 3, None);
    check_error("BAR >= 1.2.3", ExpectedVersion, 0, None);
    check_error("1.2.3 latest", ExpectedVersion, 6, None);
    check_error(">1,", ExpectedVersion, 3, None);
    check_error("1 ||", ExpectedVersion, 4, None);
    check_error("==1", ExpectedVersion, 1, Some("one `=` is enough"));
    check_error("1 | 2", ExpectedVersion, 2, OR);
    check_error("1|2", ExpectedSeparator, 1, OR);
    check_error(">1 && <2", ExpectedVersion, 3, AND);
    check_error(">1&<2", ExpectedSeparator, 2, AND);
    check_error(">1 - 2", ExpectedVersion, 3, RANGE);
    check_error("1 -2", ExpectedVersion, 2, RANGE);
    check_error("1 -", ExpectedVersion, 2, RANGE);
    check_error("1 - ", ExpectedVersion, 4, None);
    check_error("1 - >2", ExpectedVersion, 4, RANGE);
    check_error("1..2", ExpectedNumber, 2, None);
    check_error("1.2.", ExpectedNumber, 4, None);
    check_error("12.3.4.1234", ExpectedSeparator, 6, None);
    check_error("12.3.34~ 1.2.3", ExpectedSeparator, 7, None);
    check_error("1x", ExpectedSeparator, 1, None);
    check_error("1.2.3_build", ExpectedSeparator, 5, Some("build metadata follows a `+` here"));
    check_error("18446744073709551616", NumberTooBig, 0, None);
    check_error(">1.2.99999999999999999999", NumberTooBig, 5, None);
    check_error("v1.2.3-beta.01", InvalidPrerelease, 12, None);
    check_error("1.2.3-", InvalidPrerelease, 6, None);
    check_error("1.2.3-a..b", InvalidPrerelease, 8, None);
    check_error("1.2.3+a+b", ExpectedSeparator, 7, None);
    check_error("1.2.3+", InvalidBuild, 6, None);
    check_error("1 \u{e9}", ExpectedVersion, 2, None);
    check_error(&format!("{}\u{e9}", " ".repeat(1023)), ConstraintTooLong, 1023, None);
    check_error(&format!("{}1", " ".repeat(1024)), ConstraintTooLong, 1024, None);
    check_error(&"1 ".repeat(65), TooManyComparators, 128, None);
    check_error(&format!("{}2 - 3", "1 ".repeat(63)), TooManyComparators, 126, None);
    let error = Constraint::parse(">= bar\u{1b}").unwrap_err();
    assert_eq!(error.to_string(), r"constraint expects a version at byte 3 of `>= bar\u{1b}`");
}

#[track_caller]
fn check_text(text: &str, expect: &str) {
    assert_eq!(Constraint::parse(text).unwrap().to_string(), expect);
}

#[test]
fn constraint_shows_itself_as_it_was_written() {
    check_text("", "*");
    check_text(" \t", "*");
    check_text(" >=1.1,\t<2\n||  ~> 3.4 ", ">=1.1, <2 || ~> 3.4");
    check_text("v1.x - 2.0.0-rc.1+b", "v1.x - 2.0.0-rc.1+b");
    let longest = format!("{}1", "1,".repeat(63));
    check_text(&longest, &longest);
}

/// Versions near each other, and what is none.
fn tag() -> impl Strategy<Value = Tag> {
    let text = prop_oneof![
        8 => r"v?[0-3]\.[0-3]\.[0-3](-(rc|beta|0|[1-9])(\.[1-9])?)?(_[ab])?",
        1 => r"v?[0-3](\.[0-3])?",
        1 => r"[a-z0-9_][a-z0-9._-]{0,12}",
    ];
    text.prop_map(|text| text.parse().unwrap())
}

/// Legal constraints.
fn constraint() -> impl Strategy<Value = String> {
    let version = r"v?([0-3]|x)(\.([0-3]|\*)){0,2}(-(rc|beta|0|[1-9])(\.[1-9])?)?(\+b)?";
    let comparator = format!("(|=|!=|>|<|>=|=>|<=|=<|~|~>|\\^) {{0,2}}{version}|{version} - {version}");
    let separator = "( {1,2}|,| , ?)";
    let group = format!("({comparator})({separator}({comparator})){{0,2}}");
    let pattern = format!("{group}( ?\\|\\| ?({group})){{0,2}}");
    prop::string::string_regex(&pattern).unwrap_or_else(|error| panic!("{error}"))
}

/// What is close to a constraint, and what is not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        r"[0-9x*v.,|<>=~^!+ \t-]{0,24}",
        any::<String>(),
        (constraint(), any::<prop::sample::Index>(), any::<char>()).prop_map(|(mut text, at, c)| {
            text.insert(at.index(text.len() + 1), c);
            text
        }),
    ]
}

fn options() -> impl Strategy<Value = ChoiceOptions> {
    use Prereleases::{Included, OfNamedVersion, WhereNamed};
    let prereleases = prop_oneof![Just(WhereNamed), Just(OfNamedVersion), Just(Included)];
    let partial = prop_oneof![Just(Partial::Ignored), Just(Partial::Completed)];
    (prereleases, partial).prop_map(|(prereleases, partial)| ChoiceOptions { prereleases, partial })
}

proptest! {
    #[test]
    fn best_is_in_the_input_satisfies_and_does_not_depend_on_the_order(
        (tags, shuffled) in prop::collection::vec(tag(), 0..12)
            .prop_flat_map(|tags| (Just(tags.clone()), Just(tags).prop_shuffle())),
        text in constraint(),
        options in options(),
    ) {
        let constraint = Constraint::parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let best = best_tag(&tags, Some(&constraint), &options);
        prop_assert_eq!(best_tag(&shuffled, Some(&constraint), &options), best.clone());
        prop_assert_eq!(best_tag(&shuffled, None, &options), best_tag(&tags, None, &options));
        prop_assert_eq!(semver_tags(&shuffled), semver_tags(&tags));
        let matching = matching_tags(&tags, &constraint, &options);
        prop_assert_eq!(best.ok(), matching.first());
        prop_assert!(matching.iter().all(|tag| tags.contains(tag) && constraint.accepts(tag, &options)));
    }

    #[test]
    fn fewer_prereleases_are_taken_where_fewer_are_allowed(tag in tag(), text in constraint()) {
        use Prereleases::{Included, OfNamedVersion, WhereNamed};
        let constraint = Constraint::parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let accepts = |prereleases| constraint.accepts(&tag, &with(prereleases));
        prop_assert!(accepts(OfNamedVersion) <= accepts(WhereNamed) && accepts(WhereNamed) <= accepts(Included));
    }

    #[test]
    fn what_names_prereleases_takes_the_same_of_other_versions(
        tag in tag(),
        text in constraint(),
        options in options(),
    ) {
        let constraint = Constraint::parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let any = ["0.0.0-0", "1.1.1-rc", "2.0.0-beta.1", "3.3.3-9"].map(|tag| Tag::parse(tag).unwrap());
        if let Some(LeftOut { constraint: naming, .. }) = LeftOut::of(&any, &constraint, &options)
            && !tag.as_str().contains('-')
        {
            prop_assert_eq!(naming.accepts(&tag, &options), constraint.accepts(&tag, &options), "{}", naming);
        }
    }

    #[test]
    fn constraint_is_given_back_by_its_own_text(text in prop_oneof![constraint(), text()]) {
        if let Ok(constraint) = Constraint::parse(&text) {
            prop_assert_eq!(Constraint::parse(&constraint.to_string()), Ok(constraint));
        }
    }

    #[test]
    fn no_text_panics_and_every_error_points_into_it(text in text()) {
        if let Err(error) = Constraint::parse(&text) {
            prop_assert!(text.is_char_boundary(error.offset()), "{error:?}");
            let words = format!("{error}{}", error.hint().unwrap_or_default());
            prop_assert!(words.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{words}");
        }
    }
}
