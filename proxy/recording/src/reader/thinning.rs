//! Which rows are kept where there is room for fewer than there are.

/// Keeps exactly as many rows as there is room for, evenly over all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thinning {
    rows: u64,
    room: u64,
    seen: u64,
    kept: u64,
}

impl Thinning {
    pub(super) const fn new(rows: u64, room: u64) -> Self {
        Self {
            rows,
            room,
            seen: 0,
            kept: 0,
        }
    }

    /// How many rows it will have kept.
    pub(super) fn keeps(&self) -> u64 {
        self.rows.min(self.room)
    }

    /// How many it has not kept so far.
    pub(super) const fn left_out(&self) -> u64 {
        self.seen - self.kept
    }

    /// Whether the next row is kept.
    pub(super) fn keep(&mut self) -> bool {
        self.seen += 1;
        let all = u128::from(self.rows.max(self.seen));
        // Never more than its share of the rows so far.
        let due = u128::from(self.seen) * u128::from(self.room) / all;
        let keep = self.rows <= self.room || u128::from(self.kept) < due;
        self.kept += u64::from(keep);
        keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(rows: u64, room: u64) -> Vec<u64> {
        let mut thinning = Thinning::new(rows, room);
        let kept: Vec<u64> = (0..rows).filter(|_| thinning.keep()).collect();
        assert_eq!(kept.len() as u64, thinning.keeps());
        assert_eq!(thinning.left_out(), rows - thinning.keeps());
        kept
    }

    #[test]
    fn all_are_kept_where_there_is_room() {
        assert_eq!(kept(3, 3), [0, 1, 2]);
        assert_eq!(kept(3, 100), [0, 1, 2]);
    }

    #[test]
    fn as_many_as_there_is_room_for_lie_evenly() {
        assert_eq!(kept(9, 3), [2, 5, 8]);
        assert_eq!(kept(10, 4), [2, 4, 7, 9]);
        assert!(kept(5, 0).is_empty());
    }

    #[test]
    fn more_rows_than_were_counted_do_not_take_more_room() {
        let mut thinning = Thinning::new(4, 2);
        assert_eq!((0..100).filter(|_| thinning.keep()).count(), 2);
    }
}
