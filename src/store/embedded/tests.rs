use super::format::{FIRST_SLOT, SEAL_AT, SLOT, UNCOUNTED};
use super::*;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;
use tempfile::TempDir;

const NOW: i64 = 1_700_000_000;
const THIS_BOOT: Boot = [1; 16];
const NEXT_BOOT: Boot = [2; 16];
/// How long a proof is good for in these tests.
const LIFE: i64 = 360;
const SKEW: i64 = 30;

/// On a clock that never steps.
fn at(second: i64) -> Now {
    stepped(second, second)
}

/// On a wall clock that may have stepped, and one that never does.
fn stepped(wall: i64, monotonic: i64) -> Now {
    let [wall, monotonic] = [wall, monotonic].map(|second| Duration::from_secs(second as u64));
    Now::new(wall, monotonic)
}

fn settings(directory: &TempDir) -> Settings {
    Settings {
        directory: directory.path().join("state"),
        proofs: 100_000,
        retention: Duration::from_secs(LIFE as u64),
        skew: Duration::from_secs(SKEW as u64),
    }
}

/// What a process opens. Dropping it is what `kill -9` does: the lock goes, nothing is sealed.
fn open(directory: &TempDir, boot: Boot, now: i64) -> (Shared, Opened) {
    Shared::open(&settings(directory), boot, at(now)).unwrap()
}

/// Where none was before.
fn opened() -> (TempDir, Shared) {
    let directory = TempDir::new().unwrap();
    let (proofs, _) = open(&directory, THIS_BOOT, NOW);
    (directory, proofs)
}

fn id(number: u64) -> ProofId {
    ProofId::of(&[number.to_be_bytes(), [7; 8]].concat())
}

/// Uses a proof that is made now.
fn record(proofs: &Shared, number: u64, now: i64) -> Result<(), Refused> {
    record_made(proofs, number, now, now)
}

fn record_made(proofs: &Shared, number: u64, created: i64, now: i64) -> Result<(), Refused> {
    written(
        proofs,
        proofs.record(Once::new(id(number), created, created + LIFE), at(now)),
    )
}

fn written(proofs: &Shared, recorded: Result<Recorded, Refused>) -> Result<(), Refused> {
    proofs.write_down(recorded?)
}

/// A disk that has no room.
fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

fn files(directory: &TempDir) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory.path().join("state/replay"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some())
        .collect();
    files.sort();
    files
}

fn change(path: &Path, at: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

#[test]
fn a_used_proof_is_refused_after_the_process_was_killed() {
    let (directory, proofs) = opened();
    for number in 0..1_000 {
        record(&proofs, number, NOW + 1).unwrap();
    }
    drop(proofs);

    for restart in 0..3 {
        let now = NOW + 2 + restart;
        let (proofs, opened) = open(&directory, THIS_BOOT, now);
        assert_eq!(opened.note, None);
        for number in 0..1_000 {
            let again = record_made(&proofs, number, NOW + 1, now);
            assert_eq!(again, Err(Refused::Replayed));
        }
        assert_eq!(record(&proofs, 2_000 + restart as u64, now), Ok(()));
    }
}

#[test]
fn a_proof_made_before_the_process_was_killed_and_not_used_passes() {
    let directory = TempDir::new().unwrap();
    drop(open(&directory, THIS_BOOT, NOW - 1_000));
    let (proofs, opened) = open(&directory, THIS_BOOT, NOW);
    assert_eq!((opened.floor, opened.note), (None, None));
    assert_eq!(record_made(&proofs, 1, NOW - 200, NOW), Ok(()));
}

#[test]
fn of_two_hundred_copies_one_passes() {
    let (_directory, proofs) = opened();
    let (start, passed) = (Barrier::new(200), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(|| {
                start.wait();
                match record(&proofs, 1, NOW) {
                    Ok(()) => _ = passed.fetch_add(1, Ordering::Relaxed),
                    Err(refused) => assert_eq!(refused, Refused::Replayed),
                }
            });
        }
    });
    assert_eq!(passed.into_inner(), 1);
}

#[test]
fn at_the_first_start_only_proofs_made_before_it_are_refused() {
    let directory = TempDir::new().unwrap();
    let (proofs, opened) = open(&directory, THIS_BOOT, NOW);
    assert_eq!((opened.loaded, opened.floor), (0, Some(NOW - 1)));
    assert_eq!(opened.note, None, "nothing is lost");
    let refused = record_made(&proofs, 1, NOW - 1, NOW);
    assert_eq!(refused, Err(Refused::MaybeReplayed));
    assert_eq!(record_made(&proofs, 1, NOW, NOW), Ok(()));
    drop(proofs);

    let (proofs, opened) = open(&directory, THIS_BOOT, NOW + 1);
    assert_eq!((opened.floor, opened.note), (Some(NOW - 1), None));
    let refused = record_made(&proofs, 2, NOW - 1, NOW + 1);
    assert_eq!(refused, Err(Refused::MaybeReplayed));
}

#[test]
fn wiped_files_are_a_first_start() {
    let (directory, proofs) = opened();
    record(&proofs, 1, NOW).unwrap();
    drop(proofs);
    for file in files(&directory) {
        fs::remove_file(file).unwrap();
    }
    let (proofs, opened) = open(&directory, THIS_BOOT, NOW + 5);
    assert_eq!(opened.floor, Some(NOW + 4));
    assert_eq!(
        record_made(&proofs, 1, NOW, NOW + 5),
        Err(Refused::MaybeReplayed)
    );
}

#[test]
fn where_files_were_wiped_only_what_was_made_ahead_of_the_start_passes_once_more() {
    let (directory, proofs) = opened();
    let ahead = NOW + 4 + SKEW;
    record(&proofs, 1, NOW + 4).unwrap();
    record_made(&proofs, 2, ahead, NOW + 4).unwrap();
    drop(proofs);
    for file in files(&directory) {
        fs::remove_file(file).unwrap();
    }
    let (proofs, _) = open(&directory, THIS_BOOT, NOW + 5);
    let refused = record_made(&proofs, 1, NOW + 4, NOW + 5);
    assert_eq!(refused, Err(Refused::MaybeReplayed));
    // docs/operating.md says so: it looks like one that was never used.
    assert_eq!(record_made(&proofs, 2, ahead, NOW + 5), Ok(()));
    let refused = record_made(&proofs, 2, ahead, NOW + 6);
    assert_eq!(refused, Err(Refused::Replayed));
}

#[test]
fn after_the_machine_died_what_was_made_before_is_refused() {
    let (directory, proofs) = opened();
    record(&proofs, 1, NOW + 100).unwrap();
    drop(proofs);

    let start = NOW + 150;
    let (proofs, opened) = open(&directory, NEXT_BOOT, start);
    assert_eq!(opened.floor, Some(start + SKEW));
    assert!(opened.note.unwrap().contains("machine stopped"));
    for created in [NOW + 100, start, start + SKEW] {
        let refused = record_made(&proofs, 2, created, start + 5);
        assert_eq!(refused, Err(Refused::MaybeReplayed));
    }
    assert_eq!(record(&proofs, 2, start + SKEW + 1), Ok(()));
    drop(proofs);

    let (proofs, opened) = open(&directory, NEXT_BOOT, start + 40);
    assert!(opened.floor.unwrap() >= start + SKEW);
    let refused = record_made(&proofs, 3, start, start + 40);
    assert_eq!(refused, Err(Refused::MaybeReplayed));
}

/// Where the machine died when the first of two proofs was on the disk.
fn half_lost() -> TempDir {
    let (directory, proofs) = opened();
    record(&proofs, 1, NOW + 1).unwrap();
    record(&proofs, 2, NOW + 1).unwrap();
    drop(proofs);
    let last = files(&directory).pop().unwrap();
    let file = OpenOptions::new().write(true).open(&last).unwrap();
    file.set_len(FIRST_SLOT + SLOT as u64).unwrap();
    directory
}

