//! What an app still lacks to get tokens of the key service: else its callers get decoys, and nobody says why.

use super::reach::{Call, Reach};
use super::{USUAL, Where, list, part};
use crate::apps::Scheme;
use crate::cli::aside;
use crate::cli::curl::quoted;
use crate::cli::paint::visible;
use crate::crypto::Algorithm;
use serde_json::Value as Json;

/// Tells what the app lacks, beside what a command has printed. What cannot be looked up is not told.
pub(super) fn tell(at: &Where, name: &str, enrols: bool) {
    let look = || {
        let reach = Reach::find(at).ok()?;
        let app = reach.ask(&Call::get(&format!("/v1/apps/{}", part(name)), &[]));
        let (keys, _) = list(&reach, "/v1/keys", &[("app", name)], USUAL).ok()?;
        Some((app.ok()?.body, keys))
    };
    if at.json {
        return;
    }
    if let Some((app, keys)) = look() {
        say(&app, &keys, enrols);
    }
}

/// The same of an app that is known.
pub(super) fn say(app: &Json, keys: &[Json], enrols: bool) {
    for lack in lacks(app, keys, enrols) {
        aside(&visible(&lack));
    }
}

fn lacks(app: &Json, keys: &[Json], enrols: bool) -> Vec<String> {
    let name = app["name"].as_str().unwrap_or_default();
    let mut lacks = Vec::new();
    // Of those in gateway.toml `check` has told.
    if app["source"] != "registry" {
        return lacks;
    }
    let tokens = &app["tokens"];
    let takes = |evidence: &Json| evidence == "instance-key";
    let evidence = tokens["evidence"].as_array();
    if enrols && !evidence.is_some_and(|all| all.iter().any(takes)) {
        // All of it is said anew: what is left out is taken away.
        let mut policy = tokens.as_object().cloned().unwrap_or_default();
        policy.retain(|_, value| !value.is_null());
        let mut all = evidence.cloned().unwrap_or_default();
        all.push("instance-key".into());
        policy.insert("evidence".to_owned(), all.into());
        let policy = quoted(&Json::from(policy).to_string());
        lacks.push(format!(
            "mind: {name} does not take `instance-key` as evidence, so nobody can enrol: `portcullis app change {name} --tokens {policy}`"
        ));
    }
    let signs = |key: &Json| {
        let has_private = key["kind"] == "secret" || key["kind"] == "pair";
        let may_sign = !matches!(key["state"].as_str(), Some("pending" | "retired"));
        let algorithm = key["algorithm"].as_str().and_then(Algorithm::from_name);
        let schemes = key["schemes"].as_array();
        let of_tokens = algorithm.is_some_and(Algorithm::is_for_tokens)
            && schemes.is_some_and(|all| all.iter().any(|one| one == Scheme::Token.name()));
        let is_there = key["in_force"] == true && may_sign;
        has_private && key["attests"] == true && of_tokens && is_there
    };
    if !tokens.is_null() && !keys.iter().any(signs) {
        lacks.push(format!(
            "mind: no key of {name} signs tokens, so whoever asks gets a decoy: `portcullis key create {name} --scheme token --attests`"
        ));
    }
    lacks
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_app_lacks_a_key_that_signs_and_evidence_to_enrol_by() {
        let app = |tokens: Json| json!({ "name": "phone", "source": "registry", "tokens": tokens });
        let key = |kind: &str, attests: bool, in_force: bool| {
            json!({
                "kind": kind, "algorithm": "hmac-sha256", "schemes": ["token"], "attests": attests, "in_force": in_force,
            })
        };
        let enrolled = app(json!({ "evidence": ["instance-key"] }));
        for good in ["secret", "pair"] {
            assert!(lacks(&enrolled, &[key(good, true, true)], true).is_empty());
        }
        for bad in [
            key("secret", false, true),
            key("public-key", true, true),
            key("pair", true, false),
        ] {
            let told = lacks(&enrolled, &[bad], true);
            assert!(
                told.len() == 1 && told[0].contains("key create phone"),
                "{told:?}"
            );
        }
        let told = lacks(&app(Json::Null), &[], true);
        assert!(
            told.len() == 1 && told[0].contains("nobody can enrol"),
            "{told:?}"
        );
        assert!(lacks(&app(Json::Null), &[], false).is_empty());
        let mut over = key("secret", true, true);
        over["state"] = "retired".into();
        assert_eq!(lacks(&enrolled, &[over], true).len(), 1);
        // Of an algorithm, or for schemes, by which no token is signed.
        for (member, value) in [
            ("algorithm", json!("hmac-sha512")),
            ("algorithm", json!("rsa-pss-sha512")),
            ("schemes", json!(["http-signature"])),
        ] {
            let mut cannot = key("secret", true, true);
            cannot[member] = value;
            assert_eq!(lacks(&enrolled, &[cannot], true).len(), 1);
        }
        // What the app has besides stays.
        let policy = app(json!({ "evidence": ["dev"], "builds": ["1.4.2"], "key": null }));
        let told = lacks(&policy, &[key("secret", true, true)], true);
        let wanted = r#"--tokens '{"builds":["1.4.2"],"evidence":["dev","instance-key"]}'"#;
        assert!(told.len() == 1 && told[0].contains(wanted), "{told:?}");
        let mut fixed = enrolled;
        fixed["source"] = "gateway.toml".into();
        assert!(lacks(&fixed, &[], true).is_empty());
    }
}
