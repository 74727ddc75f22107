//! A tracepoint's format file: where its record has a field, and the names of its numbers. Pure.

use std::collections::BTreeMap;

use hopscope_abi::Fields;

/// What a format file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Format {
    offsets: BTreeMap<String, u32>,
    printed: String,
}

/// A field that this kernel's tracepoint does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this kernel's tracepoint {tracepoint} has no field {field}")]
pub struct Missing {
    tracepoint: &'static str,
    field: &'static str,
}

impl Format {
    /// Reads one. What is no field is passed over.
    pub fn parse(text: &str) -> Self {
        let mut format = Self::default();
        for line in text.lines() {
            if let Some(printed) = line.strip_prefix("print fmt:") {
                printed.clone_into(&mut format.printed);
            } else if let Some((name, offset)) = field(line) {
                format.offsets.insert(name, offset);
            }
        }
        format
    }

    /// Byte offset of a field.
    pub fn offset(&self, field: &str) -> Option<u32> {
        self.offsets.get(field).copied()
    }

    /// The names of a field's numbers, where the file lists them: `__print_symbolic(REC->reason, { 2, "NAME" }, …)`.
    pub fn names(&self, field: &str) -> BTreeMap<u32, String> {
        let start = format!("__print_symbolic(REC->{field},");
        let Some((_, listed)) = self.printed.split_once(&start) else {
            return BTreeMap::new();
        };
        let listed = listed.split(')').next().unwrap_or_default();
        let pair = |pair: &str| {
            let (number, name) = pair.split('}').next()?.split_once(',')?;
            Some((
                number.trim().parse().ok()?,
                name.trim().trim_matches('"').to_owned(),
            ))
        };
        listed.split('{').skip(1).filter_map(pair).collect()
    }
}

/// `field:__u8 saddr_v6[16]; offset:40; size:16; signed:0;`, with tabs between.
fn field(line: &str) -> Option<(String, u32)> {
    let rest = line.trim_start().strip_prefix("field:")?;
    let (declared, rest) = rest.split_once(';')?;
    let name = declared.split('[').next()?.rsplit([' ', '*']).next()?;
    let offset = rest.trim_start().strip_prefix("offset:")?;
    let offset = offset.split(';').next()?.parse().ok()?;
    (!name.is_empty()).then(|| (name.to_owned(), offset))
}

/// The records of all the tracepoints that are used.
#[derive(Clone, Debug, Default)]
pub struct Formats {
    /// By the tracepoint's name.
    pub of: BTreeMap<&'static str, Format>,
}

impl Formats {
    /// Offsets for the probes. Tracepoints that are not there leave zeros: their probes are not loaded.
    ///
    /// # Errors
    /// The first field that a tracepoint which is there does not have.
    pub fn resolve(&self, release: (u32, u32)) -> Result<Fields, Missing> {
        let at = |tracepoint: &'static str, field: &'static str| match self.of.get(tracepoint) {
            None => Ok(0),
            Some(format) => format.offset(field).ok_or(Missing { tracepoint, field }),
        };
        let set = "inet_sock_set_state";
        let retransmit = "tcp_retransmit_skb";
        let synack = "tcp_retransmit_synack";
        let send = "tcp_send_reset";
        let receive = "tcp_receive_reset";
        // Since 6.10 it tells a reason, and its addresses are sockaddrs with their ports within.
        let reason = self.of.get(send).and_then(|format| format.offset("reason"));
        let older = |field| if reason.is_some() { Ok(0) } else { at(send, field) };
        let failure = self.of.get(retransmit).and_then(|format| format.offset("err"));
        let address = |new, old| at(send, if reason.is_some() { new } else { old });
        Ok(Fields {
            set_sk: at(set, "skaddr")?,
            set_old: at(set, "oldstate")?,
            set_new: at(set, "newstate")?,
            set_protocol: at(set, "protocol")?,
            set_sport: at(set, "sport")?,
            set_dport: at(set, "dport")?,
            set_saddr: at(set, "saddr_v6")?,
            set_daddr: at(set, "daddr_v6")?,
            retransmit_sk: at(retransmit, "skaddr")?,
            retransmit_state: at(retransmit, "state")?,
            retransmit_error: failure.unwrap_or(0),
            retransmit_sport: at(retransmit, "sport")?,
            retransmit_dport: at(retransmit, "dport")?,
            retransmit_saddr: at(retransmit, "saddr_v6")?,
            retransmit_daddr: at(retransmit, "daddr_v6")?,
            synack_sport: at(synack, "sport")?,
            synack_dport: at(synack, "dport")?,
            synack_daddr: at(synack, "daddr_v6")?,
            send_skb: at(send, "skbaddr")?,
            send_sk: at(send, "skaddr")?,
            send_state: at(send, "state")?,
            send_reason: reason.unwrap_or(0),
            send_sport: older("sport")?,
            send_dport: older("dport")?,
            send_saddr: address("saddr", "saddr_v6")?,
            send_daddr: address("daddr", "daddr_v6")?,
            receive_sk: at(receive, "skaddr")?,
            receive_sport: at(receive, "sport")?,
            receive_dport: at(receive, "dport")?,
            receive_saddr: at(receive, "saddr_v6")?,
            receive_daddr: at(receive, "daddr_v6")?,
            receive_cookie: at(receive, "sock_cookie")?,
            destroy_sk: at("tcp_destroy_sock", "skaddr")?,
            drop_reason: self
                .of
                .get("kfree_skb")
                .and_then(|format| format.offset("reason"))
                .unwrap_or(0),
            have_reset_reason: u32::from(reason.is_some()),
            have_retransmit_error: u32::from(failure.is_some()),
            ..callers(release)
        })
    }
}

