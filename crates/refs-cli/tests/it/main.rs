//! The program itself: what it prints, what it leaves behind, and the code it exits with.

mod cat;
mod demo;
mod errors;
mod hostile;
mod ls;
mod output;
mod pull;
mod push;
mod resolve;
mod serve;
mod signals;
mod support;
mod tags;
mod whole;
