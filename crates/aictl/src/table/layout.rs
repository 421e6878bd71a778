//! Which columns of a table are shown, and how wide: pure arithmetic.
//!
//! Where there is too little room, columns give way one step after another, those that matter
//! least first, until the rest fits: a column shows the short form of what it tells; its longest
//! texts lose more of their ends than is comfortable; it goes. Before any column goes, all that can
//! be cut are cut to what is comfortable.

/// What a column needs, in terminal columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// To be shown whole.
    pub full: usize,
    /// With the short form of what it tells, where that has one; at most `full`.
    pub short: usize,
    /// To be read with ease; [`UNCUT`] if its texts cannot be cut.
    pub comfortable: usize,
    /// To be of use; at most `comfortable`.
    pub least: usize,
    /// The space between it and the next column.
    pub gap: usize,
    /// How much it matters; what is [`KEPT`] is always shown.
    pub importance: u8,
    /// How much it matters that it shows more than the short form.
    pub full_importance: u8,
}

/// The importance of a column that is always shown.
pub const KEPT: u8 = u8::MAX;
/// The width of a column whose texts cannot be cut: never less than they need.
pub const UNCUT: usize = usize::MAX;
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

/// What a column gives up, in this order where columns matter alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Shorten,
    Cut,
    Squeeze,
    Leave,
    /// The last resort: a column that is always shown is cut to almost nothing.
    Crush,
}

/// How a column is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shown {
    short: bool,
    /// The least width that it may be cut to.
    floor: usize,
}

/// Gives each column its room in a table of at most `width`, or none.
#[must_use]
pub fn layout(needs: &[Need], width: usize) -> Vec<Option<Room>> {
    let whole = |_: &Need| Some(Shown { short: false, floor: UNCUT });
    let mut shown: Vec<Option<Shown>> = needs.iter().map(whole).collect();
    let mut steps = steps(needs).into_iter();
    let mut rooms = fit(needs, &shown, width);
    while rooms.is_none() {
        let Some((step, index)) = steps.next() else { break };
        if let Some(column) = &mut shown[index] {
            match step {
                Step::Shorten => column.short = true,
                Step::Cut => column.floor = needs[index].comfortable,
                Step::Squeeze => column.floor = needs[index].least,
                Step::Crush => column.floor = NARROWEST,
                Step::Leave => shown[index] = None,
            }
        }
        rooms = fit(needs, &shown, width);
    }
    let Some(mut rooms) = rooms else {
        // In less than that nothing can be shown; what there is runs over.
        let room = |(need, column): (&Need, &Option<Shown>)| {
            column.map(|column| Room { width: column.floor.min(need.short), short: true })
        };
        return needs.iter().zip(&shown).map(room).collect();
    };
    // Where a column has gone, another may have the room for its full form again.
    let mut shortened: Vec<usize> =
        (0..needs.len()).filter(|index| shown[*index].is_some_and(|column| column.short)).collect();
    shortened.sort_by_key(|index| std::cmp::Reverse(needs[*index].full_importance));
    for index in shortened {
        let before = shown[index];
        shown[index] = before.map(|column| Shown { short: false, ..column });
        let narrower = |(before, after): (&Option<Room>, &Option<Room>)| {
            before.zip(*after).is_some_and(|(before, after)| after.width < before.width)
        };
        match fit(needs, &shown, width) {
            Some(full)
                if full[index].is_some_and(|room| room.width == needs[index].full)
                    && !rooms.iter().zip(&full).any(narrower) =>
            {
                rooms = full;
            }
            _ => shown[index] = before,
        }
    }
    rooms
}

/// What may be given up, and by which column, in order.
fn steps(needs: &[Need]) -> Vec<(Step, usize)> {
    let mut steps: Vec<(u8, Step, usize)> = Vec::new();
    // Of columns that matter alike, the right one first.
    for (index, need) in needs.iter().enumerate().rev() {
        steps.push((need.full_importance, Step::Shorten, index));
        steps.push((0, Step::Cut, index));
        steps.push((need.importance, Step::Squeeze, index));
        let last = if need.importance == KEPT { Step::Crush } else { Step::Leave };
        steps.push((need.importance, last, index));
    }
    steps.sort_by_key(|(importance, step, _)| (*importance, *step));
    steps.into_iter().map(|(_, step, index)| (step, index)).collect()
}

