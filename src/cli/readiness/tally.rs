//! Who was observed, how often, and what each would have been refused for.

use super::Line;
use crate::gateway::refusal::NONCE_MISSING;
use crate::schemes::doctor::Mistake;
use std::collections::{BTreeMap, HashMap};

/// Callers that are told apart: all apps, and as many strangers as that leaves.
const MAX_CALLERS: usize = 10_000;
/// Strangers among them, so that these leave room for apps.
const MAX_STRANGERS: usize = 5_000;
/// Reasons of one caller that are told apart.
const MAX_REASONS: usize = 64;
/// Routes on which one caller's requests that would pass are counted.
const MAX_PASSED: usize = 64;
/// Bytes of a reason that are kept, and of a name.
const MAX_TEXT: usize = 300;

/// Who a request is from, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Who {
    /// An app, proven or claimed, and its key.
    App { app: String, key: Option<String> },
    /// Somebody who claims a key that no app has.
    Claims(String),
    /// Somebody who claims nothing, by the address.
    Nobody(String),
}

/// What one reason is told apart by: the code, the true reason where that is
/// a word, the mistake behind it, and the route.
type Key = (String, Option<String>, Option<Mistake>, Option<String>);

/// How often, and when.
#[derive(Clone, Debug, Default)]
pub(super) struct Times {
    pub(super) count: u64,
    pub(super) first: String,
    pub(super) last: String,
}

impl Times {
    fn add(&mut self, time: &str) {
        self.count += 1;
        if self.first.is_empty() || time < self.first.as_str() {
            time.clone_into(&mut self.first);
        }
        if time > self.last.as_str() {
            time.clone_into(&mut self.last);
        }
    }

    fn join(&mut self, other: &Self) {
        let count = self.count + other.count;
        self.add(&other.first);
        self.add(&other.last);
        self.count = count;
    }
}

#[derive(Default)]
struct Caller {
    all: Times,
    reasons: BTreeMap<Key, (Times, Option<String>)>,
    /// Requests that would pass, by their routes.
    passed: BTreeMap<Option<String>, u64>,
}

/// All that was read.
#[derive(Default)]
pub(super) struct Tally {
    records: u64,
    unread: u64,
    beyond: Times,
    all: Times,
    strangers: usize,
    callers: HashMap<Who, Caller>,
}

/// What there is to tell.
pub(super) struct Report {
    pub(super) all: Times,
    pub(super) callers: Vec<Told>,
    /// Lines that are no access records.
    pub(super) unread: u64,
    /// Requests that would be refused, of callers for which there was no room.
    pub(super) beyond: Times,
}

/// One caller.
pub(super) struct Told {
    pub(super) who: Who,
    pub(super) all: Times,
    pub(super) refused: Times,
    /// Most often first.
    pub(super) reasons: Vec<Reason>,
}

/// One reason why a caller would break.
pub(super) struct Reason {
    pub(super) code: String,
    pub(super) word: Option<String>,
    /// What the caller did wrong, where the record names it.
    pub(super) mistake: Option<Mistake>,
    pub(super) route: Option<String>,
    pub(super) times: Times,
    /// What one of them was told.
    pub(super) example: Option<String>,
}

impl Report {
    /// Whether nobody would break.
    pub(super) fn is_ready(&self) -> bool {
        self.beyond.count == 0 && self.callers.iter().all(|one| one.refused.count == 0)
    }
}

impl Tally {
    pub(super) const fn record(&mut self) {
        self.records += 1;
    }

    pub(super) const fn unread(&mut self) {
        self.unread += 1;
    }

    pub(super) const fn records(&self) -> u64 {
        self.records
    }

    /// Lines that were read, be they records or not.
    pub(super) const fn lines(&self) -> u64 {
        self.records + self.unread
    }

    pub(super) const fn observed(&self) -> u64 {
        self.all.count
    }