/// A start on a disk that has no room until what stands at the path is removed.
fn open_without_room(directory: &TempDir, boot: Boot, now: i64) -> (Shared, PathBuf) {
    let (proofs, _) = open(directory, boot, now);
    let next = proofs.journal.without_file();
    symlink("/dev/full", &next).unwrap();
    (proofs, next)
}

#[test]
fn that_the_machine_died_is_still_known_after_a_start_on_a_full_disk() {
    for is_stopped in [false, true] {
        let directory = half_lost();
        let (proofs, _) = open_without_room(&directory, NEXT_BOOT, NOW + 5);
        proofs.tend(at(NOW + 6));
        assert_eq!(files(&directory).len(), 2, "the old one, and none begun");
        if is_stopped {
            proofs.journal.close().unwrap_err();
        }
        drop(proofs);

        let (proofs, opened) = open(&directory, NEXT_BOOT, NOW + 7);
        assert_eq!(opened.floor, Some(NOW + 7 + SKEW));
        assert!(opened.note.unwrap().contains("machine stopped"));
        let refused = record_made(&proofs, 2, NOW + 1, NOW + 7);
        assert_eq!(refused, Err(Refused::MaybeReplayed));
    }
}

#[test]
fn once_there_is_room_the_new_head_tells_what_is_lost_and_old_files_are_sealed() {
    let directory = half_lost();
    let (proofs, full) = open_without_room(&directory, NEXT_BOOT, NOW + 5);
    proofs.tend(at(NOW + 6));
    assert!(!proofs.journal.is_writable());
    fs::remove_file(full).unwrap();
    proofs.tend(at(NOW + 7));
    assert!(proofs.journal.is_writable());
    drop(proofs);

    let (proofs, opened) = open(&directory, NEXT_BOOT, NOW + 8);
    assert_eq!((opened.loaded, opened.floor), (1, Some(NOW + 5 + SKEW)));
    assert_eq!(opened.note, None, "nothing more is lost");
    let refused = record_made(&proofs, 2, NOW + 1, NOW + 8);
    assert_eq!(refused, Err(Refused::MaybeReplayed));
}

/// Where the machine died a moment after a proof was used, before any was on the disk.
fn all_lost(settings: &Settings, directory: &TempDir, made: i64, used: i64) {
    let (proofs, _) = Shared::open(settings, THIS_BOOT, at(NOW)).unwrap();
    record_made(&proofs, 1, made, used).unwrap();
    drop(proofs);
    let last = files(directory).pop().unwrap();
    let file = OpenOptions::new().write(true).open(last).unwrap();
    file.set_len(FIRST_SLOT).unwrap();
}

/// A proof that is made at one moment and shown at another.
fn show(proofs: &Shared, number: u64, made: i64, now: Now) -> Result<(), Refused> {
    written(
        proofs,
        proofs.record(Once::new(id(number), made, made + LIFE), now),
    )
}

#[test]
fn a_clock_that_is_set_right_after_a_power_loss_lets_no_used_proof_pass() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let (used, start) = (NOW + 170, NOW + 180);
    all_lost(&settings, &directory, used, used);
    // The clock is behind when the machine comes up, and set right twenty seconds later.
    let (proofs, opened) = Shared::open(&settings, NEXT_BOOT, stepped(start - 1_000, 5)).unwrap();
    assert_eq!(opened.floor, Some(NOW + SKEW));
    assert!(opened.note.unwrap().contains("machine stopped"));
    for made in [used, start, start + SKEW] {
        let again = show(&proofs, 1, made, stepped(start + 20, 25));
        assert_eq!(again, Err(Refused::MaybeReplayed));
    }
    let later = SKEW + 1;
    let new = show(&proofs, 2, start + later, stepped(start + later, 5 + later));
    assert_eq!(new, Ok(()));
    let later = later + 1;
    proofs.tend(stepped(start + later, 5 + later));
    drop(proofs);

    // And that is known after the process was killed.
    let now = start + later + 1;
    let (proofs, opened) = Shared::open(&settings, NEXT_BOOT, stepped(now, 0)).unwrap();
    assert_eq!((opened.floor, opened.note), (Some(start + SKEW), None));
    let again = show(&proofs, 1, used, stepped(now, 0));
    assert_eq!(again, Err(Refused::MaybeReplayed));
    assert_eq!(show(&proofs, 3, now, stepped(now, 0)), Ok(()));
}

#[test]
fn a_clock_that_is_set_right_only_after_a_restart_lets_no_used_proof_pass_either() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let (used, start) = (NOW + 170, NOW + 180);
    all_lost(&settings, &directory, used, used);
    drop(Shared::open(&settings, NEXT_BOOT, stepped(start - 1_000, 0)).unwrap());
    let (proofs, opened) = Shared::open(&settings, NEXT_BOOT, stepped(start - 990, 0)).unwrap();
    assert_eq!((opened.floor, opened.note), (Some(NOW + SKEW), None));
    let again = show(&proofs, 1, used, stepped(start + 20, 10));
    assert_eq!(again, Err(Refused::MaybeReplayed));
    let now = start + 20 + SKEW;
    assert_eq!(show(&proofs, 2, now, stepped(now, 10 + SKEW)), Ok(()));
}

#[test]
fn a_clock_that_is_set_right_after_the_first_start_refuses_what_was_made_before_it() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let (proofs, opened) = Shared::open(&settings, THIS_BOOT, stepped(NOW - 1_000, 0)).unwrap();
    assert_eq!(opened.floor, Some(NOW - 1_001));
    let set_right = stepped(NOW + 20, 20);
    let refused = show(&proofs, 1, NOW - 1, set_right);
    assert_eq!(refused, Err(Refused::MaybeReplayed));
    assert_eq!(show(&proofs, 2, NOW, set_right), Ok(()));
}

#[test]
fn a_clock_that_was_far_ahead_for_a_while_after_a_power_loss_refuses_nothing_new_afterwards() {
    const YEAR: i64 = 365 * 24 * 3600;
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let (used, start) = (NOW + 170, NOW + 180);
    // It may have been at the start, or be later.
    for ahead in [0, YEAR] {
        all_lost(&settings, &directory, used, used);
        let at_start = stepped(start + ahead, 0);
        let (proofs, _) = Shared::open(&settings, NEXT_BOOT, at_start).unwrap();
        proofs.tend(stepped(start + YEAR + 50, 50));
        let refused = show(
            &proofs,
            2,
            start + YEAR + SKEW,
            stepped(start + YEAR + 51, 51),
        );
        assert_eq!(refused, Err(Refused::MaybeReplayed));
        proofs.tend(stepped(start + 52, 52));
        assert_eq!(
            show(&proofs, 3, start + 52, stepped(start + 52, 52)),
            Ok(())
        );
        let again = show(&proofs, 1, used, stepped(start + 53, 53));
        assert_eq!(again, Err(Refused::MaybeReplayed));
        drop(proofs);

        let now = start + 54;
        let (proofs, opened) = Shared::open(&settings, NEXT_BOOT, stepped(now, 0)).unwrap();
        assert_eq!((opened.floor, opened.note), (Some(start + SKEW), None));
        assert_eq!(show(&proofs, 4, now, stepped(now, 0)), Ok(()));
        drop(proofs);
        for file in files(&directory) {
            fs::remove_file(file).unwrap();
        }
    }
}

