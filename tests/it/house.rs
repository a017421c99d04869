//! The house as `ARCHITECTURE.md` draws it, held against the code: the arrows
//! between rooms, and the rules that the compiler and clippy cannot keep.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines a file may have before its tests.
const MAX_LINES: usize = 400;

/// Where the environment is read besides `config`, each place with its reason.
const READS_ENVIRONMENT: [(&str, &str); 1] = [(
    "cli/key.rs",
    "`--secret env:NAME` names the variable on the command line",
)];

#[test]
fn rooms_use_only_what_the_arrows_table_allows() {
    let arrows = Arrows::read();
    let mut wrong = Vec::new();
    for file in sources() {
        for used in rooms_used(&file.code) {
            if used != file.room && !arrows.allows(&file.room, &used) {
                wrong.push(format!("{} uses `{used}`", file.name));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "not in the arrows table of ARCHITECTURE.md: {wrong:#?}"
    );
}

#[test]
fn every_arrow_of_the_table_is_one_that_the_code_goes() {
    let arrows = Arrows::read();
    let mut gone: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources() {
        gone.entry(file.room)
            .or_default()
            .extend(rooms_used(&file.code));
    }
    let idle: Vec<_> = arrows
        .listed()
        .filter(|(from, to)| !gone.get(*from).is_some_and(|used| used.contains(*to)))
        .collect();
    assert!(idle.is_empty(), "arrows that no code goes: {idle:?}");
}

#[test]
fn no_two_arrows_make_a_circle() {
    let arrows = Arrows::read();
    for room in arrows.rooms() {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = arrows.from(room).collect();
        while let Some(next) = open.pop() {
            assert_ne!(next, room, "`{room}` leads back to itself");
            if reached.insert(next) {
                open.extend(arrows.from(next));
            }
        }
    }
}

#[test]
fn the_table_names_every_room_and_no_other() {
    let arrows = Arrows::read();
    let told: BTreeSet<_> = arrows.rooms().map(str::to_owned).collect();
    let there: BTreeSet<_> = sources()
        .into_iter()
        .map(|file| file.room)
        .filter(|room| room != "main" && room != "lib")
        .collect();
    assert_eq!(told, there);
}

#[test]
fn the_front_page_lists_every_room() {
    let front = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for room in Arrows::read().rooms() {
        assert!(
            front.contains(&format!("pub mod {room};")),
            "`{room}` is not in src/lib.rs"
        );
    }
}

#[test]
fn every_file_opens_with_what_it_is() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| file.name)
        .collect();
    assert!(silent.is_empty(), "no `//!` at the top: {silent:#?}");
}

#[test]
fn no_file_holds_two_things() {
    let mut found = Vec::new();
    for file in sources() {
        let lines = file.before_tests().lines().count();
        if lines > MAX_LINES {
            found.push(format!("{}: {lines} lines", file.name));
        }
    }
    assert!(
        found.is_empty(),
        "over {MAX_LINES} lines without its tests: {found:#?}"
    );
}

#[test]
fn time_is_read_in_the_clock_only() {
    for file in sources() {
        if file.room == "clock" {
            continue;
        }
        let imports_std = file.code.contains("std::time::Instant")
            || file
                .code
                .split("use std::time::{")
                .skip(1)
                .any(|rest| rest.split('}').next().unwrap().contains("Instant"));
        assert!(
            !file.code.contains("SystemTime::now"),
            "{} reads the wall clock",
            file.name
        );
        assert!(
            !(imports_std && file.code.contains("Instant::now")),
            "{} reads the monotonic clock",
            file.name
        );
    }
}

#[test]
fn nothing_outside_tests_unwraps() {
    for file in sources() {
        assert!(!file.code.contains(".unwrap()"), "{} unwraps", file.name);
    }
}

#[test]
fn nothing_is_printed_by_what_panics_where_nobody_reads() {
    for file in sources() {
        // Those of `anstream` and those for standard error are called alike, and panic alike.
        for call in ["print!(", "println!("] {
            assert!(!file.code.contains(call), "{} has `{call}`", file.name);
        }
    }
}

#[test]
fn the_environment_is_read_in_config_only() {
    for file in sources() {
        let may =
            file.room == "config" || READS_ENVIRONMENT.iter().any(|(name, _)| *name == file.name);
        assert!(
            may || !file.code.contains("env::var"),
            "{} reads the environment",
            file.name
        );
    }
}

