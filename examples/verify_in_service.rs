//! Check signatures in a service of one's own, without the gateway.
//!
//! ```sh
//! cargo run --no-default-features --example verify_in_service
//! ```
//!
//! It makes three requests and shows what the service sees of each:
//!
//! ```text
//! as signed: app `mobile`, key `mobile-2026`, may do: orders
//! another path: refused: the credential does not hold
//! no signature: refused: the request shows no credential
//! ```

use http::Request;
use portcullis::apps::{App, Key, Registry, SchemeSet};
use portcullis::client::Signer;
use portcullis::clock::Clock;
use portcullis::crypto::{Algorithm, HmacKey};
use portcullis::schemes::digest::BodyCheck;
use portcullis::schemes::freshness::Freshness;
use portcullis::schemes::{NotVerified, Refused, Verifier};
use portcullis::secret::Secret;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    // In real life the secret comes from a file or the environment.
    let secret = Secret::new(vec![7; 32]);
    let verifier = Verifier::new(
        registry(&secret)?,
        Freshness {
            window: Duration::from_mins(5),
            skew: Duration::from_secs(30),
        },
    );

    let mut request = Request::post("https://api.example.com/orders?dry=1")
        .header("host", "api.example.com")
        .body(r#"{"item": 7}"#)?;
    Signer::new("mobile-2026", Algorithm::HmacSha256, &secret)?.sign(&mut request)?;
    println!(
        "as signed: {}",
        seen(&verifier, arrived(&request, "/orders?dry=1")?)
    );
    println!(
        "another path: {}",
        seen(&verifier, arrived(&request, "/admin")?)
    );
    request.headers_mut().remove("signature");
    request.headers_mut().remove("signature-input");
    println!(
        "no signature: {}",
        seen(&verifier, arrived(&request, "/orders?dry=1")?)
    );
    Ok(())
}

/// What a service does with a request whose head has been read.
fn seen(verifier: &Verifier, request: Request<&str>) -> String {
    let (parts, body) = request.into_parts();
    let caller = match verifier.verify(&parts, !body.is_empty(), true, Clock::system().now()) {
        Ok(caller) => caller,
        Err(NotVerified::Refused(Refused::Missing)) => {
            return "refused: the request shows no credential".to_owned();
        }
        // Others say more in their fields; who may guess should not see it.
        Err(_) => return "refused: the credential does not hold".to_owned(),
    };
    // The head is proven. The body is, once it matches the digest that was signed.
    let mut check = BodyCheck::new(caller.body());
    check.update(body.as_bytes());
    if check.finish().is_err() {
        return "refused: the body was changed".to_owned();
    }
    let app = caller.app().map_or("nobody", |app| &*app.name);
    let key = caller.key().map_or("none", |key| &*key.id);
    let scopes: Vec<_> = caller.scopes().iter().collect();
    format!("app `{app}`, key `{key}`, may do: {}", scopes.join(" "))
}

/// One app with one key.
fn registry(secret: &Secret) -> Result<Registry, Box<dyn Error>> {
    let app = Arc::new(App {
        name: "mobile".into(),
        index: 0,
        scopes: ["orders"].into_iter().collect(),
        enabled: true,
        explain: false,
    });
    let key = Key {
        id: "mobile-2026".into(),
        app: app.clone(),
        mac: HmacKey::new(Algorithm::HmacSha256, secret)?,
        not_before: None,
        not_after: None,
        enabled: true,
        schemes: SchemeSet::all(),
    };
    Ok(Registry::new(vec![app], vec![key], 1)?)
}

/// The request as a server gets it: the target alone, the host in its field.
fn arrived<'b>(sent: &Request<&'b str>, target: &str) -> Result<Request<&'b str>, http::Error> {
    let mut request = Request::builder().method(sent.method()).uri(target);
    for (name, value) in sent.headers() {
        request = request.header(name, value);
    }
    request.body(*sent.body())
}
