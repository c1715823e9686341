//! What `refs serve` is made of besides the server.

mod access_log;
mod plan;
mod root;

pub(crate) use access_log::{Fault as LogFault, Lines};
pub(crate) use plan::Plan;
pub(crate) use root::{Root, measure};
