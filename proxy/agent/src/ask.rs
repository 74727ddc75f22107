//! Asking a running agent for all that it has seen: bounded in time and size.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::answer::Answer;
use super::evidence::{Unreadable, journal};
use super::observe::unix_us;

mod trust;

/// An agent answers from memory: whoever takes longer is not one, or is not there.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest answer that is taken: what an agent keeps, at 2 KiB a line, four times what lines have.
const LONGEST: usize = journal::MOST * 2048;

/// Where an agent answers: `http://HOST:PORT` or `https://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentUrl {
    /// Over TLS.
    secure: bool,
    /// The name that its certificate must bear.
    host: String,
    /// `HOST:PORT`.
    authority: String,
}

/// Why a text is no agent's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentUrlError {
    /// Not a URL with host and port.
    #[error(
        "`{0}` is no agent's address: write http://HOST:PORT or https://HOST:PORT, for example http://10.0.0.7:9464"
    )]
    Malformed(String),
}

impl FromStr for AgentUrl {
    type Err = AgentUrlError;

    fn from_str(typed: &str) -> Result<Self, AgentUrlError> {
        let malformed = || AgentUrlError::Malformed(typed.to_owned());
        let uri: Uri = typed.parse().map_err(|_not_a_uri| malformed())?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => return Err(malformed()),
        };
        let (Some(host), Some(port)) = (uri.host(), uri.port_u16()) else {
            return Err(malformed());
        };
        if host.is_empty() || port == 0 || uri.path() != "/" || uri.query().is_some() {
            return Err(malformed());
        }
        Ok(Self {
            secure,
            // An IPv6 address stands in brackets in a URL, and without them in a certificate.
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            authority: format!("{host}:{port}"),
        })
    }
}

impl fmt::Display for AgentUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

/// Why an agent's evidence could not be had.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody there.
    #[error(
        "cannot reach the agent at {url}: {source}; is `hopscope agent` running there, with --listen on that address?"
    )]
    Unreachable {
        /// Whom we asked.
        url: AgentUrl,
        /// What the system said.
        source: std::io::Error,
    },
    /// The authorities cannot be had.
    #[error(transparent)]
    Trust(#[from] hopscope_host::trust::TrustError),
    /// No TLS, or with somebody who is not to be trusted.
    #[error(
        "no TLS with the agent at {url}: {source}; give the authority that signed its certificate with --agent-ca"
    )]
    Handshake {
        /// Whom we asked.
        url: AgentUrl,
        /// What was wrong.
        source: std::io::Error,
    },
    /// No answer in time.
    #[error("the agent at {0} did not answer within {limit} s; ask it from a host nearer to it", limit = PATIENCE.as_secs())]
    Late(AgentUrl),
    /// It wants a token, or another one.
    #[error(
        "the agent at {0} requires its bearer token: give it with --agent-token-file, or in HOPSCOPE_AGENT_TOKEN"
    )]
    Token(AgentUrl),
    /// The token cannot be sent.
    #[error("the agent's token has characters that no header can carry: check the token's file")]
    TokenUnusable,
    /// It answered something else.
    #[error("{url} answered {status} to /v1/evidence: is it an agent of hopscope?")]
    Refused {
        /// Whom we asked.
        url: AgentUrl,
        /// Its status.
        status: StatusCode,
    },
    /// The connection broke, or no HTTP came.
    #[error("the answer of the agent at {url} broke off: {source}")]
    Broken {
        /// Whom we asked.
        url: AgentUrl,
        /// What was wrong.
        source: hyper::Error,
    },
    /// More than any agent keeps, or the body broke off.
    #[error("the answer of the agent at {url} cannot be taken: {reason}")]
    Body {
        /// Whom we asked.
        url: AgentUrl,
        /// What was wrong.
        reason: String,
    },
    /// It is no evidence.
    #[error("the agent at {url}: {source}")]
    Unreadable {
        /// Whom we asked.
        url: AgentUrl,
        /// What was wrong.
        source: Unreadable,
    },
    /// No event loop.
    #[error("cannot start an event loop: {0}")]
    System(std::io::Error),
}

/// What an agent is shown, and what it must show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The bearer token.
    pub token: Option<String>,
    /// Authorities for its certificate (PEM), in place of the host's own.
    pub authorities: Option<PathBuf>,
}

/// Asks one agent for all that it keeps.
///
/// # Errors
/// When there is no answer, or not evidence.
pub fn ask(url: &AgentUrl, credentials: &Credentials) -> Result<Answer, AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(AskError::System)?;
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, connect(url, credentials))
            .await
            .unwrap_or_else(|_late| Err(AskError::Late(url.clone())))
    })
}

