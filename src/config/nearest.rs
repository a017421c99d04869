//! The name someone may have meant.

/// The longest name that is compared: nobody mistypes a longer one.
const LONGEST: usize = 64;

/// The one of `known` that is nearest to `name`, if it is near at all.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let name: Vec<char> = name.to_lowercase().chars().take(LONGEST).collect();
    let enough = (name.len() / 3).clamp(1, 3);
    known
        .map(|one| (distance(&name, &one.chars().collect::<Vec<_>>()), one))
        .filter(|(far, _)| *far <= enough)
        .min_by_key(|(far, _)| *far)
        .map(|(_, one)| one)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name_and_a_stranger_finds_none() {
        let known = ["window", "skew", "proofs"];
        for (name, found) in [
            ("wnidow", Some("window")),
            ("windows", Some("window")),
            ("Window", Some("window")),
            ("scew", Some("skew")),
            ("lifetime", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), found, "{name}");
        }
    }
}
