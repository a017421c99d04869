//! What is ready at one moment leaves together: one write of the journal for
//! many proofs, and whoever waits at the other ends is woken once for many
//! messages rather than once for each.

use std::future::poll_fn;
use std::task::Poll;

/// Ready when all tasks that are ready now have had a turn. No system call,
/// and no timer: a worker without other work goes on at once.
pub(super) async fn others_first() {
    let mut had_theirs = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut had_theirs, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[tokio::test]
    async fn whoever_is_ready_now_goes_first_and_then_all_go_on_in_order() {
        let went = Arc::new(Mutex::new(Vec::new()));
        let one = |name: &'static str| {
            let went = went.clone();
            tokio::spawn(async move {
                went.lock().unwrap().push((name, "comes"));
                others_first().await;
                went.lock().unwrap().push((name, "goes"));
            })
        };
        let (a, b) = (one("a"), one("b"));
        a.await.unwrap();
        b.await.unwrap();
        let expected = [("a", "comes"), ("b", "comes"), ("a", "goes"), ("b", "goes")];
        assert_eq!(*went.lock().unwrap(), expected);
    }
}
