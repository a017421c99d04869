//! What does a token cost – to make, to check, and not to get?
//!
//! Making one, a decoy in its place, and checking one stand beside the bare signature, in one process. Then whole answers of a
//! gateway that runs, over its socket and with its memory on the disk: what fails, in each of its ways, beside what
//! does not. Whoever fails must not learn by a stopwatch how near he was.
//!
//! ```sh
//! cargo bench --bench tokens              # all rows
//! cargo bench --bench tokens -- answers   # the rows with this in their name
//! cargo bench --bench tokens -- --list    # their names
//! ```
//!
//! `docs/performance.md` tells how to read it. Without `--bench` everything runs once.

#[expect(dead_code, reason = "each bench stands on its own part of it")]
#[path = "../bed/mod.rs"]
mod bed;
#[expect(dead_code, reason = "each bench stands on its own part of it")]
#[path = "../verify/gate.rs"]
mod gate;
#[path = "../verify/judged.rs"]
mod judged;
mod mint;
#[expect(dead_code, reason = "each bench stands on its own part of it")]
#[path = "../verify/requests.rs"]
mod requests;
mod service;
#[expect(dead_code, reason = "each bench stands on its own part of it")]
#[path = "../turns/mod.rs"]
mod turns;
#[path = "../verify/tokens.rs"]
mod verified;
mod wire;

use portcullis::crypto::Algorithm;
use std::process::ExitCode;
use turns::{Asked, Group};

fn main() -> ExitCode {
    let asked = match Asked::read() {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    turns::run(&asked, "one operation", "what is done", &groups(&asked));
    service::run(&asked);
    ExitCode::SUCCESS
}

fn groups(asked: &Asked) -> Vec<Group> {
    let algorithms = || Algorithm::ALL.into_iter().filter(|one| one.is_for_tokens());
    let mut groups = Vec::new();
    let mut add = |name: String, make: &dyn Fn(&str) -> Group| {
        if asked.wants(&name) {
            groups.push(make(&name));
        }
    };
    add("a challenge".to_owned(), &mint::challenge);
    for algorithm in algorithms() {
        let name = format!("a token made, {}", algorithm.jose_name());
        add(name, &|name| mint::token(name, algorithm));
    }
    for algorithm in algorithms() {
        let name = format!("a token checked, {}", algorithm.jose_name());
        add(name, &|name| verified::token(name, algorithm));
    }
    let of_issuer = "a token checked, of an issuer, ES256".to_owned();
    add(of_issuer, &|name| {
        verified::issuer(name, Algorithm::EcdsaP256Sha256)
    });
    add("a token checked, with DPoP".to_owned(), &verified::dpop);
    groups
}
