//! An upstream's servers by requests in flight, failures and time, without sockets.

use super::balance::Rules;
use super::budget::Retries;
use super::ejection::Ejection;
use super::health::Health;
use super::left_out::LeftOut;
use super::resolve::Addresses;
use super::*;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const EJECTION: Ejection = Ejection {
    failures: 5,
    time: Duration::from_secs(10),
    at_most: 50,
};

fn settings(hosts: &[&str], balance: Rules) -> Settings {
    Settings {
        protocol: Protocol::Auto,
        tls: None,
        resolve_every: Duration::from_secs(30),
        keep_alive: Some(MAX_IDLE),
        name: "test".into(),
        servers: hosts
            .iter()
            .map(|host| Server::Http {
                host: (*host).into(),
                port: 80,
            })
            .collect(),
        connect: Duration::from_secs(1),
        first_byte: Duration::from_secs(1),
        idle: Duration::from_secs(1),
        total: Duration::from_secs(1),
        max_connections: 1,
        balance,
    }
}

fn rules() -> Rules {
    Rules {
        ejection: Some(EJECTION),
        panic_threshold: Some(50),
        ..Rules::default()
    }
}

pub(super) fn checked(rules: Rules) -> Rules {
    Rules {
        health: Some(Health {
            path: http::uri::PathAndQuery::from_static("/"),
            grpc: None,
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            healthy_after: 1,
            unhealthy_after: 1,
            status: 200..=399,
        }),
        ..rules
    }
}

fn upstream(hosts: &[&str], rules: Rules) -> Upstream {
    dice::seed(1);
    Upstream::new(settings(hosts, rules), None)
}

fn at(seconds: f64) -> Now {
    let time = Duration::from_secs_f64(1_000.0 + seconds);
    Now::new(time, time)
}

fn choose(upstream: &Upstream, seconds: f64) -> Option<Chosen> {
    upstream.choose(&Tried::default(), at(seconds))
}

fn fail(upstream: &Upstream, mut chosen: Chosen, seconds: f64) {
    let why = Failed::Unreachable("it refuses".into());
    upstream.failed(&mut chosen, &why, at(seconds));
}

fn answer(upstream: &Upstream, chosen: &mut Chosen, status: u16, ms: u64, seconds: f64) {
    let status = StatusCode::from_u16(status).unwrap();
    let took = Some(Duration::from_millis(ms));
    upstream.answered(chosen, status, took, at(seconds));
}

fn check(upstream: &Upstream, server: usize, good: bool) {
    let health = upstream.settings.balance.health.as_ref().unwrap();
    let standing = &upstream.targets[server].standing;
    if standing.streak.checked(good, health) == Some(true) {
        standing.comes_back(nanos(at(0.0)));
    }
}

/// Requests that come one each millisecond from `from` on, and each take what
/// `took` says of their server; `None` is a refusal. How many each server got.
fn simulate(
    upstream: &Upstream,
    from: f64,
    requests: u32,
    took: impl Fn(usize) -> Option<u64>,
) -> Vec<u32> {
    simulate_answers(upstream, from, requests, took, |_| 200)
}

/// As [`simulate`], where each server answers with its status.
fn simulate_answers(
    upstream: &Upstream,
    from: f64,
    requests: u32,
    took: impl Fn(usize) -> Option<u64>,
    status: impl Fn(usize) -> u16,
) -> Vec<u32> {
    let mut got = vec![0; upstream.targets.len()];
    let mut ends: BTreeMap<u64, Vec<Chosen>> = BTreeMap::new();
    for ms in 0..u64::from(requests) {
        let seconds = from + ms as f64 / 1_000.0;
        for mut chosen in ends.remove(&ms).unwrap_or_default() {
            let (status, took) = (status(chosen.index), took(chosen.index).unwrap());
            answer(upstream, &mut chosen, status, took, seconds);
        }
        let chosen = choose(upstream, seconds).expect("a server");
        got[chosen.index] += 1;
        match took(chosen.index) {
            Some(took) => ends.entry(ms + took.max(1)).or_default().push(chosen),
            None => fail(upstream, chosen, seconds),
        }
    }
    got
}

