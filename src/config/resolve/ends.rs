//! When the certificates of a file begin to hold, and when they end: what is warned of, and from when on.

use super::Gathered;
use crate::config::read::At;
use crate::config::view::date;
use crate::server::Validity;

/// From so many seconds before its end a certificate is warned of, 14 days …
const NOTICE: i64 = 14 * 24 * 60 * 60;
/// … or from where so much of its life is left, the last quarter: who renews by himself did so when a third was left.
const PART_OF_LIFE: i64 = 4;

impl Gathered<'_> {
    /// Has it warned of that certificates of the chain which `at` names do not hold yet, end, and are over; `then` is
    /// what comes of it. Metrics call the chain `of`.
    pub(super) fn chain_ends<T>(&mut self, of: String, at: &At<T>, pem: &[u8], then: &str) {
        let name = |number| match number {
            1 => "the certificate".to_owned(),
            _ => format!("certificate {number} of the chain"),
        };
        self.all_end(of, at, pem, name, "renew it", then);
    }

    /// The same of authorities that `at` names.
    pub(super) fn authorities_end<T>(&mut self, of: String, at: &At<T>, pem: &[u8]) {
        let name = |number| format!("certificate {number} of the client CA");
        let then = "what it has signed is not taken";
        self.all_end(of, at, pem, name, "renew it, or take it out", then);
    }

    fn all_end<T>(
        &mut self,
        of: String,
        at: &At<T>,
        pem: &[u8],
        name: impl Fn(usize) -> String,
        mend: &str,
        then: &str,
    ) {
        let all = Validity::all(pem);
        for (number, held) in (1..).zip(&all) {
            let what = name(number);
            self.not_yet(at, *held, &what, then);
            self.soon(at, *held, &what, then);
            let draft = at.problem(format!("{what} is over since {}", date(held.last)));
            let draft = draft.hint(format!("{mend}: {then}"));
            self.dated.push((over(*held), draft.warning()));
        }
        let first = all.iter().map(|held| held.last).min();
        self.ends.extend(first.map(|last| (of, last)));
    }

    fn not_yet<T>(&mut self, at: &At<T>, held: Validity, what: &str, then: &str) {
        let draft = at.problem(format!("{what} holds only from {} on", date(held.first)));
        let draft = draft.hint(format!(
            "take one that holds already, or look at the clock: until then {then}"
        ));
        self.near.push((i64::MIN..held.first, draft.warning()));
    }

    fn soon<T>(&mut self, at: &At<T>, held: Validity, what: &str, then: &str) {
        let life = held.last.saturating_sub(held.first).max(0);
        let notice = NOTICE.min(life / PART_OF_LIFE);
        let draft = at.problem(format!("{what} holds until {}", date(held.last)));
        let draft = draft.hint(format!("renew it before that: from then on {then}"));
        let from = held.last.saturating_sub(notice);
        self.near.push((from..over(held), draft.warning()));
    }
}

/// It holds in its last second too.
const fn over(held: Validity) -> i64 {
    held.last.saturating_add(1)
}
