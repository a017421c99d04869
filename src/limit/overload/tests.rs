use super::*;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use tokio::task::JoinHandle;
use tokio::time::{advance, sleep};

const ALL: usize = 0;
const CAPPED: usize = 1;
const HEALTH: usize = 2;
/// Reserved, with room for one.
const PROBE: usize = 3;
const WAIT: Duration = Duration::from_millis(500);

fn settings(in_flight: u32, queue: u32) -> Settings {
    Settings {
        in_flight,
        queue,
        queue_timeout: WAIT,
        reserve: 2,
    }
}

fn overload(settings: Settings, before: Option<&Overload>) -> Overload {
    capped_at(Some(1), settings, before)
}

fn capped_at(cap: Option<u32>, settings: Settings, before: Option<&Overload>) -> Overload {
    let route = |name: &str, in_flight, reserved| RouteCap {
        name: name.into(),
        in_flight,
        reserved,
        public: false,
    };
    let routes = vec![
        route("all", None, false),
        route("capped", cap, false),
        route("health", None, true),
        route("probe", Some(1), true),
    ];
    Overload::new(settings, routes, before)
}

/// One worker before the caps.
#[derive(Clone)]
struct Worker {
    overload: Arc<Overload>,
    gate: Arc<WorkerGate>,
}

impl Worker {
    fn new(settings: Settings) -> Self {
        Self {
            overload: Arc::new(overload(settings, None)),
            gate: WorkerGate::new(&Arc::default()),
        }
    }

    fn seat(&self, route: usize) -> Option<Seat> {
        self.seat_for(Who::Proven, route)
    }

    fn seat_for(&self, who: Who, route: usize) -> Option<Seat> {
        self.overload.seat(&self.gate, route, who)
    }

    async fn come(&self, route: usize) -> Result<Seat, Overloaded> {
        self.come_as(Who::Proven, route).await
    }

    async fn come_as(&self, who: Who, route: usize) -> Result<Seat, Overloaded> {
        match self.seat_for(who, route) {
            Some(seat) => Ok(seat),
            None => self.overload.wait(&self.gate, route, who).await,
        }
    }

    /// Comes, and stands in line by the time this returns.
    async fn line_up(&self, route: usize) -> JoinHandle<Result<Seat, Overloaded>> {
        self.line_up_as(Who::Proven, route).await
    }

    async fn line_up_as(&self, who: Who, route: usize) -> JoinHandle<Result<Seat, Overloaded>> {
        let worker = self.clone();
        let waits = tokio::spawn(async move { worker.come_as(who, route).await });
        tokio::task::yield_now().await;
        waits
    }

    /// Other caps come into force.
    fn reload(&mut self, cap: Option<u32>) {
        let settings = self.overload.settings;
        self.overload = Arc::new(capped_at(cap, settings, Some(&self.overload)));
    }

    fn counts(&self) -> (u32, u32) {
        let gate = &self.gate.gate;
        (gate.inside(), gate.waiting())
    }
}

