use super::*;
use proptest::prelude::*;
use std::sync::Barrier;
use std::sync::atomic::AtomicU32;

const EPOCH: Duration = Duration::from_secs(1_700_000_000);

fn at(since: Duration) -> Now {
    Now::new(EPOCH + since, since)
}

fn secs(seconds: u64) -> Now {
    at(Duration::from_secs(seconds))
}

fn plan(count: u32, period: u64, burst: u32) -> Arc<Plan> {
    Arc::new(Plan {
        name: "standard".into(),
        rate: Some(Rate {
            count,
            period: Duration::from_secs(period),
            burst,
        }),
        concurrency: None,
        better: Vec::new(),
    })
}

fn in_flight(concurrency: u32) -> Arc<Plan> {
    Arc::new(Plan {
        name: "standard".into(),
        rate: None,
        concurrency: Some(concurrency),
        better: Vec::new(),
    })
}

fn limits(plan: &Arc<Plan>, before: Option<&AppLimits>) -> AppLimits {
    AppLimits::new(&[("mobile".into(), Some(plan.clone()))], before)
}

fn passed(limits: &AppLimits, now: Now) -> usize {
    std::iter::from_fn(|| limits.charge(0, Assurance::Key, now).ok()).count()
}

fn wait(limits: &AppLimits, now: Now) -> Duration {
    match limits.charge(0, Assurance::Key, now) {
        Err(Refused::Rate { retry_after, .. }) => retry_after,
        other => panic!("{other:?}"),
    }
}

fn stepped(signed: &Arc<Plan>) -> Arc<Plan> {
    let mut plan = (*plan(10, 1, 10)).clone();
    plan.better = vec![
        (Assurance::Signed, (**signed).clone()),
        (Assurance::AttestedSigned, (*in_flight(1)).clone()),
    ];
    Arc::new(plan)
}

#[test]
fn callers_that_are_proven_better_have_limits_and_accounts_of_their_own() {
    let limits = limits(&stepped(&plan(100, 1, 20)), None);
    let passed = |assurance| {
        let charged = std::iter::from_fn(|| limits.charge(0, assurance, secs(0)).ok());
        charged.count()
    };
    assert_eq!(passed(Assurance::Key), 10);
    // Attested has no step of its own, and is better than signed.
    assert_eq!(passed(Assurance::Attested), 20);
    assert_eq!(passed(Assurance::Signed), 0);
    assert_eq!(passed(Assurance::Key), 0);
    let place = limits
        .charge(0, Assurance::AttestedSigned, secs(0))
        .unwrap();
    assert!(
        limits
            .charge(0, Assurance::AttestedSigned, secs(0))
            .is_err()
    );
    drop(place);
    limits
        .charge(0, Assurance::AttestedSigned, secs(0))
        .unwrap();
}

#[test]
fn what_was_used_on_a_step_survives_new_limits() {
    let old = limits(&stepped(&plan(100, 1, 20)), None);
    for _ in 0..20 {
        old.charge(0, Assurance::Signed, secs(0)).unwrap();
    }
    let new = limits(&stepped(&plan(10, 1, 20)), Some(&old));
    assert!(new.charge(0, Assurance::Signed, secs(0)).is_err());
    assert!(new.charge(0, Assurance::Key, secs(0)).is_ok());
    let none = limits(&plan(10, 1, 10), Some(&new));
    assert!(none.charge(0, Assurance::Signed, secs(0)).is_ok());
}

#[test]
fn a_step_that_was_away_still_knows_what_was_used_and_who_is_in_flight() {
    let signed = Arc::new(Plan {
        concurrency: Some(20),
        ..(*plan(1, 3_600, 20)).clone()
    });
    let best = Assurance::AttestedSigned;
    let first = limits(&stepped(&signed), None);
    let held: Vec<_> = (0..20)
        .map(|_| first.charge(0, Assurance::Signed, secs(0)).unwrap())
        .collect();
    let held_best = first.charge(0, best, secs(0)).unwrap();
    let without = limits(&plan(100, 1, 100), Some(&first));
    assert!(without.charge(0, Assurance::Signed, secs(0)).is_ok());
    let unlimited = AppLimits::new(&[("mobile".into(), None)], Some(&without));
    let again = limits(&stepped(&signed), Some(&unlimited));
    let refused = |assurance| again.charge(0, assurance, secs(0)).unwrap_err();
    for assurance in [Assurance::Signed, best] {
        assert!(matches!(refused(assurance), Refused::Concurrency { .. }));
    }
    drop((held, held_best));
    assert!(matches!(refused(Assurance::Signed), Refused::Rate { .. }));
    assert!(again.charge(0, best, secs(0)).is_ok());
}

