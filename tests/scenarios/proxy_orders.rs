//! The real proxy between two real ends: whatever the order in which they end, both see what they see without it.
//!
//! FIN, RST and half-close, by either side, before, in the midst of and after bytes. Each script is played over a direct
//! connection and through hopscope, and what both ends saw must be the same.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hopscope_tests::hopscope::Hopscope;
use socket2::SockRef;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// More than the sockets' buffers hold at first, so that an end in their midst finds some of them on the way.
const MANY: usize = 300_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Fin,
    Reset,
    HalfClose,
}

/// When an end comes, as seen by the bytes of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Before,
    /// The other side has sent many bytes, and this one has read the first of them.
    Amidst,
    /// A question and its answer have been read in full.
    After,
}

/// What the other end reads until its stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// This many bytes, and the end of the stream.
    End(usize),
    /// A reset. How many of the bytes on the way come before it is the kernel's to choose.
    Reset,
}

fn read_to_end(stream: &mut TcpStream) -> Result<Seen> {
    let mut buffer = vec![0; 65_536];
    let mut read = 0;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(Seen::End(read)),
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(Seen::Reset),
            Err(error) => return Err(error).context("neither an end nor a reset"),
        }
    }
}

/// What both ends see when `actor` ends the connection in this way at this time; the other side's view first.
fn play(how: How, when: When, mut actor: TcpStream, mut other: TcpStream) -> Result<(Seen, Option<Seen>)> {
    for end in [&actor, &other] {
        end.set_read_timeout(Some(PATIENCE))?;
        end.set_write_timeout(Some(PATIENCE))?;
    }
    match when {
        When::Before => {}
        When::Amidst => {
            // From a thread: nobody reads all of it.
            let mut writer = other.try_clone()?;
            let writing = std::thread::spawn(move || writer.write_all(&vec![b'x'; MANY]));
            actor.read_exact(&mut [0])?;
            end(how, &actor)?;
            if how == How::HalfClose {
                // It goes on reading, and gets all that was sent.
                let mut rest = vec![0; MANY - 1];
                actor.read_exact(&mut rest)?;
                writing
                    .join()
                    .map_err(|_panicked| anyhow::anyhow!("the writer failed"))??;
                return finish(actor, other, how);
            }
            drop(actor);
            // Written or reset: either is over now.
            drop(writing.join());
            return Ok((read_to_end(&mut other)?, None));
        }
        When::After => {
            actor.write_all(b"question")?;
            other.read_exact(&mut [0; 8])?;
            other.write_all(b"answer")?;
            actor.read_exact(&mut [0; 6])?;
        }
    }
    end(how, &actor)?;
    finish(actor, other, how)
}

fn end(how: How, actor: &TcpStream) -> Result<()> {
    match how {
        How::Fin => {}
        How::Reset => SockRef::from(actor).set_linger(Some(Duration::ZERO))?,
        How::HalfClose => actor.shutdown(Shutdown::Write)?,
    }
    Ok(())
}

/// After a half-close the other side still answers, and then ends as well; after any other end the actor is gone.
fn finish(mut actor: TcpStream, mut other: TcpStream, how: How) -> Result<(Seen, Option<Seen>)> {
    if how != How::HalfClose {
        drop(actor);
        return Ok((read_to_end(&mut other)?, None));
    }
    let seen = read_to_end(&mut other)?;
    other.write_all(b"still here")?;
    drop(other);
    Ok((seen, Some(read_to_end(&mut actor)?)))
}

fn pair(listener: &TcpListener, through: SocketAddr) -> Result<(TcpStream, TcpStream)> {
    let generator = TcpStream::connect(through)?;
    let (application, _) = listener.accept()?;
    Ok((generator, application))
}

#[test]
fn both_ends_see_every_order_of_ends_as_without_hopscope() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let direct = listener.local_addr()?;
    let hopscope = Hopscope::proxy(&format!("direct={direct}"), folder.path(), &[])?;
    let mut played = 0;
    for how in [How::Fin, How::Reset, How::HalfClose] {
        for when in [When::Before, When::Amidst, When::After] {
            for by_generator in [true, false] {
                let mut saw = Vec::new();
                for through in [direct, hopscope.address()] {
                    let (generator, application) = pair(&listener, through)?;
                    let (actor, other) = if by_generator {
                        (generator, application)
                    } else {
                        (application, generator)
                    };
                    let told = play(how, when, actor, other);
                    saw.push(told.with_context(|| format!("{how:?} {when:?} by generator: {by_generator}"))?);
                }
                ensure!(
                    saw.first() == saw.last(),
                    "{how:?} {when:?}, by generator: {by_generator}: direct, then through hopscope: {saw:?}"
                );
                played += 1;
            }
        }
    }
    let report = hopscope.finish()?;
    assert_eq!(report.number("/totals/connections"), played, "{}", report.shown());
    assert!(report.said().contains("balanced"), "{}", report.shown());
    Ok(())
}
