//! Figures for Prometheus, and the listener that gives them.

mod families;
mod listener;

pub use families::Metrics;
pub use listener::serve_metrics;