    /// Counts an observed request.
    pub(super) fn count(&mut self, who: Who, line: &Line<'_>) {
        self.all.add(&line.time);
        let who = who.shortened();
        if !self.callers.contains_key(&who) {
            let is_stranger = !matches!(who, Who::App { .. });
            let is_full =
                self.callers.len() >= MAX_CALLERS || is_stranger && self.strangers >= MAX_STRANGERS;
            if is_full {
                if line.would_refuse.is_some() {
                    self.beyond.add(&line.time);
                }
                return;
            }
            self.strangers += usize::from(is_stranger);
        }
        let caller = self.callers.entry(who).or_default();
        caller.all.add(&line.time);
        let route = line.route.as_deref().map(|route| short(route).to_owned());
        let Some(code) = &line.would_refuse else {
            // Beyond the bound nobody is excused by it.
            if caller.passed.len() < MAX_PASSED || caller.passed.contains_key(&route) {
                *caller.passed.entry(route).or_default() += 1;
            }
            return;
        };
        let reason = line.would_reason.as_deref();
        let (reason, mistake) = reason.map(|reason| parted(code, reason)).unzip();
        let (reason, mistake) = (reason.map(short), mistake.flatten());
        let word = reason.filter(|reason| is_word(reason)).map(str::to_owned);
        let mut key = (short(code).to_owned(), word, mistake, route);
        if caller.reasons.len() >= MAX_REASONS && !caller.reasons.contains_key(&key) {
            key = ("other".to_owned(), None, None, None);
        }
        let (times, example) = caller.reasons.entry(key).or_default();
        times.add(&line.time);
        *example = reason.filter(|reason| !is_word(reason)).map(str::to_owned);
    }

    /// What there is to tell: who would break first, most often first.
    pub(super) fn report(self) -> Report {
        let told = self.callers.into_iter().map(|(who, mut caller)| {
            // Who is asked for a nonce, and then passes, does what a client has to do. One key may be on many devices, of
            // which one passes: so no more is excused than has passed, and where it was asked for.
            caller.reasons.retain(|(_, word, _, route), (times, _)| {
                let passed = caller.passed.get(route).copied().unwrap_or_default();
                word.as_deref() != Some(NONCE_MISSING) || times.count > passed
            });
            let mut refused = Times::default();
            for (times, _) in caller.reasons.values() {
                refused.join(times);
            }
            let reason = |((code, word, mistake, route), (times, example))| Reason {
                code,
                word,
                mistake,
                route,
                times,
                example,
            };
            let mut reasons: Vec<Reason> = caller.reasons.into_iter().map(reason).collect();
            reasons.sort_by_key(|reason| std::cmp::Reverse(reason.times.count));
            Told {
                who,
                all: caller.all,
                refused,
                reasons,
            }
        });
        let mut callers: Vec<Told> = told.collect();
        callers.sort_by(|one, other| {
            let by_count = other.refused.count.cmp(&one.refused.count);
            by_count.then_with(|| one.who.cmp(&other.who))
        });
        Report {
            all: self.all,
            callers,
            unread: self.unread,
            beyond: self.beyond,
        }
    }
}

impl Who {
    /// With no more of a stranger's text than is shown.
    fn shortened(self) -> Self {
        let cut = |text: String| short(&text).to_owned();
        match self {
            Self::App { app, key } => Self::App {
                app: cut(app),
                key: key.map(cut),
            },
            Self::Claims(key) => Self::Claims(cut(key)),
            Self::Nobody(peer) => Self::Nobody(cut(peer)),
        }
    }
}

fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

/// The true reason, and the mistake that is named behind it. With other codes a stranger's text may stand there.
fn parted<'r>(code: &str, reason: &'r str) -> (&'r str, Option<Mistake>) {
    let is_looked_into = matches!(code, "credential-rejected" | "clock-skew");
    let behind = reason.rsplit_once(": ").filter(|_| is_looked_into);
    let found = behind.and_then(|(front, word)| {
        let mistake = Mistake::ALL.iter().find(|one| one.word() == word)?;
        Some((front, Some(*mistake)))
    });
    found.unwrap_or((reason, None))
}

/// Whether a reason is one word of a few, and no sentence with numbers in it.
fn is_word(reason: &str) -> bool {
    !reason.is_empty() && reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}
