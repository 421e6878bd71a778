//! Tables of plain text, aligned for a terminal.

/// Renders rows of cells: the first column to the left, the others to the right, two spaces
/// between. Rows may be of different lengths; no line has trailing spaces.
#[must_use]
pub fn render(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                line.push_str(&format!("{cell:<width$}"));
            } else {
                line.push_str(&format!("  {cell:>width$}"));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = |rows: &[&[&str]]| -> Vec<Vec<String>> {
            rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
        };
        for (cells, want) in [
            (rows(&[]), ""),
            (rows(&[&["a", "1"], &["long", "1000"]]), "a        1\nlong  1000\n"),
            (rows(&[&["a"], &["b", "2"]]), "a\nb  2\n"),
            (rows(&[&["é", "×"], &["ab", "yz"]]), "é    ×\nab  yz\n"),
            (rows(&[&[], &["a", ""]]), "\na\n"),
        ] {
            assert_eq!(render(&cells), want);
        }
    }
}
