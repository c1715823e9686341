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
fn paths_may_begin_at_the_root_and_lead_through_links() {
    let machine = Machine::new();
    machine.write("source", &Tree::parse("644 a/b \"b\"\n777 link -> a/b\n777 dir -> a"));
    machine.prints("push source ocidir://layout:v1");
    for path in ["a/b", "/a/b", "./a/b", "link"] {
        assert_eq!(machine.prints(&format!("cat ocidir://layout:v1 {path}")), "b");
    }
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
