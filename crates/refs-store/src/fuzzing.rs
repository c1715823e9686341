//! What holds of every index of a layout, whoever wrote it: a function that takes any bytes, and panics where it does not. The fuzz
//! target in `fuzz/` calls it, and the test below with what that has found.

pub use crate::layout::fuzzing::layout_index;

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    #[test]
    fn what_was_found_in_indexes_of_layouts_holds() {
        super::replay::replay("layout_index", super::layout_index);
    }
}