#[test]
fn a_restart_while_the_clock_is_far_ahead_refuses_nothing_new_once_it_is_set_right() {
    const YEAR: i64 = 365 * 24 * 3600;
    for boot in [THIS_BOOT, NEXT_BOOT] {
        let directory = TempDir::new().unwrap();
        let settings = settings(&directory);
        let (proofs, _) = Shared::open(&settings, THIS_BOOT, stepped(NOW, 0)).unwrap();
        assert_eq!(show(&proofs, 1, NOW, stepped(NOW + 1, 1)), Ok(()));
        proofs.tend(stepped(NOW + YEAR, 2));
        proofs.journal.close().unwrap();
        drop(proofs);
        let ahead = stepped(NOW + YEAR + 5, 0);
        let (proofs, _) = Shared::open(&settings, boot, ahead).unwrap();
        proofs.journal.close().unwrap();
        drop(proofs);
        // Set right, and started once more.
        let now = NOW + 10;
        let (proofs, opened) = Shared::open(&settings, boot, stepped(now, 0)).unwrap();
        assert_eq!(opened.note, None);
        let later = now + SKEW + 1;
        let shown = stepped(later, SKEW + 1);
        assert_eq!(show(&proofs, 2, later, shown), Ok(()));
        assert!(show(&proofs, 1, NOW, shown).is_err(), "it was used");
    }
}

#[test]
fn a_clock_that_is_ahead_at_a_later_boot_brings_nothing_back_once_it_is_set_right() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let (used, start) = (NOW + 170, NOW + 180);
    all_lost(&settings, &directory, used, used);
    drop(Shared::open(&settings, NEXT_BOOT, stepped(start, 5)).unwrap());
    let ahead = stepped(start + 100_000, 5);
    let (proofs, _) = Shared::open(&settings, [9; 16], ahead).unwrap();
    proofs.tend(stepped(start + 30, 35));
    let again = show(&proofs, 1, used, stepped(start + 31, 36));
    assert_eq!(again, Err(Refused::MaybeReplayed));
}

#[test]
fn what_was_used_under_a_larger_skew_is_refused_after_a_power_loss() {
    let directory = TempDir::new().unwrap();
    let larger = Settings {
        skew: Duration::from_secs(10 * SKEW as u64),
        ..settings(&directory)
    };
    let (used, start) = (NOW + 100, NOW + 150);
    let ahead = used + 10 * SKEW;
    all_lost(&larger, &directory, ahead, used);
    let (proofs, opened) = open(&directory, NEXT_BOOT, start);
    assert_eq!(opened.floor, Some(start + 10 * SKEW));
    for now in [start, ahead - SKEW, ahead] {
        let again = record_made(&proofs, 1, ahead, now);
        assert_eq!(again, Err(Refused::MaybeReplayed));
    }
    let now = start + 10 * SKEW + 1;
    assert_eq!(record(&proofs, 2, now), Ok(()));
}

#[test]
fn a_skew_that_is_changed_stands_in_the_next_head() {
    let (directory, proofs) = opened();
    let larger = Settings {
        skew: Duration::from_secs(10 * SKEW as u64),
        ..settings(&directory)
    };
    proofs.reconfigure(&larger, NOW + 1);
    proofs.tend(at(NOW + 1));
    drop(proofs);
    let (_, opened) = open(&directory, NEXT_BOOT, NOW + 2);
    assert_eq!(opened.floor, Some(NOW + 2 + 10 * SKEW));
}

#[test]
fn an_unknown_boot_is_not_taken_for_the_same() {
    let directory = TempDir::new().unwrap();
    drop(open(&directory, [0; 16], NOW));
    let (_, opened) = open(&directory, [0; 16], NOW + 10);
    assert_eq!(opened.floor, Some(NOW + 10 + SKEW));
}

#[test]
fn after_an_orderly_stop_and_a_reboot_nothing_is_lost() {
    let (directory, proofs) = opened();
    record(&proofs, 1, NOW + 1).unwrap();
    drop(proofs);
    let (proofs, _) = open(&directory, THIS_BOOT, NOW + 2);
    record(&proofs, 2, NOW + 2).unwrap();
    proofs.journal.close().unwrap();
    drop(proofs);

    let (proofs, opened) = open(&directory, NEXT_BOOT, NOW + 3);
    assert_eq!((opened.loaded, opened.note), (2, None));
    assert_eq!(
        record_made(&proofs, 1, NOW + 1, NOW + 3),
        Err(Refused::Replayed)
    );
    assert_eq!(
        record_made(&proofs, 2, NOW + 2, NOW + 3),
        Err(Refused::Replayed)
    );
    assert_eq!(record_made(&proofs, 3, NOW + 1, NOW + 3), Ok(()));
}

#[test]
fn a_file_cut_off_in_its_last_slot_is_read_up_to_it() {
    let directory = TempDir::new().unwrap();
    for cut in 1..SLOT as u64 {
        let (proofs, _) = open(&directory, THIS_BOOT, NOW);
        record(&proofs, cut * 2, NOW).unwrap();
        record(&proofs, cut * 2 + 1, NOW).unwrap();
        drop(proofs);
        let last = files(&directory).pop().unwrap();
        let file = OpenOptions::new().write(true).open(&last).unwrap();
        file.set_len(file.metadata().unwrap().len() - cut).unwrap();

        let (proofs, opened) = open(&directory, THIS_BOOT, NOW);
        assert_eq!(opened.note, None);
        assert_eq!(record(&proofs, cut * 2, NOW), Err(Refused::Replayed));
    }
}

#[test]
fn rubbish_in_the_last_slot_is_ignored_and_before_it_is_damage() {
    let (directory, proofs) = opened();
    for number in 0..3 {
        record(&proofs, number, NOW).unwrap();
    }
    drop(proofs);
    let first = files(&directory).pop().unwrap();
    change(&first, FIRST_SLOT + 2 * SLOT as u64, b"rubbish");
    let (proofs, opened) = open(&directory, THIS_BOOT, NOW + 1);
    assert_eq!((opened.loaded, opened.note), (2, None));
    drop(proofs);

    change(&first, FIRST_SLOT + SLOT as u64, b"rubbish");
    let (proofs, opened) = open(&directory, THIS_BOOT, NOW + 1);
    assert_eq!(opened.loaded, 1);
    assert_eq!(opened.floor, Some(NOW + 1 + SKEW));
    assert!(opened.note.unwrap().contains("damaged"));
    assert_eq!(record(&proofs, 9, NOW + 2), Err(Refused::MaybeReplayed));
}

/// Where three proofs were used, and all of it is on the disk and sealed.
fn sealed() -> (TempDir, PathBuf) {
    let (directory, proofs) = opened();
    for number in 0..3 {
        record(&proofs, number, NOW).unwrap();
    }
    proofs.journal.close().unwrap();
    drop(proofs);
    let file = files(&directory).pop().unwrap();
    (directory, file)
}

#[test]
fn zeros_before_the_last_slot_are_damage_and_in_a_sealed_file_in_the_last_one_too() {
    for (is_sealed, index, is_damage) in [
        (false, 1, true),
        (false, 2, false),
        (true, 1, true),
        (true, 2, true),
    ] {
        let (directory, file) = sealed();
        if !is_sealed {
            change(&file, SEAL_AT, &[0; 8]);
        }
        change(&file, FIRST_SLOT + index * SLOT as u64, &[0; SLOT]);
        let start = NOW + 1;
        let (proofs, opened) = open(&directory, THIS_BOOT, start);
        assert_eq!(opened.loaded, 2);
        assert_eq!(opened.note.is_some(), is_damage, "{is_sealed} {index}");
        if is_damage {
            assert!(opened.note.unwrap().contains("damaged"));
            let refused = record_made(&proofs, index, NOW, start);
            assert_eq!(refused, Err(Refused::MaybeReplayed));
        }
        proofs.journal.close().unwrap();
        drop(proofs);
        // Once is enough.
        let (_, opened) = open(&directory, THIS_BOOT, start + 1);
        assert_eq!((opened.loaded, opened.note), (2, None));
    }
}

#[test]
fn zeros_that_a_power_loss_left_are_told_as_one_and_a_damaged_head_as_damage() {
    for (at, told) in [
        (FIRST_SLOT + SLOT as u64, "the machine stopped"),
        (0, "is damaged"),
    ] {
        let (directory, file) = sealed();
        change(&file, SEAL_AT, &[0; 8]);
        change(&file, at, &[0; SLOT]);
        let (_, opened) = open(&directory, NEXT_BOOT, NOW + 1);
        assert_eq!(opened.floor, Some(NOW + 1 + SKEW), "{at}");
        let note = opened.note.unwrap();
        assert!(note.contains(told), "{at}: {note}");
    }
}

