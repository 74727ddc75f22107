//! The probes' [`Layout`] of the running kernel.

use hopscope_abi::Layout;

use super::btf::Btf;

/// A field that this kernel's types do not have; without it the probes cannot run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this kernel's BTF has no {of}.{path}")]
pub struct Missing {
    of: &'static str,
    path: &'static str,
}

/// What the probes are asked to do beyond their default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Addresses of load balancers are known.
    pub balancers: bool,
    /// Clean ends are wanted as records too, to join them to a recording.
    pub every_close: bool,
}

/// Looks every offset up.
///
/// `release` is the kernel's version: helpers, unlike types, are not in its BTF.
///
/// # Errors
/// The first field that is not there.
pub fn resolve(btf: &Btf<'_>, release: (u32, u32), wishes: Wishes) -> Result<Layout, Missing> {
    let at = |of: &'static str, path: &'static str| btf.offset(of, path).ok_or(Missing { of, path });
    let arguments = |tracepoint: &str| btf.tracepoint_arguments(tracepoint).unwrap_or(0);
    let daddr = at("sock_common", "skc_daddr")?;
    let saddr = at("sock_common", "skc_rcv_saddr")?;
    Ok(Layout {
        daddr,
        saddr,
        dport: at("sock_common", "skc_dport")?,
        num: at("sock_common", "skc_num")?,
        family: at("sock_common", "skc_family")?,
        state: at("sock_common", "skc_state")?,
        net: at("sock_common", "skc_net")?,
        daddr6: btf.offset("sock_common", "skc_v6_daddr").unwrap_or(daddr),
        saddr6: btf.offset("sock_common", "skc_v6_rcv_saddr").unwrap_or(saddr),
        inum: at("net", "ns.inum")?,
        error: at("sock", "sk_err")?,
        shutdown: at("sock", "sk_shutdown")?,
        backlog: at("sock", "sk_ack_backlog")?,
        max_backlog: at("sock", "sk_max_ack_backlog")?,
        cgroup: at("sock", "sk_cgrp_data")?,
        kn: at("cgroup", "kn")?,
        kn_id: at("kernfs_node", "id")?,
        sport: at("tcp_sock", "inet_conn.icsk_inet.inet_sport")?,
        srtt: at("tcp_sock", "srtt_us")?,
        // A struct minmax_sample is a u32 time and then the u32 value.
        rtt_min: at("tcp_sock", "rtt_min.s")? + 4,
        total_retrans: at("tcp_sock", "total_retrans")?,
        bytes_acked: at("tcp_sock", "bytes_acked")?,
        bytes_received: at("tcp_sock", "bytes_received")?,
        skb_head: at("sk_buff", "head")?,
        skb_network: at("sk_buff", "network_header")?,
        skb_dev: at("sk_buff", "dev")?,
        dev_net: at("net_device", "nd_net")?,
        skb_segments: segments(btf).unwrap_or(0),
        leader: at("task_struct", "group_leader")?,
        comm: at("task_struct", "comm")?,
        have_cookie: u32::from(release >= (5, 12)),
        have_reset_reason: u32::from(arguments("tcp_send_reset") >= 3),
        have_retransmit_error: u32::from(arguments("tcp_retransmit_skb") >= 3),
        have_balancers: u32::from(wishes.balancers),
        every_close: u32::from(wishes.every_close),
    })
}

/// Where a packet of the retransmission queue says how many segments it is.
fn segments(btf: &Btf<'_>) -> Option<u32> {
    let block = btf.offset("sk_buff", "cb")?;
    block.checked_add(btf.offset("tcp_skb_cb", "tcp_gso_segs")?)
}

/// Major and minor version of a kernel release such as `6.12.117-cloud-amd64`; zeros where there is none.
pub fn release(text: &str) -> (u32, u32) {
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_its_first_two_numbers() {
        assert_eq!(release("6.12.117+deb12-cloud-amd64\n"), (6, 12));
        assert_eq!(release("5.4"), (5, 4));
        assert_eq!(release("nonsense"), (0, 0));
    }

    #[test]
    fn a_kernel_without_the_fields_is_refused_by_name() {
        let nothing = Btf::parse(&[
            0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ]);
        let missing = resolve(&nothing.unwrap(), (6, 1), Wishes::default()).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "this kernel's BTF has no sock_common.skc_daddr"
        );
    }
}
