//! What holds of every archive, whoever wrote it: a function that takes any bytes, and panics where it does not. The fuzz
//! target in `fuzz/` calls it, and the test below with what that has found.

pub use crate::layer::fuzzing::tar_walk;

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    #[test]
    fn what_was_found_in_archives_holds() {
        super::replay::replay("tar_walk", super::tar_walk);
    }
}
