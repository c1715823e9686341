//! Paths, links and what they say twice.

use super::*;

#[test]
fn lie_13_paths_that_leave_the_root() {
    for (name, fault) in [
        ("../f", PathFault::Parent),
        ("a/../f", PathFault::Parent),
        ("/..", PathFault::Parent),
        ("a\\u0000b", PathFault::Nul),
        ("/", PathFault::Empty),
        (".", PathFault::Empty),
        ("", PathFault::Empty),
    ] {
        let parsed = parse(&named(name));
        assert!(matches!(&parsed, Err(Error::Path { fault: found, .. }) if *found == fault), "{name}: {parsed:?}");
    }
}

#[test]
fn names_come_in_their_normal_form() {
    for name in ["/a/b", "./a/b", "a//b", "a/./b", "//./a/b/"] {
        assert_eq!(parse(&named(name)).unwrap().path_at(0), "a/b", "{name}");
    }
    assert_eq!(parse(&named("..a/b..")).unwrap().path_at(0), "..a/b..");
    assert!(parse(&table(&[r#"{"name":"./","type":"dir"}"#])).unwrap().is_empty());
}

#[test]
fn lie_14_two_entries_with_one_path() {
    for (left, right) in [("a", "a"), ("a", "./a"), ("a/", "/a")] {
        let json = elements(&[reg(left, 0, ""), DIR.into(), reg(right, 0, "")]);
        rejected!(parse(&json), Error::Duplicate { .. });
    }
}

#[test]
fn lie_14_entry_below_a_file() {
    let json = elements(&[reg("a/b/c", 0, ""), reg("a-b", 0, ""), reg("a", 0, "")]);
    rejected!(parse(&json), Error::NotDirectory { .. });
    let below_link = table(&[r#"{"name":"a","type":"symlink","linkName":"/etc"}"#, r#"{"name":"a/b","type":"dir"}"#]);
    rejected!(parse(&below_link), Error::NotDirectory { .. });
}

#[test]
fn lie_15_symbolic_links_are_bounded_text() {
    let link = |target: &str| table(&[&format!(r#"{{"name":"a","type":"symlink","linkName":"{target}"}}"#)]);
    for (target, fault) in [("", LinkFault::Empty), ("a\\u0000", LinkFault::Nul), (&*"x".repeat(4097), LinkFault::Long)]
    {
        let parsed = parse(&link(target));
        assert!(matches!(&parsed, Err(Error::Link { fault: found, .. }) if *found == fault), "{parsed:?}");
    }
    assert!(parse(&link(&"x".repeat(4096))).is_ok());
}

#[test]
fn lie_16_hard_links_that_lead_nowhere() {
    let link = |name: &str, target: &str| format!(r#"{{"name":"{name}","type":"hardlink","linkName":"{target}"}}"#);
    let check = |links: &[String], fault: LinkFault| {
        let parsed = parse(&elements(&[links, &[abcd("f", 10), DIR.into()]].concat()));
        assert!(matches!(&parsed, Err(Error::Link { fault: found, .. }) if *found == fault), "{links:?}: {parsed:?}");
    };
    check(&[link("l", "absent")], LinkFault::Missing);
    check(&[link("l", "d")], LinkFault::NotFile);
    check(&[link("l", "l")], LinkFault::Circle);
    check(&[link("l", "m"), link("m", "l")], LinkFault::Circle);
    check(&[link("l", "s"), r#"{"name":"s","type":"symlink","linkName":"f"}"#.into()], LinkFault::NotFile);
    check(&[link("l", ".prefetch.landmark"), abcd(".prefetch.landmark", 50)], LinkFault::Missing);
    rejected!(parse(&elements(&[link("l", "../f")])), Error::Path { fault: PathFault::Parent, .. });
    let chain = elements(&[link("l", "m"), link("m", "./f"), abcd("f", 10)]);
    let toc = parse(&chain).unwrap();
    assert_eq!(toc.file_of(toc.index_of("l").unwrap()), toc.index_of("f"));
    assert_eq!(toc.entry("l").unwrap().kind, Kind::Hardlink { target: "f".to_owned() });
    let endless: Vec<String> = (0..60).map(|n| link(&format!("l{n}"), &format!("l{}", n + 1))).collect();
    check(&[endless, vec![link("l60", "f")]].concat(), LinkFault::Circle);
}

#[test]
fn lie_18_deep_and_long_paths() {
    let (deep, deeper) = (vec!["a"; 128].join("/"), vec!["a"; 129].join("/"));
    assert!(parse(&named(&deep)).is_ok());
    rejected!(parse(&named(&deeper)), Error::Path { fault: PathFault::Deep, .. });
    rejected!(parse(&named(&vec!["a"; 10_000].join("/"))), Error::Path { fault: PathFault::Long, .. });
    rejected!(parse(&named(&"a".repeat(256))), Error::Path { fault: PathFault::LongComponent, .. });
    assert!(parse(&named(&"a".repeat(255))).is_ok());
}

#[test]
fn short_links_to_a_long_path_by_way_of_another_count_in_full() {
    let link = |name: &str, target: &str| format!(r#"{{"name":"{name}","type":"hardlink","linkName":"{target}"}}"#);
    let long = vec!["x".repeat(250); 16].join("/");
    let list = |links: usize| {
        let links = (0..links).map(|n| link(&format!("l{n:04}"), "m"));
        elements(&[abcd(&long, 10), link("m", &long)].into_iter().chain(links).collect::<Vec<_>>())
    };
    let limits = Limits { toc_inflated: 256 << 10, ..Limits::default() };
    assert_eq!(parse_within(&list(50), &limits).unwrap().len(), 52);
    rejected!(parse_within(&list(100), &limits), Error::TocLimit { part: TocPart::Inflated, .. });
}
