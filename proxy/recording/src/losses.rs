//! What was lost on the way to the file, by kind: counted, shown and stored, never silent.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! loss_kinds {
    ($($(#[$doc:meta])* $variant:ident $field:ident = $word:literal,)+) => {
        /// What can be lost.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum LossKind { $($(#[$doc])* $variant,)+ }

        /// How much was lost, by kind.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Losses { $($(#[$doc])* pub $field: u64,)+ }

        /// The same, shared between the threads that lose.
        #[derive(Debug, Default)]
        pub(super) struct LossCounters { $($field: AtomicU64,)+ }

        impl LossKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word used in the recording and as a metric's label value.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl Losses {
            /// What was lost of one kind.
            pub const fn of(&self, kind: LossKind) -> u64 {
                match kind { $(LossKind::$variant => self.$field,)+ }
            }

            /// What was lost of one kind, to be set.
            pub const fn of_mut(&mut self, kind: LossKind) -> &mut u64 {
                match kind { $(LossKind::$variant => &mut self.$field,)+ }
            }
        }

        impl LossCounters {
            /// Counts `lost` records of one kind.
            pub(super) fn add(&self, kind: LossKind, lost: u64) {
                let counter = match kind { $(LossKind::$variant => &self.$field,)+ };
                counter.fetch_add(lost, Ordering::Relaxed);
            }

            /// What was lost so far.
            pub(super) fn read(&self) -> Losses {
                Losses { $($field: self.$field.load(Ordering::Relaxed),)+ }
            }
        }
    };
}

loss_kinds! {
    /// Connection rows.
    Connection connections = "connection",
    /// Rows of addresses that failed beside others.
    FailedAddress failed_addresses = "failed-address",
    /// Rows of failed exchanges.
    FailedExchange failed_exchanges = "failed-exchange",
    /// Sampled rows of successful exchanges.
    SampledExchange sampled_exchanges = "sampled-exchange",
    /// Connection rows that were left out to keep the recording below its limit.
    LeftOutConnection left_out_connections = "connection-left-out",
    /// Rows of failed exchanges that were left out with their connections.
    LeftOutExchange left_out_exchanges = "failed-exchange-left-out",
    /// Exchanges that are missing from the exact counts per second.
    Counted counted = "counted",
    /// Lines, gauges and turns in a forwarder's life.
    Tunnel tunnel = "tunnel",
    /// Samples of hopscope's own state.
    Observer observer = "observer",
    /// Kernel evidence, lost on hopscope's side.
    Kernel kernel = "kernel",
}

impl Losses {
    /// Whether nothing at all was lost.
    pub fn none(&self) -> bool {
        *self == Self::default()
    }
}
