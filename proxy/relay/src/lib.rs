//! Listen, relay, observe.
//!
//! *Life of a connection.* A worker thread accepts it ([`listener`]), ends its TLS where it does ([`front`]) and deals it
//! to a path ([`deal`]). One upstream
//! connection is made for it ([`upstream`], [`source_address`], [`tls`]), and what the generator sends meanwhile is read
//! ([`waiting`]); where that fails the generator is told
//! ([`refusal`]). Two flows carry its bytes ([`flow`]), joined so that every end is handed on as what it was
//! ([`relay`]). The HTTP observer is shown what passes. When both sides have ended its record is written
//! ([`connection`]). [`tunnels`] runs or watches the
//! forwards, [`session`] holds the whole run together; [`health`] watches hopscope itself.
//!
//! **Invariant:** nothing on the way of a byte takes a lock; a connection's failure is data, never an `Err`.

mod arrival;
mod clock;
mod connection;
mod deal;
mod flow;
mod front;
mod health;
mod host_header;
mod listener;
mod refusal;
mod relay;
mod session;
mod socket;
mod source_address;
mod splice;
mod stream;
mod tls;
mod tunnels;
mod unread;
mod upstream;
mod waiting;
mod worker;

pub use clock::RunClock;
pub use front::{Authority, AuthorityError, Front, Proxy};
pub use host_header::HostHeader;
pub use refusal::OnRefusal;
pub use session::{Config, Hurry, Session, StartError};
