//! Tables for people: as wide as the terminal at most, and in full where there is none.

mod fields;
mod flow;
mod layout;
mod look;
mod paragraph;
mod text;

use comfy_table::{CellAlignment, presets};

pub use fields::Fields;
pub use flow::{Part, flow};
pub use layout::KEPT;
#[cfg(test)]
pub use look::Alphabet;
pub use look::Look;
pub use paragraph::paragraph;
pub use text::{cut, fill, width};

use crate::color::Style;
use layout::{Need, Room, UNCUT, layout};
use text::wrap;

/// What stands for what is not known.
pub const UNKNOWN: &str = "-";
/// The narrowest table that is laid out: a narrower terminal has to break its lines.
const NARROWEST: u16 = 20;
/// The space between two columns.
const GAP: usize = 2;

/// What happens to a text that is wider than its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overflow {
    /// The column is never narrower than its widest text.
    Never,
    /// It is cut.
    Cut(Widths),
    /// It goes on in the next line.
    Wrap(Widths),
}

/// How narrow a column may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Widths {
    /// Before others give way.
    comfortable: usize,
    /// After those that matter less have given way.
    least: usize,
}

/// A column: what it is called, and what gives way where there is too little room.
#[derive(Debug, Clone)]
pub struct Column {
    header: &'static str,
    alignment: CellAlignment,
    overflow: Overflow,
    importance: u8,
    full_importance: u8,
    gap: usize,
}

impl Column {
    /// A column of words. Where there is too little room, the columns of the lowest importance are
    /// left out first, those of [`KEPT`] never.
    #[must_use]
    pub const fn left(header: &'static str, importance: u8) -> Self {
        let (alignment, overflow) = (CellAlignment::Left, Overflow::Never);
        Self { header, alignment, overflow, importance, full_importance: 0, gap: GAP }
    }

    /// A column of numbers.
    #[must_use]
    pub const fn right(header: &'static str, importance: u8) -> Self {
        Self { alignment: CellAlignment::Right, ..Self::left(header, importance) }
    }

    /// Where there is too little room its texts are cut: first to `comfortable`, and to no less
    /// than `least` once the columns that matter less are gone.
    #[must_use]
    pub const fn cut(self, comfortable: usize, least: usize) -> Self {
        Self { overflow: Overflow::Cut(Widths { comfortable, least }), ..self }
    }

    /// The same, but its texts go on in the next line.
    #[must_use]
    pub const fn wrap(self, comfortable: usize, least: usize) -> Self {
        Self { overflow: Overflow::Wrap(Widths { comfortable, least }), ..self }
    }

    /// The short form of its texts is shown before a column of this importance is left out; else
    /// it is the first thing to be done where there is too little room.
    #[must_use]
    pub const fn full_before(self, importance: u8) -> Self {
        Self { full_importance: importance, ..self }
    }

    /// The next column follows closely.
    #[must_use]
    pub const fn close(self) -> Self {
        Self { gap: 1, ..self }
    }
}

/// What stands in one row of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// `None` if it is not known.
    text: Option<String>,
    short: Option<String>,
    style: Style,
}

impl Cell {
    /// A text; what acts on terminals is taken out of it.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), short: None, style: Style::Plain }
    }

    /// What is not known.
    #[must_use]
    pub const fn unknown() -> Self {
        Self { text: None, short: None, style: Style::Faint }
    }

    /// A text, or that it is not known.
    #[must_use]
    pub fn known(text: Option<impl Into<String>>) -> Self {
        text.map_or(Self::unknown(), Self::new)
    }

    /// The text in a style; what is not known stays faint.
    #[must_use]
    pub fn style(self, style: Style) -> Self {
        match self.text {
            Some(_) => Self { style, ..self },
            None => self,
        }
    }

    /// What says the same where there is less room.
    #[must_use]
    pub fn short(self, short: impl Into<String>) -> Self {
        Self { short: Some(short.into()), ..self }
    }

    fn shown(&self, look: Look, short: bool) -> String {
        let short = self.short.as_deref().filter(|_| short);
        let text = short.or(self.text.as_deref()).unwrap_or(UNKNOWN);
        match look.text(text).trim() {
            "" => UNKNOWN.to_owned(),
            text => text.to_owned(),
        }
    }
}