#[test]
fn an_app_that_was_away_still_knows_what_was_used_until_nothing_is() {
    let plan = Arc::new(Plan {
        concurrency: Some(10),
        ..(*plan(1, 3_600, 10)).clone()
    });
    let first = limits(&plan, None);
    let held = first.charge(0, Assurance::Key, secs(0)).unwrap();
    assert_eq!(passed(&first, secs(0)), 9);
    let gone = |before: &AppLimits, now| {
        let mut gone = AppLimits::new(&[], Some(before));
        gone.come_into_force(now);
        gone
    };
    let without = gone(&gone(&first, secs(10)), secs(20));
    assert_eq!(passed(&limits(&plan, Some(&without)), secs(20)), 0);
    // All of the rate is back, and one is in flight.
    let later = secs(10 * 3_600);
    let without = gone(&without, later);
    let again = limits(&plan, Some(&without));
    let seats: Vec<_> = (0..10)
        .map_while(|_| again.charge(0, Assurance::Key, later).ok())
        .collect();
    assert_eq!(seats.len(), 9);
    drop((held, seats, again));
    assert!(gone(&without, secs(30 * 3_600)).parted.is_empty());
}

#[test]
fn what_was_used_comes_back_at_the_new_rate_from_the_reload_on() {
    let (slow, quick) = (plan(100, 3_600, 100), plan(10, 1, 100));
    for (old, new, after, back) in [(&slow, &quick, 12, 100), (&quick, &slow, 36, 1)] {
        let before = limits(old, None);
        assert_eq!(passed(&before, secs(1_000)), 100);
        let mut reloaded = limits(new, Some(&before));
        reloaded.come_into_force(secs(1_000));
        assert_eq!(passed(&reloaded, secs(1_000 + after)), back, "{old:?}");
    }
}

#[test]
fn what_was_used_comes_back_at_each_rate_while_that_is_in_force_though_nobody_asks() {
    let (slow, quick) = (plan(1, 3_600, 100), plan(10, 1, 100));
    let mut last = limits(&slow, None);
    assert_eq!(passed(&last, secs(1_000)), 100);
    for (at, plan) in [(1_000, &quick), (1_003, &slow)] {
        last = limits(plan, Some(&last));
        last.come_into_force(secs(at));
    }
    assert_eq!(passed(&last, secs(2_000)), 30);
    let mut stepwise = limits(&stepped(&slow), None);
    while stepwise.charge(0, Assurance::Signed, secs(0)).is_ok() {}
    stepwise = limits(&stepped(&quick), Some(&stepwise));
    stepwise.come_into_force(secs(0));
    assert!(stepwise.charge(0, Assurance::Signed, secs(1)).is_ok());
}

#[test]
fn a_burst_passes_and_then_the_rate() {
    let limits = limits(&plan(100, 1, 200), None);
    assert_eq!(passed(&limits, secs(0)), 200);
    assert_eq!(wait(&limits, secs(0)), Duration::from_millis(10));
    assert_eq!(passed(&limits, at(Duration::from_millis(9))), 0);
    assert_eq!(passed(&limits, at(Duration::from_millis(10))), 1);
    assert_eq!(passed(&limits, secs(1)), 99);
    assert_eq!(passed(&limits, secs(1_000)), 200);
}

#[test]
fn a_look_says_what_a_charge_would_and_charges_nothing() {
    let app = App::new("mobile");
    let limits = limits(&stepped(&plan(10, 1, 20)), None);
    for (assurance, burst) in [(Assurance::Key, 10), (Assurance::Signed, 20)] {
        for _ in 0..burst {
            assert_eq!(limits.look(&app, assurance, secs(0)), Ok(()));
            limits.charge(0, assurance, secs(0)).unwrap();
        }
        for now in [secs(0), at(Duration::from_millis(99))] {
            let looked = limits.look(&app, assurance, now).unwrap_err();
            assert_eq!(looked, limits.charge(0, assurance, now).unwrap_err());
        }
        let now = at(Duration::from_millis(100));
        for _ in 0..2 {
            assert_eq!(limits.look(&app, assurance, now), Ok(()));
        }
        limits.charge(0, assurance, now).unwrap();
        assert!(limits.look(&app, assurance, now).is_err());
    }
    // Those in flight are no matter of a look, and who has no rate has none to use up.
    let best = Assurance::AttestedSigned;
    let _place = limits.charge(0, best, secs(0)).unwrap();
    assert_eq!(limits.look(&app, best, secs(0)), Ok(()));
}

