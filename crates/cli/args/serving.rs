//! Options of `ddim serve`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::ComputingArgs;
use super::numbers::at_least_one;
use crate::device::Precision;
use crate::request::ModelRequest;

/// Shown under `ddim serve --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  ddim serve                                           the embedded model, at http://127.0.0.1:8080
  ddim serve --model path/to/model --listen 0.0.0.0:80 --token-file tokens
  ddim serve --batch-size 4 --queue 8                  shorter calls, fewer that wait

OpenAI's images API (POST /v1/images/generations, the prompt names a class), jobs that tell of every step (/v1/jobs), \
/v1/models, /health, and /metrics for Prometheus. Requests that are there together share calls of the network, and a \
picture is the same as `ddim sample` draws alone: bit for bit on the CPU. Ctrl-C and SIGTERM let requests under way be \
finished. All about it: docs/serve.md.";

/// Options of `ddim serve`.
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// A folder in the diffusers layout, a part of one (unet/, a weight file), the folder of a training run, or the name
    /// of an embedded model [default: the first embedded model]
    #[arg(long, value_name = "PATH|NAME", help_heading = "Model")]
    pub(crate) model: Option<PathBuf>,

    /// Which weights, where the model has several: `ema` for the moving average, `model` for those without, or a name
    /// that the file gives them [default: the moving average where there is one]
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub(crate) weights: Option<String>,

    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = address,
        help_heading = "Server")]
    pub(crate) listen: SocketAddr,

    /// Requests that may wait or be drawn; more are told to come again (429)
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one, help_heading = "Server")]
    pub(crate) queue: usize,

    /// Pictures that a request may ask for
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one, help_heading = "Server")]
    pub(crate) max_pictures: usize,

    /// Calls of the network for a picture that a request may ask for, corrections included
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = at_least_one, help_heading = "Server")]
    pub(crate) max_calls: usize,

    /// Bytes that a request may have
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20, value_parser = at_least_one, help_heading = "Server")]
    pub(crate) max_body: usize,

    /// Connections that may be open
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = at_least_one, help_heading = "Server")]
    pub(crate) max_connections: usize,

    /// Seconds that a client has to send a request, or to take an answer in
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = some_seconds, help_heading = "Server")]
    pub(crate) patience: Duration,

    /// Seconds that requests under way have to be finished once the server is told to end
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds, help_heading = "Server")]
    pub(crate) grace: Duration,

    /// A file with the tokens that clients have to show, one a line; DDIM_TOKEN in the environment is one, too [default:
    /// everybody may ask]
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub(crate) token_file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) computing: ComputingArgs,

    /// Numbers in which the network computes
    #[arg(long, value_enum, default_value_t = Precision::F32, help_heading = "Device")]
    pub(crate) precision: Precision,
}

impl ServeArgs {
    /// The model, in plain data.
    pub(crate) fn model_request(&self) -> ModelRequest {
        ModelRequest { model: self.model.clone(), weights: self.weights.clone(), ..ModelRequest::default() }
    }
}

/// An address and a port; a name is looked up.
fn address(text: &str) -> Result<SocketAddr, String> {
    let example = "an address and a port, as in 127.0.0.1:8080, [::1]:8080 or localhost:8080";
    let Some((host, port)) = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()) else {
        return Err(format!("not {example}"));
    };
    if port.parse::<u16>().is_err() {
        return Err(format!("{port:?} is not a port, a whole number from 0 to 65535: give {example}"));
    }
    let found = text.to_socket_addrs().ok().and_then(|mut found| found.next());
    found.ok_or_else(|| format!("{host:?} is not an address of a machine: give {example}"))
}

/// A time from 0 to a day.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("not a number of seconds from 0 to 86400".to_owned()),
    }
}

/// The same, and not none.
fn some_seconds(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        Duration::ZERO => Err("nobody is that fast: give a number of seconds above 0".to_owned()),
        some => Ok(some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port() {
        for good in ["127.0.0.1:0", "[::1]:8080", "0.0.0.0:65535", "localhost:80"] {
            assert!(address(good).is_ok(), "{good}: {:?}", address(good));
        }
        for bad in ["127.0.0.1", "8080", ":8080", "127.0.0.1:65536", "127.0.0.1:http", "256.0.0.1:80", ""] {
            let error = address(bad).expect_err(bad);
            assert!(error.contains("as in 127.0.0.1:8080"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_time_has_an_end() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["-1", "nan", "inf", "1e9", "x", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
