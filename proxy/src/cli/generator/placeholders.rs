//! Where the generator has to send its load, filled into its arguments.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What hopscope's own address is called in a command: each of these, in braces, is filled in.
const NAMES: [&str; 4] = ["url", "addr", "host", "port"];
/// The environment variable that has the URL as well.
pub(super) const VARIABLE: &str = "HOPSCOPE_URL";

/// Where the generator reaches hopscope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    address: SocketAddr,
    /// What is spoken there: what stands before the address in a URL.
    scheme: &'static str,
}

/// A command as it is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filled {
    /// Its words.
    pub(super) words: Vec<String>,
    /// What is to be said before it runs: the load may go past hopscope.
    pub(super) doubts: Vec<String>,
}

impl Reach {
    /// Where a generator on this host reaches a listener: an address that stands for all is reached over loopback.
    pub fn of_listener(listening: SocketAddr, scheme: &'static str) -> Self {
        let ip = match listening.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
        };
        Self {
            address: SocketAddr::new(ip, listening.port()),
            scheme,
        }
    }

    /// The URL, without a path.
    pub fn url(self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// What stands in the place of a name in braces. An IPv6 host has its brackets: it is put before `:{port}`.
    fn value(self, name: &str) -> String {
        match name {
            "addr" => self.address.to_string(),
            "host" => match self.address.ip() {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            },
            "port" => self.address.port().to_string(),
            _ => self.url(),
        }
    }

    /// Fills a command in.
    pub(super) fn fill(self, command: &[String]) -> Filled {
        let mut used = false;
        let words = command
            .iter()
            .map(|word| {
                NAMES.iter().fold(word.clone(), |word, name| {
                    let placeholder = format!("{{{name}}}");
                    used |= word.contains(&placeholder);
                    word.replace(&placeholder, &self.value(name))
                })
            })
            .collect();
        let mut doubts: Vec<String> = command
            .iter()
            .flat_map(|word| misspelt(word))
            .map(|(typed, name)| format!("`{{{typed}}}` is not filled in: write {{{name}}}"))
            .collect();
        if !used && !self.named_in(command) {
            doubts.push(format!(
                "none of {{url}}, {{addr}}, {{host}} and {{port}} is in the command: unless the generator reads {VARIABLE}, \
                 which is {}, its load does not pass through hopscope",
                self.url()
            ));
        }
        Filled { words, doubts }
    }

    /// Whether the command names the address itself, as a person does who gave it with `--listen`.
    fn named_in(self, command: &[String]) -> bool {
        let port = format!(":{}", self.address.port());
        let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_digit());
        command
            .iter()
            .any(|word| word.contains(VARIABLE) || word.split(&port).skip(1).any(ends))
    }
}

/// Words in braces that are nearly a placeholder: in another case, or one letter away.
fn misspelt(word: &str) -> Vec<(&str, &'static str)> {
    word.split('{')
        .skip(1)
        .filter_map(|behind| behind.split_once('}'))
        .map(|(typed, _)| typed)
        .filter_map(|typed| {
            let lower = typed.to_ascii_lowercase();
            let near = |name: &&&str| lower == **name || nearly(&lower, name);
            let name = NAMES.iter().find(near).copied()?;
            (typed != name).then_some((typed, name))
        })
        .collect()
}

/// Whether the words differ by one letter, or one of them stands for the other.
fn nearly(typed: &str, name: &str) -> bool {
    let known = matches!(
        (typed, name),
        ("address" | "hostport", "addr") | ("hostname", "host") | ("base_url" | "baseurl" | "uri", "url")
    );
    let same_length = typed.len() == name.len()
        && typed.bytes().zip(name.bytes()).filter(|(a, b)| a != b).count() == 1
        && typed.len() > 3;
    known || same_length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(listening: &str) -> Reach {
        Reach::of_listener(listening.parse().unwrap(), "http")
    }

    fn fill(listening: &str, command: &[&str]) -> Filled {
        let command: Vec<_> = command.iter().map(|word| (*word).to_owned()).collect();
        reach(listening).fill(&command)
    }

    #[test]
    fn every_placeholder_is_filled_in_as_often_as_it_stands_there() {
        let filled = fill(
            "127.0.0.1:4000",
            &[
                "jmeter",
                "-Jhost={host}",
                "-Jport={port}",
                "{url}/a?next={url}",
                "{addr}",
            ],
        );
        assert_eq!(
            filled.words,
            [
                "jmeter",
                "-Jhost=127.0.0.1",
                "-Jport=4000",
                "http://127.0.0.1:4000/a?next=http://127.0.0.1:4000",
                "127.0.0.1:4000"
            ]
        );
        assert_eq!(filled.doubts, Vec::<String>::new());
    }

    #[test]
    fn where_tls_ends_here_the_url_says_so() {
        let reach = Reach::of_listener("127.0.0.1:4000".parse().unwrap(), "https");
        assert_eq!(
            reach.fill(&["{url}/a".to_owned()]).words,
            ["https://127.0.0.1:4000/a"]
        );
    }

    #[test]
    fn an_ipv6_host_can_be_put_before_a_port() {
        let filled = fill("[::1]:4000", &["x", "http://{host}:{port}/"]);
        assert_eq!(filled.words, ["x", "http://[::1]:4000/"]);
    }

    #[test]
    fn a_listener_on_all_addresses_is_reached_over_loopback() {
        assert_eq!(
            fill("0.0.0.0:81", &["x", "{url}"]).words,
            ["x", "http://127.0.0.1:81"]
        );
        assert_eq!(fill("[::]:81", &["x", "{url}"]).words, ["x", "http://[::1]:81"]);
    }

    #[test]
    fn a_command_without_a_placeholder_is_doubted() {
        let doubts = fill("127.0.0.1:4000", &["k6", "run", "test.js"]).doubts;
        assert_eq!(doubts.len(), 1);
        assert!(doubts[0].contains("HOPSCOPE_URL") && doubts[0].contains("http://127.0.0.1:4000"));
    }

    #[test]
    fn a_command_that_names_the_address_or_the_variable_is_not_doubted() {
        for word in [
            "http://127.0.0.1:4000/a",
            "http://localhost:4000",
            "$HOPSCOPE_URL/a",
        ] {
            assert_eq!(
                fill("127.0.0.1:4000", &["wrk", word]).doubts,
                Vec::<String>::new(),
                "{word}"
            );
        }
        assert_eq!(
            fill("127.0.0.1:400", &["wrk", "http://localhost:4000"])
                .doubts
                .len(),
            1
        );
    }

    #[test]
    fn a_misspelt_placeholder_is_pointed_out() {
        for (typed, right) in [
            ("{URL}", "{url}"),
            ("{hots}", ""),
            ("{hosr}", "{host}"),
            ("{uri}", "{url}"),
        ] {
            let doubts = fill("127.0.0.1:4000", &["wrk", typed]).doubts;
            let pointed_out = doubts
                .iter()
                .any(|doubt| doubt.starts_with(&format!("`{typed}`")));
            assert_eq!(pointed_out, !right.is_empty(), "{typed}: {doubts:?}");
            assert!(right.is_empty() || doubts[0].ends_with(&format!("write {right}")));
        }
        assert_eq!(
            fill("127.0.0.1:4000", &["x", "{url}", "{\"a\":1}", "${HOME}"]).doubts,
            Vec::<String>::new()
        );
    }
}
