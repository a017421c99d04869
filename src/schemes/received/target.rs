//! What a request asks for and of whom: the form of its target, and its one host.

use super::super::authority::{is_host, split_port};
use super::{Lines, Malformed, TargetForm};
use http::{Method, Uri};

pub(super) fn target_form(
    method: &Method,
    uri: &Uri,
    http2: bool,
) -> Result<TargetForm, Malformed> {
    if !method
        .as_str()
        .bytes()
        .all(|b| b.is_ascii_uppercase() || b == b'-')
        || *method == Method::CONNECT
        || *method == Method::TRACE
    {
        return Err(Malformed::Method(method.as_str().into()));
    }
    if uri.path() == "*" {
        return if *method == Method::OPTIONS {
            Ok(TargetForm::Asterisk)
        } else {
            Err(Malformed::Target("`*` is a target of `OPTIONS` only"))
        };
    }
    match (uri.scheme_str(), uri.authority()) {
        (None, None) => Ok(TargetForm::Origin),
        (Some("http" | "https"), Some(_)) if http2 => Ok(TargetForm::Origin),
        (Some("http" | "https"), Some(_)) => Ok(TargetForm::Absolute),
        _ => Err(Malformed::Target(
            "the target must be a path, or an `http` or `https` URL",
        )),
    }
}

/// The one host: of `Host`, of `:authority`, and of an absolute target, which must agree.
pub(super) fn host<'r>(uri: &'r Uri, mut hosts: Lines<'r>) -> Result<&'r str, Malformed> {
    let field = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err(Malformed::Host("there is more than one `Host`")),
        (Some(value), None) => Some(
            value
                .to_str()
                .map_err(|_| Malformed::Host("`Host` is not `host` or `host:port`"))?,
        ),
        (None, _) => None,
    };
    let host = match (field, uri.authority().map(http::uri::Authority::as_str)) {
        (Some(field), Some(target)) if !field.eq_ignore_ascii_case(target) => {
            return Err(Malformed::Host(
                "`Host` differs from the target's authority",
            ));
        }
        (Some(host), _) | (None, Some(host)) => host,
        (None, None) => return Err(Malformed::Host("there is no `Host`")),
    };
    if is_host(host) {
        Ok(host)
    } else if split_port(host).0.ends_with('.') {
        Err(Malformed::Host("`Host` ends in a dot: leave it out"))
    } else {
        Err(Malformed::Host("`Host` is not `host` or `host:port`"))
    }
}