#[test]
fn equal_servers_get_equal_shares() {
    let three = upstream(&["a", "b", "c"], rules());
    let got = simulate(&three, 0.0, 9_000, |_| Some(7));
    assert!(
        got.iter().all(|got| (2_600..3_400).contains(got)),
        "{got:?}"
    );
}

#[test]
fn a_server_twice_as_slow_gets_fewer_and_one_much_slower_hardly_any() {
    let three = upstream(&["a", "b", "slow"], rules());
    let got = simulate(&three, 0.0, 10_000, |server| {
        Some(if server == 2 { 20 } else { 10 })
    });
    assert!(got[2] * 3 < got[0] * 2 && got[2] > 500, "{got:?}");
    let three = upstream(&["a", "b", "slower"], rules());
    let got = simulate(&three, 0.0, 10_000, |server| {
        Some(if server == 2 { 500 } else { 10 })
    });
    assert!(got[2] < 500, "{got:?}");
}

#[test]
fn a_dead_server_gets_failures_enough_to_eject_it_and_then_trials() {
    let three = upstream(&["a", "b", "dead"], rules());
    let got = simulate(&three, 0.0, 10_000, |server| (server < 2).then_some(10));
    assert_eq!(got[2], 5, "{got:?}");
    // Trials after 10, 20 and 40 seconds more.
    let got = simulate(&three, 10.1, 65_000, |server| (server < 2).then_some(10));
    assert_eq!(got[2], 3, "{got:?}");
    assert_eq!(
        three.servers_by_state(),
        [("up", 2), ("ejected", 1), ("down", 0)]
    );
}

#[test]
fn a_server_that_is_well_again_is_back_after_one_trial() {
    let two = upstream(&["a", "b"], rules());
    let got = simulate(&two, 0.0, 1_000, |server| (server == 0).then_some(10));
    assert_eq!(got[1], 5);
    let got = simulate(&two, 12.0, 10_000, |_| Some(10));
    assert!(got[1] > 4_000, "{got:?}");
    assert_eq!(two.servers_by_state()[0], ("up", 2));
}

#[test]
fn while_one_request_tries_a_server_no_other_does() {
    let two = upstream(&["a", "b"], rules());
    simulate(&two, 0.0, 100, |server| (server == 0).then_some(1));
    let chosen: Vec<_> = (0..100).map(|_| choose(&two, 11.0).unwrap()).collect();
    let trials = chosen.iter().filter(|chosen| chosen.index == 1).count();
    assert_eq!(trials, 1);
    // Given up by whoever made it, it is free for the next.
    drop(chosen);
    assert!((0..100).any(|_| choose(&two, 11.0).unwrap().index == 1));
}

#[test]
fn no_more_servers_are_ejected_than_may_be() {
    let four = upstream(&["a", "b", "c", "d"], rules());
    simulate(&four, 0.0, 1_000, |_| None);
    assert_eq!(
        four.servers_by_state(),
        [("up", 2), ("ejected", 2), ("down", 0)]
    );
}

#[test]
fn answers_of_502_503_and_504_are_failures_and_others_are_not() {
    for (status, ejected) in [(500, 0), (429, 0), (404, 0), (502, 1), (503, 1), (504, 1)] {
        let two = upstream(&["a", "b"], rules());
        for _ in 0..100 {
            let mut chosen = choose(&two, 0.0).unwrap();
            let status = if chosen.index == 0 { 200 } else { status };
            answer(&two, &mut chosen, status, 1, 0.0);
        }
        assert_eq!(two.servers_by_state()[1], ("ejected", ejected), "{status}");
    }
}

#[test]
fn what_a_client_or_our_own_caps_did_is_no_failure() {
    let two = upstream(&["a", "b"], rules());
    for _ in 0..100 {
        let mut chosen = choose(&two, 0.0).unwrap();
        let why = Failed::Body(super::super::body::BodyError::Timeout);
        two.failed(&mut chosen, &why, at(0.0));
        let mut chosen = choose(&two, 0.0).unwrap();
        two.failed(&mut chosen, &Failed::Overloaded(String::new()), at(0.0));
    }
    assert_eq!(two.servers_by_state()[0], ("up", 2));
}

