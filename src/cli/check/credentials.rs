//! What `check` tells of one credential of an app.

use crate::apps::{Certified, Key, StaticKey, Who};
use crate::config::{self, Loaded};
use data_encoding::HEXLOWER;
use std::fmt::Write as _;

pub(super) fn key(key: &Key, loaded: &Loaded) -> String {
    let mut out = format!("key {}: {}", key.id, key.algorithm());
    let note = loaded
        .resolved
        .keys()
        .iter()
        .find(|note| *note.id == *key.id);
    if let Some(note) = note {
        let _ = write!(out, ", {}", note.secret);
        if note.to_be_generated {
            out.push_str(" (will be generated at the first start)");
        }
    }
    in_force(&mut out, key.not_before, key.not_after, key.enabled);
    out
}

pub(super) fn static_key(known: &StaticKey) -> String {
    let mut out = format!("static key {}", known.id);
    in_force(&mut out, known.not_before, known.not_after, known.enabled);
    out
}

pub(super) fn certificate(known: &Certified) -> String {
    let id = &known.id;
    let mut out = match &known.who {
        Who::Name(name) => format!("certificate {id}: {name}"),
        Who::Fingerprint(digest) => {
            format!("certificate {id}: sha256 {}", HEXLOWER.encode(digest))
        }
    };
    in_force(&mut out, known.not_before, known.not_after, known.enabled);
    out
}

fn in_force(out: &mut String, from: Option<i64>, until: Option<i64>, enabled: bool) {
    for (word, at) in [("from", from), ("until", until)] {
        if let Some(at) = at {
            let _ = write!(out, ", {word} {}", config::date(at));
        }
    }
    if !enabled {
        out.push_str(", SWITCHED OFF");
    }
}
