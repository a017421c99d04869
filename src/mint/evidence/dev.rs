//! `dev`: no evidence at all, for whoever develops an app on the machine that the gateway runs on.

use super::{Examined, Kind, MAX_INSTANCE, Question};
use crate::apps::{Evidence, MAX_BUILD};
use crate::mint::members::Members;
use crate::mint::{Malformed, Reason};
use std::borrow::Cow;

/// What it calls itself.
#[derive(Debug)]
pub(in crate::mint) struct Dev<'b> {
    instance: Option<Cow<'b, str>>,
    build: Option<Cow<'b, str>>,
}

impl<'b> Kind<'b> for Dev<'b> {
    const EVIDENCE: Evidence = Evidence::Dev;

    fn read(members: &mut Members<'b>) -> Result<Self, Malformed> {
        Ok(Self {
            instance: members.text("instance", MAX_INSTANCE)?,
            build: members.text("build", MAX_BUILD)?,
        })
    }

    fn size(&self) -> usize {
        0
    }

    fn examine(&self, question: &Question<'_>) -> Examined<'b> {
        let peer = question.peer;
        let is_here = peer.is_some_and(|peer| peer.to_canonical().is_loopback());
        Examined {
            subject: self.instance.clone(),
            // Nothing is known by that name: it is no instance that could be revoked.
            instance: None,
            build: self.build.clone(),
            tells_build: true,
            // The configuration was checked. An app that was made at run time was not, and what the system passes on
            // from elsewhere stands in no configuration.
            verdict: if question.settings.dev && is_here {
                Ok(None)
            } else {
                Err(Reason::NotAccepted)
            },
        }
    }
}