#[test]
fn a_look_after_a_reload_says_what_a_charge_would() {
    let app = App::new("mobile");
    let old = limits(&plan(10, 1, 10), None);
    assert_eq!(passed(&old, secs(0)), 10);
    let new = limits(&plan(1, 60, 10), Some(&old));
    let looked = new.look(&app, Assurance::Key, secs(0)).unwrap_err();
    let charged = new.charge(0, Assurance::Key, secs(0)).unwrap_err();
    assert_eq!(looked, charged);
}

#[test]
fn an_app_without_a_plan_is_not_limited() {
    let limits = AppLimits::new(&[("mobile".into(), None)], None);
    for _ in 0..10_000 {
        let (place, standing) = limits.charge(0, Assurance::Key, secs(0)).unwrap();
        assert!(place.is_none() && standing.is_none());
    }
}

#[test]
fn one_app_does_not_use_up_anothers_rate() {
    let plan = plan(1, 60, 1);
    let limits = AppLimits::new(
        &[
            ("a".into(), Some(plan.clone())),
            ("b".into(), Some(plan.clone())),
        ],
        None,
    );
    assert!(limits.charge(0, Assurance::Key, secs(0)).is_ok());
    assert!(limits.charge(0, Assurance::Key, secs(0)).is_err());
    assert!(limits.charge(1, Assurance::Key, secs(0)).is_ok());
}

