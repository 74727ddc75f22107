//! A process with one part to play in a scenario. It is run under the name of whom it plays.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};

/// Longer than anything that is staged takes.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words {
        ["connect", to, times, patience_ms] => {
            connect(to.parse()?, times.parse()?, patience_ms.parse()?);
            Ok(())
        }
        ["outstay", to, times, others] => outstay(to.parse()?, times.parse()?, others.parse()?),
        ["reconnect", to, times] => reconnect(to.parse()?, times.parse()?),
        ["talk", to, how] => talk(to.parse()?, how),
        ["churn", rounds, times] => churn(rounds.parse()?, times.parse()?),
        ["pace", per_second, seconds] => pace(per_second.parse()?, seconds.parse()?),
        ["hold", pairs] => hold(pairs.parse()?),
        ["refuse", to, times] => {
            refuse(to.parse()?, times.parse()?);
            Ok(())
        }
        ["listen", on, backlog, how] => listen(on.parse()?, backlog.parse()?, how),
        _ => bail!(
            "connect ADDR TIMES PATIENCE_MS | outstay ADDR TIMES OTHERS | reconnect ADDR TIMES | talk ADDR HOW | \
             listen ADDR BACKLOG HOW | churn ROUND TIMES | pace PER_SECOND SECONDS | hold PAIRS | refuse ADDR TIMES"
        ),
    }
}

#[expect(clippy::print_stdout, reason = "what the scenario waits for")]
fn say(word: &str) {
    println!("{word}");
}

/// Connects again and again, keeping what stands, and says how each went. With no patience it is the kernel that waits.
fn connect(to: SocketAddr, times: u32, patience_ms: u64) {
    let mut standing = Vec::new();
    for _ in 0..times {
        let tried = match patience_ms {
            0 => TcpStream::connect(to),
            some => TcpStream::connect_timeout(&to, Duration::from_millis(some)),
        };
        match tried {
            Ok(stream) => {
                standing.push(stream);
                say("connected");
            }
            Err(error) => say(&format!("{:?}", error.kind())),
        }
    }
    drop(standing);
}

/// Connects again and again, and keeps what stands until the far end has ended so many of the others. A connect() that
/// is answered and reset at once may be told of the reset.
fn outstay(to: SocketAddr, times: usize, others: usize) -> Result<()> {
    let mut standing = Vec::new();
    for _ in 0..times {
        match TcpStream::connect_timeout(&to, PATIENCE) {
            Ok(stream) => {
                stream.set_nonblocking(true)?;
                standing.push(stream);
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => return Err(error.into()),
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while times - standing.len() < others {
        if Instant::now() > deadline {
            bail!("{} of {times} stand, and {others} were to end", standing.len());
        }
        standing.retain(|stream| {
            stream
                .peek(&mut [0])
                .is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        });
        std::thread::park_timeout(Duration::from_millis(1));
    }
    Ok(())
}

/// Connects again and again, closing each connection before the next, and says how each went. The other side's end is
/// waited for, so that the port is in TIME_WAIT by then.
fn reconnect(to: SocketAddr, times: u32) -> Result<()> {
    for _ in 0..times {
        match TcpStream::connect_timeout(&to, PATIENCE) {
            Ok(mut stream) => {
                stream.shutdown(Shutdown::Write)?;
                stream.read_to_end(&mut Vec::new())?;
                say("connected");
            }
            Err(error) => say(&format!("{:?}", error.kind())),
        }
    }
    Ok(())
}

/// Waits for a line on standard input.
fn wait_for_a_word() -> Result<()> {
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn talk(to: SocketAddr, how: &str) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    match how {
        // A question, its answer, and a clean end.
        "ask" => {
            stream.write_all(b"question")?;
            stream.shutdown(Shutdown::Write)?;
            let mut answer = Vec::new();
            match stream.read_to_end(&mut answer) {
                Ok(_) => say(&format!("answered {}", answer.len())),
                Err(error) => say(&format!("{:?}", error.kind())),
            }
        }
        // A question, and whatever comes of it.
        "question" => {
            stream.write_all(b"question")?;
            let mut answer = Vec::new();
            match stream.read_to_end(&mut answer) {
                Ok(_) => say(&format!("answered {}", answer.len())),
                Err(error) => say(&format!("{:?}", error.kind())),
            }
        }
        // Keeps writing to someone who has said that he is done.
        "insist" => {
            let mut byte = [0];
            let _eof = stream.read(&mut byte)?;
            loop {
                if let Err(error) = stream.write_all(b"more") {
                    say(&format!("{:?}", error.kind()));
                    return Ok(());
                }
            }
        }
        // Fills the other side's buffers until nothing more goes.
        "flood" => {
            stream.set_write_timeout(Some(Duration::from_millis(700)))?;
            let block = vec![0; 65_536];
            loop {
                match stream.write(&block) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => {
                        say(&format!("{:?}", error.kind()));
                        return Ok(());
                    }
                }
            }
        }
        // Fills the other side's buffers, and stays until it is told to go.
        "stall" => {
            stream.set_write_timeout(Some(Duration::from_millis(300)))?;
            let bytes = vec![0; 65_536];
            while stream.write(&bytes).is_ok() {}
            say("stalled");
            std::io::stdin().read_line(&mut String::new())?;
        }
        // Sends a fair amount, all of which is read.
        "send" => {
            for _ in 0..64 {
                stream.write_all(&[7; 16_384])?;
            }
            stream.shutdown(Shutdown::Write)?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            say("sent");
        }
        // Says that it stands, waits for a line on standard input, and writes to whom may be gone by then.
        "outlive" => {
            SockRef::from(&stream).set_tcp_user_timeout(Some(Duration::from_secs(1)))?;
            say("connected");
            wait_for_a_word()?;
            stream.write_all(b"anyone?")?;
            expect_a_byte(&mut stream);
        }
        // More than a segment to whom hears only short words.
        "bulk" => {
            SockRef::from(&stream).set_tcp_user_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(&[7; 16_384])?;
            expect_a_byte(&mut stream);
        }
        // Says nothing, and has its kernel ask whether the other side still lives.
        "keep-alive" => {
            let second = Duration::from_secs(1);
            let probes = TcpKeepalive::new()
                .with_time(second)
                .with_interval(second)
                .with_retries(1);
            SockRef::from(&stream).set_tcp_keepalive(&probes)?;
            say("connected");
            wait_for_a_word()?;
            expect_a_byte(&mut stream);
        }
        // Asks, and goes away with a reset instead of waiting.
        "abandon" => {
            stream.write_all(b"question")?;
            wait_for_a_word()?;
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        }
        other => bail!("nobody talks like '{other}'"),
    }
    Ok(())
}

fn expect_a_byte(stream: &mut TcpStream) {
    match stream.read_exact(&mut [0]) {
        Ok(()) => say("answered"),
        Err(error) => say(&format!("{:?}", error.kind())),
    }
}

fn listen(on: SocketAddr, backlog: i32, how: &str) -> Result<()> {
    let socket = Socket::new(Domain::for_address(on), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&on.into()).with_context(|| format!("binding {on}"))?;
    socket.listen(backlog)?;
    let listener = TcpListener::from(socket);
    say("listening");
    let mut kept = Vec::new();
    loop {
        if how == "never-accept" {
            // Until the scenario says so, or ends this process.
            wait_for_a_word()?;
            drop(listener);
            say("closed");
            return wait_for_a_word();
        }
        let (mut stream, _) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error) => {
                // No descriptor left: what waits in the queue stays there.
                say(&format!("{:?}", error.raw_os_error()));
                return wait_for_a_word();
            }
        };
        match how {
            "answer" => {
                let mut question = Vec::new();
                if stream.read_to_end(&mut question).is_ok() {
                    stream.write_all(b"answer")?;
                }
            }
            // One byte is known to be there, and left unread.
            "unread" => {
                let _there = stream.peek(&mut [0])?;
            }
            "linger" => {
                let _there = stream.peek(&mut [0])?;
                let _read = stream.read(&mut [0; 64])?;
                SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
            }
            "fin" => {}
            "keep" => kept.push(stream),
            // Says when a question has come, and leaves it unread.
            "hear" => {
                let _there = stream.peek(&mut [0])?;
                say("asked");
                kept.push(stream);
            }
            other => bail!("nobody listens like '{other}'"),
        }
    }
}