#[test]
fn a_sealed_file_that_was_cut_or_grew_by_whole_slots_is_damaged() {
    for slots in [0, 1, 2, 4, 100] {
        let (directory, file) = sealed();
        let cut = OpenOptions::new().write(true).open(&file).unwrap();
        cut.set_len(FIRST_SLOT + slots * SLOT as u64).unwrap();
        for boot in [THIS_BOOT, NEXT_BOOT] {
            let (proofs, opened) = open(&directory, boot, NOW + 1);
            assert_eq!(opened.floor, Some(NOW + 1 + SKEW), "{slots}");
            let is_new = boot == THIS_BOOT;
            assert_eq!(opened.note.is_some(), is_new, "{slots}: {:?}", opened.note);
            for number in 0..3 {
                let again = record_made(&proofs, number, NOW, NOW + 1);
                assert_eq!(again, Err(Refused::MaybeReplayed));
            }
            proofs.journal.close().unwrap();
        }
    }
}

#[test]
fn a_seal_of_the_version_before_is_one() {
    let (directory, file) = sealed();
    change(&file, SEAL_AT, &UNCOUNTED);
    let (proofs, opened) = open(&directory, NEXT_BOOT, NOW + 1);
    assert_eq!((opened.loaded, opened.note), (3, None));
    assert_eq!(
        record_made(&proofs, 1, NOW, NOW + 1),
        Err(Refused::Replayed)
    );
}

#[test]
fn a_directory_that_is_taken_away_from_a_gateway_refuses_proofs_until_it_is_back() {
    let (directory, proofs) = opened();
    record(&proofs, 1, NOW).unwrap();
    let (replay, aside) = (
        directory.path().join("state/replay"),
        directory.path().join("aside"),
    );
    fs::rename(&replay, &aside).unwrap();
    for is_replaced in [false, true] {
        if is_replaced {
            fs::create_dir(&replay).unwrap();
            fs::write(replay.join("lock"), "").unwrap();
        }
        proofs.tend(at(NOW + 1));
        assert!(!proofs.journal.is_writable());
        let number = 2 + u64::from(is_replaced);
        assert_eq!(record(&proofs, number, NOW + 1), Err(Refused::Unavailable));
    }
    assert_eq!(files(&directory).len(), 0, "nothing is written to another");
    fs::remove_dir_all(&replay).unwrap();
    fs::rename(&aside, &replay).unwrap();
    proofs.tend(at(NOW + 2));
    assert!(proofs.journal.is_writable());
    assert_eq!(record(&proofs, 4, NOW + 2), Ok(()));
    drop(proofs);
    let (_, opened) = open(&directory, THIS_BOOT, NOW + 3);
    assert_eq!((opened.loaded, opened.note), (4, None));
}

#[test]
fn a_lock_that_alone_is_gone_is_named() {
    let (directory, proofs) = opened();
    fs::remove_file(directory.path().join("state/replay/lock")).unwrap();
    let (events, told) = told();
    tracing::subscriber::with_default(events, || proofs.tend(at(NOW + 1)));
    assert_eq!(record(&proofs, 1, NOW + 1), Err(Refused::Unavailable));
    assert_eq!(told.count("`lock` in it"), 1);
}

#[test]
fn a_file_that_cannot_be_followed_is_told_once_and_again_when_it_can_be() {
    let (directory, proofs) = opened();
    record(&proofs, 1, NOW).unwrap();
    // A folder stands where the next one is begun.
    let next = files(&directory)[0].with_file_name(format!("{:020}.new", 2));
    fs::create_dir(&next).unwrap();
    let (events, told) = told();
    tracing::subscriber::with_default(events, || {
        for turn in 0..3 {
            proofs.tend(at(NOW + LONGEST_SPAN + turn));
        }
        assert!(proofs.journal.is_writable());
        assert_eq!(told.count("cannot be followed or sealed"), 1);
        fs::remove_dir(&next).unwrap();
        for turn in 3..6 {
            proofs.tend(at(NOW + LONGEST_SPAN + turn));
        }
    });
    assert_eq!(told.count("are sealed again"), 1);
    assert_eq!(files(&directory).len(), 2);
}

/// What the log is told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

/// A log, and what it is told.
fn told() -> (impl tracing::Subscriber + Send + Sync, Told) {
    let told = Told::default();
    let sink = told.clone();
    let events = tracing_subscriber::fmt()
        .json()
        .with_writer(move || sink.clone())
        .finish();
    (events, told)
}

impl Told {
    fn count(&self, words: &str) -> usize {
        let told = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        told.matches(words).count()
    }
}