#[test]
fn a_server_that_is_down_gets_nothing_until_it_is_up() {
    let three = upstream(&["a", "b", "c"], checked(rules()));
    check(&three, 1, false);
    let got = simulate(&three, 0.0, 1_000, |_| Some(1));
    assert_eq!(got[1], 0);
    check(&three, 1, true);
    let got = simulate(&three, 2.0, 1_000, |_| Some(1));
    assert!(got[1] > 200, "{got:?}");
}

#[test]
fn when_most_servers_are_down_all_are_used() {
    let three = upstream(&["a", "b", "c"], checked(rules()));
    check(&three, 0, false);
    check(&three, 1, false);
    let got = simulate(&three, 0.0, 3_000, |_| Some(1));
    assert!(got.iter().all(|got| *got > 700), "{got:?}");
    let strict = Rules {
        panic_threshold: None,
        ..checked(rules())
    };
    let two = upstream(&["a", "b"], strict);
    check(&two, 0, false);
    assert_eq!(simulate(&two, 0.0, 100, |_| Some(1)), [0, 100]);
    check(&two, 1, false);
    assert!(choose(&two, 0.0).is_none());
}

#[test]
fn where_all_are_used_the_dead_ones_get_little_beside_the_one_that_answers() {
    for servers in [&["a", "dead", "dead too"][..], &["a", "b", "c", "d", "e"]] {
        let upstream = upstream(servers, checked(rules()));
        (1..servers.len()).for_each(|dead| check(&upstream, dead, false));
        let got = simulate(&upstream, 0.0, 10_000, |server| (server == 0).then_some(3));
        assert!(got[0] > 9_700, "{got:?}");
    }
}

#[test]
fn where_all_are_used_what_is_sent_again_goes_to_one_that_is_well() {
    let four = upstream(&["a", "b", "c", "well"], checked(rules()));
    (0..3).for_each(|down| check(&four, down, false));
    for _ in 0..20 {
        let mut tried = Tried::default();
        let first = four.choose(&tried, at(0.0)).unwrap();
        tried.add(&first);
        let second = four.choose(&tried, at(0.0)).unwrap();
        assert_eq!(second.index == 3, first.index != 3);
    }
}

#[test]
fn it_is_told_that_all_are_used_until_enough_are_well() {
    let three = upstream(&["a", "b", "c"], checked(rules()));
    let is_told = |upstream: &Upstream| {
        choose(upstream, 0.0);
        upstream.scarce.is_told()
    };
    check(&three, 0, false);
    (0..20).for_each(|_| assert!(!is_told(&three)));
    check(&three, 1, false);
    // Whoever meets one that is not well finds it.
    assert!((0..20).any(|_| is_told(&three)));
    let after = Upstream::new(three.settings.clone(), Some(&three));
    (0..20).for_each(|_| assert!(is_told(&after)));
    check(&after, 0, true);
    check(&after, 1, true);
    assert!(!is_told(&after));
}

#[test]
fn a_server_that_fails_at_once_draws_no_more_than_others() {
    for (bad, well) in [(500, 30), (429, 30), (500, 300)] {
        let three = upstream(&["a", "b", "bad"], rules());
        let is_bad = |server| server == 2;
        simulate(&three, 0.0, 1_000, |_| Some(well));
        let got = simulate_answers(
            &three,
            2.0,
            10_000,
            |server| Some(if is_bad(server) { 1 } else { well }),
            |server| if is_bad(server) { bad } else { 200 },
        );
        assert!(got[2] < 500, "{bad}: {got:?}");
        // Where all say so they are the same.
        let got = simulate_answers(&three, 50.0, 9_000, |_| Some(30), |_| bad);
        assert!(got.iter().all(|got| *got > 2_000), "{bad}: {got:?}");
    }
}

#[test]
fn a_server_whose_answers_break_off_draws_no_more_than_others() {
    let two = upstream(&["a", "b"], rules());
    let mut broken = 0;
    for ms in 0..1_000 {
        let seconds = f64::from(ms) / 1_000.0;
        let mut chosen = choose(&two, seconds).unwrap();
        let is_bad = chosen.index == 1;
        answer(&two, &mut chosen, 200, 5, seconds);
        let counted = chosen.into_counted().unwrap();
        if is_bad {
            counted.broke();
            broken += 1;
        }
    }
    assert!(broken < 20, "{broken}");
}

