//! `struct tcp_info` (linux/tcp.h), read by its length: kernels only ever append to it.

/// What `TCP_INFO` says of a socket. Fields that younger kernels appended are `None` on older ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// Present retransmission time-out, microseconds.
    pub rto_us: u32,
    /// Segments sent and not acknowledged; for a listener the connections that wait to be accepted.
    pub unacked: u32,
    /// Segments thought lost now.
    pub lost: u32,
    /// Zero-window probes sent since the peer's window closed (`tcpi_probes`).
    pub probes: u8,
    /// Retransmissions of the oldest segment since it was last acknowledged (`tcpi_retransmits`).
    pub retransmits_now: u8,
    /// Milliseconds since data was last sent.
    pub last_data_sent_ms: u32,
    /// Milliseconds since data was last received.
    pub last_data_recv_ms: u32,
    /// Milliseconds since an acknowledgement was last received.
    pub last_ack_recv_ms: u32,
    /// Smoothed round-trip time, microseconds.
    pub rtt_us: u32,
    /// Segments retransmitted over the socket's life.
    pub total_retrans: u32,
    /// Bytes of ours that the peer acknowledged (4.1).
    pub bytes_acked: Option<u64>,
    /// Bytes received in order (4.1).
    pub bytes_received: Option<u64>,
    /// Bytes written and not yet sent (4.6).
    pub notsent_bytes: Option<u32>,
    /// Smallest round-trip time, microseconds (4.6).
    pub min_rtt_us: Option<u32>,
    /// Microseconds with something to send (4.9).
    pub busy_us: Option<u64>,
    /// Microseconds of those limited by the peer's receive window (4.9).
    pub rwnd_limited_us: Option<u64>,
    /// Microseconds of those limited by our send buffer (4.9).
    pub sndbuf_limited_us: Option<u64>,
    /// The receive window that the peer offers, bytes (5.4).
    pub snd_wnd: Option<u32>,
}

impl TcpInfo {
    /// Reads as much as there is; `None` when even the oldest part is cut short.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let byte = |at: usize| bytes.get(at).copied();
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        Some(Self {
            retransmits_now: byte(2)?,
            probes: byte(3)?,
            rto_us: word(8)?,
            unacked: word(24)?,
            lost: word(32)?,
            last_data_sent_ms: word(44)?,
            last_data_recv_ms: word(52)?,
            last_ack_recv_ms: word(56)?,
            rtt_us: word(68)?,
            total_retrans: word(100)?,
            bytes_acked: long(120),
            bytes_received: long(128),
            notsent_bytes: word(144),
            min_rtt_us: word(148),
            busy_us: long(168),
            rwnd_limited_us: long(176),
            sndbuf_limited_us: long(184),
            snd_wnd: word(228),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kernels_shorter_answer_leaves_the_younger_fields_out() {
        let mut bytes = vec![0; 104];
        bytes[68..72].copy_from_slice(&1500u32.to_ne_bytes());
        let old = TcpInfo::parse(&bytes).expect("the oldest part is whole");
        assert_eq!(old.rtt_us, 1500);
        assert_eq!((old.bytes_acked, old.busy_us, old.snd_wnd), (None, None, None));
        bytes.resize(232, 0);
        bytes[228..232].copy_from_slice(&7u32.to_ne_bytes());
        assert_eq!(TcpInfo::parse(&bytes).and_then(|young| young.snd_wnd), Some(7));
        assert_eq!(TcpInfo::parse(&bytes[..103]), None);
    }
}
