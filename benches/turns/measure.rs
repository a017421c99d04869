//! Who is compared takes turns of a millisecond, round after round, in an order
//! that moves: what the machine does besides falls on all alike.

use super::{Group, Op};
use std::time::{Duration, Instant};

/// How long one turn is, about.
const TURN: Duration = Duration::from_millis(1);

/// Nanoseconds of each round: of the bare operations, where there are any, and of each case.
pub(crate) struct Measured {
    pub(crate) bare: Option<Vec<f64>>,
    pub(crate) cases: Vec<Vec<f64>>,
}

pub(crate) fn measure(group: &Group, rounds: usize) -> Measured {
    let bare = group.bare.iter().map(|bare| &bare.run);
    let all: Vec<&Op> = bare
        .chain(group.cases.iter().map(|case| &case.run))
        .collect();
    let times: Vec<u32> = all.iter().map(|run| times_in_a_turn(run)).collect();
    let mut spent = vec![Vec::with_capacity(rounds); all.len()];
    for round in 0..rounds {
        for place in 0..all.len() {
            let at = (place + round) % all.len();
            let took = turn(all[at], times[at]);
            spent[at].push(took.as_nanos() as f64 / f64::from(times[at]));
        }
    }
    let mut spent = spent.into_iter();
    Measured {
        bare: group.bare.is_some().then(|| spent.next().expect("it ran")),
        cases: spent.collect(),
    }
}

/// To show that all of it runs.
pub(crate) fn once(group: &Group) {
    group.bare.iter().for_each(|bare| (bare.run)());
    group.cases.iter().for_each(|case| (case.run)());
}

fn times_in_a_turn(run: &Op) -> u32 {
    let mut times = 1;
    loop {
        let took = turn(run, times);
        if took >= TURN / 2 {
            let each = took / times;
            return (TURN.as_nanos() / each.as_nanos().max(1)).max(1) as u32;
        }
        times *= 2;
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn turn(run: &Op, times: u32) -> Duration {
    let start = Instant::now();
    (0..times).for_each(|_| run());
    start.elapsed()
}