impl std::io::Write for Told {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Where the second of three slots is damaged.
fn damaged() -> (TempDir, PathBuf) {
    let (directory, proofs) = opened();
    for number in 0..3 {
        record(&proofs, number, NOW).unwrap();
    }
    drop(proofs);
    let file = files(&directory).pop().unwrap();
    change(&file, FIRST_SLOT + SLOT as u64, b"rubbish");
    (directory, file)
}

#[test]
fn a_damaged_slot_refuses_what_may_have_been_used_once_and_not_anew_at_every_start() {
    let (directory, file) = damaged();
    let start = NOW + 1;
    let (proofs, opened) = open(&directory, THIS_BOOT, start);
    assert_eq!(opened.floor, Some(start + SKEW));
    assert!(opened.note.unwrap().contains("damaged"));
    proofs.journal.close().unwrap();
    drop(proofs);
    for (boot, now) in [(THIS_BOOT, start + 60), (NEXT_BOOT, start + 120)] {
        let (proofs, opened) = open(&directory, boot, now);
        assert_eq!((opened.loaded, opened.note), (2, None));
        assert_eq!(opened.floor, Some(start + SKEW));
        assert_eq!(
            record_made(&proofs, 0, NOW, now),
            Err(Refused::MaybeReplayed)
        );
        proofs.journal.close().unwrap();
    }

    // What is damaged besides is something else.
    change(&file, FIRST_SLOT, b"rubbish");
    let (_, opened) = open(&directory, NEXT_BOOT, start + 180);
    assert_eq!(opened.floor, Some(start + 180 + SKEW));
    assert!(opened.note.unwrap().contains("damaged"));
}

#[test]
fn a_damaged_slot_is_found_anew_until_a_head_that_covers_it_is_on_the_disk() {
    let (directory, _) = damaged();
    let (proofs, full) = open_without_room(&directory, THIS_BOOT, NOW + 5);
    proofs.tend(at(NOW + 6));
    proofs.journal.close().unwrap_err();
    drop(proofs);
    fs::remove_file(full).unwrap();

    for (now, is_new) in [(NOW + 7, true), (NOW + 8, false)] {
        let (proofs, opened) = open(&directory, THIS_BOOT, now);
        assert_eq!(opened.floor, Some(NOW + 7 + SKEW));
        assert_eq!(opened.note.is_some(), is_new);
        proofs.tend(at(now));
    }
}

#[test]
fn a_damaged_head_refuses_what_may_have_been_used_also_after_another_restart() {
    for damage in [&b"rubbish"[..], b""] {
        let directory = TempDir::new().unwrap();
        let (proofs, _) = open(&directory, THIS_BOOT, NOW);
        record(&proofs, 1, NOW).unwrap();
        drop(proofs);
        let file = files(&directory).pop().unwrap();
        if damage.is_empty() {
            File::create(&file).unwrap();
        } else {
            change(&file, 20, damage);
        }
        for restart in 1..4 {
            let (proofs, opened) = open(&directory, THIS_BOOT, NOW + restart);
            assert_eq!(opened.floor, Some(NOW + 1 + SKEW));
            assert_eq!(opened.note.is_some(), restart == 1);
            let refused = record_made(&proofs, 1, NOW, NOW + restart);
            assert_eq!(refused, Err(Refused::MaybeReplayed));
        }
        let (proofs, _) = open(&directory, THIS_BOOT, NOW + 2 + SKEW);
        assert_eq!(record(&proofs, 1, NOW + 2 + SKEW), Ok(()));
    }
}

#[test]
fn a_disk_that_cannot_be_written_refuses_and_the_next_success_ends_it() {
    let (directory, proofs) = opened();
    record(&proofs, 1, NOW).unwrap();
    let file = proofs.journal.write_to(full());
    assert_eq!(record(&proofs, 2, NOW), Err(Refused::Unavailable));
    assert!(!proofs.journal.is_writable());
    assert_eq!(record(&proofs, 2, NOW), Err(Refused::Replayed));

    proofs.journal.write_to(file);
    assert_eq!(record(&proofs, 3, NOW), Ok(()));
    assert!(proofs.journal.is_writable());
    drop(proofs);

    let (proofs, opened) = open(&directory, THIS_BOOT, NOW);
    assert_eq!((opened.loaded, opened.note), (3, None));
    assert_eq!(record(&proofs, 3, NOW), Err(Refused::Replayed));
}

/// Looks as often as it takes to find out that a disk does not answer.
fn look_long(proofs: &Shared, seen: &mut Seen) {
    for _ in 0..100 {
        proofs.disk.look(seen);
    }
}

#[test]
fn a_disk_that_does_not_answer_holds_one_worker_and_refuses_at_once_all_others_until_it_does() {
    let (directory, proofs) = opened();
    record(&proofs, 1, NOW).unwrap();
    let (events, told) = told();
    let mut seen = Seen::default();
    tracing::subscriber::with_default(events, || {
        proofs.journal.write_until(|| {
            assert!(proofs.is_writable(), "nobody knows yet");
            std::thread::scope(|scope| {
                // It waits for what the other holds, until that is known not to come back.
                let waits = scope.spawn(|| record(&proofs, 2, NOW));
                look_long(&proofs, &mut seen);
                assert_eq!(waits.join().unwrap(), Err(Refused::Unavailable));
            });
            assert!(!proofs.is_writable());
            assert_eq!(record(&proofs, 2, NOW), Err(Refused::Replayed));
            let once = Once::new(id(3), NOW, NOW + LIFE);
            assert_eq!(proofs.look(once, at(NOW)), Err(Refused::Unavailable));
            // However many come, on a lane that the worker holds who waits for the disk.
            for number in 10..5_000 {
                assert_eq!(record(&proofs, number, NOW), Err(Refused::Unavailable));
            }
            // Nor does who fails at the key service wait.
            proofs.write_down(proofs.blank()).unwrap();
            assert_eq!(proofs.blanks.bytes(), 0);
        });
        assert!(proofs.is_writable(), "before anybody looks");
        assert_eq!(record(&proofs, 3, NOW), Ok(()));
        proofs.disk.look(&mut seen);
    });
    assert_eq!(told.count("does not answer"), 1);
    assert_eq!(told.count("answers again"), 1);
    // What was refused stays used, for the next process too where there was room for it.
    proofs.tend(at(NOW));
    drop(proofs);
    let (proofs, opened) = open(&directory, THIS_BOOT, NOW);
    assert_eq!(opened.note, None);
    for number in [1, 2, 3, 10] {
        assert_eq!(record(&proofs, number, NOW), Err(Refused::Replayed));
    }
}

#[test]
fn a_decoy_that_waits_for_the_disk_lets_no_other_worker_wait_with_it() {
    let (_directory, proofs) = opened();
    let mut seen = Seen::default();
    proofs.blanks.write_until(|| {
        look_long(&proofs, &mut seen);
        assert!(!proofs.is_writable());
        assert_eq!(record(&proofs, 1, NOW), Err(Refused::Unavailable));
        proofs.write_down(proofs.blank()).unwrap();
    });
    assert_eq!(record(&proofs, 2, NOW), Ok(()));
    proofs.write_down(proofs.blank()).unwrap();
    assert_eq!(proofs.blanks.bytes(), SLOT as u64);
}

#[test]
fn a_stop_while_the_disk_does_not_answer_waits_for_it_and_leaves_everything_sealed() {
    let of_journal: fn(&Shared, &dyn Fn()) = |proofs, answers| proofs.journal.write_until(answers);
    let of_blanks: fn(&Shared, &dyn Fn()) = |proofs, answers| proofs.blanks.write_until(answers);
    for write_until in [of_journal, of_blanks] {
        let (directory, proofs) = opened();
        record(&proofs, 1, NOW).unwrap();
        let (begun, answered) = (Barrier::new(2), Barrier::new(2));
        let stops = Barrier::new(2);
        let closed = std::thread::scope(|scope| {
            scope.spawn(|| {
                write_until(&proofs, &|| {
                    begun.wait();
                    answered.wait();
                });
            });
            begun.wait();
            look_long(&proofs, &mut Seen::default());
            assert!(!proofs.is_writable());
            let stopped = scope.spawn(|| {
                stops.wait();
                proofs.close()
            });
            stops.wait();
            answered.wait();
            stopped.join().unwrap()
        });
        assert!(closed.is_ok(), "{closed:?}");
        drop(proofs);
        let (proofs, opened) = open(&directory, NEXT_BOOT, NOW);
        assert_eq!(opened.note, None);
        assert_eq!(record(&proofs, 1, NOW), Err(Refused::Replayed));
    }
}

#[test]
fn that_the_disk_does_not_answer_is_found_out_by_a_thread_of_its_own() {
    let directory = TempDir::new().unwrap();
    let (clock, _hand) = Clock::by_hand(NOW as u64);
    let (proofs, _) = crate::store::open(&settings(&directory), &clock).unwrap();
    assert!(proofs.disk_answers());
    proofs.shared.journal.write_until(|| {
        let is_found = (0..30_000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            !proofs.disk_answers()
        });
        assert!(is_found && !proofs.is_writable());
    });
    assert!(proofs.disk_answers() && proofs.is_writable());
}

/// A start on a file system that can only be read.
fn open_only_read(directory: &TempDir, boot: Boot, now: i64) -> (Shared, Opened) {
    let taken = found::take(directory.path().join("state/replay")).unwrap();
    let taken = Taken {
        only_read: Some(std::io::ErrorKind::ReadOnlyFilesystem.into()),
        ..taken
    };
    Shared::of(taken, &settings(directory), boot, at(now)).unwrap()
}

#[test]
fn a_start_where_nothing_can_be_written_knows_what_was_used_and_refuses_all_else_until_it_can_be() {
    let (directory, proofs) = opened();
    record(&proofs, 1, NOW).unwrap();
    drop(proofs);
    let before = files(&directory);
    let length = || fs::metadata(&before[0]).unwrap().len();
    let was = length();
    // What a process left unfinished stays as well.
    let unfinished = before[0].with_file_name(format!("{:020}.new", 7));
    fs::write(&unfinished, "").unwrap();

    let (events, told) = told();
    tracing::subscriber::with_default(events, || {
        let (proofs, opened) = open_only_read(&directory, THIS_BOOT, NOW + 1);
        assert_eq!((opened.loaded, opened.note), (1, None));
        assert!(!proofs.is_writable());
        assert_eq!(
            record_made(&proofs, 1, NOW, NOW + 1),
            Err(Refused::Replayed)
        );
        assert_eq!(record(&proofs, 2, NOW + 1), Err(Refused::Unavailable));
        assert!(unfinished.exists() && length() == was);
        fs::remove_file(&unfinished).unwrap();
        assert_eq!(files(&directory), before, "none is begun");
        // It can be written again.
        proofs.tend(at(NOW + 2));
        assert!(proofs.is_writable());
        assert_eq!(record(&proofs, 3, NOW + 2), Ok(()));
        proofs.journal.close().unwrap();
    });
    assert_eq!(told.count("proofs cannot be written down"), 1);
    assert_eq!(told.count("read-only filesystem"), 1);
    assert_eq!(told.count("can be written down again"), 1);

    // All of it is sealed, what was there before as well.
    let (proofs, opened) = open(&directory, NEXT_BOOT, NOW + 3);
    assert_eq!((opened.loaded, opened.note), (3, None));
    for (number, made) in [(1, NOW), (2, NOW + 1), (3, NOW + 2)] {
        let again = record_made(&proofs, number, made, NOW + 3);
        assert_eq!(again, Err(Refused::Replayed));
    }
}

