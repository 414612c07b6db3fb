//! What is sent back.

use serde_json::Value;

/// An answer whose body is known.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    kind: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Whether the connection ends with it.
    pub(crate) closes: bool,
}

impl Answer {
    /// A text of this kind.
    pub(crate) fn text(status: u16, kind: &'static str, text: impl Into<String>) -> Self {
        Self { status, kind, headers: Vec::new(), body: text.into().into_bytes(), closes: false }
    }

    pub(crate) fn json(status: u16, json: &Value) -> Self {
        Self::text(status, "application/json", json.to_string())
    }

    /// With this header.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// After which the connection ends.
    pub(crate) fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// As it is sent.
    pub(crate) fn bytes(&self, stays: bool, is_head: bool) -> Vec<u8> {
        let mut text = head(self.status, self.kind);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let connection = if stays { "keep-alive" } else { "close" };
        text.push_str(&format!("content-length: {}\r\nconnection: {connection}\r\n\r\n", self.body.len()));
        let mut bytes = text.into_bytes();
        if !is_head {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// The head of an answer that goes on until the connection ends.
pub(crate) fn endless(kind: &str) -> Vec<u8> {
    (head(200, kind) + "connection: close\r\n\r\n").into_bytes()
}

/// The first lines. No browser may take an answer for something else than it is, or keep it.
fn head(status: u16, kind: &str) -> String {
    let reason = reason(status);
    format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: {kind}\r\nx-content-type-options: nosniff\r\n\
         cache-control: no-store\r\n"
    )
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}
