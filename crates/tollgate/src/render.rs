//! Tables for people.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// A table with a head, without lines: it reads well without colour and in a pipe. Columns of numbers are set to the
/// right.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows.into_iter().collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head.iter().copied());
    for (at, column) in table.column_iter_mut().enumerate() {
        let mut cells = rows.iter().filter_map(|row| row.get(at)).filter(|cell| !cell.is_empty());
        if cells.clone().next().is_some() && cells.all(|cell| is_number(cell)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.add_rows(rows);
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The same, with long cells wrapped so that no line is longer than `width`.
pub fn fitted(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>, width: u16) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head.iter().copied());
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    table.add_rows(rows);
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn is_number(cell: &str) -> bool {
    cell == "unknown"
        || cell.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'+' | b'-' | b'%'))
}

/// `1050000` → `1,050,000`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_050_000].map(thousands), ["0", "999", "1,000", "1,050,000"]);
    }

    #[test]
    fn numbers_stand_to_the_right() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["bc".to_owned(), "1,000".to_owned()]];
        assert_eq!(table(&["name", "n"], rows), " name      n\n a         1\n bc    1,000");
    }
}
