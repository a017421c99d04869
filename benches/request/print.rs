//! The figures, as a table to paste into `docs/performance.md`.

use crate::Spent;
use crate::table::Row;

pub(super) fn table(rows: &[Row], spent: &[Spent], rounds: usize) {
    println!("\nprocessor time of the proxy, µs a request; {rounds} rounds\n");
    println!(
        "| request | over | ours, µs | beside | theirs, µs | ours ÷ theirs: min / median / max | mark |"
    );
    println!("| --- | --- | ---: | --- | ---: | --- | --- |");
    for (row, spent) in rows.iter().zip(spent) {
        let (ours, others) = spent.split_first().expect("ours is first");
        let over = format!("{}, {}", row.door.name(), connections(row));
        let mut front = [row.name, &over, &format!("{:.1}", median(ours))].join(" | ");
        for (beside, theirs) in row.beside.iter().zip(others) {
            let ratios = ratios(ours, theirs);
            println!(
                "| {front} | {} | {:.1} | {} | {} |",
                beside.name,
                median(theirs),
                three(&ratios),
                mark(beside.mark, median(&ratios)),
            );
            front = String::from("| | ");
        }
    }
}

fn connections(row: &Row) -> String {
    if row.streams > 1 {
        format!("{} × {} streams", row.connections, row.streams)
    } else {
        format!("{} connections", row.connections)
    }
}

pub(super) fn mark(mark: Option<f64>, ratio: f64) -> String {
    match mark {
        None => String::new(),
        Some(mark) if ratio <= mark => format!("≤ {mark:.2}: kept"),
        Some(mark) => format!("≤ {mark:.2}: **missed**"),
    }
}

/// What was measured side by side, in order.
fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    let mut ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
    ratios.sort_by(f64::total_cmp);
    ratios
}

fn three(sorted: &[f64]) -> String {
    let (first, last) = (sorted.first(), sorted.last());
    format!(
        "{:.2} / {:.2} / {:.2}",
        first.expect("a round"),
        median(sorted),
        last.expect("a round")
    )
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
