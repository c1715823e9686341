//! The one door to the network. A request goes through it as a [`Call`]: [`Remote`] has it accepted, repeats it within a
//! [`Budget`] and says why it failed; [`Transport`] sends it, follows redirects, and writes `Authorization` for the one
//! origin that it was granted for.

mod answer;
mod call;
mod certificates;
mod client;
mod clock;
mod endpoint;
mod exchange;
mod outgoing;
mod redirect;
mod remote;
mod retry;

pub use clock::{Clock, SystemClock};

pub(crate) use answer::{Answer, Incoming};
pub(crate) use call::{Body, Call, FaultSlot};
pub(crate) use endpoint::{commit, without};
pub(crate) use exchange::{Grant, Transport};
pub(crate) use redirect::{Bounds, Zone};
pub(crate) use remote::Remote;
pub(crate) use retry::{Budget, Failure};
