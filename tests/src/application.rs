//! An application in this process whose misdeeds are chosen by the request's path.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use socket2::SockRef;

/// It listens until the test ends.
#[derive(Debug)]
pub struct Application {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
}

impl Application {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// What it does by path: `/ok` answers 200; `/bytes/N` answers N bytes; `/silent` never answers; `/reset` resets
    /// after the head of its answer; `/close` answers and closes; `/late/MS` answers after MS milliseconds;
    /// `/deaf` never reads the body; `/early` answers without reading the body and closes; `/half` does the same, but ends
    /// only its own direction and reads on. Anything else is 404.
    ///
    /// # Errors
    /// Where there is no port.
    pub fn start() -> Result<Self> {
        Self::start_on(Ipv4Addr::LOCALHOST)
    }

    /// The same on another address of this host, and on that alone.
    ///
    /// # Errors
    /// Where there is no port.
    pub fn start_on(address: Ipv4Addr) -> Result<Self> {
        let listener = TcpListener::bind((address, 0)).context("a port for the application")?;
        let address = listener.local_addr()?;
        let (asked, answered) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let counters = (asked.clone(), answered.clone());
        // What is never to be answered must still be held open.
        let held = Arc::<Mutex<Vec<TcpStream>>>::default();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (counters, held) = (counters.clone(), held.clone());
                thread::spawn(move || {
                    if let Ok(Some(kept)) = serve(connection, &counters.0, &counters.1)
                        && let Ok(mut held) = held.lock()
                    {
                        held.push(kept);
                    }
                });
            }
        });
        Ok(Self {
            address,
            asked,
            answered,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests whose head it has read.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    /// Waits until it was asked so often.
    ///
    /// # Errors
    /// Where that does not happen in time.
    pub fn wait_until_asked(&self, count: u64, limit: Duration) -> Result<()> {
        wait_until("asked", || self.asked(), count, limit)
    }

    /// Waits until it has answered so often. A reader may have an answer before it is counted: whoever waits for one
    /// more than there were counts the questions.
    ///
    /// # Errors
    /// Where that does not happen in time.
    pub fn wait_until_answered(&self, count: u64, limit: Duration) -> Result<()> {
        wait_until("answered", || self.answered(), count, limit)
    }

    /// Requests that it answered in full.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

fn wait_until(what: &str, so_far: impl Fn() -> u64, count: u64, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    while so_far() < count {
        ensure!(
            Instant::now() < deadline,
            "{what} {} times within {limit:?}, not {count}",
            so_far()
        );
        thread::park_timeout(Duration::from_millis(1));
    }
    Ok(())
}

/// Serves one connection to its end; gives it back where it is to be held open without a word.
fn serve(connection: TcpStream, asked: &AtomicU64, answered: &AtomicU64) -> Result<Option<TcpStream>> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut writer = connection;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(None);
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            if header.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        asked.fetch_add(1, Ordering::Release);
        let path = first.split(' ').nth(1).unwrap_or_default();
        let mut words = path.trim_start_matches('/').split('/');
        let deed = words.next().unwrap_or_default();
        let number: u64 = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        if deed == "deaf" || deed == "silent" {
            return Ok(Some(writer));
        }
        if deed == "early" || deed == "half" {
            writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")?;
            answered.fetch_add(1, Ordering::Relaxed);
            if deed == "half" {
                writer.shutdown(std::net::Shutdown::Write)?;
                std::io::copy(&mut reader, &mut std::io::sink())?;
            } else {
                // The answer shall be gone, and more of the body be here, before the kernel resets.
                writer.set_read_timeout(Some(Duration::from_millis(200)))?;
                writer.peek(&mut [0])?;
            }
            return Ok(None);
        }
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink())?;
        match deed {
            "ok" => writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?,
            "late" => {
                thread::park_timeout(Duration::from_millis(number));
                writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
            }
            "bytes" => {
                write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: {number}\r\n\r\n")?;
                std::io::copy(&mut std::io::repeat(b'x').take(number), &mut writer)?;
            }
            "reset" => {
                writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")?;
                SockRef::from(&writer).set_linger(Some(Duration::ZERO))?;
                return Ok(None);
            }
            "close" => {
                writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")?;
                answered.fetch_add(1, Ordering::Relaxed);
                return Ok(None);
            }
            _ => writer.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")?,
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
}