/// Columns and rows.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row: a cell for each column; one that is missing is not known.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut row: Vec<Cell> = cells.into_iter().collect();
        row.resize(self.columns.len(), Cell::unknown());
        self.rows.push(row);
    }

    /// The table, a line for each row and one above them. On a terminal it is no wider than that;
    /// a column that nothing is known of is left out there, since it is nothing but dashes.
    #[must_use]
    pub fn render(&self, look: Look) -> String {
        let rooms = self.rooms(look);
        let shown: Vec<(usize, &Column, Room)> = self
            .columns
            .iter()
            .enumerate()
            .filter_map(|(index, column)| Some((index, column, rooms[index]?)))
            .collect();
        let header = shown.iter().map(|(_, column, room)| {
            (cut(column.header, room.width, look.ellipsis()), Style::Faint)
        });
        let mut lines: Vec<Vec<(String, Style)>> = vec![header.collect()];
        for row in &self.rows {
            lines.extend(physical(row, &shown, look));
        }
        let columns: Vec<&Column> = shown.iter().map(|(_, column, _)| *column).collect();
        draw(&columns, &lines, look)
    }

    fn rooms(&self, look: Look) -> Vec<Option<Room>> {
        let cells = |index: usize| self.rows.iter().map(move |row| &row[index]);
        let widest = |index, short| {
            cells(index).map(|cell| width(&cell.shown(look, short))).max().unwrap_or(0)
        };
        let needs = self.columns.iter().enumerate().map(|(index, column)| {
            let header = width(column.header);
            let full = widest(index, false).max(header);
            let short = widest(index, true).max(header).min(full);
            let (comfortable, least) = match column.overflow {
                Overflow::Never => (UNCUT, UNCUT),
                Overflow::Cut(widths) | Overflow::Wrap(widths) => {
                    (widths.comfortable.max(header), widths.least.max(header))
                }
            };
            let Column { gap, importance, full_importance, .. } = *column;
            Need { full, short, comfortable, least, gap, importance, full_importance }
        });
        let needs: Vec<Need> = needs.collect();
        let Some(width) = look.width else {
            let whole = |need: &Need| Some(Room { width: need.full, short: false });
            return needs.iter().map(whole).collect();
        };
        let told: Vec<usize> = (0..self.columns.len())
            .filter(|index| {
                let kept = self.columns[*index].importance == KEPT || self.rows.is_empty();
                kept || cells(*index).any(|cell| cell.text.is_some())
            })
            .collect();
        let wanted: Vec<Need> = told.iter().map(|index| needs[*index]).collect();
        let mut rooms = vec![None; needs.len()];
        for (index, room) in told.iter().zip(layout(&wanted, width.max(NARROWEST).into())) {
            rooms[*index] = room;
        }
        rooms
    }
}

/// The lines of a row, each with a text for every column that is shown.
fn physical(
    row: &[Cell],
    shown: &[(usize, &Column, Room)],
    look: Look,
) -> Vec<Vec<(String, Style)>> {
    let cells: Vec<(Vec<String>, Style)> = shown
        .iter()
        .map(|(index, column, room)| {
            let cell = &row[*index];
            let text = cell.shown(look, room.short);
            let lines = match column.overflow {
                Overflow::Wrap(_) => wrap(&text, room.width),
                Overflow::Never | Overflow::Cut(_) => vec![cut(&text, room.width, look.ellipsis())],
            };
            (lines, cell.style)
        })
        .collect();
    let height = cells.iter().map(|(lines, _)| lines.len()).max().unwrap_or(1);
    (0..height)
        .map(|line| {
            let text = |(lines, style): &(Vec<String>, Style)| {
                (lines.get(line).cloned().unwrap_or_default(), *style)
            };
            cells.iter().map(text).collect()
        })
        .collect()
}

/// Lays out texts that fit, and paints them.
fn draw(columns: &[&Column], lines: &[Vec<(String, Style)>], look: Look) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING);
    for line in lines {
        table.add_row(line.iter().map(|(text, _)| text));
    }
    for (column, laid_out) in columns.iter().zip(table.column_iter_mut()) {
        laid_out.set_padding((0, u16::try_from(column.gap).unwrap_or(u16::MAX)));
        laid_out.set_cell_alignment(column.alignment);
    }
    let mut text = String::new();
    for (laid_out, cells) in table.lines().zip(lines) {
        text += &paint(laid_out.trim_end(), cells, look);
        text.push('\n');
    }
    text
}

/// The line with each of its texts painted. Colours come last: they have no width, but do not
/// look so.
fn paint(line: &str, cells: &[(String, Style)], look: Look) -> String {
    let mut painted = String::with_capacity(line.len());
    let mut rest = line;
    for (text, style) in cells {
        if text.is_empty() {
            continue;
        }
        let start = rest.len() - rest.trim_start_matches(' ').len();
        let (space, behind) = rest.split_at(start);
        // Never so; if it were, the line would rather be without colour.
        let Some(behind) = behind.strip_prefix(text.as_str()) else { return line.to_owned() };
        painted += space;
        painted += &look.paint.text(*style, text);
        rest = behind;
    }
    painted + rest
}

#[cfg(test)]
pub mod tests;
