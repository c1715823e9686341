//! What is left when a program is killed, starved of room, or loses its disk in the middle of its work; and a server under
//! load.

mod faults;
mod kills;
mod load;
mod mounted;
mod power;
mod room;
mod strace;
mod subject;

pub(crate) use faults::{pull as pull_with_faults, push as push_with_faults, unpack as unpack_with_faults};
pub(crate) use kills::{
    pull as pull_killed_everywhere, push as push_killed_everywhere, sample as killed_here_and_there,
    unpack as unpack_killed_everywhere,
};
pub(crate) use load::{crowd as crowd_of_clients, server_killed, upstream_down};
pub(crate) use power::{pull as pull_without_power, push as push_without_power, unpack as unpack_without_power};
pub(crate) use room::{pull as pull_without_room, push as push_without_room, unpack as unpack_without_room};
pub(crate) use strace::points;