#[test]
fn the_header_fields_tell_rate_and_standing() {
    let limits = limits(&plan(100, 1, 200), None);
    let (_, standing) = limits.charge(0, Assurance::Key, secs(5)).unwrap();
    let standing = standing.unwrap();
    assert_eq!(standing.policy, r#""standard";q=100;w=1"#);
    assert_eq!(standing.header(), r#""standard";r=199;t=1"#);
    passed(&limits, secs(5));
    let Err(Refused::Rate { standing, .. }) = limits.charge(0, Assurance::Key, secs(5)) else {
        panic!("the burst is used up");
    };
    assert_eq!(standing.header(), r#""standard";r=0;t=2"#);
}

#[test]
fn a_policy_is_in_whole_seconds_and_its_name_is_a_string_field() {
    for (count, period, expected) in [
        (5, Duration::from_millis(100), r#""p";q=50;w=1"#),
        (3, Duration::from_millis(1_500), r#""p";q=4;w=2"#),
        (100, Duration::from_mins(1), r#""p";q=100;w=60"#),
    ] {
        let rate = Rate {
            count,
            period,
            burst: 1,
        };
        assert_eq!(policy("p", &rate), expected);
    }
    assert_eq!(quoted("a\"b\\c\u{e9}\n"), r#""a\"b\\c??""#);
}

#[test]
fn places_are_taken_and_freed() {
    let limits = limits(&in_flight(2), None);
    let (first, _) = limits.charge(0, Assurance::Key, secs(0)).unwrap();
    let (_second, _) = limits.charge(0, Assurance::Key, secs(0)).unwrap();
    assert_eq!(
        limits.charge(0, Assurance::Key, secs(0)).unwrap_err(),
        Refused::Concurrency {
            limit: 2,
            standing: None
        }
    );
    drop(first);
    assert!(limits.charge(0, Assurance::Key, secs(0)).is_ok());
}

#[test]
fn too_many_in_flight_use_up_no_rate_and_a_used_up_rate_takes_no_place() {
    let plan = Arc::new(Plan {
        concurrency: Some(1),
        ..(*plan(1, 60, 2)).clone()
    });
    let limits = limits(&plan, None);
    let (place, _) = limits.charge(0, Assurance::Key, secs(0)).unwrap();
    for _ in 0..10 {
        let Err(Refused::Concurrency {
            standing: Some(standing),
            ..
        }) = limits.charge(0, Assurance::Key, secs(0))
        else {
            panic!("one is in flight");
        };
        assert_eq!(standing.remaining, 1);
    }
    drop(place);
    drop(limits.charge(0, Assurance::Key, secs(0)).unwrap());
    for _ in 0..10 {
        assert_eq!(wait(&limits, secs(0)), Duration::from_mins(1));
    }
    assert_eq!(limits.apps[0].account.in_flight.load(Ordering::Relaxed), 0);
}

#[test]
fn a_reload_keeps_what_was_used_and_what_is_in_flight() {
    let before = limits(&plan(1, 60, 10), None);
    for _ in 0..9 {
        before.charge(0, Assurance::Key, secs(100)).unwrap();
    }
    let after = limits(&plan(1, 60, 10), Some(&before));
    assert_eq!(passed(&after, secs(100)), 1);

    let before = limits(&in_flight(1), None);
    let place = before.charge(0, Assurance::Key, secs(0)).unwrap();
    let after = limits(&in_flight(1), Some(&before));
    assert!(after.charge(0, Assurance::Key, secs(0)).is_err());
    drop(place);
    assert!(after.charge(0, Assurance::Key, secs(0)).is_ok());
}

#[test]
fn a_bound_that_was_away_still_counts_what_it_had_let_in_and_nothing_of_meanwhile() {
    let first = limits(&in_flight(1), None);
    let held = first.charge(0, Assurance::Key, secs(0)).unwrap();
    let without = AppLimits::new(&[("mobile".into(), None)], Some(&first));
    let (meanwhile, _) = without.charge(0, Assurance::Key, secs(0)).unwrap();
    assert!(meanwhile.is_none(), "nobody counts it");
    let again = limits(&in_flight(1), Some(&without));
    assert!(again.charge(0, Assurance::Key, secs(0)).is_err());
    drop(held);
    assert!(again.charge(0, Assurance::Key, secs(0)).is_ok());
}

#[test]
fn a_new_rate_neither_refills_a_used_up_burst_nor_refuses_for_an_hour() {
    let rates = [
        plan(100, 1, 200),
        plan(1, 3_600, 10),
        plan(50, 1, 1_000),
        plan(1, 1, 1),
    ];
    for old in &rates {
        for new in rates.iter().filter(|new| *new != old) {
            let start = 100_000;
            let before = limits(old, None);
            passed(&before, secs(start));
            let after = limits(new, Some(&before));
            let (was, is) = (old.rate.unwrap(), new.rate.unwrap());
            let refunded = is.burst.saturating_sub(was.burst) as usize;
            assert_eq!(passed(&after, secs(start)), refunded, "{was:?} to {is:?}");
            assert!(wait(&after, secs(start)) <= Duration::from_nanos(is.interval()));
            assert_eq!(passed(&after, secs(start + 3_600 * 11)), is.burst as usize);
        }
    }
}

#[test]
fn requests_under_the_old_and_the_new_configuration_count_on_one_account() {
    let before = limits(&plan(1, 3_600, 10), None);
    let after = limits(&plan(100, 1, 10), Some(&before));
    let now = secs(50_000);
    for _ in 0..5 {
        before.charge(0, Assurance::Key, now).unwrap();
        after.charge(0, Assurance::Key, now).unwrap();
    }
    assert!(before.charge(0, Assurance::Key, now).is_err());
    assert!(wait(&after, now) <= Duration::from_millis(10));
}

#[test]
fn configurations_that_never_come_into_force_change_nothing() {
    let before = limits(&plan(1, 60, 10), None);
    passed(&before, secs(100));
    for count in 1..20 {
        limits(&plan(count, 1, 5), Some(&before));
    }
    assert_eq!(passed(&before, secs(100)), 0);
    let after = limits(&plan(10, 1, 10), Some(&before));
    assert_eq!(passed(&after, secs(100)), 0);
    assert_eq!(wait(&after, secs(100)), Duration::from_millis(100));
}

#[test]
fn what_was_used_counts_as_much_after_any_number_of_rates_that_nobody_asked_under() {
    for rates in 0..10 {
        let mut last = limits(&plan(10, 86_400, 10), None);
        assert_eq!(passed(&last, secs(100)), 10);
        for count in (20..).step_by(10).take(rates) {
            last = limits(&plan(count, 86_400, 10), Some(&last));
        }
        let last = limits(&plan(1_000, 1, 15), Some(&last));
        assert_eq!(passed(&last, secs(100)), 5, "{rates}");
        let wait = wait(&last, secs(100));
        assert!(wait <= Duration::from_millis(1), "{wait:?}, {rates}");
    }
}

#[test]
fn limits_that_were_made_beside_others_and_never_counted_change_nothing_of_what_those_wrote() {
    let first = limits(&plan(1, 60, 10), None);
    passed(&first, secs(100));
    let second = limits(&plan(10, 1, 10), Some(&first));
    limits(&plan(1, 3_600, 10), Some(&first));
    assert_eq!(passed(&second, secs(100)), 0);
    let third = limits(&plan(1_000, 1, 10), Some(&second));
    assert_eq!(passed(&third, secs(100)), 0);
    assert_eq!(wait(&third, secs(100)), Duration::from_millis(1));
}

#[test]
fn a_rate_that_was_away_for_a_configuration_still_knows_what_was_used() {
    let first = limits(&plan(1, 3_600, 10), None);
    passed(&first, secs(100));
    let second = limits(&in_flight(5), Some(&first));
    second.charge(0, Assurance::Key, secs(100)).unwrap();
    let third = limits(&plan(2, 1, 10), Some(&second));
    assert_eq!(passed(&third, secs(100)), 0);
    assert_eq!(wait(&third, secs(100)), Duration::from_millis(500));
}

#[test]
fn many_threads_get_a_burst_once() {
    let limits = limits(&plan(1, 3_600, 1_000), None);
    let start = Barrier::new(8);
    let total: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    (0..500)
                        .filter(|_| limits.charge(0, Assurance::Key, secs(1)).is_ok())
                        .count()
                })
            })
            .collect();
        threads.into_iter().map(|it| it.join().unwrap()).sum()
    });
    assert_eq!(total, 1_000);
}

#[test]
fn many_threads_never_exceed_the_places() {
    let limits = limits(&in_flight(3), None);
    let most = AtomicU32::new(0);
    let inside = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    if let Ok(place) = limits.charge(0, Assurance::Key, secs(0)) {
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(place);
                    }
                }
            });
        }
    });
    assert!(most.load(Ordering::SeqCst) <= 3);
    assert_eq!(limits.apps[0].account.in_flight.load(Ordering::SeqCst), 0);
}

