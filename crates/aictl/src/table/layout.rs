//! Which columns of a table are shown, and how wide: pure arithmetic.

/// What a column needs, in terminal columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// To be shown whole.
    pub full: usize,
    /// With the short form of what it tells, where that has one; at most `full`.
    pub short: usize,
    /// To be of use; at most `short`.
    pub least: usize,
    /// The space between it and the next column.
    pub gap: usize,
    /// Those with the lowest go first; [`KEPT`] never goes.
    pub importance: u8,
}

/// The importance of a column that is always shown.
pub const KEPT: u8 = u8::MAX;
/// The width below which no column is squeezed: a single character of Chinese.
const NARROWEST: usize = 2;

/// The room of a column that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// How wide it is.
    pub width: usize,
    /// Whether it shows the short form.
    pub short: bool,
}

/// Gives each column its room in a table of at most `width`, or none. What is lost is lost in this
/// order: words to short forms, from the least important column on; the widest columns' ends;
/// columns, from the least important on and from the right.
#[must_use]
pub fn layout(needs: &[Need], width: usize) -> Vec<Option<Room>> {
    let mut shown: Vec<bool> = vec![true; needs.len()];
    loop {
        if let Some(rooms) = fit(needs, &shown, width, |need| need.least) {
            return rooms;
        }
        match least_important(needs, &shown) {
            Some(index) => shown[index] = false,
            None => break,
        }
    }
    let squeezed = fit(needs, &shown, width, |need| need.least.min(NARROWEST));
    // In less than that nothing can be shown; what there is runs over.
    squeezed.unwrap_or_else(|| {
        let room = |need: &Need| Room { width: need.least.min(NARROWEST), short: true };
        needs.iter().zip(shown).map(|(need, shown)| shown.then(|| room(need))).collect()
    })
}

/// The column to go first; `None` if no more may go.
fn least_important(needs: &[Need], shown: &[bool]) -> Option<usize> {
    let columns = needs.iter().zip(shown).enumerate().rev();
    columns
        .filter(|(_, (need, shown))| **shown && need.importance != KEPT)
        .min_by_key(|(_, (need, _))| need.importance)
        .map(|(index, _)| index)
}

/// The room of the columns that are shown, each at least as wide as `least` says; `None` if they
/// do not fit.
fn fit(
    needs: &[Need],
    shown: &[bool],
    width: usize,
    least: impl Fn(&Need) -> usize,
) -> Option<Vec<Option<Room>>> {
    let mut rooms: Vec<Option<Room>> = needs
        .iter()
        .zip(shown)
        .map(|(need, shown)| shown.then_some(Room { width: need.full, short: false }))
        .collect();
    let total = |rooms: &[Option<Room>]| {
        let columns = || needs.iter().zip(rooms).filter_map(|(need, room)| Some((need, (*room)?)));
        // Nothing follows the last.
        let last_gap = columns().last().map_or(0, |(need, _)| need.gap);
        columns().map(|(need, room)| need.gap + room.width).sum::<usize>() - last_gap
    };
    let mut by_importance: Vec<usize> = (0..needs.len()).rev().collect();
    by_importance.sort_by_key(|index| needs[*index].importance);
    for index in by_importance {
        if total(&rooms) <= width {
            return Some(rooms);
        }
        if let Some(room) = &mut rooms[index] {
            *room = Room { width: needs[index].short, short: needs[index].short < room.width };
        }
    }
    while total(&rooms) > width {
        let columns = needs.iter().zip(&mut rooms);
        let squeezable = columns
            .filter_map(|(need, room)| Some((least(need), room.as_mut()?)))
            .filter(|(least, room)| room.width > *least);
        squeezable.max_by_key(|(_, room)| room.width)?.1.width -= 1;
    }
    Some(rooms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn need(full: usize, short: usize, least: usize, importance: u8) -> Need {
        Need { full, short, least, gap: 2, importance }
    }

    #[test]
    fn what_is_lost_is_lost_in_order() {
        // A name, a state, a list that can be cut, and an address with a short form.
        let needs =
            [need(8, 8, 4, KEPT), need(6, 6, 6, KEPT), need(30, 30, 10, 5), need(20, 5, 5, 3)];
        for (width, expected) in [
            (200, [Some(8), Some(6), Some(30), Some(20)]),
            (70, [Some(8), Some(6), Some(30), Some(20)]),
            (69, [Some(8), Some(6), Some(30), Some(5)]),
            (55, [Some(8), Some(6), Some(30), Some(5)]),
            (54, [Some(8), Some(6), Some(29), Some(5)]),
            (35, [Some(8), Some(6), Some(10), Some(5)]),
            // The widest that can be is cut, be it the name.
            (34, [Some(7), Some(6), Some(10), Some(5)]),
            (31, [Some(4), Some(6), Some(10), Some(5)]),
            (30, [Some(8), Some(6), Some(12), None]),
            (23, [Some(8), Some(6), None, None]),
            (12, [Some(4), Some(6), None, None]),
            (11, [Some(5), Some(4), None, None]),
            (6, [Some(2), Some(2), None, None]),
            (0, [Some(2), Some(2), None, None]),
        ] {
            let rooms = layout(&needs, width);
            let widths: Vec<_> = rooms.iter().map(|room| room.map(|room| room.width)).collect();
            assert_eq!(widths, expected, "{width}");
            let last = rooms[3];
            assert!(last.is_none_or(|room| room.short == (room.width == 5)), "{width}");
        }
    }

    #[test]
    fn of_two_that_matter_as_little_the_right_one_goes() {
        let needs = [need(5, 5, 5, 1), need(5, 5, 5, 1), need(5, 5, 5, 2)];
        let shown = |width| layout(&needs, width).iter().map(Option::is_some).collect::<Vec<_>>();
        assert_eq!(shown(19), [true, true, true]);
        assert_eq!(shown(18), [true, false, true]);
        assert_eq!(shown(11), [false, false, true]);
        assert_eq!(layout(&[], 5), []);
    }
}
