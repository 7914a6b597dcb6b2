//! Aligned tables of text.

use crate::ctl::human::clean;

/// Rows under headings; columns as wide as their widest cell.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Makes a table with its headings.
    #[must_use]
    pub fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row; an empty cell is shown as `-`.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        let shown = cells.iter().map(|cell| if cell.is_empty() { "-".to_owned() } else { clean(cell) });
        self.rows.push(shown.collect());
    }

    /// Tells whether it has no rows but the headings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// Writes it, each line ended; no line ends with spaces.
    #[must_use]
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let padded: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            text.push_str(padded.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// Writes names and values, the values aligned; a value of several lines goes on under its first.
#[must_use]
pub fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.chars().count() + 1).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in fields {
        let mut name = format!("{name}:");
        for line in value.lines() {
            text.push_str(format!("{name:<width$}  {}", clean(line)).trim_end());
            text.push('\n');
            name.clear();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::ctl::table::{Table, fields};

    #[test]
    fn columns_line_up_and_lines_do_not_trail() {
        let mut table = Table::new(&["HOST", "STATE"]);
        table.row(["web1".to_owned(), "Soaking".to_owned()]);
        table.row(["a-longer-one".to_owned(), String::new()]);
        assert_eq!(table.render(), "HOST          STATE\nweb1          Soaking\na-longer-one  -\n");
    }

    #[test]
    fn a_cell_can_not_add_a_line() {
        let mut table = Table::new(&["A"]);
        table.row(["x\ny".to_owned()]);
        assert_eq!(table.render(), "A\nx y\n");
    }

    #[test]
    fn values_go_on_under_their_first_line() {
        let shown = fields(&[("id", "stable@1".to_owned()), ("waves", "one\ntwo".to_owned())]);
        assert_eq!(shown, "id:     stable@1\nwaves:  one\n        two\n");
    }
}
