use super::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::{Instant, advance};

const SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
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
            source.known.keys().ask_for_test();
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
    source.known.keys().ask_for_test();
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
    source.known.keys().ask_for_test();
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
async fn whoever_begins_anew_keeps_the_pause_too() {
    let (source, asked) = (source(), Arc::<Asked>::default());
    for _ in 0..20 {
        let task = asked.keep(&source);
        source.known.keys().ask_for_test();
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
    for bad in ["", "{}", r#"{"keys":[]}"#, "<html>"] {
        source.take(Ok(bad.as_bytes().to_vec()), &clock);
    }
    assert_eq!(source.known.counts(), (1, 4));
    assert!(Arc::ptr_eq(&set, &source.known.keys().current()));
}
