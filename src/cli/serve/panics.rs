//! What is told of a panic: its place, and nothing of what it says, which may
//! hold what a stranger sent.

use std::panic::{PanicHookInfo, set_hook};

/// Makes every panic of this process an event with its place.
pub(super) fn tell_the_place_only() {
    set_hook(Box::new(tell));
}

fn tell(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string);
    let current = std::thread::current();
    tracing::error!(
        at = at.as_deref(),
        thread = current.name(),
        "a panic: please report it"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::panic::{catch_unwind, take_hook};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<u8>>>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_place_of_a_panic_is_told_and_not_what_it_says() {
        let told = Told::default();
        let sink = told.clone();
        let events = tracing_subscriber::fmt()
            .json()
            .with_writer(move || sink.clone())
            .finish();
        // Other tests run on other threads, and keep their own words.
        let (before, here) = (take_hook(), std::thread::current().id());
        set_hook(Box::new(move |panic| {
            if std::thread::current().id() == here {
                tell(panic);
            } else {
                before(panic);
            }
        }));
        tracing::subscriber::with_default(events, || {
            let panicked = catch_unwind(|| panic!("a stranger's {}", "secret"));
            assert!(panicked.is_err());
        });
        let told = String::from_utf8(told.0.lock().unwrap().clone()).unwrap();
        assert!(told.contains("src/cli/serve/panics.rs:"), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
}
