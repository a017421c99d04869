#![no_main]

#[path = "../src/gate.rs"]
mod gate;
#[path = "../src/head.rs"]
mod head;
#[path = "../src/signature_input.rs"]
mod signature_input;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signature_input::check(bytes));
