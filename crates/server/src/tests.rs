use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ddim::sampler::Langevin;
use ddim::{Model, Options, device};

use crate::{Bounds, Engine, Limits, Outcome, Phase, Record, Records, Refusal, Server, Service, Tokens, Undone};

fn engine(limits: Limits) -> Engine {
    Engine::new(Arc::new(Model::embedded("fashion-mnist", &device::cpu()).expect("it is embedded")), limits)
}

/// Longer than any test waits.
fn long() -> Options {
    Options { steps: 1000, count: 4, ..Options::default() }
}

#[test]
fn a_full_queue_refuses_until_one_has_ended() {
    let engine = engine(Limits { queue: 2, ..Limits::default() });
    let first = engine.submit(&long(), false).expect("room");
    let _second = engine.submit(&long(), false).expect("room");
    let refused = engine.submit(&Options::default(), false).expect_err("full");
    assert!(matches!(refused, Refusal::Full(2)) && refused.to_string().starts_with("2 requests wait"));
    drop(first);
    let one = Options { steps: 1, ..Options::default() };
    let third = loop {
        match engine.submit(&one, false) {
            Ok(ticket) => break ticket,
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    assert_eq!(third.wait(Duration::from_secs(60)), Phase::Finished);
    assert_eq!(engine.stats().requests(Outcome::Cancelled), 1);
}

#[test]
fn what_cannot_be_drawn_is_refused_with_its_reason() {
    let engine = engine(Limits { pictures: 3, ..Limits::default() });
    let refused = |options: Options| engine.submit(&options, false).expect_err("refused").to_string();
    assert_eq!(
        refused(Options { count: 1_000_000_000, ..Options::default() }),
        "1000000000 pictures are not possible: ask for 1 to 3 at a time"
    );
    assert!(refused(Options { count: 0, ..Options::default() }).starts_with("0 pictures"));
    assert!(refused(Options { steps: 2000, ..Options::default() }).contains("2000"));
    assert!(refused(Options { labels: vec![99].into(), ..Options::default() }).contains("99"));
    assert!(refused(Options { guidance: f64::NAN.into(), ..Options::default() }).contains("NaN"));
    assert!(
        refused(Options { labels: vec![1; 2].into(), ..Options::default() }).contains("2 labels for 1 picture")
    );
    let corrector = Langevin::new(1000, 0.16).ok();
    assert_eq!(
        refused(Options { steps: 20, corrector, ..Options::default() }),
        "19020 calls a picture are not possible, at most 10000 are: take fewer steps or corrections"
    );
    assert_eq!((engine.stats().requests(Outcome::Refused), engine.requests()), (7, 0));
}

#[test]
fn an_end_waits_for_what_there_is_and_no_longer() {
    let engine = engine(Limits::default());
    let short = engine.submit(&Options { steps: 2, ..Options::default() }, false).expect("room");
    assert_eq!((engine.finish(Duration::from_secs(60)), short.phase()), (0, Phase::Finished));
    assert!(matches!(engine.submit(&Options::default(), false), Err(Refusal::Ending)));
    let engine = self::engine(Limits::default());
    let endless = engine.submit(&long(), false).expect("room");
    assert_eq!((engine.finish(Duration::from_millis(20)), endless.phase()), (1, Phase::Cancelled));
}

#[test]
fn many_threads_share_it() {
    let engine = engine(Limits { queue: 100, at_once: 5, ..Limits::default() });
    let of_seed = |seed| Options { steps: 2 + seed as usize % 4, seed, ..Options::default() };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let engine = &engine;
            scope.spawn(move || {
                for seed in (0..12).filter(|seed| seed % 4 == thread) {
                    let ticket = engine.submit(&of_seed(seed), false).expect("room");
                    assert_eq!(ticket.wait(Duration::from_secs(60)), Phase::Finished);
                    let alone = engine.model().sample(&of_seed(seed)).expect("a picture").bytes(0);
                    assert_eq!(ticket.pictures()[0].clone().expect("finished").pixels, alone);
                }
            });
        }
    });
    assert_eq!((engine.stats().requests(Outcome::Finished), engine.requests()), (12, 0));
}

struct Nothing;

impl Records for Nothing {
    fn of(&self, _: &Options) -> Result<Record, String> {
        Ok(Record { run: "{}".to_owned(), command: String::new() })
    }
}

/// The status of `GET /health`, asked for at each of these hosts.
fn statuses<const N: usize>(tokens: Tokens, hosts: [&str; N]) -> [u16; N] {
    let service = Service::new(engine(Limits::default()), "x", Box::new(Nothing), tokens);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = Server::start(listener, service, Bounds::default()).expect("a server");
    let of_host = |host: &str| {
        let mut stream = TcpStream::connect(server.address()).expect("it listens");
        write!(stream, "GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("connected");
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("an answer");
        said.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    };
    let statuses = hosts.map(of_host);
    assert_eq!(server.finish(Duration::ZERO), Undone::default());
    statuses
}

/// Whoever has a name mean this machine may send browsers here.
#[test]
fn other_names_of_this_machine_need_a_token() {
    let hosts = ["127.0.0.1:80", "localhost", "[::1]:80", "", "elsewhere.example:80", "localhost.example"];
    assert_eq!(statuses(Tokens::default(), hosts), [200, 200, 200, 200, 403, 403]);
    assert_eq!(statuses(Tokens::new(["x"]), hosts), [200; 6]);
}
