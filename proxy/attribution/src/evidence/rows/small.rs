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

    #[inline]
    pub(super) fn get(self) -> u64 {
        let mut bytes = [0; 8];
        if let Some(low) = bytes.get_mut(..N) {
            low.copy_from_slice(&self.0);
        }
        u64::from_le_bytes(bytes)
    }
}