#[test]
fn servers_that_failed_together_share_again_half_a_minute_after_they_are_well() {
    let two = upstream(&["a", "b"], rules());
    simulate(&two, 0.0, 3_000, |_| None);
    let got = simulate(&two, 34.0, 3_000, |_| Some(3));
    assert!(got.iter().all(|got| *got > 1_000), "{got:?}");
    // So it is where a server stalled and many went away.
    let stalled: Vec<_> = (0..1_000).map(|_| choose(&two, 40.0).unwrap()).collect();
    drop(stalled);
    let got = simulate(&two, 71.0, 3_000, |_| Some(3));
    assert!(got.iter().all(|got| *got > 1_000), "{got:?}");
}

#[test]
fn a_server_alone_is_never_ejected_unless_all_may_be() {
    let one = upstream(&["a"], rules());
    assert!(one.is_plain);
    simulate(&one, 0.0, 100, |_| None);
    assert!(choose(&one, 0.0).is_some());
    let all = Rules {
        ejection: Some(Ejection {
            at_most: 100,
            ..EJECTION
        }),
        panic_threshold: None,
        ..Rules::default()
    };
    let one = upstream(&["a"], all);
    for _ in 0..5 {
        fail(&one, choose(&one, 0.0).unwrap(), 0.0);
    }
    assert!(choose(&one, 9.0).is_none());
    let mut trial = choose(&one, 10.0).unwrap();
    assert!(choose(&one, 10.0).is_none());
    answer(&one, &mut trial, 200, 1, 10.0);
    assert!(choose(&one, 10.0).is_some());
}

#[test]
fn a_server_that_comes_back_starts_slowly() {
    let slow = Rules {
        slow_start: Some(Duration::from_secs(10)),
        ..checked(rules())
    };
    let two = upstream(&["a", "b"], slow.clone());
    check(&two, 1, false);
    check(&two, 1, true);
    let shares: Vec<u32> = (0..12)
        .map(|second| simulate(&two, f64::from(second), 1_000, |_| Some(1))[1])
        .collect();
    assert!((10..120).contains(&shares[0]), "{shares:?}");
    assert!((150..380).contains(&shares[5]), "{shares:?}");
    assert!((380..620).contains(&shares[11]), "{shares:?}");
    // One that is added while others run is as new.
    let three = Upstream::new(settings(&["a", "b", "new"], slow.clone()), Some(&two));
    let got = simulate(&three, 20.0, 1_000, |_| Some(1));
    assert!(got[2] < 150, "{got:?}");
    // Not one that was added while none started slowly.
    let names = ["a", "b", "new", "newer"];
    let four = Upstream::new(settings(&names, checked(rules())), Some(&three));
    let again = Upstream::new(settings(&names, slow), Some(&four));
    let got = simulate(&again, 90.0, 1_000, |_| Some(1));
    assert!((150..350).contains(&got[3]), "{got:?}");
}