/// What a `sock_ops` program may ask of its caller, by the kernel's version: helpers are in no format file.
pub fn callers(release: (u32, u32)) -> Fields {
    Fields {
        have_caller: u32::from(release >= (6, 10)),
        have_name: u32::from(release >= (6, 16)),
        ..Fields::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEND: &str = "name: tcp_send_reset
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:const void * skbaddr;	offset:8;	size:8;	signed:0;
	field:const void * skaddr;	offset:16;	size:8;	signed:0;
	field:int state;	offset:24;	size:4;	signed:1;
";
    const OLD: &str = "	field:__u16 sport;	offset:28;	size:2;	signed:0;
	field:__u16 dport;	offset:30;	size:2;	signed:0;
	field:__u8 saddr_v6[16];	offset:42;	size:16;	signed:0;
	field:__u8 daddr_v6[16];	offset:58;	size:16;	signed:0;
";
    const NEW: &str = "	field:enum sk_rst_reason reason;	offset:28;	size:4;	signed:0;
	field:__u8 saddr[28];	offset:32;	size:28;	signed:0;
	field:__u8 daddr[28];	offset:60;	size:28;	signed:0;
print fmt: \"%s\", REC->state ? __print_symbolic(REC->state, { 1, \"A\" }) : \"B\", __print_symbolic(REC->reason, { 0, \"NOT_SPECIFIED\" }, { 11, \"TCP_ABORT_ON_CLOSE\" })
";

    fn formats(text: &str) -> Formats {
        let mut formats = Formats::default();
        formats.of.insert("tcp_send_reset", Format::parse(text));
        formats
    }

    #[test]
    fn a_reset_before_6_10_has_ports_of_its_own_and_since_then_within_its_addresses() {
        let old = formats(&format!("{SEND}{OLD}")).resolve((6, 1)).unwrap();
        assert_eq!(
            (old.send_sport, old.send_daddr, old.have_reset_reason),
            (28, 58, 0)
        );
        let new = formats(&format!("{SEND}{NEW}")).resolve((6, 12)).unwrap();
        assert_eq!(
            (new.send_reason, new.send_daddr, new.have_reset_reason),
            (28, 60, 1)
        );
    }

    #[test]
    fn a_retransmission_tells_whether_it_failed_since_6_17_alone() {
        let fields = "sport dport family state skaddr saddr_v6 daddr_v6".split(' ');
        let line = |name| format!("\tfield:int {name};\toffset:8;\tsize:4;\tsigned:1;\n");
        let old: String = fields.map(line).collect();
        let new = old.clone() + "\tfield:int err;\toffset:76;\tsize:4;\tsigned:1;\n";
        let told = |text: &str| {
            let mut formats = Formats::default();
            formats.of.insert("tcp_retransmit_skb", Format::parse(text));
            let fields = formats.resolve((6, 12)).unwrap();
            (fields.have_retransmit_error, fields.retransmit_error)
        };
        assert_eq!((told(&old), told(&new)), ((0, 0), (1, 76)));
    }

    #[test]
    fn the_names_of_a_fields_numbers_are_its_own() {
        let format = Format::parse(&format!("{SEND}{NEW}"));
        let names = format.names("reason");
        assert_eq!(names.len(), 2);
        assert_eq!(names.get(&11).map(String::as_str), Some("TCP_ABORT_ON_CLOSE"));
        assert!(format.names("skaddr").is_empty());
    }

    #[test]
    fn a_field_that_is_not_there_is_named() {
        let missing = formats(SEND).resolve((6, 1)).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "this kernel's tracepoint tcp_send_reset has no field sport"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_text_is_a_format(text in "(field:|print fmt:|[a-z{}(),;:*\\[\\] \\n]|__print_symbolic\\(REC->a,){0,40}") {
            let format = Format::parse(&text);
            let _names = format.names("a");
        }
    }
}
