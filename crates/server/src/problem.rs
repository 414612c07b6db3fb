//! What is wrong with a request, in the form of OpenAI's errors.

use ddim::OptionError;
use serde_json::json;

use crate::Refusal;
use crate::http::Answer;

/// Seconds after which a client may ask a full server again.
const AGAIN: &str = "1";

/// Why a request is not answered with what it asks for.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    message: String,
    param: Option<String>,
    code: &'static str,
    header: Option<(&'static str, String)>,
}

impl Problem {
    /// A mistake of the client's.
    pub(crate) fn wrong(param: &str, message: impl Into<String>) -> Self {
        Self { param: Some(param.to_owned()), ..Self::of(400, "invalid_value", message) }
    }

    pub(crate) fn of(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let header = match status {
            401 => Some(("www-authenticate", "Bearer")),
            429 | 503 => Some(("retry-after", AGAIN)),
            _ => None,
        };
        let header = header.map(|(name, value)| (name, value.to_owned()));
        Self { status, message: message.into(), param: None, code, header }
    }

    /// That something is there for these methods alone.
    pub(crate) fn method(allowed: &str, message: impl Into<String>) -> Self {
        Self { header: Some(("allow", allowed.to_owned())), ..Self::of(405, "method_not_allowed", message) }
    }

    /// Of an option, whose place in the request this is.
    pub(crate) fn option(OptionError { option, problem }: OptionError, place: &str) -> Self {
        Self::wrong(&format!("{place}{option}"), format!("{option}: {problem}"))
    }

    /// The same where a field of the request stands for the option that it is about.
    pub(crate) fn about(mut self, fields: &[(&str, String)]) -> Self {
        let stands = |(_, option): &&(&str, String)| self.param.as_ref() == Some(option);
        if let Some((field, option)) = fields.iter().find(stands) {
            let name = option.rsplit('.').next().unwrap_or(option);
            if let Some(words) = self.message.strip_prefix(&format!("{name}: ")) {
                self.message = format!("{field}: {words}");
            }
            self.param = Some((*field).to_owned());
        }
        self
    }

    pub(crate) fn answer(&self) -> Answer {
        let kind = match self.status {
            401 => "authentication_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let Self { message, param, code, .. } = self;
        let error = json!({ "message": message, "type": kind, "param": param, "code": code });
        let answer = Answer::json(self.status, &json!({ "error": error }));
        match &self.header {
            None => answer,
            Some((name, value)) => answer.with(name, value),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Full(_) => Self::of(429, "queue_full", message),
            Refusal::Ending => Self::of(503, "ending", message),
            Refusal::Pictures { .. } | Refusal::Labels { .. } | Refusal::Calls { .. } | Refusal::Model(_) => {
                Self::of(400, "invalid_value", message)
            }
        }
    }
}
