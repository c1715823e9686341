//! Our servers under more load than they like, and killed under it.

mod chance;
mod clients;
mod crowd;
mod down;
mod killed;

pub(crate) use crowd::crowd;
pub(crate) use down::upstream_down;
pub(crate) use killed::server_killed;
