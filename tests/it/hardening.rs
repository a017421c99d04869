//! `docs/hardening.md` names a test for everything it says.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

#[test]
fn every_test_that_the_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/hardening.md")).unwrap();
    let mut files: HashMap<&str, String> = HashMap::new();
    let mut rows = 0;
    let mut named = HashSet::new();
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let shown = line.trim_end_matches('|').rsplit('|').next().unwrap();
        if ["shown by", "---"].contains(&shown.trim()) {
            continue;
        }
        rows += 1;
        let tests: Vec<&str> = shown.split_whitespace().collect();
        assert!(!tests.is_empty(), "no test shows: {line}");
        for test in tests {
            named.insert(test);
            let (file, name) = test
                .trim_matches('`')
                .split_once("::")
                .unwrap_or_else(|| panic!("`{test}` is no test: {line}"));
            let text = files
                .entry(file)
                .or_insert_with(|| fs::read_to_string(root.join(file)).expect(file));
            let begin = text
                .find(&format!("fn {name}("))
                .unwrap_or_else(|| panic!("{file} has no test `{name}`"));
            let (code, _) = text[begin..].split_once("\n}\n").unwrap();
            let moves_the_clock = ["gateway.advance(", ".hand()", "start_at("]
                .iter()
                .any(|how| code.contains(how));
            let needs_a_seam =
                file.starts_with("tests/") && moves_the_clock && !code.contains("is_named()");
            assert!(
                !needs_a_seam || page.contains(&format!("\n- {test}\n")),
                "{test} moves the clock, which it cannot for the release binary: it is an exception"
            );
        }
    }
    assert!(rows > 50, "{rows} rows were found");
    for excepted in page
        .lines()
        .filter_map(|line| line.strip_prefix("- `tests/"))
    {
        let is_named = named.contains(&*format!("`tests/{excepted}"));
        assert!(is_named, "`{excepted} is an exception of nothing");
    }
}
