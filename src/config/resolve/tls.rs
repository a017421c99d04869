//! `[server] tls`: certificates, and whose of clients are taken.

use super::Gathered;
use crate::apps::Scheme;
use crate::config::file::{File, Tls};
use crate::config::read::At;
use crate::config::secrets::{Places, SecretFile};
use crate::config::words::Accepted;
use crate::secret::Secret;
use crate::server::tls::{BadCertificate, Certificates, ClientAuth, Settings};

const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

pub(super) fn settings(
    files: &Tls,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<Settings> {
    let mut pem = |at: Option<&At<SecretFile>>, private, mark| {
        let at = at?;
        let opened = gathered.take(at, places.pem(at, private))?;
        let content = opened.secret.unwrap_or_else(|| Secret::new(Vec::new()));
        let marked = memchr::memmem::find(content.expose(), mark).is_some();
        if !marked && opened.file.is_some() {
            let what = if private {
                "private key"
            } else {
                "certificate"
            };
            gathered.problem(at.problem(format!("this file holds no {what} in PEM")));
            return None;
        }
        Some(content)
    };
    let certificate = pem(files.certificate.get(), false, CERTIFICATE);
    let key = pem(files.key.get(), true, b"PRIVATE KEY-----");
    let clients = match &files.client_ca {
        Some(at) => Some(ClientAuth {
            authorities: pem(Some(at), false, CERTIFICATE)?.expose().to_vec(),
            is_required: files
                .client
                .as_ref()
                .is_none_or(|how| how.value.is_required()),
        }),
        None => None,
    };
    if let (None, Some(how)) = (&files.client_ca, &files.client) {
        gathered.problem(
            how.problem("nobody's certificate is taken: there is no `client_ca`")
                .hint("`client_ca = \"file:PATH\"` names who signs the certificates of clients")
                .of_absence(),
        );
        return None;
    }
    let settings = Settings {
        certificate: certificate?.expose().to_vec(),
        key: key?,
        clients,
    };
    if places.reads_files()
        && let Err(bad) = Certificates::new(&settings)
    {
        let of_clients = matches!(
            bad,
            BadCertificate::NoAuthority
                | BadCertificate::Authority(_)
                | BadCertificate::NoSigner(_)
                | BadCertificate::RevocationList
        );
        let of_certificate = matches!(
            bad,
            BadCertificate::NoCertificate | BadCertificate::Certificate(_)
        );
        let at = match &files.client_ca {
            Some(at) if of_clients => at,
            _ if of_certificate => files.certificate.get()?,
            _ => files.key.get()?,
        };
        let text = bad.to_string();
        let (message, hint) = text.split_once("\n\nhint: ").unwrap_or((&text, ""));
        let draft = at.problem(message.to_owned());
        gathered.problem(if hint.is_empty() {
            draft
        } else {
            draft.hint(hint)
        });
        return None;
    }
    if let Some(at) = files.certificate.get() {
        const THEN: &str = "callers that look at its dates end the handshake";
        gathered.chain_ends("server".to_owned(), at, &settings.certificate, THEN);
    }
    if let (Some(clients), Some(at)) = (&settings.clients, &files.client_ca) {
        gathered.authorities_end("client_ca".to_owned(), at, &clients.authorities);
    }
    Some(settings)
}

/// Where a certificate of a client is asked for, somebody must look at it.
pub(super) fn warn(file: &File, gathered: &mut Gathered<'_>) {
    let takes = file
        .server
        .tls
        .as_ref()
        .is_some_and(|tls| tls.client_ca.is_some());
    if takes || gathered.problems.any_at("server.tls") {
        return;
    }
    let wants = Accepted::Proven(Scheme::ClientCertificate);
    for route in &file.routes.0 {
        let accepted = route.accept.get().into_iter().flat_map(|list| &list.0);
        for one in accepted.filter(|one| one.value == wants) {
            gathered.problem(
                one.problem("nobody can show a certificate")
                    .hint("`[server] tls` with `client_ca` takes those of clients")
                    .of_absence(),
            );
        }
    }
}