#[test]
fn only_crypto_names_the_cryptography_libraries() {
    for file in sources() {
        if file.room == "crypto" {
            continue;
        }
        // TLS chooses its provider by that name; the work is rustls'.
        let code = if file.code.contains("use rustls::crypto::") {
            file.code.replace("aws_lc_rs::", "")
        } else {
            file.code
        };
        for library in ["aws_lc_rs::", "sha2::", " ::hmac::", "use hmac::"] {
            assert!(!code.contains(library), "{} names `{library}`", file.name);
        }
    }
}

#[test]
fn every_event_that_an_operator_may_see_is_documented() {
    let page = fs::read_to_string(root().join("docs/observe.md")).unwrap();
    let mut missing = Vec::new();
    for file in sources() {
        for level in ["info", "warn", "error"] {
            let start = format!("tracing::{level}!(");
            let calls = file.code.split(&start).skip(1);
            // The message is the first text; what is filled into it is not known here.
            let texts = calls.filter_map(|call| call.split('"').nth(1));
            // What is filled in stands between braces; the first clause is enough.
            let clauses = texts.map(|text| {
                let fixed: String = text
                    .split('{')
                    .map(|part| part.rsplit_once('}').map_or(part, |(_, rest)| rest))
                    .collect();
                let clause = fixed.split(['(', ';', ':']).next().unwrap();
                clause.trim_matches(['`', ' ']).to_owned()
            });
            missing.extend(
                clauses
                    .filter(|clause| !page.contains(clause.as_str()))
                    .map(|clause| format!("{}: {clause}", file.name)),
            );
        }
    }
    assert!(missing.is_empty(), "not in docs/observe.md: {missing:#?}");
}

#[test]
fn no_name_says_nothing() {
    for file in sources() {
        let path = Path::new(&file.name);
        for part in &path.with_extension("") {
            let part = part.to_str().unwrap();
            assert!(
                ![
                    "util", "utils", "helper", "helpers", "common", "manager", "misc"
                ]
                .contains(&part),
                "{}",
                file.name
            );
        }
    }
}

#[test]
fn tests_bind_no_fixed_port_and_do_not_wait_or_step_aside() {
    for path in files(&root().join("tests"), "rs") {
        if path.ends_with("house.rs") {
            continue;
        }
        let code = without_comments(&fs::read_to_string(&path).unwrap());
        for line in code.lines() {
            let told = format!("{}: {}", path.display(), line.trim());
            assert!(!line.contains("#[ignore"), "{told}");
            assert!(!line.contains("sleep("), "{told}");
            if let Some((_, address)) = line.split_once("bind(") {
                let port = address
                    .split_once("127.0.0.1:")
                    .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit));
                if let Some(port) = port {
                    assert_eq!(port.collect::<String>(), "0", "{told}");
                }
            }
        }
    }
}

#[test]
fn use_lines_are_read_in_every_form() {
    let code = "
        use crate::apps::{App, Key};
        use crate::{admin, gateway::{self, reload}, server};
        use crate::{
            clock::Now,
        };
        fn f(x: &crate::route::Route) {}
    ";
    let used: Vec<_> = rooms_used(code).into_iter().collect();
    assert_eq!(
        used,
        ["admin", "apps", "clock", "gateway", "route", "server"]
    );
    assert_eq!(
        without_comments("a // crate::apps\n/// crate::apps\nb \"http://x\" c"),
        "a \n\nb \"http://x\" c"
    );
}

#[test]
fn what_stands_behind_tests_in_a_file_of_their_own_is_seen() {
    let text = "a\n#[cfg(test)]\nmod tests;\nb\n#[cfg(test)]\nmod tests {\nc\n}\n";
    assert_eq!(without_test_items(before_tests(text)), "a\nb\n");
}

/// A file of `src/`.
struct Source {
    /// Path below `src/`.
    name: String,
    /// The first folder, or the file's own name.
    room: String,
    text: String,
    /// Without comments and without tests.
    code: String,
}

impl Source {
    fn before_tests(&self) -> &str {
        before_tests(&self.text)
    }
}

