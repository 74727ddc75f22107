//! Which kubectl to be: what changed from one to the next, as far as a forward shows it.

use super::Transport;

/// A kubectl 1.MINOR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    minor: u16,
}

impl Version {
    /// The last for which an error of one connection is not the end of all.
    pub const V1_22: Self = Self::new(22);
    /// SPDY only, plain log lines.
    pub const V1_28: Self = Self::new(28);
    /// WebSocket first; an aborted download still blocks the tunnel for ever.
    pub const V1_31: Self = Self::new(31);
    /// The abort bug is gone.
    pub const V1_32: Self = Self::new(32);
    /// Structured log lines.
    pub const V1_37: Self = Self::new(37);

    /// kubectl 1.`minor`.
    #[must_use]
    pub const fn new(minor: u16) -> Self {
        Self { minor }
    }

    /// The 31 of 1.31.
    pub const fn minor(self) -> u16 {
        self.minor
    }

    /// What it tries first.
    pub(super) const fn prefers(self) -> Transport {
        if self.minor >= 31 {
            Transport::WebSocket
        } else {
            Transport::Spdy
        }
    }

    /// Any text on an error stream closes the whole tunnel.
    pub(super) const fn dies_of_an_error_text(self) -> bool {
        self.minor >= 23
    }

    /// The data stream is reset when a connection is done, so that what still comes on it blocks nobody.
    pub(super) const fn resets_data_streams(self) -> bool {
        self.minor >= 32
    }

    /// Losing the tunnel is an error of the command, not a line in its log.
    pub(super) const fn fails_when_lost(self) -> bool {
        self.minor >= 27
    }

    /// Its exit code when the tunnel was lost.
    pub(super) const fn exit_code_when_lost(self) -> i32 {
        if self.fails_when_lost() { 1 } else { 0 }
    }

    /// Puts its own words in front of the server's when the upgrade is refused; seen of 1.36 and 1.37, not of 1.33.
    pub(super) const fn opens_a_refusal(self) -> bool {
        self.minor >= 34
    }

    /// Built with a Go that names the copying call in front of a read's error (1.22 on).
    pub(super) const fn names_the_copying_call(self) -> bool {
        self.minor >= 28
    }
}
