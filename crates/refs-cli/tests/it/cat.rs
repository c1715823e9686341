//! `refs cat`

use refs_testkit::Tree;

use crate::support::{MANIFEST, Machine, noise, pushed, registry, small};

#[test]
fn a_small_hot_file_costs_two_requests() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small().file("large.bin", noise(1 << 20)));
    assert_eq!(machine.prints(&format!("cat {}/o/r:v1 .sow-ref.yaml", registry.host())), MANIFEST);
    let requests = registry.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    let bytes: u64 = requests.iter().map(|seen| seen.sent).sum();
    assert!(bytes < 16 << 10, "{bytes} bytes");
}

#[test]
fn only_the_bytes_of_the_file_are_fetched() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small().file("a.bin", noise(2 << 20)).file("z.bin", noise(1 << 20)));
    assert_eq!(machine.run(&format!("cat {}/o/r:v1 z.bin", registry.host())).stdout, noise(1 << 20));
    let bytes: u64 = registry.requests().iter().map(|seen| seen.sent).sum();
    assert!(bytes < (1 << 20) + (64 << 10), "{bytes} bytes");
}

#[test]
fn a_range_costs_the_chunks_that_hold_it() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small().file("a.bin", noise(9 << 20)));
    let cat = |range: &str| machine.run(&format!("cat {}/o/r:v1 a.bin --range {range}", registry.host())).stdout;
    assert_eq!(cat("9437180-"), noise(9 << 20)[9_437_180..]);
    let bytes: u64 = registry.take_requests().iter().map(|seen| seen.sent).sum();
    assert!(bytes < (1 << 20) + (64 << 10), "{bytes} bytes");
    assert_eq!(cat("10-19"), noise(9 << 20)[10..20]);
    assert_eq!(cat("-3"), noise(9 << 20)[(9 << 20) - 3..]);
}

#[test]
fn bad_ranges_are_told() {
    let machine = Machine::new();
    machine.write("source", &small());
    machine.prints("push source ocidir://layout:v1");
    let cat = "cat ocidir://layout:v1 guide/one.md --range";
    assert_eq!(machine.prints(&format!("{cat} 1-2")), "ne");
    assert_eq!(machine.prints(&format!("{cat}=-2")), "e\n");
    for range in ["4-", "4-4", "4-9", "-0"] {
        assert_eq!(machine.prints(&format!("{cat} {range}")), "");
    }
    machine.fails(&format!("{cat} 5-"), 2, &["`guide/one.md` has 4 bytes, and the range begins at byte 5"]);
    for range in ["2-1", "x", "1"] {
        machine.fails(&format!("{cat} {range}"), 2, &["is not a range of bytes", "\nhint: bytes are counted from 0"]);
    }
}

#[test]
fn paths_may_begin_at_the_root_and_lead_through_links() {
    let machine = Machine::new();
    machine.write("source", &Tree::parse("644 a/b \"b\"\n777 link -> a/b\n777 dir -> a"));
    machine.prints("push source ocidir://layout:v1");
    for path in ["a/b", "/a/b", "./a/b", "link"] {
        assert_eq!(machine.prints(&format!("cat ocidir://layout:v1 {path}")), "b");
    }
}

#[test]
fn link_to_nothing_is_told_with_where_it_leads() {
    let machine = Machine::new();
    machine.write("source", &Tree::parse("644 etc/other \"b\"\n777 etc/lnk -> gone"));
    machine.prints("push source ocidir://layout:v1");
    let told = "no file `etc/lnk` in ocidir://layout:v1: it leads to `etc/gone`, where nothing is\n";
    machine.fails("cat ocidir://layout:v1 etc/lnk", 3, &[told, "\nhint: `refs ls` shows the paths"]);
}

#[test]
fn what_is_no_file_is_not_found() {
    let machine = Machine::new();
    machine.write("source", &small());
    machine.prints("push source ocidir://layout:v1");
    let at = "ocidir://layout:v1";
    machine.fails(&format!("cat {at} guide"), 3, &["`guide` in ocidir://layout:v1 is a directory, not a file"]);
    machine.fails(
        &format!("cat {at} guide/oen.md"),
        3,
        &["no file `guide/oen.md`", "\nhint: there is `guide/one.md`\n"],
    );
    machine.fails(&format!("cat {at} ../../etc/passwd"), 3, &["no file `../../etc/passwd`", "\nhint: `refs ls` shows"]);
}
