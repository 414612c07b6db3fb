//! One model for many: an [`Engine`] draws all requests that there are together, with one call of the network for
//! rows of as many of them as there is room for, and on the CPU every picture has the bits that it has alone. A
//! [`Server`] is HTTP around it: OpenAI's images API, jobs that tell of every step, health and metrics.

mod asked;
mod engine;
mod error;
mod http;
mod jobs;
mod life;
mod problem;
mod progress;
mod scheduler;
mod server;
mod service;
mod stats;
#[cfg(test)]
mod tests;
mod tokens;

pub use engine::{Engine, Limits};
pub use error::Refusal;
pub use http::Bounds;
pub use progress::{Event, Phase, Ticket, What};
pub use server::{Server, Undone};
pub use service::{Record, Records, Service};
pub use stats::{Outcome, Stats};
pub use tokens::Tokens;
