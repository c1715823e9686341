//! `refs demo`

use crate::support::Machine;

#[test]
fn the_demo_shows_that_a_listing_costs_two_requests() {
    let machine = Machine::new();
    let shown = machine.prints("demo");
    let (_, listing) = shown.split_once("$ refs ls ").unwrap();
    let cost = listing.lines().find(|line| line.contains("cost: ")).unwrap();
    assert!(cost.contains("cost: 2 requests, "), "{cost}");
    for step in ["$ refs push ", "$ refs ls ", "$ refs cat ", "$ refs pull "] {
        assert!(shown.contains(step), "{shown}");
    }
    assert_eq!(machine.names(), [""; 0]);
}
