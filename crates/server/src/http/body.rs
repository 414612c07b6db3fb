//! The body of a request.

use std::time::Instant;

use super::{Connection, Head, Unread, bad};

/// The longest line between chunks, and all that may follow the last.
const LONGEST_LINE: usize = 1 << 10;

/// How a body's end is found.
#[derive(Debug, PartialEq, Eq)]
enum Framing {
    /// It has so many bytes.
    Length(usize),
    /// It comes in chunks, each with its length.
    Chunks,
}

impl Connection {
    /// The body behind this head.
    pub(crate) fn body(&mut self, head: &Head) -> Result<Vec<u8>, Unread> {
        let framing = framing(head)?;
        if let Framing::Length(length) = framing
            && length > self.bounds.body
        {
            return Err(self.too_long(&format!("{length} bytes")));
        }
        self.go_ahead(head)?;
        let end = Instant::now() + self.bounds.patience;
        match framing {
            Framing::Length(length) => self.bytes(length, end),
            Framing::Chunks => self.chunks(end),
        }
    }

    /// Says to a client that waits for it that its body is wanted.
    fn go_ahead(&mut self, head: &Head) -> Result<(), Unread> {
        match head.header("expect") {
            None => Ok(()),
            Some(expected) if expected.eq_ignore_ascii_case("100-continue") => {
                Ok(self.write(b"HTTP/1.1 100 Continue\r\n\r\n")?)
            }
            Some(other) => Err(bad(417, format!("expect: {other} is not known here: leave it out"))),
        }
    }

    /// So many bytes.
    fn bytes(&mut self, length: usize, end: Instant) -> Result<Vec<u8>, Unread> {
        while self.ahead.len() < length {
            self.more_until(end)?;
        }
        Ok(self.ahead.drain(..length).collect())
    }

    fn chunks(&mut self, end: Instant) -> Result<Vec<u8>, Unread> {
        let mut body = Vec::new();
        loop {
            let size = self.chunk_size(end)?;
            if size > self.bounds.body - body.len() {
                return Err(self.too_long("more in its chunks"));
            }
            if size == 0 {
                self.trailer(end)?;
                return Ok(body);
            }
            body.extend(self.bytes(size, end)?);
            if self.bytes(2, end)? != b"\r\n" {
                return Err(bad(400, "a chunk of the body does not end where its length says"));
            }
        }
    }

    fn chunk_size(&mut self, end: Instant) -> Result<usize, Unread> {
        loop {
            // The parser takes an empty line for the last chunk.
            if self.ahead.first().is_some_and(|byte| !byte.is_ascii_hexdigit()) {
                return Err(bad(400, "a chunk of the body has no length"));
            }
            match httparse::parse_chunk_size(&self.ahead) {
                Ok(httparse::Status::Complete((length, size))) => {
                    self.ahead.drain(..length);
                    return Ok(usize::try_from(size).unwrap_or(usize::MAX));
                }
                Ok(httparse::Status::Partial) if self.ahead.len() <= LONGEST_LINE => self.more_until(end)?,
                _ => return Err(bad(400, "a chunk of the body has no length")),
            }
        }
    }

    /// Takes in what follows the last chunk, up to an empty line.
    fn trailer(&mut self, end: Instant) -> Result<(), Unread> {
        let mut left = LONGEST_LINE;
        loop {
            if let Some(line) = self.ahead.iter().position(|byte| *byte == b'\n').filter(|line| *line < left) {
                let is_empty = self.ahead[..line].iter().all(|byte| *byte == b'\r');
                self.ahead.drain(..=line);
                if is_empty {
                    return Ok(());
                }
                left -= line;
            } else if self.ahead.len() >= left {
                return Err(bad(431, "too much follows the last chunk of the body"));
            } else {
                self.more_until(end)?;
            }
        }
    }

    fn too_long(&self, found: &str) -> Unread {
        bad(413, format!("the body has {found}, and at most {} bytes are taken", self.bounds.body))
    }
}

/// Where the body ends. Two answers to that are how one request is hidden in another: none is taken then.
fn framing(head: &Head) -> Result<Framing, Unread> {
    let all = |name: &str| -> Vec<&str> {
        head.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    };
    match (all("content-length").as_slice(), all("transfer-encoding").as_slice()) {
        ([], []) => Ok(Framing::Length(0)),
        ([length], []) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(Framing::Length(length.parse().unwrap_or(usize::MAX)))
        }
        ([length], []) => Err(bad(400, format!("content-length: {length:?} is not a number"))),
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunks),
        ([], [coding]) => Err(bad(501, format!("transfer-encoding: {coding} is not known here, chunked is"))),
        _ => Err(bad(400, "a request says once how long its body is: content-length or transfer-encoding")),
    }
}
