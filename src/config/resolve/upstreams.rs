//! How TLS is spoken to the servers of an upstream.

use super::Gathered;
use crate::config::file::{Upstream, UpstreamTls};
use crate::config::gather::Draft;
use crate::config::read::At;
use crate::config::secrets::{Places, SecretFile};
use crate::forward::upstream::Server;
use crate::forward::upstream::tls::{Bad, Client, Settings};
use crate::secret::Secret;
use std::sync::Arc;

/// What comes of a certificate of ours that is over.
const THEN: &str = "servers that look at its dates end the handshake";

/// There is a problem, which was told.
pub(super) struct Told;

/// What TLS needs, where a server speaks it.
pub(super) fn tls(
    name: &str,
    upstream: &Upstream,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Result<Option<Arc<Client>>, Told> {
    let servers = &upstream.servers.get().ok_or(Told)?.0;
    let protocol = upstream.protocol.value;
    let secure = servers
        .iter()
        .find(|server| matches!(server.value, Server::Https { .. }));
    let Some(secure) = secure else {
        if servers.is_empty() {
            return Err(Told);
        }
        if let Some(tls) = &upstream.tls {
            gathered.problem(
                tls.problem("no server of this upstream speaks TLS")
                    .hint("servers that do are written `https://…`"),
            );
            return Err(Told);
        }
        return Ok(None);
    };
    let settings = match &upstream.tls {
        Some(files) => read(files, places, gathered).ok_or(Told)?,
        None => Settings::default(),
    };
    // Without the files there is nothing to make it of; what is made here is never used.
    if !places.reads_files() {
        return Ok(None);
    }
    match Client::new(&settings, protocol) {
        Ok(client) => {
            if let Some(authorities) = client.of_the_system() {
                let key = format!("upstreams.{name}.tls.ca");
                gathered.fingerprints.add_digest(key, *authorities);
            }
            let at = upstream.tls.as_ref();
            let at = at.and_then(|tls| tls.certificate.as_ref());
            if let (Some(at), Some((chain, _))) = (at, &settings.identity) {
                gathered.chain_ends(format!("upstream:{name}"), at, chain, THEN);
            }
            Ok(Some(Arc::new(client)))
        }
        Err(bad) => {
            let text = bad.to_string();
            let files = upstream.tls.as_ref().map(|tls| &tls.value);
            let file = files.and_then(|files| match bad {
                Bad::Certificate => files.certificate.as_ref(),
                Bad::Key | Bad::Mismatch => files.key.as_ref(),
                Bad::Authority | Bad::System(_) | Bad::Setup(_) => files.ca.as_ref(),
            });
            gathered.problem(match (file, &upstream.tls) {
                (Some(file), _) => problem(file, &text),
                (None, Some(tls)) => problem(tls, &text),
                (None, None) => problem(secure, &text),
            });
            Err(Told)
        }
    }
}

fn read(
    files: &At<UpstreamTls>,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<Settings> {
    let mut pem = |at: &At<SecretFile>, private| pem(at, private, places, gathered);
    let ca = files.ca.as_ref().map(|at| pem(at, false));
    let certificate = files.certificate.as_ref().map(|at| pem(at, false));
    let key = files.value.key.as_ref().map(|at| pem(at, true));
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate?.expose().to_vec(), key?)),
        (None, None) => None,
        _ => {
            // One that could not be read is there, and was told of.
            let told = ["certificate", "key"].map(|key| format!("{}.{key}", files.key));
            if told.iter().any(|key| gathered.problems.any_at(key)) {
                return None;
            }
            let lonely = files.certificate.as_ref().or(files.value.key.as_ref())?;
            gathered.problem(
                lonely
                    .problem("a client certificate and its key are nothing without each other")
                    .hint("give both `certificate` and `key`, or neither"),
            );
            return None;
        }
    };
    Some(Settings {
        ca: match ca {
            Some(ca) => Some(ca?.expose().to_vec()),
            None => None,
        },
        identity,
        server_name: files.server_name.as_ref().map(|name| name.0.clone()),
    })
}

/// What a file holds, which must at least look like what is wanted.
fn pem(
    at: &At<SecretFile>,
    private: bool,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<Secret> {
    let opened = gathered.take(at, places.pem(at, private))?;
    let content = opened.secret.unwrap_or_else(|| Secret::new(Vec::new()));
    let (mark, what): (&[u8], _) = if private {
        (b"PRIVATE KEY-----", "private key")
    } else {
        (b"-----BEGIN CERTIFICATE-----", "certificate")
    };
    if opened.file.is_some() && memchr::memmem::find(content.expose(), mark).is_none() {
        gathered.problem(at.problem(format!("this file holds no {what} in PEM")));
        return None;
    }
    Some(content)
}

/// A problem with its hint, from the words of the room.
pub(super) fn problem<T>(at: &At<T>, text: &str) -> Draft {
    let (message, hint) = text.split_once("\n\nhint: ").unwrap_or((text, ""));
    let draft = at.problem(message);
    if hint.is_empty() {
        draft
    } else {
        draft.hint(hint)
    }
}
