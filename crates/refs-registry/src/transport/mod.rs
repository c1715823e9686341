//! The one door to the network. A request goes through it as a [`Call`]: [`Remote`] has it accepted, repeats it within a
//! [`Budget`] and says why it failed; [`Transport`] sends it, follows redirects, and writes `Authorization` for the one
//! origin that it was granted for.

mod answer;
mod bucket;
mod call;
mod certificates;
mod client;
mod clock;
mod dns;
mod endpoint;
mod exchange;
mod heard;
mod lane;
mod outgoing;
#[cfg(test)]
mod over_http2;
mod pace;
mod redirect;
mod remote;
mod retry;
mod routes;
mod zone;

pub use clock::{Clock, SystemClock};
pub use dns::{Dns, SystemDns};

pub(crate) use answer::{Answer, Incoming};
pub(crate) use call::{Body, Call, FaultSlot};
pub(crate) use client::check as check_settings;
pub(crate) use endpoint::{after, commit, sized, tagged};
pub(crate) use exchange::{Grant, Transport};
pub(crate) use outgoing::Proof;
pub(crate) use redirect::{Bounds, shown};
pub(crate) use remote::Remote;
pub(crate) use retry::{Budget, Failure, retry_after};
pub(crate) use zone::Zone;
