//! A panic while one request is answered ends that request, and nothing else.
//!
//! What the request held – its place, its app's place, its record – is dropped
//! as the stack unwinds or is kept by whoever asks here; locks that were held
//! are taken over as they are (each guards what no panic leaves half changed).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

const _: () = assert!(
    cfg!(panic = "unwind"),
    "a panic must end one request, not the process"
);

/// It panicked. What it said may hold what a stranger sent, and is not kept;
/// an event tells the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panicked;

/// Polls `future` to its end, or to its panic; it must not be polled thereafter.
pub(super) async fn catch<F: Future>(mut future: Pin<&mut F>) -> Result<F::Output, Panicked> {
    std::future::poll_fn(move |cx| match poll(|| future.as_mut().poll(cx)) {
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}

/// Calls `once`, whose subject is thrown away if it panics: nobody sees it half changed.
pub(super) fn poll<T>(once: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(once)).map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_future_ends_with_its_output_or_its_panic() {
        assert_eq!(catch(pin!(async { 1 })).await, Ok(1));
        let (sender, receiver) = oneshot::channel::<()>();
        drop(sender);
        let panics = async {
            tokio::task::yield_now().await;
            receiver.await.expect("nobody sends");
        };
        assert_eq!(catch(pin!(panics)).await, Err(Panicked));
    }

    #[test]
    fn what_a_panic_held_is_dropped() {
        let held = std::sync::Arc::new(());
        let holds = held.clone();
        let panicked = poll(|| {
            assert_eq!(std::sync::Arc::strong_count(&holds), 1, "on purpose");
            drop(holds);
        });
        assert_eq!(panicked, Err(Panicked));
        assert_eq!(std::sync::Arc::strong_count(&held), 1);
    }
}