#[test]
fn no_rate_however_strange_overflows() {
    for count in [0, 1, u32::MAX] {
        for period in [0, 1, u64::MAX] {
            for burst in [0, 1, u32::MAX] {
                let limits = limits(&plan(count, period, burst), None);
                let clock = Duration::from_secs(2_000_000_000);
                assert!(limits.charge(0, Assurance::Key, at(clock)).is_ok());
                let _ = limits.charge(0, Assurance::Key, at(clock * 2));
            }
        }
    }
}

proptest! {
    #[test]
    fn never_more_than_burst_plus_rate_times_time_pass(
        count in 1_u32..2_000,
        period in 1_u64..100,
        burst in 1_u32..300,
        steps in prop::collection::vec((0_u64..3_000_000_000, 1_usize..50), 1..60),
    ) {
        let limits = limits(&plan(count, period, burst), None);
        let (mut now, mut total) = (0_u64, 0_u64);
        for (step, tries) in steps {
            now += step;
            let now_at = at(Duration::from_nanos(now));
            total += (0..tries).filter(|_| limits.charge(0, Assurance::Key, now_at).is_ok()).count() as u64;
            let most = u128::from(burst)
                + u128::from(now) * u128::from(count) / (u128::from(period) * 1_000_000_000);
            prop_assert!(u128::from(total) <= most);
        }
    }

    #[test]
    fn whoever_waits_as_told_passes(count in 1_u32..2_000, burst in 1_u32..50, ahead in 0_u64..10_000) {
        let limits = limits(&plan(count, 7, burst), None);
        let now = Duration::from_millis(ahead);
        passed(&limits, at(now));
        let wait = wait(&limits, at(now));
        prop_assert!(limits.charge(0, Assurance::Key, at(now + wait.saturating_sub(Duration::from_nanos(1)))).is_err());
        prop_assert!(limits.charge(0, Assurance::Key, at(now + wait)).is_ok());
    }
}

#[test]
fn a_clock_on_the_wall_that_steps_gives_no_rate_and_takes_none() {
    let limits = limits(&plan(1, 1, 3), None);
    let stepped = |seconds: u64, wall: i64| {
        let wall = EPOCH.as_secs().strict_add_signed(wall) + seconds;
        Now::new(Duration::from_secs(wall), Duration::from_secs(seconds))
    };
    assert_eq!(passed(&limits, secs(0)), 3);
    for (seconds, wall) in [(0, 600), (0, -600), (1, 600), (2, -600), (3, 0)] {
        let let_through = usize::from(seconds > 0);
        assert_eq!(passed(&limits, stepped(seconds, wall)), let_through);
    }
    assert_eq!(passed(&limits, stepped(6, -600)), 3);
}
