//! A caller by the certificate of its connection (mutual TLS).
//!
//! TLS has verified its chain and that the client holds its key. There is
//! nothing that could be replayed: nobody else can send on that connection.

use super::{Assurance, Caller, Refused, Why};
use crate::apps::{NoOne, Registry, Scheme};
use crate::clock::Now;
use crate::crypto::certificate::Certificate;

/// The caller that a certificate stands for.
///
/// # Errors
/// [`Refused`]: nobody is known by it, or it is not in force any more.
pub fn verify(certificate: &Certificate, registry: &Registry, now: Now) -> Result<Caller, Refused> {
    let seconds = now.unix_seconds();
    let known = registry.certified(certificate).map_err(|nobody| {
        rejected(match nobody {
            NoOne::Unknown => Why::UnknownCertificate,
            NoOne::Several => Why::SeveralCertificates,
        })
    })?;
    if !known.is_active(seconds) {
        return Err(rejected(Why::KeyNotActive));
    }
    // TLS looked at its times when the connection was made.
    if seconds < certificate.not_before() {
        return Err(rejected(Why::KeyNotActive));
    }
    if seconds > certificate.not_after() {
        return Err(Refused::Expired {
            at: certificate.not_after(),
        });
    }
    if !known.app.enabled {
        return Err(Refused::AppDisabled);
    }
    Ok(Caller::certified(
        known.clone(),
        Scheme::ClientCertificate,
        Assurance::Key,
    ))
}

const fn rejected(why: Why) -> Refused {
    Refused::Rejected {
        why,
        explained: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::{App, Certified, Scopes, Who};
    use crate::crypto::certificate::Name;
    use std::sync::Arc;
    use std::time::Duration;

    fn app(name: &str, index: usize, enabled: bool) -> Arc<App> {
        Arc::new(App {
            index,
            scopes: ["orders"].into_iter().collect::<Scopes>(),
            enabled,
            ..App::new(name)
        })
    }

    fn known(id: &str, app: &Arc<App>, who: Who) -> Certified {
        Certified {
            id: id.into(),
            app: app.clone(),
            who,
            not_before: None,
            not_after: None,
            enabled: true,
        }
    }

    fn named(text: &str) -> Who {
        Who::Name(Name::of_text(text))
    }

    fn registry() -> Registry {
        let (a, b, off) = (app("a", 0, true), app("b", 1, true), app("off", 2, false));
        let whole = *certificate(&["b.test"], b"whole").fingerprint();
        let list = vec![
            known("a-uri", &a, named("spiffe://test/a")),
            known("a-dns", &a, named("a.test")),
            known("b-whole", &b, Who::Fingerprint(whole)),
            known("b-dns", &b, named("b.test")),
            known("off", &off, named("off.test")),
            Certified {
                not_after: Some(100),
                ..known("old", &a, named("old.test"))
            },
            Certified {
                enabled: false,
                ..known("disabled", &a, named("disabled.test"))
            },
        ];
        let apps = vec![a, b, off];
        let registry = Registry::new(apps, Vec::new(), 1).unwrap();
        registry.with_certificates(list).unwrap()
    }

    fn certificate(names: &[&str], der: &[u8]) -> Certificate {
        let names = names.iter().map(|name| Name::of_text(name)).collect();
        Certificate::new(der, names, 10, 1_000)
    }

    fn verified(names: &[&str], der: &[u8], at: u64) -> Result<String, Refused> {
        let now = Now::new(Duration::from_secs(at), Duration::ZERO);
        let caller = verify(&certificate(names, der), &registry(), now)?;
        assert_eq!(caller.assurance(), Assurance::Key);
        assert_eq!(caller.scheme(), Some(Scheme::ClientCertificate));
        assert!(caller.proof().is_none(), "there is nothing to replay");
        Ok(caller.key_id().unwrap().to_string())
    }

    #[test]
    fn a_certificate_stands_for_the_app_that_is_known_by_it() {
        for (names, der, id) in [
            (&["spiffe://test/a"][..], b"x", "a-uri"),
            (&["A.test"], b"x", "a-dns"),
            (&["nobody.test", "a.test"], b"x", "a-dns"),
            (&["a.test", "A.TEST"], b"x", "a-dns"),
            (&["b.test"], b"x", "b-dns"),
        ] {
            assert_eq!(verified(names, der, 50).as_deref(), Ok(id), "{names:?}");
        }
        // All of it says more than a name of it.
        assert_eq!(
            verified(&["b.test"], b"whole", 50).as_deref(),
            Ok("b-whole")
        );
    }

    #[test]
    fn what_stands_for_nobody_or_is_not_in_force_is_refused() {
        for (names, at, why) in [
            (&["nobody.test"][..], 50, Why::UnknownCertificate),
            (&[], 50, Why::UnknownCertificate),
            // A name of another kind is another name.
            (&["urn:a.test"], 50, Why::UnknownCertificate),
            (&["a.test", "b.test"], 50, Why::SeveralCertificates),
            (&["spiffe://test/a", "a.test"], 50, Why::SeveralCertificates),
            (&["old.test"], 100, Why::KeyNotActive),
            (&["disabled.test"], 50, Why::KeyNotActive),
            (&["a.test"], 9, Why::KeyNotActive),
        ] {
            let refused = verified(names, b"x", at);
            assert_eq!(refused, Err(rejected(why)), "{names:?}");
        }
        assert_eq!(verified(&["a.test"], b"x", 1_000).as_deref(), Ok("a-dns"));
        let over = verified(&["a.test"], b"x", 1_001);
        assert_eq!(over, Err(Refused::Expired { at: 1_000 }));
        assert_eq!(verified(&["off.test"], b"x", 50), Err(Refused::AppDisabled));
    }
}