#[test]
fn there_is_room_for_as_many_as_may_be_and_no_more() {
    let worker = Worker::new(settings(2, 1));
    let seats: Vec<_> = (0..3).map(|_| worker.seat(ALL)).collect();
    assert_eq!(
        [true, true, false],
        [0, 1, 2].map(|at: usize| seats[at].is_some())
    );
    drop(seats);
    assert_eq!(worker.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_came_last_goes_first_and_the_oldest_is_refused_when_the_line_is_full() {
    let worker = Worker::new(settings(1, 2));
    let seat = worker.seat(ALL).unwrap();
    let oldest = worker.line_up(ALL).await;
    let middle = worker.line_up(ALL).await;
    let newest = worker.line_up(ALL).await;
    assert_eq!(oldest.await.unwrap().unwrap_err(), Overloaded::Displaced);
    assert_eq!(worker.counts(), (1, 2));
    drop(seat);
    let seat = newest.await.unwrap().unwrap();
    assert!(!middle.is_finished());
    drop(seat);
    drop(middle.await.unwrap().unwrap());
    assert_eq!(worker.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_wait_has_an_end() {
    let worker = Worker::new(settings(1, 2));
    let _seat = worker.seat(ALL).unwrap();
    let waits = worker.line_up(ALL).await;
    advance(WAIT).await;
    assert_eq!(waits.await.unwrap().unwrap_err(), Overloaded::TooLong);
    assert_eq!(worker.counts(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_leaves_the_line_and_takes_no_place_along() {
    let worker = Worker::new(settings(1, 3));
    let seat = worker.seat(ALL).unwrap();
    let stays = worker.line_up(ALL).await;
    let goes = worker.line_up(ALL).await;
    let called = worker.line_up(ALL).await;
    goes.abort();
    assert!(goes.await.unwrap_err().is_cancelled());
    assert_eq!(worker.counts(), (1, 2));
    // It is called, and gone before it hears of it.
    called.abort();
    drop(seat);
    assert!(called.await.unwrap_err().is_cancelled());
    drop(stays.await.unwrap().unwrap());
    assert_eq!(worker.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_full_route_keeps_nobody_else_out() {
    let worker = Worker::new(settings(2, 2));
    let own = worker.seat(CAPPED).unwrap();
    assert!(worker.seat(CAPPED).is_none());
    let waits = worker.line_up(CAPPED).await;
    assert_eq!(worker.overload.waiting(), 1);
    assert_eq!(worker.counts(), (1, 0));
    let other = worker.seat(ALL).unwrap();
    drop(own);
    // Its route has room, and the other has a place less than it needs: none.
    drop(waits.await.unwrap().unwrap());
    drop(other);
    assert_eq!((worker.counts(), worker.overload.waiting()), ((0, 0), 0));
}

#[tokio::test(start_paused = true)]
async fn a_route_with_room_waits_for_the_place_among_all() {
    let worker = Worker::new(settings(1, 2));
    let other = worker.seat(ALL).unwrap();
    let waits = worker.line_up(CAPPED).await;
    assert_eq!((worker.counts(), worker.overload.waiting()), ((1, 1), 0));
    drop(other);
    drop(waits.await.unwrap().unwrap());
    assert_eq!(worker.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_reserve_is_for_reserved_routes_which_do_not_wait() {
    let worker = Worker::new(settings(1, 1));
    let _all = worker.seat(ALL).unwrap();
    let _reserve = [worker.seat(HEALTH).unwrap(), worker.seat(HEALTH).unwrap()];
    assert!(worker.seat(ALL).is_none());
    let refused = worker.come(HEALTH).await.unwrap_err();
    assert_eq!(refused, Overloaded::NoReserve);
}

#[tokio::test(start_paused = true)]
async fn a_reserved_route_that_is_full_itself_says_so() {
    let worker = Worker::new(settings(1, 1));
    let _own = worker.seat(PROBE).unwrap();
    let refused = worker.come(PROBE).await.unwrap_err();
    assert_eq!(refused, Overloaded::RouteFull);
    assert!(worker.seat(HEALTH).is_some(), "the reserve has room");
}

#[test]
fn what_is_in_flight_counts_after_a_reload() {
    let mut worker = Worker::new(settings(2, 1));
    let held = worker.seat(CAPPED).unwrap();
    let after = overload(settings(1, 1), Some(&worker.overload));
    worker.overload = Arc::new(after);
    assert!(worker.seat(CAPPED).is_none(), "the route's cap");
    assert!(worker.seat(ALL).is_none(), "the cap over all, now lower");
    drop(held);
    assert!(worker.seat(CAPPED).is_some());
}

#[test]
fn a_cap_that_was_away_still_counts_what_it_had_let_in_and_nothing_of_meanwhile() {
    let mut worker = Worker::new(settings(9, 1));
    let held = worker.seat(CAPPED).unwrap();
    worker.reload(None);
    let meanwhile = [worker.seat(CAPPED).unwrap(), worker.seat(CAPPED).unwrap()];
    worker.reload(None);
    worker.reload(Some(1));
    assert!(worker.seat(CAPPED).is_none(), "it forgot who is inside");
    drop(held);
    let own = worker.seat(CAPPED).unwrap();
    assert!(worker.seat(CAPPED).is_none());
    drop((own, meanwhile));
    assert_eq!(worker.counts(), (0, 0));
}

#[test]
fn a_cap_that_is_gone_is_forgotten_once_nobody_is_inside() {
    let mut worker = Worker::new(settings(9, 1));
    let held = worker.seat(CAPPED).unwrap();
    for _ in 0..3 {
        worker.reload(None);
        assert_eq!(worker.overload.parted.len(), 1);
    }
    drop(held);
    worker.reload(None);
    assert!(worker.overload.parted.is_empty());
}

#[test]
fn callers_that_are_not_proven_leave_half_of_the_places_to_those_that_are() {
    let worker = Worker::new(settings(5, 1));
    let strangers: Vec<_> = (0..9)
        .map_while(|_| worker.seat_for(Who::Unproven, ALL))
        .collect();
    assert_eq!(strangers.len(), 2);
    let proven: Vec<_> = (0..9).map_while(|_| worker.seat(ALL)).collect();
    assert_eq!(proven.len(), 3);
    // A health check needs no proof, and has the reserve all the same.
    let reserve: Vec<_> = (0..9)
        .map_while(|_| worker.seat_for(Who::Unproven, HEALTH))
        .collect();
    assert_eq!(reserve.len(), 2);
    drop((strangers, proven, reserve));
    let proven: Vec<_> = (0..9).map_while(|_| worker.seat(ALL)).collect();
    assert_eq!(proven.len(), 5, "nobody else is there");
    drop(proven);
    assert_eq!(worker.counts(), (0, 0));
    assert_eq!(worker.overload.unproven.inside(), 0);
}

#[test]
fn where_there_is_one_place_anybody_may_have_it() {
    let worker = Worker::new(settings(1, 1));
    assert!(worker.seat_for(Who::Unproven, ALL).is_some());
}

#[tokio::test(start_paused = true)]
async fn callers_that_are_not_proven_wait_for_each_other_and_keep_nobody_else_out() {
    let worker = Worker::new(settings(4, 2));
    let held = [ALL, ALL].map(|route| worker.seat_for(Who::Unproven, route).unwrap());
    let waits = worker.line_up_as(Who::Unproven, ALL).await;
    assert_eq!((worker.counts(), worker.overload.waiting()), ((2, 0), 1));
    drop(worker.seat(ALL).unwrap());
    assert!(!waits.is_finished(), "that was none of theirs");
    drop(held);
    drop(waits.await.unwrap().unwrap());
    let held = [ALL, ALL].map(|route| worker.seat_for(Who::Unproven, route).unwrap());
    let waits = worker.line_up_as(Who::Unproven, ALL).await;
    advance(WAIT).await;
    let refused = waits.await.unwrap().unwrap_err();
    assert_eq!(refused, Overloaded::UnprovenFull);
    drop(held);
    assert_eq!((worker.counts(), worker.overload.waiting()), ((0, 0), 0));
}

#[test]
fn who_is_not_proven_still_counts_after_a_reload() {
    let mut worker = Worker::new(settings(4, 1));
    let _held = [ALL, ALL].map(|route| worker.seat_for(Who::Unproven, route).unwrap());
    worker.reload(None);
    assert!(worker.seat_for(Who::Unproven, ALL).is_none());
    assert!(worker.seat(ALL).is_some());
}

#[test]
fn where_every_route_is_public_no_place_is_kept_for_others() {
    let route = RouteCap {
        name: "all".into(),
        in_flight: None,
        reserved: false,
        public: true,
    };
    let overload = Overload::new(settings(4, 1), vec![route], None);
    let gate = WorkerGate::new(&Arc::default());
    let seats: Vec<_> = (0..9)
        .map_while(|_| overload.seat(&gate, ALL, Who::Unproven))
        .collect();
    assert_eq!(seats.len(), 4);
}

/// A backend that takes a fixed time, and four times the load that the cap
/// lets it have. All of it in a time that stands still unless everybody waits.
#[tokio::test(start_paused = true)]
async fn under_four_times_the_load_those_who_pass_wait_no_longer_than_the_queue_allows() {
    const CAP: u32 = 10;
    const TAKES: Duration = Duration::from_millis(100);
    const ROUNDS: usize = 400;
    let limits = Settings {
        queue_timeout: TAKES,
        ..settings(CAP, 20)
    };
    let worker = Worker::new(limits);
    let slowest = Arc::new(AtomicUsize::new(0));
    let mut asked = Vec::new();
    for round in 0..ROUNDS {
        let (worker, slowest) = (worker.clone(), slowest.clone());
        asked.push(tokio::spawn(async move {
            let health = worker.seat(HEALTH).is_some();
            let start = Instant::now();
            let seat = worker.come(ALL).await;
            if seat.is_ok() {
                sleep(TAKES).await;
                let took = start.elapsed().as_millis() as usize;
                slowest.fetch_max(took, SeqCst);
            }
            (health, seat.is_ok())
        }));
        // Four times as many as ten in 100 ms.
        if round % 4 == 3 {
            advance(TAKES / CAP).await;
        }
    }
    let mut passed = 0;
    for one in asked {
        let (health, seat) = one.await.unwrap();
        assert!(health, "a health check finds room at any time");
        passed += usize::from(seat);
    }
    // As many as the backend can take in that time, within one round of them.
    let capacity = ROUNDS / 4;
    assert!(
        passed >= capacity && passed <= capacity + 2 * CAP as usize,
        "{passed}"
    );
    let twice = 2 * TAKES.as_millis() as usize;
    assert!(slowest.load(SeqCst) <= twice, "{slowest:?}");
    assert_eq!(worker.counts(), (0, 0));
}

/// Workers on threads of their own free each other's places: nobody is
/// forgotten, and there are never too many.
#[test]
fn on_many_threads_nobody_is_forgotten_and_there_are_never_too_many() {
    const THREADS: usize = 8;
    const TASKS: usize = 8;
    const TURNS: usize = 200;
    const CAP: u32 = 3;
    let gate: Arc<Gate> = Arc::default();
    let limits = Settings {
        in_flight: CAP,
        queue: (THREADS * TASKS) as u32,
        // Whoever is forgotten waits so long, and fails the test.
        queue_timeout: Duration::from_secs(30),
        reserve: 1,
    };
    let overload = Arc::new(overload(limits, None));
    let (inside, passed) = (AtomicU32::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let worker = Worker {
                    overload: overload.clone(),
                    gate: WorkerGate::new(&gate),
                };
                let turns = async |route: usize| {
                    for _ in 0..TURNS {
                        let seat = worker.come(route).await.unwrap();
                        assert!(inside.fetch_add(1, SeqCst) < CAP);
                        tokio::task::yield_now().await;
                        inside.fetch_sub(1, SeqCst);
                        drop(seat);
                        passed.fetch_add(1, SeqCst);
                    }
                };
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let both = |_| async { tokio::join!(turns(ALL), turns(CAPPED)) };
                    tokio::join!(both(0), both(1), both(2), both(3));
                });
            });
        }
    });
    assert_eq!(passed.into_inner(), THREADS * TASKS * TURNS);
    assert_eq!((gate.inside(), gate.waiting()), (0, 0));
    assert_eq!(overload.waiting(), 0);
}
