//! The error answers that real balancers write themselves, by shape: what tells their author.

/// Whose pages a layer-7 balancer answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// AWS's application load balancer.
    Alb,
    /// HAProxy 3.
    HaProxy,
    /// nginx.
    Nginx,
    /// Envoy's local replies.
    Envoy,
}

impl Pages {
    /// The status that it answers when its target refuses: here balancers differ.
    pub(super) const fn refused_status(self) -> u16 {
        match self {
            Self::Alb | Self::Nginx => 502,
            Self::HaProxy | Self::Envoy => 503,
        }
    }

    /// A whole response of the balancer's own.
    pub(super) fn page(self, status: u16) -> Vec<u8> {
        let title = match (status, self) {
            (502, _) => "502 Bad Gateway",
            (504, Self::HaProxy | Self::Nginx | Self::Alb) => "504 Gateway Time-out",
            (504, Self::Envoy) => "504 Gateway Timeout",
            (_, Self::HaProxy | Self::Envoy) => "503 Service Unavailable",
            (_, Self::Alb | Self::Nginx) => "503 Service Temporarily Unavailable",
        };
        let (headers, body) = match self {
            Self::Alb => (
                "Server: awselb/2.0\r\nContent-Type: text/html\r\nConnection: keep-alive\r\n",
                format!(
                    "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
                     </body>\r\n</html>\r\n"
                ),
            ),
            Self::Nginx => (
                "Server: nginx\r\nContent-Type: text/html\r\nConnection: keep-alive\r\n",
                format!(
                    "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
                     <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
                ),
            ),
            Self::HaProxy => {
                let why = match status {
                    502 => "The server returned an invalid or incomplete response.",
                    504 => "The server didn't respond in time.",
                    _ => "No server is available to handle this request.",
                };
                (
                    "cache-control: no-cache\r\ncontent-type: text/html\r\n",
                    format!("<html><body><h1>{title}</h1>\n{why}\n</body></html>\n"),
                )
            }
            Self::Envoy => {
                let why = match status {
                    504 => "upstream request timeout",
                    502 => {
                        "upstream connect error or disconnect/reset before headers. reset reason: protocol error"
                    }
                    _ => "no healthy upstream",
                };
                ("content-type: text/plain\r\nserver: envoy\r\n", why.to_owned())
            }
        };
        format!(
            "HTTP/1.1 {title}\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes as the real haproxy sends them: 107, 107 and 92 bytes of body.
    #[test]
    fn haproxys_pages_have_the_size_of_the_real_ones() {
        for (status, length) in [(503, 107), (502, 107), (504, 92)] {
            let page = String::from_utf8(Pages::HaProxy.page(status)).unwrap();
            assert!(page.contains(&format!("content-length: {length}\r\n")), "{page}");
        }
    }

    #[test]
    fn every_page_is_a_whole_response_of_its_status() {
        for pages in [Pages::Alb, Pages::HaProxy, Pages::Nginx, Pages::Envoy] {
            for status in [502, 503, 504] {
                let page = String::from_utf8(pages.page(status)).unwrap();
                let (head, body) = page.split_once("\r\n\r\n").unwrap();
                assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
                assert!(
                    head.contains(&format!("content-length: {}", body.len())),
                    "{head}"
                );
            }
        }
    }
}