/// Opens and closes connections to itself, both ends in this process, and says what one costs in CPU time.
fn churn(round: u8, times: u32) -> Result<()> {
    // Each round has an address of its own: the ports of the last one are still in TIME_WAIT.
    let listener = TcpListener::bind((Ipv4Addr::new(127, 1, round, 1), 0))?;
    let to = listener.local_addr()?;
    let before = cpu_ns()?;
    for _ in 0..times {
        let near = TcpStream::connect(to)?;
        let (far, _) = listener.accept()?;
        drop(near);
        drop(far);
    }
    let spent = cpu_ns()?.saturating_sub(before);
    say(&format!("ns {}", spent / u64::from(times.max(1))));
    Ok(())
}

/// Opens and closes connections to itself at a steady rate, and says how many it managed.
#[expect(
    clippy::disallowed_methods,
    reason = "a rate is held by waiting for time itself"
)]
fn pace(per_second: u32, seconds: u32) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let port = listener.local_addr()?.port();
    let all = u64::from(per_second) * u64::from(seconds);
    let began = Instant::now();
    let mut done = 0_u64;
    while done < all && began.elapsed() < Duration::from_secs(u64::from(seconds)) {
        let due = began.elapsed().as_micros() * u128::from(per_second) / 1_000_000;
        if u128::from(done) >= due {
            std::thread::sleep(Duration::from_micros(500));
            continue;
        }
        // Each address is good for as many connections as there are ports, for as long as TIME_WAIT lasts.
        let [.., high, low] = (done / 20_000).to_be_bytes();
        let near = TcpStream::connect((Ipv4Addr::new(127, 2, high, low.max(1)), port))?;
        let (far, _) = listener.accept()?;
        drop(near);
        drop(far);
        done += 1;
    }
    say(&format!("paced {done} {}", began.elapsed().as_micros()));
    Ok(())
}

/// Keeps connections to itself, until a line comes.
fn hold(pairs: u32) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let to = listener.local_addr()?;
    let mut held = Vec::new();
    for _ in 0..pairs {
        held.push(TcpStream::connect(to)?);
        held.push(listener.accept()?.0);
    }
    say("holding");
    std::io::stdin().read_line(&mut String::new())?;
    drop(held);
    Ok(())
}

/// Is refused as often and as fast as it goes.
fn refuse(to: SocketAddr, times: u32) {
    let refused = (0..times)
        .filter(|_| TcpStream::connect(to).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused))
        .count();
    say(&format!("refused {refused}"));
}

/// CPU time of this process: the first number of its schedstat, to the nanosecond.
fn cpu_ns() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}