#[test]
fn a_second_try_goes_elsewhere_and_no_server_is_tried_twice() {
    let two = upstream(&["a", "b"], Rules::default());
    for _ in 0..20 {
        let mut tried = Tried::default();
        let first = two.choose(&tried, at(0.0)).unwrap();
        tried.add(&first);
        let second = two.choose(&tried, at(0.0)).unwrap();
        assert_ne!(first.index, second.index);
        tried.add(&second);
        assert!(two.choose(&tried, at(0.0)).is_none());
        tried.may_repeat();
        assert!(two.choose(&tried, at(0.0)).is_some());
    }
    let many: Vec<String> = (0..9).map(|server| server.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let many = upstream(&many, Rules::default());
    let mut tried = Tried::default();
    while let Some(chosen) = many.choose(&tried, at(0.0)) {
        tried.add(&chosen);
    }
    assert!(tried.is_full());
}

#[test]
fn requests_in_flight_end_with_what_counts_them() {
    let two = upstream(&["a", "b"], Rules::default());
    let chosen = choose(&two, 0.0).unwrap();
    let standing = two.targets[chosen.index].standing.clone();
    let counted = chosen.into_counted();
    assert_eq!(standing.load.in_flight(), 1);
    drop(counted);
    assert_eq!(standing.load.in_flight(), 0);
}

#[test]
fn retries_are_a_share_of_the_requests_and_are_counted() {
    let rules = Rules {
        retries: Some(Retries {
            budget: 20,
            at_least: 1,
            period: Duration::from_secs(10),
        }),
        ..Rules::default()
    };
    let two = upstream(&["a", "b"], rules);
    two.allows_retry(at(0.0));
    for _ in 0..100 {
        drop(choose(&two, 1.0));
    }
    let retry = || {
        let _again = choose(&two, 1.0);
        two.allows_retry(at(1.0))
    };
    let allowed = (0..100).filter(|_| retry()).count();
    assert!((19..=21).contains(&allowed), "{allowed}");
    let [sent, over] = two.retries();
    assert_eq!(sent, ("sent", allowed as u64 + 1));
    assert_eq!(over, ("over-budget", 100 - allowed as u64));
    assert!(!upstream(&["a", "b"], Rules::default()).allows_retry(at(0.0)));
}

#[test]
fn a_server_stands_after_a_reload_as_it_stood() {
    let before = upstream(&["a", "b", "c"], checked(rules()));
    check(&before, 2, false);
    simulate(&before, 0.0, 1_000, |server| (server != 1).then_some(1));
    let held = choose(&before, 1.0).unwrap();
    assert_eq!(
        before.servers_by_state(),
        [("up", 1), ("ejected", 1), ("down", 1)]
    );
    let after = Upstream::new(
        settings(&["c", "b", "new", "a"], checked(rules())),
        Some(&before),
    );
    assert_eq!(
        after.servers_by_state(),
        [("up", 2), ("ejected", 1), ("down", 1)]
    );
    let in_flight = after
        .targets
        .iter()
        .map(|one| one.standing.load.in_flight());
    assert_eq!(in_flight.sum::<u32>(), 1);
    drop(held);
    // What is no longer asked for does not hold either.
    let plain = Upstream::new(settings(&["a", "b", "c"], Rules::default()), Some(&after));
    assert_eq!(plain.servers_by_state()[0], ("up", 3));
}

const A: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 80);
const B: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 80);
const C: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3)), 80);

/// What is known of the addresses of its one server, which these are.
fn named(upstream: &Upstream, addresses: &[SocketAddr]) -> Arc<LeftOut> {
    let place = upstream.targets[0].place.as_ref().unwrap();
    let left_out = place.left_out.clone().unwrap();
    left_out.learn(addresses.to_vec());
    left_out
}

fn fail_at(upstream: &Upstream, address: SocketAddr, seconds: f64) {
    let mut chosen = choose(upstream, seconds).unwrap();
    chosen.way.goes(Some(address));
    fail(upstream, chosen, seconds);
}

/// Which of them the next request may go to.
fn may(upstream: &Upstream, seconds: f64) -> Vec<SocketAddr> {
    let way = choose(upstream, seconds).unwrap().way;
    [A, B, C]
        .into_iter()
        .filter(|one| way.may(Some(*one)))
        .collect()
}

#[test]
fn one_address_that_fails_is_left_out_and_a_name_whose_addresses_all_fail_is_ejected() {
    let all = Ejection {
        at_most: 100,
        ..EJECTION
    };
    let rules = Rules {
        ejection: Some(all),
        panic_threshold: None,
        ..rules()
    };
    let one = upstream(&["orders.test"], rules);
    named(&one, &[A, B]);
    for _ in 0..EJECTION.failures {
        assert_eq!(may(&one, 0.0), [A, B, C]);
        fail_at(&one, A, 0.0);
    }
    assert_eq!(may(&one, 9.0), [B, C]);
    assert_eq!(one.servers_by_state()[0], ("up", 1));
    for _ in 0..EJECTION.failures {
        fail_at(&one, B, 0.0);
    }
    assert_eq!(one.servers_by_state()[1], ("ejected", 1));
    assert!(choose(&one, 9.0).is_none());
    // The trial of the name is that of an address, too.
    let mut trial = choose(&one, 11.0).unwrap();
    assert!(trial.way.may(Some(A)) && !trial.way.may(Some(B)));
    trial.way.goes(Some(A));
    answer(&one, &mut trial, 200, 1, 11.0);
    assert_eq!(one.servers_by_state()[0], ("up", 1));
    // One that tells nothing frees the next.
    for _ in 0..2 {
        assert_eq!(may(&one, 11.0), [B]);
    }
}

