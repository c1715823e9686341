//! Whatever entries come.

use std::{collections::BTreeMap, fs};

use proptest::prelude::*;
use refs_estargz::Kind;

use crate::unpack::confine::check_target;

use super::{Ground, Item, Limits, directory, file, hardlink, snapshot, symlink};

/// Few names, so that entries meet; and some that lead out. `OUT` stands for the path of a directory outside.
fn path() -> impl Strategy<Value = String> {
    let component = prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "c"]),
        1 => prop::sample::select(vec!["..", ".", "", "OUT", "\0", "é"]),
    ];
    prop::collection::vec(component, 1..5).prop_map(|components| components.join("/"))
}

fn target() -> impl Strategy<Value = String> {
    let component = prop::sample::select(vec!["a", "b", "c", "..", "..", "."]);
    prop_oneof![
        8 => prop::collection::vec(component, 1..6).prop_map(|components| components.join("/")),
        1 => path(),
        1 => Just("OUT/canary".to_owned()),
    ]
}

fn item() -> impl Strategy<Value = Item> {
    let item = prop_oneof![
        4 => (path(), "[xy]{0,3}").prop_map(|(path, content)| file(&path, &content)),
        4 => path().prop_map(|path| directory(&path)),
        6 => (path(), target()).prop_map(|(path, target)| symlink(&path, &target)),
        2 => (path(), path()).prop_map(|(path, target)| hardlink(&path, &target)),
        1 => path().prop_map(|path| Item::new(&path, Kind::Fifo, 0o644)),
    ];
    (item, prop::sample::select(vec![0o755, 0o644, 0o6755, 0o700])).prop_map(|(item, mode)| item.mode(mode))
}

/// Layers of which a fair share are good: the bad kinds of entry are rare, and a layer is short.
fn layers() -> impl Strategy<Value = Vec<Vec<Item>>> {
    prop::collection::vec(prop::collection::vec(item(), 0..5), 1..4)
}

fn aimed(item: &Item, outside: &str) -> Item {
    let mut item = item.clone();
    item.entry.path = item.entry.path.replace("OUT", outside);
    if let Kind::Symlink { target } | Kind::Hardlink { target } = &mut item.entry.kind {
        *target = target.replace("OUT", outside);
    }
    item
}

/// Where a link of the destination leads is in the destination, if it leads anywhere.
fn leads_inside(ground: &Ground, path: &str) -> bool {
    let dest = fs::canonicalize(ground.dest()).unwrap();
    fs::canonicalize(dest.join(path)).map_or(true, |end| end.starts_with(&dest))
}

/// Links that may be good each by itself, and lead out together.
fn links() -> impl Strategy<Value = BTreeMap<String, String>> {
    let path = (prop::sample::select(vec!["", "d/", "d/e/"]), prop::sample::select(vec!["p", "q", "r"]));
    let path = path.prop_map(|(directory, name)| format!("{directory}{name}"));
    let target = prop::collection::vec(prop::sample::select(vec!["d", "e", "p", "q", "r", "..", ".."]), 1..6);
    prop::collection::btree_map(path, target.prop_map(|components| components.join("/")), 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_appears_outside_and_after_an_error_nowhere(layers in layers()) {
        let ground = Ground::fast();
        // What a path that leads out is likely to meet.
        for name in ["a", "b", "c"] {
            fs::create_dir(ground.path(name)).unwrap();
            fs::write(ground.path(name).join("canary"), "alive").unwrap();
        }
        let outside = ground.path("a").to_str().unwrap().to_owned();
        let before = ground.snapshot();
        let layers: Vec<Vec<_>> =
            layers.iter().map(|layer| layer.iter().map(|item| aimed(item, &outside)).collect()).collect();

        let result = ground.unpack_within(&layers, Limits { entries: 10, total_bytes: 12, file_bytes: 3 });

        let mut after = ground.snapshot();
        if result.is_ok() {
            for (path, what) in snapshot(&ground.dest()) {
                prop_assert!(!what.starts_with("->") || leads_inside(&ground, &path), "{path} {what}");
            }
            after.retain(|path, _| path != "dest" && !path.starts_with("dest/"));
        }
        prop_assert_eq!(after, before);
    }

    #[test]
    fn no_links_lead_out_together(links in links()) {
        let ground = Ground::fast();
        for name in ["d/e", "d/p", "d/q", "d/r", "e/e", "p", "q", "r"] {
            fs::create_dir_all(ground.path(name)).unwrap();
        }
        // Those that are refused by themselves would hide the others.
        let good = |(path, target): &(&String, &String)| check_target(path, target).is_ok();
        let mut items = vec![directory("d"), directory("d/e"), directory("e")];
        items.extend(links.iter().filter(good).map(|(path, target)| symlink(path, target)));
        if ground.unpack(&[items]).is_ok() {
            for path in links.keys() {
                prop_assert!(leads_inside(&ground, path), "{path}");
            }
        } else {
            prop_assert!(!ground.dest().exists());
        }
    }
}