/// The room of the columns that are shown, the widest cut first, none to less than its floor;
/// `None` if they do not fit.
fn fit(needs: &[Need], shown: &[Option<Shown>], width: usize) -> Option<Vec<Option<Room>>> {
    let room = |(need, column): (&Need, &Option<Shown>)| {
        let short = (*column)?.short && need.short < need.full;
        Some(Room { width: if short { need.short } else { need.full }, short })
    };
    let mut rooms: Vec<Option<Room>> = needs.iter().zip(shown).map(room).collect();
    let present = || needs.iter().zip(&rooms).filter_map(|(need, room)| Some((need, (*room)?)));
    // Nothing follows the last.
    let last_gap = present().next_back().map_or(0, |(need, _)| need.gap);
    let total = present().map(|(need, room)| need.gap + room.width).sum::<usize>() - last_gap;
    for _ in width..total {
        let columns = shown.iter().zip(&mut rooms);
        columns
            .filter_map(|(column, room)| Some(((*column)?.floor, room.as_mut()?)))
            .filter(|(floor, room)| room.width > *floor)
            .max_by_key(|(_, room)| room.width)?
            .1
            .width -= 1;
    }
    Some(rooms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn need(full: usize, comfortable: usize, least: usize, importance: u8) -> Need {
        Need { full, short: full, comfortable, least, gap: 2, importance, full_importance: 0 }
    }

    #[test]
    fn what_is_given_up_is_given_up_in_order() {
        // A name, a state, a list that can be cut, an address with a short form, and a memory
        // whose full form matters more than the address.
        let needs = [
            need(8, 8, 4, KEPT),
            need(6, UNCUT, UNCUT, KEPT),
            need(30, 20, 10, 5),
            Need { short: 5, ..need(20, UNCUT, UNCUT, 3) },
            Need { short: 7, full_importance: 4, ..need(14, UNCUT, UNCUT, 6) },
        ];
        for (width, expected) in [
            (200, [Some(8), Some(6), Some(30), Some(20), Some(14)]),
            (86, [Some(8), Some(6), Some(30), Some(20), Some(14)]),
            // What has a short form that matters little shows it.
            (85, [Some(8), Some(6), Some(30), Some(5), Some(14)]),
            (71, [Some(8), Some(6), Some(30), Some(5), Some(14)]),
            // What can be cut is cut, but only so far.
            (70, [Some(8), Some(6), Some(29), Some(5), Some(14)]),
            (61, [Some(8), Some(6), Some(20), Some(5), Some(14)]),
            // The address goes before the memory's full form does.
            (60, [Some(8), Some(6), Some(26), None, Some(14)]),
            (54, [Some(8), Some(6), Some(20), None, Some(14)]),
            (53, [Some(8), Some(6), Some(26), None, Some(7)]),
            (47, [Some(8), Some(6), Some(20), None, Some(7)]),
            // The list is cut to more than is comfortable, then goes, and then there is room for
            // the full form.
            (46, [Some(8), Some(6), Some(19), None, Some(7)]),
            (37, [Some(8), Some(6), Some(10), None, Some(7)]),
            (36, [Some(8), Some(6), None, None, Some(14)]),
            (32, [Some(8), Some(6), None, None, Some(14)]),
            (31, [Some(8), Some(6), None, None, Some(7)]),
            (24, [Some(8), Some(6), None, None, None]),
            // What is always there is cut last.
            (15, [Some(7), Some(6), None, None, None]),
            (12, [Some(4), Some(6), None, None, None]),
            (11, [Some(5), Some(4), None, None, None]),
            (6, [Some(2), Some(2), None, None, None]),
            (0, [Some(2), Some(2), None, None, None]),
        ] {
            let rooms = layout(&needs, width);
            let widths: Vec<_> = rooms.iter().map(|room| room.map(|room| room.width)).collect();
            assert_eq!(widths, expected, "{width}");
            let short = |index: usize, width| {
                rooms[index].is_none_or(|room| room.short == (room.width == width))
            };
            assert!(short(3, 5) && short(4, 7), "{width}");
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
