//! Dealing new connections out over the paths: in random order, by weight.

use hopscope_attribution::evidence::PathId;

/// The weights, summed up for the draw.
#[derive(Clone, Debug)]
pub(super) struct Deal {
    /// Sum of the weights up to and including each path's.
    bounds: Vec<u32>,
}

impl Deal {
    /// By these weights, one a path; a path of weight 0 gets nothing.
    pub(super) fn by_weights(weights: &[u32]) -> Self {
        let bounds = weights.iter().scan(0_u32, |sum, weight| {
            *sum = sum.saturating_add(*weight);
            Some(*sum)
        });
        Self {
            bounds: bounds.collect(),
        }
    }

    /// The path of the next connection.
    pub(super) fn next(&self, random: &mut fastrand::Rng) -> PathId {
        let total = self.bounds.last().copied().unwrap_or(0).max(1);
        if self.bounds.len() < 2 {
            return PathId(0);
        }
        let drawn = random.u32(0..total);
        let index = self.bounds.partition_point(|&bound| bound <= drawn);
        PathId(u8::try_from(index).unwrap_or(0))
    }

    /// One of these paths, by their weights among themselves; `None` where there is none.
    pub(super) fn next_of(&self, paths: &[PathId], random: &mut fastrand::Rng) -> Option<PathId> {
        let weight = |path: &PathId| {
            let index = usize::from(path.0);
            let bound = |index: usize| self.bounds.get(index).copied().unwrap_or(0);
            bound(index) - index.checked_sub(1).map_or(0, bound)
        };
        let total: u32 = paths.iter().map(weight).sum();
        let mut drawn = random.u32(0..total.max(1));
        for path in paths {
            match drawn.checked_sub(weight(path)) {
                Some(left) if weight(path) > 0 || total > 0 => drawn = left,
                Some(_) | None => return Some(*path),
            }
        }
        paths.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dealt(weights: &[u32], draws: u32) -> Vec<u32> {
        let (deal, mut random) = (Deal::by_weights(weights), fastrand::Rng::with_seed(7));
        let mut counts = vec![0; weights.len()];
        for _ in 0..draws {
            counts[usize::from(deal.next(&mut random).0)] += 1;
        }
        counts
    }

    #[test]
    fn connections_follow_the_weights() {
        let counts = dealt(&[3, 1], 4_000);
        assert!((2_800..3_200).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn a_path_of_weight_zero_gets_nothing() {
        assert_eq!(dealt(&[1, 0, 1], 1_000)[1], 0);
        assert_eq!(dealt(&[0, 1], 100), [0, 100]);
    }

    #[test]
    fn among_some_paths_their_own_weights_count() {
        let (deal, mut random) = (Deal::by_weights(&[3, 5, 1, 0]), fastrand::Rng::with_seed(7));
        let mut counts = [0; 4];
        for _ in 0..4_000 {
            let path = deal
                .next_of(&[PathId(0), PathId(2), PathId(3)], &mut random)
                .unwrap();
            counts[usize::from(path.0)] += 1;
        }
        assert!((2_800..3_200).contains(&counts[0]), "{counts:?}");
        assert_eq!(counts[0] + counts[2], 4_000);
        assert_eq!(deal.next_of(&[PathId(3)], &mut random), Some(PathId(3)));
        assert_eq!(deal.next_of(&[], &mut random), None);
    }

    #[test]
    fn a_single_path_gets_everything() {
        assert_eq!(dealt(&[5], 10), [10]);
    }
}
