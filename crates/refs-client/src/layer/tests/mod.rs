//! Archives and artifacts made by hand, and what is read of them.

mod extraction;
mod fixtures;
mod golden;
mod reading;
mod walking;
