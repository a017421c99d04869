//! `[admin]`: where it listens, and who may use it.

use super::Gathered;
use crate::admin;
use crate::admin::api::{Token, Tokens};
use crate::apps::made::{Kind, Printed};
use crate::config::addresses::FileMode;
use crate::config::file::Admin;
use crate::config::read::At;
use crate::config::secrets::{Places, Reference};
use crate::config::values::Text;
use crate::server::Listen;
use std::path::Path;
use zeroize::Zeroizing;

/// Characters that a token has at least: enough that nobody guesses one.
const MIN_TOKEN: usize = 32;
/// And at most.
const MAX_TOKEN: usize = 256;
/// The file of the token where none is named, in the directory for what must outlive the process.
const USUAL_FILE: &str = "admin.token";

/// What is to be said of a token that nobody can show.
const OFF: &str = "the admin listener is off: nobody can show it";

const TAKES: &str = "a token has 32 to 256 letters, digits and `-._~+/=`";

/// The settings of the admin listener.
pub(super) fn settings(
    admin: &Admin,
    directory: &Text,
    mode: FileMode,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<admin::Settings> {
    let listen = admin.listen.value.0.as_ref();
    let listen = listen.map(|place| super::place_of(place, &admin.listen, places, gathered));
    let write = match &admin.token {
        Some(said) => said.clone().map(|said| said.0),
        None => At {
            value: Some(Reference::Generated(
                Path::new(&directory.0).join(USUAL_FILE),
            )),
            span: admin.listen.span.clone(),
            key: "admin.token".to_owned(),
        },
    };
    let read = admin.read_token.clone();
    let settings = admin::Settings {
        socket_mode: mode.0,
        tokens: Tokens::default(),
        token: write.value.as_ref().map(ToString::to_string),
        read_token: read.as_ref().map(|read| read.value.to_string()),
        exposed: admin.exposed,
        listen,
    };
    let Some(place) = &settings.listen else {
        let token = admin.token.as_ref().filter(|at| at.value.0.is_some());
        let token = token.map(|at| at.problem(OFF));
        let read_token = admin.read_token.as_ref().map(|at| at.problem(OFF));
        for draft in [token, read_token].into_iter().flatten() {
            gathered.problem(
                draft
                    .hint("take it away, or say where to `listen`")
                    .warning(),
            );
        }
        return Some(settings);
    };
    exposure(
        admin,
        place,
        write.value.is_none() && read.is_none(),
        gathered,
    );
    let write = open(&write, places, gathered);
    let read = match read {
        Some(read) => open(&read.map(Some), places, gathered),
        None => Ok(None),
    };
    let (Ok(write), Ok(read)) = (write, read) else {
        return None;
    };
    if let (Some(one), Some(other), Some(at)) = (write, read, &admin.read_token)
        && one == other
    {
        gathered.problem(
            at.problem("it is the same token as `token`")
                .hint("who only looks must not be able to change things: make another"),
        );
        return None;
    }
    let tokens = Tokens { write, read };
    Some(admin::Settings { tokens, ..settings })
}

/// What is to be said of who reaches it.
fn exposure(admin: &Admin, place: &Listen, is_off: bool, gathered: &mut Gathered<'_>) {
    if place.address().is_none_or(|at| at.ip().is_loopback()) {
        return;
    }
    let listen = &admin.listen;
    gathered.problem(if is_off || admin.exposed {
        listen
            .problem("health and metrics are shown to whoever reaches this address")
            .hint("`127.0.0.1:9180` shows them on this machine only")
            .warning()
    } else {
        listen
            .problem("the admin API would be reached from other machines, and its tokens travel in the clear")
            .accepted("accepted: an address of this machine alone, `127.0.0.1:9180`, or `unix:PATH`")
            .hint("`token = \"off\"` leaves health and metrics alone there; `exposed = true` says that only those reach it who may")
    });
}

/// A problem was told.
struct Refused;

/// The token that a reference leads to; `None` where it is off, or still to be made.
fn open(
    at: &At<Option<Reference>>,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Result<Option<Token>, Refused> {
    let Some(reference) = &at.value else {
        return Ok(None);
    };
    let opened = gathered.take(at, places.as_written(reference, made));
    let Some(secret) = opened.ok_or(Refused)?.secret else {
        return Ok(None);
    };
    if is_token(secret.expose()) {
        return Ok(Some(Token::of(secret.expose())));
    }
    gathered.problem(
        at.problem("what it leads to is no token")
            .accepted(TAKES)
            .hint("`openssl rand -hex 32` prints a good one"),
    );
    Err(Refused)
}

fn is_token(text: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    (MIN_TOKEN..=MAX_TOKEN).contains(&text.len()) && text.iter().all(fits)
}

fn made() -> Zeroizing<String> {
    Zeroizing::new(format!("{}\n", Printed::new(Kind::Admin).expose()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_we_make_is_one() {
        let made = made();
        assert!(is_token(made.trim_end().as_bytes()));
        for text in [
            "",
            "short",
            &"x".repeat(257),
            &format!("{} x", "x".repeat(40)),
        ] {
            assert!(!is_token(text.as_bytes()), "{text}");
        }
    }
}
