//! What does each scheme cost, for a good and for a bad credential, beside the
//! bare operations that it cannot do without?
//!
//! ```sh
//! cargo bench --bench verify                  # all rows
//! cargo bench --bench verify -- aws-sigv4     # the rows with this in their name
//! cargo bench --bench verify -- --list        # their names
//! cargo bench --bench verify -- --rounds 15   # fewer rounds
//! ```
//!
//! `docs/performance.md` tells how to read it. Without `--bench` everything runs once.

mod aws;
mod gate;
mod judged;
mod requests;
mod rows;
mod tokens;
#[expect(dead_code, reason = "each bench stands on its own part of it")]
#[path = "../turns/mod.rs"]
mod turns;

use std::process::ExitCode;
use turns::Asked;

fn main() -> ExitCode {
    let asked = match Asked::read() {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let groups = rows::all(&|name| asked.wants(name));
    turns::run(
        &asked,
        "one verification, head read before",
        "what is shown",
        &groups,
    );
    ExitCode::SUCCESS
}
