//! The load: connections that each send the next request once they have the whole answer.

use super::link::Link;
use super::sign::Prepared;
use std::net::SocketAddr;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// One thread, for callers and origin alike.
pub(crate) struct Load {
    pub(crate) runtime: Runtime,
    pub(crate) origin: SocketAddr,
}

impl Load {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let origin = runtime.block_on(super::origin::start());
        Self { runtime, origin }
    }

    /// Each connection sends its share; every answer has one of `statuses`. Where it `stays_awake`
    /// the thread asks what there is to do again and again, and whoever sends has nobody to wake.
    pub(crate) fn send(
        &self,
        links: Vec<Link>,
        shares: Vec<Vec<Prepared>>,
        streams: usize,
        statuses: &'static [u16],
        whose: &'static str,
        stays_awake: bool,
    ) -> Vec<Link> {
        self.runtime.block_on(async {
            let awake = stays_awake.then(|| tokio::spawn(stay_awake()));
            let mut turns = JoinSet::new();
            for (mut link, share) in links.into_iter().zip(shares) {
                turns.spawn(async move {
                    let mut told = |status| {
                        assert!(
                            statuses.contains(&status),
                            "{status} in place of {statuses:?} by {whose}: {}",
                            share
                                .first()
                                .map_or("".into(), |first| String::from_utf8_lossy(&first.head))
                        );
                    };
                    link.converse(&share, streams, &mut told)
                        .await
                        .expect("it answers");
                    link
                });
            }
            let links = turns.join_all().await;
            if let Some(awake) = awake {
                awake.abort();
            }
            links
        })
    }
}

async fn stay_awake() {
    loop {
        tokio::task::yield_now().await;
    }
}
