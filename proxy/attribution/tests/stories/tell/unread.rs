//! Connections of which not all was read, and those that came to no request.

use hopscope_attribution::evidence::{Ending, Moment, Opaque, Protocol, SideEnd, Span, TlsFailure, Unread};

use super::{Options, Told, option};
use crate::words;

impl Told {
    pub(super) fn unread(&mut self, path: &str, reason: &str, options: &Options<'_>) -> Result<(), String> {
        let reason = Opaque::ALL
            .into_iter()
            .find(|of| of.word() == reason)
            .ok_or(format!("`{reason}` is not a reason"))?;
        let bytes = option(options, "bytes", words::number, 1_000)?;
        let after = option(options, "after", words::number, 0)?;
        for _ in 0..option(options, "connections", words::number, 1)? {
            let index = self.connect(self.path(path)?, Moment(1_000_000), options)?;
            let exchanges = u32::try_from(after).map_err(|_| "too many")?;
            self.evidence.connections.change(index, |connection| {
                connection.protocol = Protocol::Opaque(reason);
                connection.unread = Some(Unread {
                    up: bytes / 2,
                    down: bytes - bytes / 2,
                });
                connection.bytes_up = bytes + 100 * after;
                connection.bytes_down = bytes + 1_000 * after;
                connection.first_byte_up = Some(Span::ZERO);
                connection.exchanges = exchanges;
                if options.contains_key("rst") {
                    connection.upstream_end.how = Ending::Reset;
                    connection.upstream_end.at = Moment(2_000_000);
                    connection.downstream_end.how = Ending::EndedByRelay;
                }
            });
        }
        Ok(())
    }

    /// Connections whose generator's TLS handshake with hopscope failed.
    pub(super) fn front_tls(
        &mut self,
        path: &str,
        failure: TlsFailure,
        options: &Options<'_>,
    ) -> Result<(), String> {
        for _ in 0..option(options, "connections", words::number, 1)? {
            let index = self.connect(self.path(path)?, Moment(1_000_000), options)?;
            self.evidence.connections.change(index, |connection| {
                connection.protocol = Protocol::Silent;
                connection.downstream_end = SideEnd {
                    at: Moment(1_002_000),
                    how: Ending::Tls(failure),
                };
                connection.upstream_end.how = Ending::EndedByRelay;
            });
        }
        Ok(())
    }

    /// Connections on which nothing was asked: the far side spoke first, or (`turned-away=TIME`) ended it so long after
    /// it stood.
    pub(super) fn unused(&mut self, path: &str, options: &Options<'_>) -> Result<(), String> {
        for _ in 0..option(options, "connections", words::number, 1)? {
            let index = self.connect(self.path(path)?, Moment(1_000_000), options)?;
            let mut row = self.evidence.connections.get(index).ok_or("no such connection")?;
            let connection = &mut row;
            if options.contains_key("turned-away") {
                let after = option(options, "turned-away", words::span, Span::ZERO)?;
                let at = connection.opened + Span::from_micros(300) + after;
                connection.protocol = Protocol::Silent;
                connection.upstream_end = SideEnd { at, how: Ending::Fin };
                connection.downstream_end = SideEnd {
                    at: at + Span::from_micros(400),
                    how: Ending::Fin,
                };
                self.evidence.connections.change(index, |kept| *kept = row);
                continue;
            }
            connection.protocol = Protocol::Opaque(Opaque::NotHttp);
            connection.bytes_down = 21;
            connection.unread = Some(Unread { up: 0, down: 21 });
            self.evidence.connections.change(index, |kept| *kept = row);
        }
        Ok(())
    }
}
