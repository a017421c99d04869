//! Check signatures in a service of one's own, without the gateway.
//!
//!     cargo run --no-default-features --example verify_in_service
//!
//! A service has three things to do: verify the head, check that the proof was
//! not used before, and check the body against its digest. One sees a good
//! request pass, and a replayed one, a tampered body and a changed query refused.

use http::Request;
use portcullis::apps::{App, Key, Registry};
use portcullis::client::Signer;
use portcullis::clock::{Clock, Now};
use portcullis::crypto::{Algorithm, HmacKey, random};
use portcullis::schemes::digest::BodyCheck;
use portcullis::schemes::freshness::Freshness;
use portcullis::schemes::{ProofId, Verifier};
use portcullis::secret::Secret;
use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// Proofs that are remembered; when there are more, nothing passes.
const MAX_PROOFS: usize = 100_000;
const FRESHNESS: Freshness = Freshness {
    window: Duration::from_mins(5),
    skew: Duration::from_secs(30),
};

/// What a service keeps.
struct Service {
    verifier: Verifier,
    /// Proofs that were used, each until the last second at which it would be accepted.
    used: HashMap<ProofId, i64>,
}

impl Service {
    /// Who sent `request`, or why it is not taken.
    fn admit(&mut self, request: Request<Vec<u8>>, now: Now) -> Result<String, String> {
        let (head, body) = request.into_parts();
        let caller = self
            .verifier
            .verify(&head, !body.is_empty(), false, now)
            .map_err(|why| format!("{why:?}"))?;

        let proof = caller.proof().ok_or("nothing was proven")?;
        let seconds = now.unix_seconds();
        self.used.retain(|_, until| *until >= seconds);
        if self.used.len() >= MAX_PROOFS {
            return Err("the memory of proofs is full".to_owned());
        }
        let until = proof.last_second + 2 * FRESHNESS.skew.as_secs() as i64;
        let id = proof.nonce.unwrap_or(proof.text);
        if self.used.insert(id, until).is_some() {
            return Err("the proof was used before".to_owned());
        }

        let mut check = BodyCheck::new(caller.body());
        check.update(&body);
        check.finish().map_err(|mismatch| mismatch.to_string())?;
        let app = caller.app().ok_or("nobody was proven")?;
        Ok(app.name.to_string())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut bytes = vec![0; 32];
    random(&mut bytes);
    let secret = Secret::new(bytes);
    let mut service = Service {
        verifier: Verifier::new(registry(&secret)?, FRESHNESS),
        used: HashMap::new(),
    };
    let signer = Signer::new("billing-1", Algorithm::HmacSha256, &secret)?;
    let clock = Clock::system();

    let good = signed(&signer)?;
    let mut tampered = signed(&signer)?;
    *tampered.body_mut() = b"{\"amount\": 9000}".to_vec();
    let mut changed = signed(&signer)?;
    *changed.uri_mut() = "/invoices?draft=0".parse()?;

    for (what, request, passes) in [
        ("a good request", good.clone(), true),
        ("the same once more", good, false),
        ("a tampered body", tampered, false),
        ("a changed query", changed, false),
    ] {
        let outcome = service.admit(request, clock.now());
        match &outcome {
            Ok(app) => println!("{what}: passes, it is the app `{app}`"),
            Err(why) => println!("{what}: refused, {why}"),
        }
        assert_eq!(outcome.is_ok(), passes, "{what}");
    }
    Ok(())
}

/// What the service knows of its callers.
fn registry(secret: &Secret) -> Result<Registry, Box<dyn Error>> {
    let app = Arc::new(App::new("billing"));
    let key = Key::new(
        "billing-1",
        app.clone(),
        HmacKey::new(Algorithm::HmacSha256, secret)?,
    );
    Ok(Registry::new(vec![app], vec![key], 1)?)
}

/// A signed request as it arrives at a server: path and query as target, `Host` beside it.
fn signed(signer: &Signer) -> Result<Request<Vec<u8>>, Box<dyn Error>> {
    let mut request = Request::post("http://invoices.example.com/invoices?draft=1")
        .header("Host", "invoices.example.com")
        .body(b"{\"amount\": 90}".to_vec())?;
    signer.sign(&mut request)?;
    *request.uri_mut() = "/invoices?draft=1".parse()?;
    Ok(request)
}
