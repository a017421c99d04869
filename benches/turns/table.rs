//! The figures, as a table to paste into `docs/performance.md`.

use super::measure::Measured;
use super::{Group, Kind};

/// What a good credential that is hashed may cost at most, by its bare hash operations.
const HASHED: f64 = 1.5;
/// What a bad one may cost at most, by a good one; a twentieth is the clock's.
const BAD: f64 = 1.05;
/// By how much what is alike may differ, either way.
const ALIKE: f64 = 0.10;

/// `what` says what the nanoseconds are of, and `first` heads the first column.
pub(crate) fn print(
    what: &str,
    first: &str,
    groups: &[Group],
    measured: &[Measured],
    rounds: usize,
) {
    println!("\nnanoseconds of {what}; medians of {rounds} rounds\n");
    println!("| {first} | | ns | bare | ÷ bare: min / median / max | ÷ good | mark |");
    println!("| --- | --- | ---: | --- | --- | ---: | --- |");
    for (group, measured) in groups.iter().zip(measured) {
        let mut front = group.name.clone();
        let mut bare = group.bare.as_ref().map_or(String::new(), |bare| {
            let ns = measured.bare.as_deref().map_or(0.0, median);
            format!("{}: {ns:.0}", bare.name)
        });
        let good = measured.cases.first().expect("a good one");
        for (case, spent) in group.cases.iter().zip(&measured.cases) {
            let by_bare = measured.bare.as_deref().map(|bare| ratios(spent, bare));
            let by_good = median(&ratios(spent, good));
            let (by_good, mark) = match case.kind {
                Kind::Good if group.is_hashed => {
                    let ratio = by_bare.as_deref().map_or(0.0, median);
                    (String::new(), mark("bare", HASHED, ratio))
                }
                Kind::Good | Kind::Other => (String::new(), String::new()),
                Kind::Bad => (format!("{by_good:.2}"), mark("good", BAD, by_good)),
                Kind::Alike => (format!("{by_good:.2}"), alike(by_good)),
            };
            let by_bare = by_bare.as_deref().map_or(String::new(), three);
            println!(
                "| {front} | {} | {:.0} | {bare} | {by_bare} | {by_good} | {mark} |",
                case.name,
                median(spent),
            );
            front.clear();
            bare.clear();
        }
    }
}

/// Whether a stopwatch does not tell it from what it is held against.
pub(crate) fn alike(ratio: f64) -> String {
    let kept = if (ratio - 1.0).abs() <= ALIKE {
        "kept"
    } else {
        "**missed**"
    };
    format!("1 ± {ALIKE:.2} × good: {kept}")
}

fn mark(what: &str, mark: f64, ratio: f64) -> String {
    let kept = if ratio <= mark { "kept" } else { "**missed**" };
    format!("≤ {mark:.2} × {what}: {kept}")
}

/// Of what was measured side by side, sorted.
pub(crate) fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    let mut ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
    ratios.sort_by(f64::total_cmp);
    ratios
}

/// One in twenty is left out at either end: there a turn was interrupted.
pub(crate) fn three(sorted: &[f64]) -> String {
    let cut = sorted.len() / 20;
    let (first, last) = (sorted[cut], sorted[sorted.len() - 1 - cut]);
    format!("{first:.2} / {:.2} / {last:.2}", median(sorted))
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
