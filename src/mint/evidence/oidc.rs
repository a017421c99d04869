//! `oidc`: a platform says which workload asks – Kubernetes, GitHub Actions, SPIFFE, or any issuer of JWTs.

use super::{Examined, Kind, MAX_EVIDENCE, Question};
use crate::apps::Evidence;
use crate::mint::members::Members;
use crate::mint::{Malformed, Reason};
use crate::replay::Once;
use crate::schemes::Refused;
use crate::schemes::token::assertion::{self, Assertion};
use std::borrow::Cow;

/// The platform's assertion.
#[derive(Debug)]
pub(in crate::mint) struct Oidc<'b> {
    token: Cow<'b, str>,
}

impl<'b> Kind<'b> for Oidc<'b> {
    const EVIDENCE: Evidence = Evidence::Oidc;

    fn read(members: &mut Members<'b>) -> Result<Self, Malformed> {
        Ok(Self {
            token: members.required("token", 2 * MAX_EVIDENCE)?,
        })
    }

    fn size(&self) -> usize {
        self.token.len()
    }

    fn examine(&self, question: &Question<'_>) -> Examined<'b> {
        let workloads = question.minter.map_or(&[][..], |one| &one.policy.workloads);
        let opened = assertion::open(&self.token, workloads, question.tokens, question.now);
        Examined {
            subject: assertion::claimed_subject(&self.token)
                .filter(|subject| subject.len() <= MAX_SUBJECT)
                .map(|subject| Cow::Owned(subject.into())),
            instance: None,
            build: None,
            tells_build: false,
            verdict: opened
                .map_err(|refused| match refused {
                    Refused::Expired { .. } => Reason::ExpiredAssertion,
                    _ => Reason::Assertion,
                })
                .and_then(|assertion| judge(&assertion, question)),
        }
    }
}

/// Bytes a subject may have that stands in tokens.
const MAX_SUBJECT: usize = 256;

fn judge(assertion: &Assertion<'_>, question: &Question<'_>) -> Result<Option<Once>, Reason> {
    let workload = assertion.workload.ok_or(Reason::Workload)?;
    match &assertion.nonce {
        // Bound to this challenge, which passes once.
        Some(nonce) if **nonce == *question.challenge => return Ok(None),
        Some(_) => return Err(Reason::Nonce),
        None => {}
    }
    let slack = question.settings.slack();
    Ok(workload
        .single_use
        .then(|| Once::ending(assertion.id, assertion.made, assertion.exp, slack)))
}
