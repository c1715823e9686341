//! What holds of every layer, whoever made it: each function takes any bytes, and panics where it does not. The fuzz targets
//! in `fuzz/` call them, and the tests below with what those have found.

mod drawn;
mod footer;
mod plan;
mod seek;
mod toc;
mod zstd;

pub use footer::{footer, zstd_footer};
pub use plan::plan;
pub use seek::{seek_blob, seek_index};
pub use toc::toc;
pub use zstd::zstd;

#[cfg(test)]
#[path = "../../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::replay::replay;

    #[test]
    fn what_was_found_in_footers_holds() {
        replay("footer", super::footer);
    }

    #[test]
    fn what_was_found_in_footers_of_zstd_holds() {
        replay("zstd_footer", super::zstd_footer);
    }

    #[test]
    fn what_was_found_in_frames_holds() {
        replay("zstd", super::zstd);
    }

    #[test]
    fn what_was_found_in_tables_holds() {
        replay("toc", super::toc);
    }

    #[test]
    fn what_was_found_in_plans_holds() {
        replay("plan", super::plan);
    }

    #[test]
    fn what_was_found_in_seek_indexes_holds() {
        replay("seek_index", super::seek_index);
    }

    #[test]
    fn what_was_found_in_blobs_that_are_indexed_holds() {
        replay("seek_blob", super::seek_blob);
    }
}