#[test]
fn a_file_that_was_replaced_while_nothing_could_be_written_is_not_sealed_for_another() {
    let (directory, proofs) = opened();
    record(&proofs, 1, NOW).unwrap();
    drop(proofs);
    let file = files(&directory).pop().unwrap();
    let (proofs, _) = open_only_read(&directory, THIS_BOOT, NOW + 1);
    let aside = directory.path().join("aside");
    fs::copy(&file, &aside).unwrap();
    fs::rename(&aside, &file).unwrap();
    let was = fs::read(&file).unwrap();
    proofs.tend(at(NOW + 2));
    assert_eq!(fs::read(&file).unwrap(), was);
}

#[test]
fn a_look_tells_what_would_be_refused_and_uses_nothing_up() {
    let (_directory, proofs) = opened();
    let look = |number, made| {
        let once = Once::new(id(number), made, made + LIFE);
        proofs.look(once, at(NOW))
    };
    for _ in 0..2 {
        assert_eq!(look(1, NOW), Ok(()));
    }
    record(&proofs, 1, NOW).unwrap();
    assert_eq!(look(1, NOW), Err(Refused::Replayed));
    assert_eq!(look(2, NOW - 100), Err(Refused::MaybeReplayed));

    let file = proofs.journal.write_to(full());
    assert_eq!(look(3, NOW), Ok(()), "nobody knows yet");
    assert_eq!(record(&proofs, 3, NOW), Err(Refused::Unavailable));
    assert_eq!(look(4, NOW), Err(Refused::Unavailable));
    proofs.journal.write_to(file);
    // Without anyone who tries.
    proofs.tend(at(NOW));
    assert_eq!(look(4, NOW), Ok(()));
    assert_eq!(record(&proofs, 4, NOW), Ok(()));
}

#[test]
fn a_file_that_cannot_be_written_is_followed_by_another() {
    let (directory, proofs) = opened();
    record(&proofs, 1, NOW).unwrap();
    proofs.journal.write_to(full());
    record(&proofs, 2, NOW).unwrap_err();
    proofs.tend(at(NOW));
    assert_eq!(record(&proofs, 3, NOW), Ok(()));
    drop(proofs);
    let (proofs, _) = open(&directory, THIS_BOOT, NOW);
    assert_eq!(record(&proofs, 1, NOW), Err(Refused::Replayed));
    assert_eq!(record(&proofs, 3, NOW), Err(Refused::Replayed));
}

#[test]
fn one_write_is_enough_for_all_proofs_that_wait() {
    let (directory, proofs) = opened();
    let fresh = |number| {
        let proof = proofs.record(Once::new(id(number), NOW, NOW + LIFE), at(NOW));
        proof.unwrap()
    };
    let waiting: Vec<_> = (0..100).map(fresh).collect();
    let length = || files(&directory)[0].metadata().unwrap().len();
    let before = length();
    proofs.write_down(waiting[50]).unwrap();
    assert_eq!(length(), before + 100 * SLOT as u64);
    // Whoever comes later finds it done, and needs no file for that.
    proofs.journal.write_to(full());
    for proof in waiting {
        assert_eq!(proofs.write_down(proof), Ok(()));
    }
    drop(proofs);
    let (proofs, opened) = open(&directory, THIS_BOOT, NOW);
    assert_eq!((opened.loaded, opened.note), (100, None));
    assert_eq!(record(&proofs, 99, NOW), Err(Refused::Replayed));
}

#[test]
fn of_threads_that_write_at_once_every_proof_is_written() {
    let (directory, proofs) = opened();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let proofs = &proofs;
            scope.spawn(move || {
                for number in 0..1_000 {
                    record(proofs, thread * 1_000 + number, NOW).unwrap();
                }
            });
        }
    });
    drop(proofs);
    let (_, opened) = open(&directory, THIS_BOOT, NOW);
    assert_eq!((opened.loaded, opened.note), (4_000, None));
}

#[test]
fn what_one_worker_could_not_write_keeps_no_other_from_writing() {
    let (directory, proofs) = opened();
    let file = proofs.journal.write_to(full());
    assert_eq!(record(&proofs, 1, NOW), Err(Refused::Unavailable));
    proofs.journal.write_to(file);
    let another = || record(&proofs, 2, NOW);
    let passed = std::thread::scope(|scope| scope.spawn(another).join().unwrap());
    assert_eq!(passed, Ok(()));
    // And what it could not write is written with the next, or in time.
    proofs.tend(at(NOW));
    drop(proofs);
    let (_, opened) = open(&directory, THIS_BOOT, NOW);
    assert_eq!((opened.loaded, opened.note), (2, None));
}

#[test]
fn what_nobody_waits_for_any_more_is_written_in_time() {
    let (directory, proofs) = opened();
    proofs
        .record(Once::new(id(1), NOW, NOW + LIFE), at(NOW))
        .unwrap();
    proofs.tend(at(NOW));
    drop(proofs);
    let (proofs, _) = open(&directory, THIS_BOOT, NOW);
    assert_eq!(record(&proofs, 1, NOW), Err(Refused::Replayed));
}

#[test]
fn what_could_not_be_written_waits_within_a_bound_and_is_written_with_the_next() {
    let (directory, proofs) = opened();
    let file = proofs.journal.write_to(full());
    for number in 0..5_000 {
        assert_eq!(record(&proofs, number, NOW), Err(Refused::Unavailable));
    }
    proofs.journal.write_to(file);
    assert_eq!(record(&proofs, 5_000, NOW), Ok(()));
    drop(proofs);
    let (proofs, opened) = open(&directory, THIS_BOOT, NOW);
    assert!(
        (1_000..=2_100).contains(&opened.loaded),
        "{}",
        opened.loaded
    );
    assert_eq!(opened.note, None);
    assert_eq!(record(&proofs, 5_000, NOW), Err(Refused::Replayed));
}

#[test]
fn files_go_when_all_in_them_has_expired_and_not_before() {
    let (directory, proofs) = opened();
    let mut most = 0;
    for second in 0..10_000 {
        let now = NOW + second;
        record(&proofs, second as u64, now).unwrap();
        proofs.tend(at(now));
        most = most.max(files(&directory).len());
    }
    // Each is written for 180 seconds, and stays for 360 and 600 more.
    assert!((3..=9).contains(&most), "{most}");
    drop(proofs);

    let now = NOW + 9_999;
    let (proofs, _) = open(&directory, THIS_BOOT, now);
    for second in 0..10_000 {
        let refused = record_made(&proofs, second as u64, NOW + second, now);
        let expected = if NOW + second + LIFE >= now {
            Refused::Replayed
        } else {
            Refused::MaybeReplayed
        };
        assert_eq!(refused, Err(expected), "{second}");
    }
}

#[test]
fn an_idle_gateway_keeps_one_file() {
    let (directory, proofs) = opened();
    record(&proofs, 1, NOW).unwrap();
    for second in (0..10_000).step_by(10) {
        proofs.tend(at(NOW + second));
    }
    let (one, [kept]) = (files(&directory), &files(&directory)[..]) else {
        panic!("{:?}", files(&directory));
    };
    proofs.tend(at(NOW + 1_000_000));
    assert_eq!(one, files(&directory));
    assert_eq!(fs::metadata(kept).unwrap().len(), FIRST_SLOT);
}

#[test]
fn restarts_without_requests_leave_no_files_behind() {
    let directory = TempDir::new().unwrap();
    for _ in 0..20 {
        drop(open(&directory, THIS_BOOT, NOW));
    }
    assert_eq!(files(&directory).len(), 1);
}

