//! A number in as few bytes as it needs, at any address.

/// A number below 2^(8 N).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Small<const N: usize>([u8; N]);

impl<const N: usize> Small<N> {
    pub(super) const ZERO: Self = Self([0; N]);

    /// `None` where the number needs more bytes.
    #[inline]
    pub(super) fn of(number: u64) -> Option<Self> {
        let (low, high) = number.to_le_bytes().split_at_checked(N).map(|(low, high)| {
            let mut bytes = [0; N];
            bytes.copy_from_slice(low);
            (bytes, high.iter().all(|byte| *byte == 0))
        })?;
        high.then_some(Self(low))
    }

    #[expect(clippy::inline_always, reason = "called for every number of every row")]
    #[inline(always)]
    pub(super) fn get(self) -> u64 {
        let mut number = 0;
        let mut at = N;
        while at > 0 {
            at -= 1;
            number = number << 8 | u64::from(self.0[at]);
        }
        number
    }
}
