use super::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::{Instant, advance};

const SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
/// A key for another algorithm, and the same one beside that of [`SET`].
const OTHER: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"b","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}]}"#;
const BOTH: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},{"kty":"EC","crv":"P-256","kid":"b","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}]}"#;
const MINUTE: Duration = Duration::from_mins(1);

fn source() -> Source {
    Source::new(Settings {
        name: "i".into(),
        place: Place::read("http://127.0.0.1:9/keys").unwrap(),
        tls: None,
        algorithms: vec![Algorithm::Ed25519],
        refresh: 60 * MINUTE,
        cooldown: MINUTE,
        stale: 24 * 60 * MINUTE,
    })
}

/// What an issuer was asked, and when.
#[derive(Default)]
struct Asked {
    times: AtomicUsize,
    at: Mutex<Vec<Duration>>,
    is_down: std::sync::atomic::AtomicBool,
}

impl Asked {
    fn count(&self) -> usize {
        self.times.load(Ordering::Relaxed)
    }

    /// Keeps the keys of `source` as a gateway does.
    fn keep(self: &Arc<Self>, source: &Source) -> tokio::task::JoinHandle<()> {
        let (asked, source, start) = (self.clone(), source.clone(), Instant::now());
        tokio::spawn(async move {
            let (clock, _hand) = Clock::by_hand(1_000);
            keep(&source, &clock, || async {
                asked.times.fetch_add(1, Ordering::Relaxed);
                asked.at.lock().unwrap().push(start.elapsed());
                if asked.is_down.load(Ordering::Relaxed) {
                    return Err("it is down".to_owned());
                }
                Ok(SET.as_bytes().to_vec())
            })
            .await;
        })
    }
}

async fn pass(time: Duration) {
    // In steps, so that whoever wakes goes to sleep again within them.
    for _ in 0..time.as_secs() {
        advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_questions_reaches_an_issuer_once_in_its_cooldown() {
    let (source, asked) = (source(), Arc::<Asked>::default());
    let task = asked.keep(&source);
    pass(Duration::from_secs(1)).await;
    assert_eq!(asked.count(), 1);
    for _ in 0..600 {
        for _ in 0..100 {
            source.known.keys().ask();
        }
        pass(Duration::from_secs(1)).await;
    }
    // Ten minutes: one at the start, and one for each minute.
    assert!((10..=11).contains(&asked.count()), "{}", asked.count());
    let at = asked.at.lock().unwrap().clone();
    assert!(at.windows(2).all(|two| two[1] >= two[0] + MINUTE), "{at:?}");
    // The same keys: no token is verified again for it.
    assert_eq!(source.known.counts().0, asked.count() as u64);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_at_the_start_at_a_question_and_when_it_is_time() {
    let (source, asked) = (source(), Arc::<Asked>::default());
    let task = asked.keep(&source);
    pass(30 * MINUTE).await;
    assert_eq!(asked.count(), 1);
    source.known.keys().ask();
    pass(Duration::from_secs(2)).await;
    assert_eq!(asked.count(), 2);
    pass(59 * MINUTE).await;
    assert_eq!(asked.count(), 2);
    pass(2 * MINUTE).await;
    assert_eq!(asked.count(), 3);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn what_is_known_stays_while_an_issuer_is_down_and_pauses_grow() {
    let (source, asked) = (source(), Arc::<Asked>::default());
    let task = asked.keep(&source);
    pass(Duration::from_secs(1)).await;
    let set = source.known.keys().current();
    assert_eq!(set.len(), 1);
    asked.is_down.store(true, Ordering::Relaxed);
    source.known.keys().ask();
    pass(130 * MINUTE).await;
    let at = asked.at.lock().unwrap().clone();
    let minutes: Vec<u64> = at
        .windows(2)
        .map(|two| two[1].as_secs() / 60 - two[0].as_secs() / 60)
        .collect();
    assert_eq!(
        minutes,
        [1, 1, 2, 4, 8, 16, 32, 60][..minutes.len()],
        "{at:?}"
    );
    assert!(Arc::ptr_eq(&set, &source.known.keys().current()));
    assert!(source.known.counts().1 > 4);
    // Back again: at the next try, and then as ever.
    asked.is_down.store(false, Ordering::Relaxed);
    pass(61 * MINUTE).await;
    assert_eq!(source.known.last_try().unwrap().1, 0);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_back_is_asked_soon_where_there_are_no_keys() {
    let (source, asked) = (source(), Arc::<Asked>::default());
    asked.is_down.store(true, Ordering::Relaxed);
    let task = asked.keep(&source);
    pass(35 * MINUTE).await;
    let at = asked.at.lock().unwrap().clone();
    let within = |two: &[Duration]| (MINUTE..=6 * MINUTE).contains(&two[1].abs_diff(two[0]));
    assert!(at.windows(2).all(within), "{at:?}");
    asked.is_down.store(false, Ordering::Relaxed);
    pass(6 * MINUTE).await;
    assert_eq!(source.known.keys().current().len(), 1);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn whoever_lacks_a_key_and_whoever_reloads_is_heard_after_failures_too() {
    for tries_again in [true, false] {
        let (source, asked) = (source(), Arc::<Asked>::default());
        let task = asked.keep(&source);
        pass(Duration::from_secs(1)).await;
        // Nothing has failed yet.
        source.try_again();
        pass(2 * MINUTE).await;
        assert_eq!(asked.count(), 1);
        asked.is_down.store(true, Ordering::Relaxed);
        source.known.keys().ask();
        // The pause has grown to half an hour.
        pass(40 * MINUTE).await;
        asked.is_down.store(false, Ordering::Relaxed);
        let before = asked.count();
        if tries_again {
            source.try_again();
        } else {
            source.known.keys().ask();
        }
        pass(Duration::from_secs(2)).await;
        assert_eq!(asked.count(), before + 1);
        assert_eq!(source.known.last_try().unwrap().1, 0);
        task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_questions_reaches_an_issuer_that_is_down_once_in_its_cooldown() {
    let (source, asked) = (source(), Arc::<Asked>::default());
    asked.is_down.store(true, Ordering::Relaxed);
    let task = asked.keep(&source);
    for _ in 0..600 {
        source.known.keys().ask();
        source.try_again();
        pass(Duration::from_secs(1)).await;
    }
    let at = asked.at.lock().unwrap().clone();
    assert!(at.windows(2).all(|two| two[1] >= two[0] + MINUTE), "{at:?}");
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn whoever_begins_anew_keeps_the_pause_too() {
    let (source, asked) = (source(), Arc::<Asked>::default());
    for _ in 0..20 {
        let task = asked.keep(&source);
        source.known.keys().ask();
        pass(Duration::from_secs(1)).await;
        task.abort();
    }
    assert_eq!(asked.count(), 1);
}

#[test]
fn what_is_no_key_set_counts_as_a_failure_and_changes_nothing() {
    let (source, (clock, _hand)) = (source(), Clock::by_hand(1_000));
    source.take(Ok(SET.as_bytes().to_vec()), &clock);
    let set = source.known.keys().current();
    let many = format!("{{\"keys\":[{}1]}}", "1,".repeat(64));
    for bad in ["", "{}", r#"{"keys":1}"#, "<html>", &many] {
        source.take(Ok(bad.as_bytes().to_vec()), &clock);
    }
    assert_eq!(source.known.counts(), (1, 5));
    assert!(Arc::ptr_eq(&set, &source.known.keys().current()));
}

#[test]
fn a_key_that_its_issuer_no_longer_lists_ends_though_no_other_can_be_used() {
    for set in [r#"{"keys":[]}"#, OTHER] {
        let (source, (clock, _hand)) = (source(), Clock::by_hand(1_000));
        source.take(Ok(SET.as_bytes().to_vec()), &clock);
        source.take(Ok(set.as_bytes().to_vec()), &clock);
        let keys = source.known.keys();
        assert!(keys.current().is_empty() && keys.are_stale(1_000));
        assert_eq!(source.known.counts(), (1, 1));
        source.take(Ok(SET.as_bytes().to_vec()), &clock);
        assert_eq!(keys.current().len(), 1);
    }
}

#[test]
fn keys_of_one_place_go_on_however_they_are_fetched_and_whatever_they_are_for() {
    let (before, (clock, _hand)) = (source(), Clock::by_hand(1_000));
    before.take(Ok(BOTH.as_bytes().to_vec()), &clock);
    before.known.begin();
    let follow = |algorithms: &[Algorithm]| {
        let mut after = source();
        after.settings.algorithms = algorithms.to_vec();
        assert!(after.is_of_same_keys(&before));
        after.follow(&before);
        after
    };
    let same = follow(&[Algorithm::Ed25519]);
    assert!(Arc::ptr_eq(&same.known, &before.known));
    let more = follow(&[Algorithm::Ed25519, Algorithm::EcdsaP256Sha256]);
    assert_eq!(more.known.keys().current().len(), 2);
    assert_eq!(more.known.keys().fetched_at(), Some(1_000));
    assert_eq!(more.known.counts(), (1, 0));
    // It is not tried yet, and as long as the configuration is not in force nothing else changes.
    assert!(more.known.last_try().is_none());
    assert_eq!(before.known.keys().current().len(), 1);
    let none = follow(&[Algorithm::RsaV15Sha256]);
    assert!(none.known.keys().current().is_empty());
    let mut elsewhere = source();
    elsewhere.settings.place = Place::read("http://127.0.0.1:9/others").unwrap();
    assert!(!elsewhere.is_of_same_keys(&before));
}

#[tokio::test(start_paused = true)]
async fn how_long_keys_stay_is_what_the_last_reload_says_though_nothing_can_be_fetched() {
    let (before, (clock, _hand)) = (source(), Clock::by_hand(1_000));
    before.take(Ok(BOTH.as_bytes().to_vec()), &clock);
    let asked = Arc::<Asked>::default();
    asked.is_down.store(true, Ordering::Relaxed);
    for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256Sha256] {
        for stale in [60, 60 * 60 * 24 * 7] {
            let mut after = source();
            after.settings.stale = Duration::from_secs(stale);
            after.settings.algorithms = vec![algorithm];
            after.follow(&before);
            let task = asked.keep(&after);
            pass(Duration::from_secs(1)).await;
            let (keys, end) = (after.known.keys(), 1_000 + i64::try_from(stale).unwrap());
            assert!(!keys.are_stale(end - 1) && keys.are_stale(end), "{stale}");
            task.abort();
        }
    }
    // What its issuer has taken back does not come again.
    before.known.keys().withdraw();
    let task = asked.keep(&before);
    pass(Duration::from_secs(1)).await;
    assert!(before.known.keys().are_stale(1_000));
    task.abort();
}

#[test]
fn a_set_that_came_is_printed_nowhere() {
    let (source, (clock, _hand)) = (source(), Clock::by_hand(1_000));
    source.take(Ok(SET.as_bytes().to_vec()), &clock);
    let (text, bytes) = (format!("{source:?}"), format!("{:?}", &SET.as_bytes()[..8]));
    assert!(!text.contains(bytes.trim_end_matches(']')), "{text}");
}
