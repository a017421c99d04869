//! A request as all of `explain` looks at it: read, on its route, beside what judges it.

use super::ground::Ground;
use super::report::{Compared, Report, Signature, State};
use super::veil;
use crate::cli::compare::{self, first_difference};
use crate::clock::Now;
use crate::route::{Part, Route};
use crate::schemes::doctor::{self, Finding, Mistake, Sample, Tries};
use crate::schemes::{Received, Refused};
use std::borrow::Cow;

/// What is noted where the caller's text is not compared byte for byte.
const EDITORS: &str = "where the line ends of your text are others than the gateway's, they are taken as an editor's: the key did not sign them";
/// What the key says of a text that is another than the one that it signed.
const OURS: &str = "the key signed the gateway's text: yours is not what was signed";
const NEITHER: &str = "the key did not sign your text either: the key or its secret differs too, or another text was signed";

#[derive(Clone, Copy)]
pub(super) struct Case<'c> {
    pub(super) received: &'c Received<'c>,
    pub(super) route: &'c Route,
    pub(super) ground: &'c Ground,
    /// What the caller has signed, to be laid beside our text.
    pub(super) callers_text: Option<&'c [u8]>,
    /// Why the credential is refused, where that is known by now.
    pub(super) refused: Option<&'c Refused>,
    pub(super) now: Now,
}

impl Case<'_> {
    /// Takes down whether the signature is the key's, and why it does not help.
    pub(super) fn judge(&self, shown: &mut Signature, sample: &Sample<'_>) {
        let text = String::from_utf8_lossy(&sample.text);
        let text = self.veiled(&text);
        shown.base = Some(text.split('\n').map(str::to_owned).collect());
        shown.holds = self.holds(sample);
        let found = self.mistake(sample, shown.holds);
        shown.likely = found.as_ref().map(Finding::hint);
        shown.mistake = found.map(|found| found.mistake.word());
    }

    /// Whether the signature is the key's; `None` where that is not known.
    pub(super) fn holds(&self, sample: &Sample<'_>) -> Option<bool> {
        let key = self.ground.registry.key(&sample.key_id)?;
        Some(sample.holds(&key.verifying))
    }

    /// The mistake that the caller made whose signature `holds` or not, by the gateway's own doctor.
    pub(super) fn mistake(&self, sample: &Sample<'_>, holds: Option<bool>) -> Option<Finding> {
        let registry = &self.ground.registry;
        let key = registry.key(&sample.key_id)?;
        if holds? {
            let held = doctor::held(self.refused?, sample, &key, self.route, self.now);
            return held.map(Finding::from);
        }
        let told = registry.told();
        let found = doctor::diagnose(
            sample,
            self.received,
            &key.verifying,
            told.and_then(|told| told.secret(&key.id)),
            told.map_or(&[], |told| told.keys_of(&key.app)),
            self.now,
            &mut Tries::all(),
        )?;
        Some(doctor::dead_end(found, sample, &key, self.route))
    }

    /// The caller's text without what an editor put into it, and whether the key signed that. Only the key can tell
    /// the two apart: where it is not known, the text is taken as it is.
    pub(super) fn signed<'t>(
        &self,
        sample: &Sample<'_>,
        caller: &'t [u8],
    ) -> (Cow<'t, [u8]>, Option<bool>) {
        let Some(key) = self.ground.registry.key(&sample.key_id) else {
            return (caller.into(), None);
        };
        let ways = compare::as_edited(&sample.text, caller);
        let [.., plain] = &ways;
        let signed = ways
            .iter()
            .find(|way| sample.is_by(&key.verifying, &[&way[..]]));
        (signed.unwrap_or(plain).clone(), Some(signed.is_some()))
    }

    /// Lays the caller's text beside that of the next signature in `report`, unless it lies beside another's already.
    pub(super) fn compare<'p>(
        &self,
        report: &'p mut Report,
        sample: &Sample<'_>,
    ) -> Option<&'p mut Compared> {
        let caller = self.callers_text?;
        if report.compared.is_some() {
            return None;
        }
        let (mine, is_signed) = self.signed(sample, caller);
        if *mine != *caller {
            report.notes.push(EDITORS.to_owned());
        }
        let mut difference = first_difference(&sample.text, &mine);
        let line = difference.as_ref().map(|difference| difference.line);
        let by_key = line.and_then(|line| match (is_signed?, self.holds(sample)?) {
            (true, _) => Some(format!(
                "the key signed your text: what differs in line {line} is what went wrong"
            )),
            (false, true) => Some(OURS.to_owned()),
            (false, false) => Some(NEITHER.to_owned()),
        });
        if let Some(difference) = &mut difference {
            let ours = self.veiled(&difference.gateway_line);
            let theirs = self.veiled(&difference.caller_line);
            let theirs = veil::fields(&theirs, self.received.fields(), &self.ground.nowhere);
            for (line, told) in [
                (&mut difference.gateway_line, ours),
                (&mut difference.caller_line, theirs),
            ] {
                if told != *line {
                    *line = told;
                    difference.indent = None;
                }
            }
            difference.shorten();
        }
        let likely = difference
            .is_some()
            .then(|| compare::likely(sample, self.received, &String::from_utf8_lossy(&mine)))
            .flatten();
        let mistake = likely.as_ref().and_then(|likely| likely.mistake);
        let of = report.signatures.len();
        Some(report.compared.insert(Compared {
            of,
            is_to_sign: false,
            same: difference.is_none(),
            likely: likely.map(|likely| likely.says.to_owned()),
            mistake: mistake.map(Mistake::word),
            difference,
            by_key,
        }))
    }

    /// `text`, ours or the caller's, without what opens something. What is a credential on any route is one here:
    /// a caller that came to the wrong one has the right key with it.
    fn veiled(&self, text: &str) -> String {
        let query = self.received.query().unwrap_or_default();
        veil::text(text, query, &self.ground.nowhere)
    }

    /// How it stands with a part that the request has.
    pub(super) fn state(&self, part: Option<Part>, is_covered: bool) -> State {
        if is_covered {
            State::Covered
        } else if part.is_some_and(|part| self.route.waives(part, self.now.unix_seconds())) {
            State::Waived
        } else {
            State::Missing
        }
    }
}
