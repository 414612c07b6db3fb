//! `ddim serve`: a model over HTTP.

mod records;

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use ddim_bench::units;
use ddim_sampler::Guidance;
use ddim_server::{Bounds, Engine, Limits, Server, Service, Tokens, Undone};

use self::records::Drawing;
use crate::args::ServeArgs;
use crate::ending::Ending;
use crate::model::Model;
use crate::signals::{Interrupt, Parting};
use crate::{device, printing};

/// A token in the environment.
const TOKEN: &str = "DDIM_TOKEN";

/// How often the program looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// Serves until it is told to end.
pub(crate) fn run(args: &ServeArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let tokens = tokens(args.token_file.as_deref(), std::env::var_os(TOKEN))?;
    // Before the model is loaded: a port that is taken is said at once.
    let listener = listen(args.listen)?;
    let device = device::choose(args.computing.device.device)?;
    let model = Model::load(&args.model_request(), &device.device)?.in_precision(args.precision)?;
    let at_once = args.computing.batch_size;
    model.check_memory(at_once, &Guidance::OFF)?;
    check_pictures(&model)?;
    tracing::info!("device: {}", device.description);
    tracing::info!("model: {}", model.name);
    warn_of_everybody(args.listen, &tokens);
    let engine = engine(args, &model);
    let name = model.name.clone();
    let drawing = Drawing { model, device, request: args.model_request(), precision: args.precision, at_once };
    let service = Service::new(engine, name, Box::new(drawing), tokens);
    let bounds = Bounds {
        body: args.max_body,
        patience: args.patience,
        connections: args.max_connections,
        ..Bounds::default()
    };
    let server = Server::start(listener, service, bounds).context("cannot serve")?;
    let grace = args.grace.as_secs_f64();
    interrupt.leave(Parting::saves(format!("ending: requests under way have {grace} s to be finished")));
    printing::results(&format!("listening on http://{}\n", server.address()))?;
    while !interrupt.requested() {
        thread::sleep(LOOK);
    }
    tell(server.finish(args.grace));
    Ok(Ending::Done)
}

/// Refuses a model whose pictures no PNG can hold.
fn check_pictures(model: &Model) -> anyhow::Result<()> {
    let [channels, ..] = model.inner.picture_shape().with_context(|| model.name.clone())?;
    if !matches!(channels, 1 | 3 | 4) {
        bail!(
            "{}: it draws {channels} channels, and a picture that is served has 1 (grey), 3 (colour) or 4 (with \
             transparency); draw numbers with `ddim sample --out FILE.npz`",
            model.name
        );
    }
    Ok(())
}

/// Makes the network ready, and a thread that draws with it.
fn engine(args: &ServeArgs, model: &Model) -> Engine {
    model.inner.engine();
    let limits = Limits {
        at_once: args.computing.batch_size,
        queue: args.queue,
        pictures: args.max_pictures,
        calls: args.max_calls,
    };
    Engine::new(Arc::new(model.inner.clone()), limits)
}

/// Says what was left undone.
fn tell(Undone { given_up, not_fetched }: Undone) {
    if given_up > 0 {
        tracing::warn!("ended; {} not finished in time", units::counted(given_up, "request"));
    }
    if not_fetched > 0 {
        tracing::warn!(
            "ended; nobody has fetched the pictures of {}",
            units::counted(not_fetched, "finished job")
        );
    }
    if given_up == 0 && not_fetched == 0 {
        tracing::info!("ended; every request was answered");
    }
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow!(
            "--listen {address}: the port is taken, perhaps by another `ddim serve`: choose another, as in --listen {}:0, \
             which takes a free one and says it",
            address.ip()
        ),
        ErrorKind::PermissionDenied => {
            anyhow!("--listen {address}: this port is for the system's administrator: take one from 1024 on")
        }
        ErrorKind::AddrNotAvailable => {
            anyhow!("--listen {address}: no address of this machine: take 127.0.0.1, or 0.0.0.0 for all that it has")
        }
        _ => anyhow!("--listen {address}: {error}"),
    })
}

/// The tokens of a file, one a line, and that of the environment.
fn tokens(file: Option<&Path>, in_environment: Option<OsString>) -> anyhow::Result<Tokens> {
    let text = match file {
        None => String::new(),
        Some(file) => fs::read_to_string(file).with_context(|| format!("--token-file {}", file.display()))?,
    };
    let of_file = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let of_environment = in_environment.as_deref().map(|token| token.to_str().unwrap_or_default().trim());
    if of_environment.is_some_and(str::is_empty) {
        bail!("{TOKEN}: is set and holds no token, and everybody could ask: give it one, or unset it");
    }
    let tokens: Vec<&str> = of_file.chain(of_environment).collect();
    match file {
        Some(file) if tokens.is_empty() => bail!(
            "--token-file {}: holds no token, and everybody could ask: write one a line, as `openssl rand -hex 32` makes them",
            file.display()
        ),
        _ => Ok(Tokens::new(tokens)),
    }
}

/// Says so where other machines can reach a server that asks for no token.
fn warn_of_everybody(address: SocketAddr, tokens: &Tokens) {
    if tokens.are_none() && !address.ip().is_loopback() {
        tracing::warn!(
            "--listen {address}: other machines can reach it, and everybody may ask: give tokens with --token-file"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_from_a_file_and_the_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tokens");
        let shown = |text: &str, variable: Option<&str>| {
            fs::write(&file, text).expect("writable");
            tokens(Some(&file), variable.map(OsString::from)).map(|tokens| format!("{tokens:?}"))
        };
        assert_eq!(shown("# ours\n\n a \nb\n", Some("c\n")).expect("three"), "Tokens(3)");
        assert_eq!(shown("", Some("c")).expect("one"), "Tokens(1)");
        assert!(shown("# none\n", None).expect_err("none").to_string().contains("holds no token"));
        assert!(shown("a", Some(" ")).expect_err("none").to_string().contains("DDIM_TOKEN: is set"));
        assert!(tokens(None, None).expect("none").are_none());
        let missing = tokens(Some(&folder.path().join("missing")), None).expect_err("missing").to_string();
        assert!(missing.contains("--token-file"), "{missing}");
    }

    #[test]
    fn a_port_that_is_taken_is_named_with_the_way_out() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("bound");
        let error = listen(address).expect_err("taken").to_string();
        assert!(error.contains(&address.to_string()) && error.contains("--listen 127.0.0.1:0"), "{error}");
        let error = listen("192.0.2.1:0".parse().expect("an address")).expect_err("of no machine").to_string();
        assert!(error.contains("0.0.0.0"), "{error}");
    }
}
