//! The gateway before a real upstream, over real sockets: one file a behaviour.

mod fuzz_corpus;
mod house;