#[test]
fn a_clock_set_back_across_a_restart_lets_no_replay_pass() {
    let (directory, proofs) = opened();
    record(&proofs, 1, NOW + 100).unwrap();
    drop(proofs);
    for (later, expected, honest) in [
        (LIFE + 500, Refused::Replayed, 102),
        (LIFE + 5_000, Refused::MaybeReplayed, 103),
    ] {
        let (proofs, _) = open(&directory, THIS_BOOT, NOW + 100 + later);
        proofs.tend(at(NOW + 100 + later));
        drop(proofs);
        let (proofs, _) = open(&directory, THIS_BOOT, NOW + 101);
        let refused = record_made(&proofs, 1, NOW + 100, NOW + 101);
        assert_eq!(refused, Err(expected));
        assert_eq!(record(&proofs, honest, NOW + honest as i64), Ok(()));
    }
}

#[test]
fn a_clock_that_was_far_ahead_for_a_while_refuses_nothing_new() {
    let (directory, proofs) = opened();
    record(&proofs, 1, NOW).unwrap();
    for second in 0..100 {
        proofs.tend(at(NOW + 1_000_000_000 + second * 100));
    }
    assert_eq!(record(&proofs, 2, NOW + 1), Ok(()));
    proofs.tend(at(NOW + 2));
    drop(proofs);
    let (proofs, _) = open(&directory, THIS_BOOT, NOW + 3);
    assert_eq!(
        record_made(&proofs, 2, NOW + 1, NOW + 3),
        Err(Refused::Replayed)
    );
    assert_eq!(record(&proofs, 3, NOW + 3), Ok(()));
}

#[test]
fn that_a_clock_ahead_was_set_back_behind_what_was_forgotten_is_told_until_it_is_over() {
    let (_directory, proofs) = opened();
    let ahead = NOW + 1_000_000;
    record(&proofs, 1, ahead).unwrap();
    for second in 0..200 {
        proofs.tend(at(ahead + second * 100));
    }
    assert_eq!(proofs.refused_for.load(Ordering::Relaxed), 0);
    proofs.tend(at(NOW));
    let seconds = proofs.refused_for.load(Ordering::Relaxed);
    assert!(seconds > 0);
    assert_eq!(record(&proofs, 2, NOW), Err(Refused::MaybeReplayed));
    proofs.tend(at(NOW + seconds));
    assert_eq!(proofs.refused_for.load(Ordering::Relaxed), 0);
    assert_eq!(record(&proofs, 3, NOW + seconds), Ok(()));
}

#[test]
fn a_second_gateway_is_told_which_directory_is_in_use() {
    let (directory, proofs) = opened();
    let error = Shared::open(&settings(&directory), THIS_BOOT, at(NOW)).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }));
    let text = error.to_string();
    assert!(
        text.contains("state/replay` is in use") && text.contains("hint:"),
        "{text}"
    );
    drop(proofs);
    open(&directory, THIS_BOOT, NOW);
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("state"), "in the way").unwrap();
    let error = Shared::open(&settings(&directory), THIS_BOOT, at(NOW)).unwrap_err();
    assert!(
        error.to_string().contains("state/replay` cannot be used"),
        "{error}"
    );
}

#[test]
fn nobody_else_may_read_the_files() {
    let directory = TempDir::new().unwrap();
    let (_proofs, _) = open(&directory, THIS_BOOT, NOW);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory.path().join("state/replay")), 0o700);
    for file in files(&directory) {
        assert_eq!(mode(&file), 0o600);
    }
}

#[test]
fn more_than_fits_is_loaded_whole_and_new_proofs_wait() {
    let (directory, proofs) = opened();
    for number in 0..100 {
        record(&proofs, number, NOW).unwrap();
    }
    drop(proofs);
    let few = Settings {
        proofs: 10,
        ..settings(&directory)
    };
    let (proofs, opened) = Shared::open(&few, THIS_BOOT, at(NOW + 1)).unwrap();
    assert_eq!(opened.loaded, 100);
    assert_eq!(record(&proofs, 7, NOW), Err(Refused::Replayed));
    assert_eq!(record(&proofs, 100, NOW + 1), Err(Refused::Full));
    proofs.reconfigure(&settings(&directory), NOW + 1);
    assert_eq!(record(&proofs, 100, NOW + 1), Ok(()));
}

#[test]
fn what_expired_is_not_loaded_where_room_is_scarce() {
    let (directory, proofs) = opened();
    for number in 0..100 {
        record(&proofs, number, NOW).unwrap();
    }
    drop(proofs);
    let few = Settings {
        proofs: 10,
        ..settings(&directory)
    };
    let now = NOW + LIFE + 1;
    let (proofs, opened) = Shared::open(&few, THIS_BOOT, at(now)).unwrap();
    assert_eq!(opened.loaded, 0);
    assert_eq!(record(&proofs, 100, now), Ok(()));
    assert_eq!(
        record_made(&proofs, 1, NOW, NOW + 1),
        Err(Refused::MaybeReplayed)
    );
}

fn longer(directory: &TempDir) -> Settings {
    Settings {
        retention: Duration::from_secs(10 * LIFE as u64),
        ..settings(directory)
    }
}

/// A proof that was used under the shorter life, and is shown under the longer.
fn assert_held(proofs: &Shared, made: i64) {
    for now in [made + 1, made + LIFE, made + LIFE + 1, made + 9 * LIFE] {
        proofs.tend(at(now));
        let again = proofs.record(Once::new(id(1), made, made + 10 * LIFE), at(now));
        assert!(
            matches!(again, Err(Refused::Replayed | Refused::MaybeReplayed)),
            "after {} s: {again:?}",
            now - made
        );
    }
}

#[test]
fn a_longer_window_lets_no_proof_pass_again_that_a_shorter_one_forgot() {
    let directory = TempDir::new().unwrap();
    for (made, grown) in [(NOW, NOW + 2 * LIFE), (NOW, NOW + 1), (NOW + SKEW, NOW)] {
        let directory = TempDir::new().unwrap();
        let (proofs, _) = open(&directory, THIS_BOOT, NOW - 100);
        record_made(&proofs, 1, made, NOW).unwrap();
        proofs.reconfigure(&longer(&directory), grown);
        assert_eq!(record_made(&proofs, 2, grown, grown), Ok(()));
        assert_held(&proofs, made);
    }
    // The same by a restart, and by one more once the files of the shorter one are gone.
    let (proofs, _) = open(&directory, THIS_BOOT, NOW - 100);
    record_made(&proofs, 1, NOW, NOW).unwrap();
    drop(proofs);
    for now in [NOW + 1, NOW + 2, NOW + 5 * LIFE] {
        let (proofs, opened) = Shared::open(&longer(&directory), THIS_BOOT, at(now)).unwrap();
        assert_eq!(opened.note, None);
        let fresh = proofs.record(Once::new(id(now as u64), now, now + 10 * LIFE), at(now));
        assert_eq!(written(&proofs, fresh), Ok(()));
        proofs.tend(at(now));
        for later in [now, NOW + LIFE + 1, NOW + 9 * LIFE] {
            let again = proofs.record(Once::new(id(1), NOW, NOW + 10 * LIFE), at(later.max(now)));
            assert!(again.is_err(), "{now} {later}");
        }
    }
}