async fn connect(url: &AgentUrl, credentials: &Credentials) -> Result<Answer, AskError> {
    let request = question(url, credentials.token.as_deref())?;
    let stream = TcpStream::connect(&url.authority)
        .await
        .map_err(|source| AskError::Unreachable {
            url: url.clone(),
            source,
        })?;
    if !url.secure {
        return converse(url, request, stream).await;
    }
    let secured = trust::handshake(credentials.authorities.as_deref(), &url.host, stream).await?;
    let stream = secured.map_err(|source| AskError::Handshake {
        url: url.clone(),
        source,
    })?;
    converse(url, request, stream).await
}

async fn converse<S>(url: &AgentUrl, request: Request<Empty<Bytes>>, stream: S) -> Result<Answer, AskError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |source| AskError::Broken {
        url: url.clone(),
        source,
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // It ends with the event loop; what goes wrong in it is told to whoever waits for the answer.
    drop(tokio::spawn(connection));
    let asked = unix_us();
    let response = sender.send_request(request).await.map_err(broken)?;
    // The agent reads its clock just before it answers: the rest of the body is no part of the round trip.
    let answered = unix_us();
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => return Err(AskError::Token(url.clone())),
        status => {
            return Err(AskError::Refused {
                url: url.clone(),
                status,
            });
        }
    }
    let text = body(url, response).await?;
    Answer::asked(&text, asked, answered).map_err(|source| AskError::Unreadable {
        url: url.clone(),
        source,
    })
}

fn question(url: &AgentUrl, token: Option<&str>) -> Result<Request<Empty<Bytes>>, AskError> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = Uri::from_static("/v1/evidence?since=0");
    let host = HeaderValue::from_str(&url.authority).map_err(|_invalid| AskError::TokenUnusable)?;
    request.headers_mut().insert(HOST, host);
    if let Some(token) = token {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_invalid| AskError::TokenUnusable)?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

async fn body(url: &AgentUrl, response: Response<hyper::body::Incoming>) -> Result<String, AskError> {
    let unusable = |reason: String| AskError::Body {
        url: url.clone(),
        reason,
    };
    let collected = Limited::new(response.into_body(), LONGEST)
        .collect()
        .await
        .map_err(|error| unusable(error.to_string()))?;
    String::from_utf8(collected.to_bytes().to_vec()).map_err(|error| unusable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::evidence::Journal;
    use crate::evidence::tests::written;

    /// Answers one question with these bytes, and gives what was asked.
    fn once(answer: String) -> (AgentUrl, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(head).unwrap()
        });
        (url.parse().unwrap(), asked)
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn an_agents_answer_is_read_and_the_token_is_sent() {
        let body = written(&Journal::default(), 0, 77);
        let (url, asked) = once(ok(&body));
        let secret = Credentials {
            token: Some("secret".to_owned()),
            authorities: None,
        };
        assert!(ask(&url, &secret).unwrap().had_probes());
        let head = asked.join().unwrap();
        assert!(
            head.starts_with("GET /v1/evidence?since=0 HTTP/1.1\r\n"),
            "{head}"
        );
        assert!(head.contains("authorization: Bearer secret\r\n"), "{head}");
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let (url, _) = once("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".to_owned());
        let told = ask(&url, &Credentials::default()).unwrap_err().to_string();
        assert!(told.contains("--agent-token-file"), "{told}");
        let (url, _) = once("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned());
        let told = ask(&url, &Credentials::default()).unwrap_err().to_string();
        assert!(told.contains("404"), "{told}");
        let (url, _) = once(ok("{\"schema\":\"another/1\"}\n"));
        assert!(matches!(
            ask(&url, &Credentials::default()),
            Err(AskError::Unreadable { .. })
        ));
        let (url, _) = once("SSH-2.0-OpenSSH_9.2\r\n".to_owned());
        assert!(matches!(
            ask(&url, &Credentials::default()),
            Err(AskError::Broken { .. })
        ));
        let (url, _) = once("HTTP/1.1 200 OK\r\ncontent-length: 900000000\r\n\r\n".to_owned());
        assert!(matches!(
            ask(&url, &Credentials::default()),
            Err(AskError::Body { .. })
        ));
    }

    #[test]
    fn nobody_there_is_told_with_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let told = ask(&url.parse().unwrap(), &Credentials::default())
            .unwrap_err()
            .to_string();
        assert!(told.contains(&url), "{told}");
    }

    #[test]
    fn only_a_host_and_a_port_are_an_agents_address() {
        for good in ["http://10.0.0.7:9464", "http://[::1]:9464/", "http://node:1"] {
            assert!(good.parse::<AgentUrl>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "10.0.0.7:9464",
            "http://node",
            "http://node:0",
            "http://node:1/x",
            "ftp://node:1",
        ] {
            assert!(
                matches!(bad.parse::<AgentUrl>(), Err(AgentUrlError::Malformed(_))),
                "{bad}"
            );
        }
        let secure: AgentUrl = "https://[::1]:9464".parse().unwrap();
        assert_eq!((secure.secure, secure.host.as_str()), (true, "::1"));
        assert_eq!(secure.to_string(), "https://[::1]:9464");
    }
}
