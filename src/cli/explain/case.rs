//! A request as all of `explain` looks at it: read, on its route, beside what judges it.

use super::judge::Ground;
use super::report::{Compared, Report, Signature, State};
use super::veil;
use crate::cli::compare::{self, first_difference};
use crate::clock::Now;
use crate::route::{Part, Route};
use crate::schemes::Received;
use crate::schemes::doctor::{self, Finding, Mistake, Sample, Tries};

#[derive(Clone, Copy)]
pub(super) struct Case<'c> {
    pub(super) received: &'c Received<'c>,
    pub(super) route: &'c Route,
    pub(super) ground: &'c Ground,
    /// What the caller has signed, to be laid beside our text.
    pub(super) callers_text: Option<&'c [u8]>,
    pub(super) now: Now,
}

impl Case<'_> {
    /// Takes down whether the signature is the key's, and if not, why.
    pub(super) fn judge(&self, shown: &mut Signature, sample: &Sample<'_>) {
        let text = String::from_utf8_lossy(&sample.text);
        let text = self.veiled(&text);
        shown.base = Some(text.split('\n').map(str::to_owned).collect());
        let Some(key) = self.ground.registry.key(&sample.key_id) else {
            return;
        };
        let holds = sample.holds(&key.verifying);
        shown.holds = Some(holds);
        if !holds {
            let found = self.mistake(sample);
            shown.likely = found.as_ref().map(Finding::hint);
            shown.mistake = found.map(|found| found.mistake.word());
        }
    }

    /// The mistake that the caller made, by the gateway's own doctor.
    pub(super) fn mistake(&self, sample: &Sample<'_>) -> Option<Finding> {
        let registry = &self.ground.registry;
        let key = registry.key(&sample.key_id)?;
        let told = registry.told();
        doctor::diagnose(
            sample,
            self.received,
            &key.verifying,
            told.and_then(|told| told.secret(&key.id)),
            told.map_or(&[], |told| told.keys_of(&key.app)),
            self.now,
            &mut Tries::all(),
        )
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
        let mut difference = first_difference(&sample.text, caller);
        if let Some(difference) = &mut difference {
            for line in [&mut difference.gateway_line, &mut difference.caller_line] {
                let told = self.veiled(line);
                if told != *line {
                    *line = told;
                    difference.indent = None;
                }
            }
            difference.shorten();
        }
        let likely = difference
            .is_some()
            .then(|| compare::likely(sample, self.received, &String::from_utf8_lossy(caller)))
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
