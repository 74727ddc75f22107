//! A table that fits its screen: columns give way in a stated order, then the one that may shrink is cut.

use super::paint::{Ink, Screen, columns, cut, harmless};

/// Space between two columns.
const GAP: usize = 2;
/// A column that may shrink is never cut below this.
const NARROWEST: usize = 12;

/// A table under construction.
#[derive(Clone, Debug)]
pub struct Table {
    heads: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// A column's head and manners.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    title: &'static str,
    right: bool,
    shrinks: bool,
    /// 0 stays; otherwise columns with the largest number give way first.
    gives_way: u8,
}

/// A cell's text and ink.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    ink: Ink,
}

impl Column {
    /// A column of words.
    pub const fn text(title: &'static str) -> Self {
        Self {
            title,
            right: false,
            shrinks: false,
            gives_way: 0,
        }
    }

    /// A column of figures.
    pub const fn figures(title: &'static str) -> Self {
        Self {
            right: true,
            ..Self::text(title)
        }
    }

    /// Cut when the table is too wide.
    #[must_use]
    pub const fn shrinking(self) -> Self {
        Self {
            shrinks: true,
            ..self
        }
    }

    /// Left out when the table is too wide; those with the larger rank first.
    #[must_use]
    pub const fn giving_way(self, rank: u8) -> Self {
        Self {
            gives_way: rank,
            ..self
        }
    }
}

impl Cell {
    /// A cell in this ink.
    pub fn inked(ink: Ink, text: impl Into<String>) -> Self {
        Self {
            text: harmless(&text.into()).into_owned(),
            ink,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::inked(Ink::Plain, text)
    }
}

impl Table {
    /// A table with these columns.
    pub fn new(heads: impl Into<Vec<Column>>) -> Self {
        Self {
            heads: heads.into(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; a cell for each column, missing ones are empty.
    pub fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// Lays it out, indented by two, each line ended.
    pub fn render(&self, screen: Screen) -> String {
        let mut shown: Vec<usize> = (0..self.heads.len())
            .filter(|column| self.said(*column))
            .collect();
        let mut widths: Vec<usize> = (0..self.heads.len()).map(|column| self.natural(column)).collect();
        let room = screen.width.saturating_sub(GAP);
        let total = |shown: &[usize], widths: &[usize]| {
            shown
                .iter()
                .map(|column| widths[*column] + GAP)
                .sum::<usize>()
                .saturating_sub(GAP)
        };
        let shrinkable = |shown: &[usize], widths: &[usize]| {
            let spare = |column: &usize| widths[*column].saturating_sub(NARROWEST);
            shown
                .iter()
                .filter(|column| self.heads[**column].shrinks)
                .map(spare)
                .sum::<usize>()
        };
        while total(&shown, &widths).saturating_sub(shrinkable(&shown, &widths)) > room {
            let Some(first) = (0..shown.len())
                .filter(|at| self.heads[shown[*at]].gives_way > 0)
                .max_by_key(|at| self.heads[shown[*at]].gives_way)
            else {
                break;
            };
            shown.remove(first);
        }
        for column in &shown {
            let excess = total(&shown, &widths).saturating_sub(room);
            if self.heads[*column].shrinks && excess > 0 {
                widths[*column] = widths[*column]
                    .saturating_sub(excess)
                    .max(NARROWEST.min(widths[*column]));
            }
        }
        let mut out = String::new();
        let heads: Vec<_> = self
            .heads
            .iter()
            .map(|head| Cell::inked(Ink::Faint, head.title))
            .collect();
        for row in std::iter::once(&heads).chain(&self.rows) {
            self.line(&mut out, row, &shown, &widths, screen);
        }
        out
    }

    fn line(&self, out: &mut String, row: &[Cell], shown: &[usize], widths: &[usize], screen: Screen) {
        let start = out.len();
        for column in shown {
            let (text, ink) = row
                .get(*column)
                .map_or(("", Ink::Plain), |cell| (&*cell.text, cell.ink));
            let text = cut(text, widths[*column]);
            let padding = " ".repeat(widths[*column].saturating_sub(columns(&text)));
            out.push_str("  ");
            if self.heads[*column].right {
                out.push_str(&padding);
                out.push_str(&screen.paint(ink, &text));
            } else {
                out.push_str(&screen.paint(ink, &text));
                out.push_str(&padding);
            }
        }
        let end = out[start..].trim_end().len();
        out.truncate(start + end);
        out.push('\n');
    }

    /// Whether any row has something in the column: an empty one tells nothing.
    fn said(&self, column: usize) -> bool {
        self.rows
            .iter()
            .any(|row| row.get(column).is_some_and(|cell| !cell.text.is_empty()))
    }

    fn natural(&self, column: usize) -> usize {
        self.rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| columns(&cell.text))
            .chain([columns(self.heads[column].title)])
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            Column::text("route").shrinking(),
            Column::figures("requests"),
            Column::figures("mean").giving_way(1),
            Column::text("note"),
        ]);
        table.row([
            "/a/very/long/route/with/:id/and/more".into(),
            "1,000".into(),
            "1 ms".into(),
        ]);
        table.row(["/b".into(), "7".into(), "20 ms".into()]);
        table
    }

    #[test]
    fn columns_that_nobody_filled_are_left_out() {
        let text = table().render(Screen::PLAIN);
        assert!(!text.contains("note"), "{text}");
        assert_eq!(
            text,
            "  route                                 requests   mean\n  \
             /a/very/long/route/with/:id/and/more     1,000   1 ms\n  \
             /b                                           7  20 ms\n"
        );
    }

    #[test]
    fn on_a_narrow_screen_columns_give_way_and_the_long_one_is_cut() {
        for width in [20, 30, 40, 60] {
            let screen = Screen { width, colour: false };
            let text = table().render(screen);
            let widest = text.lines().map(columns).max().unwrap_or(0);
            assert!(widest <= width.max(24), "{width}: {text}");
        }
    }
}
