#![no_main]

#[path = "../src/gate.rs"]
mod gate;
#[path = "../src/token.rs"]
mod token;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| token::check(bytes));