#[test]
fn a_longer_window_refuses_nothing_that_says_its_end_itself_and_lets_none_pass_again() {
    let directory = TempDir::new().unwrap();
    let (proofs, _) = open(&directory, THIS_BOOT, NOW - 100 * LIFE);
    let made = NOW - 20 * LIFE;
    let end = NOW + LIFE;
    let show = |number: u64, slack: i64, now: i64| {
        proofs.tend(at(now));
        let once = Once::ending(id(number), made, end, slack);
        written(&proofs, proofs.record(once, at(now)))
    };
    assert_eq!(show(1, SKEW, NOW), Ok(()));
    proofs.reconfigure(&longer(&directory), NOW + 1);
    assert_eq!(show(2, SKEW, NOW + 2), Ok(()));
    // Until then it was remembered; more skew makes no more of it.
    for now in [NOW + 3, end, end + SKEW + 1, end + 10 * LIFE] {
        for slack in [SKEW, 20 * LIFE] {
            assert!(show(1, slack, now).is_err(), "{now} {slack}");
        }
    }
    forget(&proofs, end + 10 * LIFE);
    let late = show(3, 20 * LIFE, NOW);
    assert_eq!(
        late,
        Err(Refused::MaybeReplayed),
        "a clock that is set back"
    );
}

/// Forgets all that it may at that second.
fn forget(proofs: &Shared, now: i64) {
    for _ in 0..SWEEP_TURNS {
        proofs.tend(at(now));
    }
    assert_eq!(proofs.table.len(), 0);
}

#[test]
fn a_clock_that_is_set_back_brings_none_back_that_a_shorter_window_forgot() {
    let directory = TempDir::new().unwrap();
    let (proofs, _) = open(&directory, THIS_BOOT, NOW - 100);
    let until = NOW + LIFE;
    let new = proofs.record(Once::new(id(1), NOW, until), at(NOW));
    assert_eq!(written(&proofs, new), Ok(()));
    forget(&proofs, until + table::LINGER + 1);
    proofs.reconfigure(&longer(&directory), until + table::LINGER + 5);
    proofs.tend(at(until - 4));
    let again = proofs.record(Once::new(id(1), NOW, NOW + 10 * LIFE), at(until - 4));
    assert_eq!(again, Err(Refused::MaybeReplayed));
}

#[test]
fn a_window_that_grew_while_the_clock_was_far_ahead_refuses_nothing_new_once_it_is_set_right() {
    let (directory, proofs) = opened();
    let ahead = NOW + 100_000;
    assert_eq!(record(&proofs, 1, NOW), Ok(()));
    assert_eq!(record(&proofs, 2, ahead), Ok(()));
    proofs.reconfigure(&longer(&directory), ahead + 1);
    proofs.tend(at(ahead + 2));
    for now in [NOW + 5, NOW + 6 + LIFE] {
        proofs.tend(at(now));
        assert_eq!(record(&proofs, now as u64, now), Ok(()));
    }
    // And what was used does not pass again, then or when its time comes.
    for (number, made) in [(1, NOW), (2, ahead)] {
        for now in [made + 7, made + LIFE + 1, made + 9 * LIFE] {
            let again = proofs.record(Once::new(id(number), made, made + 10 * LIFE), at(now));
            assert!(again.is_err(), "{number} {now}");
        }
    }
}

#[test]
fn a_window_that_grows_twice_holds_to_the_shortest_what_that_may_have_forgotten_whatever_the_clock_says()
 {
    let directory = TempDir::new().unwrap();
    let (proofs, _) = open(&directory, THIS_BOOT, NOW - 100);
    let twice = Settings {
        retention: Duration::from_secs(2 * LIFE as u64),
        ..settings(&directory)
    };
    assert_eq!(record(&proofs, 1, NOW), Ok(()));
    proofs.reconfigure(&twice, NOW + 1);
    forget(&proofs, NOW + LIFE + table::LINGER + 1);
    // So late that it is over by both windows, and then the clock is set back.
    let late = NOW + 5 * LIFE;
    proofs.reconfigure(&longer(&directory), late);
    let set_back = NOW + LIFE + 5;
    proofs.tend(at(set_back));
    let again = proofs.record(Once::new(id(1), NOW, NOW + 10 * LIFE), at(set_back));
    assert_eq!(again, Err(Refused::MaybeReplayed));
}

#[test]
fn it_opens_tends_and_ends_by_itself() {
    let directory = TempDir::new().unwrap();
    let (clock, _hand) = Clock::by_hand(NOW as u64);
    for round in 0..3 {
        let (proofs, opened) = crate::store::open(&settings(&directory), &clock).unwrap();
        assert_eq!(opened.loaded, round);
        assert_eq!((proofs.len(), proofs.capacity()), (round, 100_000));
        assert!(proofs.is_writable());
        proofs
            .record(Once::new(id(round as u64), NOW, NOW + LIFE), clock.now())
            .unwrap();
        if round == 0 {
            drop(proofs);
        } else {
            proofs.close().unwrap();
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_system_tells_which_boot_it_is() {
    assert_ne!(boot(), [0; 16]);
    assert_eq!(boot(), boot());
}

#[test]
fn what_was_given_up_takes_no_proof_and_another_may_open_it() {
    let directory = TempDir::new().unwrap();
    let (before, _) = open(&directory, THIS_BOOT, 1_000);
    record(&before, 1, 1_000).unwrap();
    before.journal.close().unwrap();
    let (after, opened) = open(&directory, THIS_BOOT, 1_001);
    assert_eq!(opened.loaded, 1);
    assert_eq!(record(&before, 2, 1_001), Err(Refused::Unavailable));
    assert_eq!(record(&after, 1, 1_001), Err(Refused::Replayed));
    assert_eq!(record(&after, 2, 1_001), Ok(()));
}

#[test]
fn a_blank_costs_a_write_and_is_remembered_nowhere() {
    let directory = TempDir::new().unwrap();
    let (before, _) = open(&directory, THIS_BOOT, 1_000);
    record(&before, 1, 1_000).unwrap();
    let length = || fs::metadata(&files(&directory)[0]).unwrap().len();
    let (journal, found) = (length(), files(&directory));
    let blanks: Vec<_> = (0..3).map(|_| before.blank()).collect();
    assert_eq!(before.blanks.bytes(), 0);
    for blank in &blanks {
        before.write_down(*blank).unwrap();
        // One write for all that wait.
        assert_eq!(before.blanks.bytes(), 3 * SLOT as u64);
    }
    for _ in 0..100_000 {
        before.write_down(before.blank()).unwrap();
    }
    assert!(before.blanks.bytes() <= 1 << 20);
    // Nobody comes for them.
    for _ in 0..100_000 {
        before.blank();
    }
    before.write_down(before.blank()).unwrap();
    assert!(before.blanks.bytes() <= 1 << 20);
    assert_eq!((length(), files(&directory)), (journal, found));
    assert_eq!(before.table.len(), 1);
    drop(before);
    let (_, opened) = open(&directory, THIS_BOOT, 1_001);
    assert_eq!(opened.loaded, 1);
}

#[test]
fn more_skew_brings_none_back_that_ended_before_its_window_by_a_reload_or_a_restart() {
    for (says_its_end, by_reload) in [(true, true), (true, false), (false, true), (false, false)] {
        let (directory, mut proofs) = opened();
        let end = NOW + LIFE / 6;
        let show = |proofs: &Shared, slack: i64, now: i64| {
            proofs.tend(at(now));
            let once = if says_its_end {
                Once::ending(id(1), NOW, end, slack)
            } else {
                Once::within(id(1), NOW, end, slack)
            };
            written(proofs, proofs.record(once, at(now)))
        };
        assert_eq!(show(&proofs, 2 * SKEW, NOW + 1), Ok(()));
        let late = end + 2 * SKEW + table::LINGER + 1;
        forget(&proofs, late);
        // The window is shorter by as much.
        let more = Settings {
            skew: Duration::from_secs(2 * SKEW as u64),
            ..settings(&directory)
        };
        if by_reload {
            proofs.reconfigure(&more, late);
        } else {
            drop(proofs);
            proofs = Shared::open(&more, THIS_BOOT, at(late)).unwrap().0;
        }
        assert_eq!(record(&proofs, 2, late), Ok(()));
        // The clock is set back.
        let again = show(&proofs, 4 * SKEW, NOW + 2);
        assert_eq!(
            again,
            Err(Refused::MaybeReplayed),
            "{says_its_end} {by_reload}"
        );
    }
}
