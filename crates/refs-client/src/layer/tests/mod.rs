//! Archives and artifacts made by hand, and what is read of them.

mod extraction;
mod fixtures;
mod golden;
mod merging;
mod passes;
mod reading;
mod walking;