/// Without the items that exist in tests only.
fn without_test_items(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let ends = [format!("{indent}}}"), format!("{indent}}};")];
        for line in lines.by_ref() {
            let is_short = line.ends_with(';') && !line[indent.len()..].starts_with(' ');
            if is_short || ends.iter().any(|end| line == end) {
                break;
            }
        }
    }
    kept
}

fn before_tests(text: &str) -> &str {
    // Tests stand last in every file, but for those that have a file of their own.
    let mut modules = text.match_indices("\n#[cfg(test)]\nmod ");
    let inline = modules.find(|(at, start)| {
        let line = text[at + start.len()..].lines().next();
        line.is_some_and(|line| line.ends_with('{'))
    });
    inline.map_or(text, |(at, _)| &text[..=at])
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    files(&src, "rs")
        .into_iter()
        .filter(|path| {
            // Below `src` only: the working tree may lie in a folder of any name.
            let below = path.strip_prefix(&src).unwrap();
            !below.ends_with("tests.rs") && !below.iter().any(|part| part == "tests")
        })
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let below = path.strip_prefix(&src).unwrap();
            let first = below.iter().next().unwrap();
            Source {
                name: below.to_str().unwrap().to_owned(),
                room: Path::new(first)
                    .with_extension("")
                    .to_str()
                    .unwrap()
                    .to_owned(),
                code: without_comments(&without_test_items(before_tests(&text))),
                text,
            }
        })
        .collect()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Cuts each line at a `//` that stands at its start or behind a space.
fn without_comments(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .map(|line| {
            if line.trim_start().starts_with("//") {
                ""
            } else {
                line.split_once(" // ")
                    .map_or(line, |(code, _)| &line[..=code.len()])
            }
        })
        .collect();
    lines.join("\n")
}

/// Every room named as `crate::room`, in use lines, groups and paths.
fn rooms_used(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(heads(group)),
            None => rooms.extend(word(rest)),
        }
    }
    rooms
}

/// The first word of each member of a group, up to the group's end.
fn heads(group: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut depth = 0;
    let mut fresh = true;
    for (at, letter) in group.char_indices() {
        match letter {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            _ if fresh && !letter.is_whitespace() => {
                found.extend(word(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    found
}

/// The lower-case word that `text` starts with: a room, or nothing.
fn word(text: &str) -> Option<String> {
    let end = text
        .find(|c: char| !(c.is_ascii_lowercase() || c == '_'))
        .unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

/// The arrows table of `ARCHITECTURE.md`.
struct Arrows(BTreeMap<String, Reach>);

enum Reach {
    Every,
    These(BTreeSet<String>),
}

impl Arrows {
    fn read() -> Self {
        let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
        let (_, section) = page
            .split_once("\n## Arrows\n")
            .expect("ARCHITECTURE.md has a section `## Arrows`");
        let section = section.split("\n## ").next().unwrap();
        let mut arrows = BTreeMap::new();
        for row in section.lines().filter(|line| line.starts_with("| `")) {
            let mut cells = row.trim_matches('|').split('|');
            let rooms = ticked(cells.next().unwrap());
            let may_use = cells.next().expect("two columns");
            for room in rooms {
                let reach = if may_use.contains("every room") {
                    Reach::Every
                } else {
                    Reach::These(ticked(may_use).into_iter().collect())
                };
                let twice = arrows.insert(room.clone(), reach).is_some();
                assert!(!twice, "`{room}` stands twice in the arrows table");
            }
        }
        assert!(!arrows.is_empty(), "the arrows table is empty");
        Self(arrows)
    }

    fn rooms(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn from(&self, room: &str) -> impl Iterator<Item = &str> {
        let these = match self.0.get(room) {
            Some(Reach::These(these)) => Some(these),
            // Nothing leads to those that may use all: they close no circle.
            Some(Reach::Every) | None => None,
        };
        these.into_iter().flatten().map(String::as_str)
    }

    fn listed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rooms()
            .flat_map(|room| self.from(room).map(move |to| (room, to)))
    }

    fn allows(&self, from: &str, to: &str) -> bool {
        match self.0.get(from) {
            Some(Reach::Every) => true,
            Some(Reach::These(these)) => these.contains(to),
            // The crate's own roots.
            None => from == "main" || from == "lib",
        }
    }
}

/// The words between backticks.
fn ticked(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
