//! Enrolment: an instance shows a one-time code and a public key, and is known by that key from then on.

use super::ask::Public;
use super::members::Members;
use super::{Malformed, No, Reason};
use crate::apps::made::{
    AuditEntry, Change, EnrolmentRecord, Expect, InstanceRecord, Kind, Outcome, Printed, Record,
    Revision, Store, Target, Unreadable, Write, WriteError,
};
use crate::apps::{Evidence, MAX_BUILD};
use crate::crypto::Algorithm;
use crate::crypto::digest::sha256;
use crate::replay;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::json;

/// Bytes a code may have.
const MAX_CODE: usize = 128;
/// How often it is tried again when others use the same code at the same time.
const TRIES: usize = 8;

/// What was asked for, read.
#[derive(Debug)]
pub struct Enrolling {
    app: String,
    hash: String,
    build: Option<String>,
    public: String,
    thumbprint: String,
    id: String,
}

impl Enrolling {
    pub(super) fn read(body: &[u8]) -> Result<Self, Malformed> {
        let mut members = Members::read(body)?;
        let app = super::ask::name(&mut members)?.into_owned();
        let code = members.required("code", MAX_CODE)?;
        // Nobody guesses one: a slip of the finger is told.
        let code = Printed::read(Kind::Enrolment, &code)
            .map_err(|bad| Malformed(format!("`code` cannot be read: {bad}.")))?;
        let build = members.text("build", MAX_BUILD)?.map(String::from);
        let jwk = members.object("key", "key.")?;
        let (written, key) = Public::read(jwk.ok_or_else(|| members.missing("key"))?)?;
        if !matches!(
            key.algorithm(),
            Algorithm::Ed25519 | Algorithm::EcdsaP256Sha256
        ) {
            return Err(members.wrong("key", "a public key of Ed25519 or P-256"));
        }
        members.end()?;
        let hash = HEXLOWER.encode(&sha256(&[code.expose().as_bytes()]));
        let thumbprint = BASE64URL_NOPAD.encode(key.thumbprint());
        Ok(Self {
            id: id_of(&app, &hash, &thumbprint),
            app,
            hash,
            build,
            public: serde_json::to_string(&written).unwrap_or_default(),
            thumbprint,
        })
    }

    /// The id that the instance gets.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The app, as it was named.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// Enrols it. Blocks on the disk; `who` asks, at `now`.
    ///
    /// # Errors
    /// [`No`].
    pub fn carry_out(&self, store: &dyn Store, who: &str, now: i64) -> Result<(), No> {
        let done = self.try_out(store, who, now);
        if let Err(No::Rejected(why)) = &done {
            let why = Outcome::Refused(why.name().to_owned());
            store.note(self.line(who, now, why));
        }
        done
    }

    fn try_out(&self, store: &dyn Store, who: &str, now: i64) -> Result<(), No> {
        for _ in 0..TRIES {
            let Some(code) = self.code(store, now)? else {
                return Ok(());
            };
            match store.write(self.write(&code, who, now)) {
                Ok(_) => return Ok(()),
                // Somebody else has used it, or changed something, at the same time.
                Err(
                    WriteError::Conflict { .. } | WriteError::Missing(_) | WriteError::Exists(_),
                ) => {}
                Err(why) => {
                    tracing::warn!(%why, "an instance could not be enrolled");
                    break;
                }
            }
        }
        Err(No::Memory(replay::Refused::Unavailable))
    }

    /// The code, where it is good for this instance; `None` where this very key has enrolled by it already,
    /// and takes up no more of it: its answer may have been lost. One that was revoked does not come back so.
    fn code(&self, store: &dyn Store, now: i64) -> Result<Option<EnrolmentRecord>, No> {
        let read = || -> Result<_, Unreadable> {
            let known = store.instance(&self.id)?;
            Ok((known, store.enrolment(&self.hash)?, store.app(&self.app)?))
        };
        let (known, code, app) = read().map_err(|why| {
            tracing::warn!(%why, "an instance could not be enrolled");
            No::Memory(replay::Refused::Unavailable)
        })?;
        let rejected = |why| Err(No::Rejected(why));
        if known.as_ref().is_some_and(|known| !known.enabled) {
            return rejected(Reason::RevokedInstance);
        }
        let code = code.filter(|code| known.is_none() && code.app == self.app);
        match &code {
            None if known.is_none() => return rejected(Reason::UnknownCode),
            Some(code) if now >= code.expires || code.uses == 0 => {
                return rejected(Reason::ExpiredCode);
            }
            _ => {}
        }
        let Some(app) = app.filter(|app| app.enabled) else {
            return rejected(Reason::AppDisabled);
        };
        let policy = app.tokens.as_ref();
        if !policy.is_some_and(|policy| policy.evidence.contains(&Evidence::InstanceKey)) {
            return rejected(Reason::NotAccepted);
        }
        let build = self.build.as_deref();
        let wanted = code.as_ref().and_then(|code| code.build.as_deref());
        let is_of_code = wanted.is_none_or(|wanted| build == Some(wanted));
        if !is_of_code || !policy.is_some_and(|policy| policy.takes_build(build)) {
            return rejected(Reason::Build);
        }
        Ok(code)
    }

    /// The instance, and one use less of the code, together or not at all.
    fn write(&self, code: &EnrolmentRecord, who: &str, now: i64) -> Write {
        let instance = InstanceRecord {
            id: self.id.clone(),
            app: self.app.clone(),
            public: self.public.clone(),
            thumbprint: self.thumbprint.clone(),
            build: self.build.clone(),
            enabled: true,
            enrolled_at: now,
            last_seen: None,
            revision: Revision::default(),
        };
        let unchanged = Expect::Revision(code.revision);
        let used = if code.uses > 1 {
            let left = EnrolmentRecord {
                uses: code.uses - 1,
                ..code.clone()
            };
            Change::Put(Record::Enrolment(left), unchanged)
        } else {
            Change::Remove(Target::Enrolment(code.hash.clone()), unchanged)
        };
        let mut audit = self.line(who, now, Outcome::Done);
        audit.after = Some(json!({
            "app": self.app, "build": self.build, "thumbprint": self.thumbprint,
        }));
        Write {
            changes: vec![
                used,
                Change::Put(Record::Instance(instance), Expect::Absent),
            ],
            audit,
            dry_run: false,
        }
    }

    fn line(&self, who: &str, now: i64, outcome: Outcome) -> AuditEntry {
        let target = match outcome {
            Outcome::Done => format!("instance/{}", self.id),
            _ => format!("app/{}", self.app),
        };
        AuditEntry {
            at: now,
            who: who.to_owned(),
            what: "instance.enrol".to_owned(),
            target,
            before: None,
            after: None,
            outcome,
            times: 1,
        }
    }
}

/// The name of the instance that this key becomes by the code of this hash: always the same, and none that
/// could be guessed without the code. On a command line it is taken for no option.
fn id_of(app: &str, hash: &str, thumbprint: &str) -> String {
    let all = [
        b"portcullis instance" as &[u8],
        hash.as_bytes(),
        thumbprint.as_bytes(),
        app.as_bytes(),
    ];
    let digest = sha256(&all);
    let mut id = BASE64URL_NOPAD.encode(&digest[..16]);
    if id.starts_with('-') {
        id.replace_range(..1, "i");
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_of_an_instance_looks_like_an_option() {
        for number in 0..1_000 {
            let id = id_of("phone", &number.to_string(), "0ZcOCORZ");
            assert!(id.len() == 22 && !id.starts_with('-'), "{id}");
        }
    }
}
