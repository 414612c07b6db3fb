//! HTTP/1.1 over a socket, as far as a server of JSON needs it: heads are read by `httparse`, bodies by their
//! length or in chunks, and nothing is waited for longer, or kept that is larger, than the [`Bounds`] say.

mod answer;
mod body;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

pub(crate) use answer::{Answer, endless};

/// The longest head of a request.
const LONGEST_HEAD: usize = 16 << 10;
/// Bytes that the slowest client takes in a second.
const A_SECONDS: usize = 64 << 10;
/// The most headers that it has.
const MOST_HEADERS: usize = 64;

/// How long a client may take, and how much it may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a request's body.
    pub body: usize,
    /// Time for a head, and then for a body, from the first byte that is waited for.
    pub patience: Duration,
    /// Time between two requests of a connection; before the first there is as much as for a head.
    pub idle: Duration,
    /// Connections at a time.
    pub connections: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        let (patience, idle) = (Duration::from_secs(10), Duration::from_secs(60));
        Self { body: 1 << 20, patience, idle, connections: 256 }
    }
}

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Head {
    /// GET, POST and so on.
    pub(crate) method: String,
    /// What is asked for, without what stands behind a question mark.
    pub(crate) path: String,
    /// Names in small letters.
    headers: Vec<(String, String)>,
    /// Whether another request may follow.
    pub(crate) keeps_alive: bool,
}

impl Head {
    /// The header of this name, in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Why a request could not be read: nothing can follow it.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The other side has gone, or says nothing any more.
    Gone,
    /// It is answered with this status and these words.
    Bad(u16, String),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Self::Bad(408, "the request did not arrive in time: send it at once".to_owned())
            }
            _ => Self::Gone,
        }
    }
}

/// A client's connection, and what was read of it ahead.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    ahead: Vec<u8>,
    bounds: Bounds,
    /// Whether it has asked for something already.
    has_asked: bool,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, bounds: Bounds) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, ahead: Vec::new(), bounds, has_asked: false })
    }

    /// The next request's head.
    pub(crate) fn head(&mut self) -> Result<Head, Unread> {
        let idle = if self.has_asked { self.bounds.idle } else { self.bounds.patience };
        self.has_asked = true;
        if self.ahead.is_empty() && !self.more(idle).is_ok_and(|read| read > 0) {
            return Err(Unread::Gone);
        }
        let end = Instant::now() + self.bounds.patience;
        loop {
            if let Some((head, length)) = parsed(&self.ahead[..self.ahead.len().min(LONGEST_HEAD)])? {
                self.ahead.drain(..length);
                return Ok(head);
            }
            if self.ahead.len() >= LONGEST_HEAD {
                return Err(bad(431, format!("the head of a request has at most {LONGEST_HEAD} bytes")));
            }
            self.more_until(end)?;
        }
    }

    /// Sends an answer; true if another request may follow it.
    pub(crate) fn send(&mut self, answer: &Answer, head: Option<&Head>) -> bool {
        let stays = head.is_some_and(|head| head.keeps_alive) && !answer.closes;
        let is_head = head.is_some_and(|head| head.method == "HEAD");
        self.write(&answer.bytes(stays, is_head)).is_ok() && stays
    }

    /// Sends bytes, and waits no longer for a client that takes them in than for one that sends, but for a second
    /// for each part of a long answer.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let end = Instant::now() + self.bounds.patience + Duration::from_secs((bytes.len() / A_SECONDS) as u64);
        while !bytes.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_write_timeout(Some(left))?;
            match self.stream.write(bytes)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => bytes = &bytes[written..],
            }
        }
        Ok(())
    }

    /// Whether the other side has closed its connection.
    pub(crate) fn is_gone(&self) -> bool {
        let look = || {
            self.stream.set_nonblocking(true)?;
            let seen = self.stream.peek(&mut [0]);
            self.stream.set_nonblocking(false)?;
            seen
        };
        match look() {
            Ok(seen) => seen == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Says nothing more, and takes in for a moment what is still sent: a connection that is closed over unread
    /// bytes is reset, and the answer is lost with it.
    pub(crate) fn close(mut self) {
        let end = Instant::now() + Duration::from_millis(500);
        if self.stream.shutdown(std::net::Shutdown::Write).is_err() {
            return;
        }
        let mut left = 1 << 20;
        while left > 0 {
            self.ahead.clear();
            match self.more_until(end) {
                Ok(()) => left -= self.ahead.len().min(left),
                Err(_) => return,
            }
        }
    }

    /// Reads on, and fails at the end of the stream.
    fn more_until(&mut self, end: Instant) -> Result<(), Unread> {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        match self.more(left)? {
            0 => Err(Unread::Gone),
            _ => Ok(()),
        }
    }

    fn more(&mut self, most: Duration) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(most))?;
        let mut bytes = [0; 8 << 10];
        let read = self.stream.read(&mut bytes)?;
        self.ahead.extend_from_slice(&bytes[..read]);
        Ok(read)
    }
}

fn bad(status: u16, words: impl Into<String>) -> Unread {
    Unread::Bad(status, words.into())
}

/// The head that these bytes begin with, and how many they are; none where more have to come.
fn parsed(bytes: &[u8]) -> Result<Option<(Head, usize)>, Unread> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(bad(431, format!("a request has at most {MOST_HEADERS} headers")));
        }
        Err(error) => return Err(bad(400, format!("this is no HTTP/1.1: {error}"))),
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).trim().to_owned();
    let headers: Vec<(String, String)> =
        request.headers.iter().map(|header| (header.name.to_ascii_lowercase(), text(header.value))).collect();
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(bad(400, "the first line of a request has a method, a path and a version"));
    };
    let path = target.split('?').next().unwrap_or(target).to_owned();
    let mut head = Head { method: method.to_owned(), path, headers, keeps_alive: false };
    let connection = head.header("connection").unwrap_or_default().to_ascii_lowercase();
    head.keeps_alive =
        if version == 0 { connection.contains("keep-alive") } else { !connection.contains("close") };
    Ok(Some((head, length)))
}

#[cfg(test)]
mod tests;