#[test]
fn an_address_that_cannot_be_connected_to_is_left_out_though_another_answered() {
    let one = upstream(&["orders.test"], rules());
    named(&one, &[A, B]);
    for _ in 0..EJECTION.failures {
        let mut chosen = choose(&one, 0.0).unwrap();
        chosen.way.misses(A, &io::Error::other("it refuses"));
        chosen.way.goes(Some(B));
        answer(&one, &mut chosen, 200, 1, 0.0);
    }
    assert_eq!(may(&one, 1.0), [B, C]);
    // More than the half of them never is.
    for _ in 0..2 * EJECTION.failures {
        fail_at(&one, B, 0.0);
    }
    assert_eq!(may(&one, 1.0), [B, C]);
}

/// With a name whose address A is ejected at 0, of two.
fn with_a_out() -> Upstream {
    let one = upstream(&["orders.test"], rules());
    named(&one, &[A, B]);
    for _ in 0..EJECTION.failures {
        fail_at(&one, A, 0.0);
    }
    one
}

#[test]
fn a_request_that_is_sent_again_tries_no_address() {
    let one = with_a_out();
    let mut tried = Tried::default();
    tried.add(&choose(&one, 1.0).unwrap());
    tried.may_repeat();
    let again = one.choose(&tried, at(11.0)).unwrap();
    assert!(!again.way.is_trial() && !again.way.may(Some(A)));
    assert!(choose(&one, 11.0).unwrap().way.is_trial());
}

#[test]
fn nobody_tries_what_he_does_not_know_and_who_knows_nothing_else_goes_to_what_is_left_out() {
    let one = with_a_out();
    let mut way = choose(&one, 11.0).unwrap().way;
    assert!(way.is_trial());
    way.fit(&Addresses::only(B));
    assert!(!way.is_trial() && way.may(Some(B)));
    // It is left to the next.
    let trial = choose(&one, 11.0).unwrap().way;
    assert!(trial.is_trial());
    let mut other = choose(&one, 11.0).unwrap().way;
    assert!(!other.may(Some(A)));
    other.fit(&Addresses::only(A));
    assert!(other.may(Some(A)));
}

#[test]
fn a_trial_that_misses_its_address_may_use_what_others_have_and_doubles_its_time() {
    let one = with_a_out();
    let mut trial = choose(&one, 11.0).unwrap();
    assert!(!trial.way.may(Some(B)));
    trial.way.misses(A, &io::Error::other("it refuses"));
    assert!(trial.way.may(Some(B)) && !trial.way.may(Some(A)));
    // Nothing is left to connect to another with.
    assert!(trial.way.leave() && !trial.way.is_trial());
    trial.way.goes(Some(B));
    answer(&one, &mut trial, 200, 1, 11.0);
    assert!(!choose(&one, 30.0).unwrap().way.is_trial());
    assert!(choose(&one, 32.0).unwrap().way.is_trial());
}

#[test]
fn an_address_is_down_by_its_checks_until_too_few_are_well_or_the_name_loses_it() {
    let one = upstream(&["orders.test"], checked(rules()));
    let left_out = named(&one, &[A, B, C]);
    let health = one.settings.balance.health.as_ref().unwrap();
    assert_eq!(left_out.checked(A, true, health), None);
    assert_eq!(left_out.checked(A, false, health), Some(false));
    assert_eq!(may(&one, 0.0), [B, C]);
    assert_eq!(left_out.checked(B, false, health), Some(false));
    assert_eq!(may(&one, 0.0), [A, B, C]);
    assert_eq!(left_out.checked(B, true, health), Some(true));
    let after = Upstream::new(one.settings.clone(), Some(&one));
    assert_eq!(may(&after, 0.0), [B, C]);
    left_out.learn(vec![B, C]);
    left_out.learn(vec![A, B, C]);
    assert_eq!(may(&after, 0.0), [A, B, C]);
}
