//! The guard of HTTP/2 connections: it follows the frames of any bytes as a plain reader does that has
//! them whole, however they arrive, and ends a flood at one and the same place of it.
//! The first byte of an input says how often the rest comes.

use portcullis::server::{Heard, heard};
use tokio::runtime::{Builder, Runtime};

/// Bytes of the connection's preface, and of a frame's head (RFC 9113, sections 3.4 and 4.1).
const PREFACE: usize = 24;
const HEAD: usize = 9;
/// Frames besides bytes of bodies in one second that nothing explains.
const FRAMES: usize = 4_000;
/// Bytes of a connection: more would only be slow.
const MAX_LENGTH: usize = 256 * 1024;

/// What must hold of any bytes.
pub(super) fn check(bytes: &[u8]) {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
    }
    let Some((times, rest)) = bytes.split_first() else {
        return;
    };
    let times = usize::from(*times) + 1;
    let mut all = vec![0; PREFACE];
    all.extend(
        rest.iter()
            .cycle()
            .take((times * rest.len()).min(MAX_LENGTH)),
    );
    let expected = read(&all);
    // The clock stands still: all of it is of one second.
    RUNTIME.with(|runtime| {
        let _guard = runtime.enter();
        for step in [1, 7, HEAD, 4_096, all.len()] {
            assert_eq!(heard(&all, step), expected, "in steps of {step}");
        }
    });
}

/// What a reader makes of it that has all of it and keeps nothing between two frames.
fn read(all: &[u8]) -> Heard {
    let mut heard = Heard {
        through: all.len(),
        is_flooded: false,
        windows: (65_535, 65_535),
        heads: 0,
        is_within_head: false,
    };
    let (mut frames, mut newest) = (0, 0);
    let mut rest = all.get(PREFACE..).unwrap_or_default();
    while let Some((head, behind)) = rest.split_at_checked(HEAD) {
        let length = number(&head[..3]);
        let (kind, flags, stream) = (head[3], head[4], &head[5..]);
        // The end of a body, and what brings nothing of one, count too.
        frames += usize::from(kind != 0 || length == 0 || flags & 1 == 1);
        heard.is_flooded = frames == FRAMES;
        let number_of_stream = number(stream) & 0x7fff_ffff;
        if kind == 1 && number_of_stream > newest {
            newest = number_of_stream;
            heard.heads += 1;
        }
        let here = behind.len().min(length);
        let (payload, behind) = behind.split_at(here);
        rest = behind;
        heard.is_within_head = [1, 9].contains(&kind) && (here < length || flags & 4 == 0);
        match kind {
            4 => {
                for setting in payload.chunks_exact(6) {
                    if setting[..2] == [0, 4] {
                        heard.windows.0 = number(&setting[2..]) as u64;
                    }
                }
            }
            8 if stream == [0; 4] => {
                for more in payload.chunks_exact(4) {
                    heard.windows.1 += number(more) as u64 & 0x7fff_ffff;
                }
            }
            _ => {}
        }
        if heard.is_flooded {
            // It ends behind the frame that is one too many.
            heard.through = all.len() - rest.len();
            break;
        }
    }
    heard
}

fn number(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}
