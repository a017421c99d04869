#![no_main]

#[path = "../src/gate.rs"]
mod gate;
#[path = "../src/head.rs"]
mod head;
#[path = "../src/target.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::check(bytes));
