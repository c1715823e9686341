//! What holds of every layer, whoever made it: each function takes any bytes, and panics where it does not. The fuzz targets
//! in `fuzz/` call them, and the tests below with what those have found.

mod drawn;
mod footer;
mod plan;
mod toc;
mod zstd;

pub use footer::{footer, zstd_footer};
pub use plan::plan;
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
}
