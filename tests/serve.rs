//! `ddim serve` over a socket: pictures are those of the command line, whoever else asks, and what clients do wrong or
//! leave out takes no server down.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::program::{ddim, finish, folder, golden};

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A program that serves, and ends with the test.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    /// Started with these words, once it listens.
    fn start(folder: &Path, words: &str) -> Self {
        let mut command = ddim(folder);
        command.args(["serve", "--device", "cpu", "--listen", "127.0.0.1:0"]).args(words.split_whitespace());
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("UTF-8");
        let address = line.trim().strip_prefix("listening on http://").expect("an address").to_owned();
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(LONG)).expect("a socket");
        stream
    }

    /// Sends bytes and reads all that comes back.
    fn send(&self, bytes: &[u8]) -> (u16, String) {
        let mut stream = self.connect();
        // What is refused may be closed before all of it has arrived.
        let _ = stream.write_all(bytes);
        received(stream)
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        self.send(text.as_bytes())
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path, "", "")
    }

    fn post(&self, path: &str, json: &Value) -> (u16, String) {
        self.ask("POST", path, JSON, &json.to_string())
    }

    fn draw(&self, json: &Value) -> (u16, Value) {
        let (status, body) = self.post(GENERATIONS, json);
        (status, serde_json::from_str(&body).expect("JSON"))
    }

    fn metric(&self, name: &str) -> String {
        let (_, text) = self.get("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} in {text}")).to_owned()
    }

    /// Waits until a metric says so.
    fn wait_for(&self, name: &str, value: &str) {
        let begin = Instant::now();
        while self.metric(name) != value {
            assert!(begin.elapsed() < LONG, "{name} is {} and never {value}", self.metric(name));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Tells it to end.
    fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Its exit code, and what it has said.
    fn end(mut self) -> (i32, String) {
        let begin = Instant::now();
        while self.child.try_wait().expect("a child").is_none() {
            assert!(begin.elapsed() < LONG, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut said = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut said).expect("UTF-8");
        (self.child.wait().expect("ended").code().expect("a code"), said)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const JSON: &str = "Content-Type: application/json\r\n";
const GENERATIONS: &str = "/v1/images/generations";

/// Status and body of all that comes until the end.
fn received(mut stream: TcpStream) -> (u16, String) {
    let mut bytes = Vec::new();
    // A reset after the answer is no failure.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).expect("UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("an answer: {text:?}"));
    (head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status"), body.to_owned())
}

fn bytes(base64: &Value) -> Vec<u8> {
    STANDARD.decode(base64.as_str().expect("text")).expect("base64")
}

/// A request of many steps.
fn endless() -> Value {
    json!({ "steps": 1000, "num": 4 })
}

fn begun(server: &Served, options: &Value) -> String {
    let (status, body) = server.post("/v1/jobs", options);
    assert_eq!(status, 202, "{body}");
    let job: Value = serde_json::from_str(&body).expect("JSON");
    job["id"].as_str().expect("an id").to_owned()
}

/// Asked for at once by as many clients, in calls of which none is for one of them alone; each then by the command that
/// comes with the pictures, file by file.
#[test]
fn served_pictures_are_those_of_the_command_line() {
    let folder = folder();
    let server = Served::start(folder.path(), "--batch-size 5");
    let requests = [
        json!({ "prompt": "sneaker", "n": 3, "seed": 7, "size": "28x28", "ddim": { "steps": 6 } }),
        json!({ "prompt": "", "n": 2, "ddim": { "steps": 9, "eta": 1 } }),
        json!({ "prompt": "3", "seed": 1, "ddim": { "steps": 5, "solver": "unipc", "spacing": "karras" } }),
        json!({ "prompt": "coat", "n": 2, "ddim": { "steps": 4, "solver": "heun", "guidance": 2.5 } }),
        json!({ "ddim": { "timesteps": [900, 700, 500, 300, 1], "solver": "ipndm", "class": ["bag", "#0"], "num": 2 } }),
        json!({ "prompt": "bag", "ddim": { "steps": 4, "reuse": "mid_block:2", "convention": "openai" } }),
        json!({ "prompt": "bag", "ddim": { "steps": 3, "corrector_steps": 1, "eta": 0.5 } }),
        json!({ "prompt": "bag", "ddim": { "steps": 5, "guidance": 3, "guidance_interval": [0.3, null],
            "guidance_rescale": 0.5 } }),
    ];
    std::thread::scope(|scope| {
        let asked: Vec<_> = requests.iter().map(|request| scope.spawn(|| server.draw(request))).collect();
        for (k, asked) in asked.into_iter().enumerate() {
            let (status, answer) = asked.join().expect("no panic");
            assert_eq!(status, 200, "{answer}");
            let words = answer["command"].as_str().expect("a command");
            let words = words.strip_prefix("ddim ").expect("ours").replace('\'', "");
            let mut command = ddim(folder.path());
            command.args(words.split(' ')).args(["--device", "cpu", "--out", &format!("own{k}")]);
            finish(command).expect_success();
            let data = answer["data"].as_array().expect("pictures");
            assert_eq!(data.len() as u64, requests[k]["n"].as_u64().unwrap_or(data.len() as u64));
            for (picture, drawn) in data.iter().enumerate() {
                let own = fs::read(folder.path().join(format!("own{k}/{picture:06}.png"))).expect("drawn");
                assert!(bytes(&drawn["b64_json"]) == own, "picture {picture} of {}: {words}", requests[k]);
            }
        }
    });
    assert_eq!(server.metric("ddim_requests_total{outcome=\"finished\"}"), requests.len().to_string());
    assert_eq!(server.metric("ddim_requests"), "0");
}

/// A picture that was served is drawn once more from what it says of itself.
#[test]
fn a_served_picture_is_drawn_again_by_itself() {
    let folder = folder();
    let server = Served::start(folder.path(), "");
    let (_, answer) = server.draw(&json!({ "prompt": "bag", "n": 2, "seed": 3, "ddim": { "steps": 3 } }));
    fs::write(folder.path().join("served.png"), bytes(&answer["data"][1]["b64_json"])).expect("writable");
    let mut command = ddim(folder.path());
    command.args("sample --like served.png --device cpu --out again".split(' '));
    finish(command).expect_success();
    let pixels = |path: &str| image::open(folder.path().join(path)).expect("a picture").into_bytes();
    assert_eq!(pixels("served.png"), pixels("again/000000.png"));
}

#[test]
fn a_job_tells_of_every_step() {
    let folder = folder();
    let server = Served::start(folder.path(), "");
    let id = begun(&server, &json!({ "steps": 4, "num": 2, "seed": 5, "class": "coat" }));
    let (status, events) = server.get(&format!("/v1/jobs/{id}/events"));
    assert_eq!(status, 200);
    let named = |name: &str| events.matches(&format!("event: {name}\n")).count();
    assert_eq!((named("step"), named("picture"), named("end")), (8, 2, 1), "{events}");
    let data: Vec<Value> = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect();
    let steps: Vec<_> = data.iter().filter(|data| data["picture"] == 1 && data["steps"] == 4).collect();
    assert_eq!(steps.iter().map(|step| step["step"].as_u64()).collect::<Vec<_>>(), [1, 2, 3, 4].map(Some));
    assert!(bytes(&steps[0]["preview"]).starts_with(b"\x89PNG"));
    assert_eq!(data.last().expect("events")["status"], "finished");
    let (_, rest) = server.ask("GET", &format!("/v1/jobs/{id}/events"), "Last-Event-ID: 10\r\n", "");
    assert!(rest.starts_with("id: 11\n") && events.ends_with(&rest), "{rest}");
    let (_, body) = server.get(&format!("/v1/jobs/{id}"));
    let job: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (&job["status"], &job["finished"], &job["steps"]["taken"]),
        (&json!("finished"), &json!(2), &json!(8))
    );
    let told: Vec<_> = data.iter().filter(|data| !data["b64_json"].is_null()).collect();
    assert_eq!(job["data"][1]["b64_json"], told[1]["b64_json"]);
}

#[test]
fn what_is_cancelled_makes_room() {
    let folder = folder();
    let server = Served::start(folder.path(), "--queue 1");
    let id = begun(&server, &endless());
    let (status, body) = server.post(GENERATIONS, &json!({ "prompt": "coat" }));
    assert!(status == 429 && body.contains("queue_full"), "{body}");
    let (status, body) = server.ask("DELETE", &format!("/v1/jobs/{id}"), "", "");
    let job: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &job["status"]), (200, &json!("cancelled")));
    let taken = job["steps"]["taken"].as_u64().expect("a number");
    assert_eq!(server.draw(&json!({ "prompt": "coat", "ddim": { "steps": 2 } })).0, 200);
    let (_, events) = server.get(&format!("/v1/jobs/{id}/events"));
    assert!(events.contains("\"status\":\"cancelled\"") && taken < 4000, "{taken}");
    // A client that goes away gives its place back, too.
    let mut gone = server.connect();
    let body = json!({ "prompt": "coat", "n": 4, "ddim": { "steps": 1000 } }).to_string();
    let head = format!("POST {GENERATIONS} HTTP/1.1\r\n{JSON}Content-Length: {}\r\n\r\n", body.len());
    gone.write_all((head + &body).as_bytes()).expect("connected");
    server.wait_for("ddim_requests", "1");
    drop(gone);
    server.wait_for("ddim_requests", "0");
    server.wait_for("ddim_requests_total{outcome=\"cancelled\"}", "2");
}

#[test]
fn what_is_wrong_is_named() {
    let folder = folder();
    let server = Served::start(folder.path(), "--max-pictures 5 --max-calls 3000 --max-body 300");
    let jobs = "/v1/jobs";
    for (method, path, body, status, words) in [
        ("POST", GENERATIONS, "{", 400, "the body is not JSON"),
        ("POST", GENERATIONS, r#"{"prompt": "hat stand"}"#, 400, "hat stand"),
        (
            "POST",
            GENERATIONS,
            r#"{"prompt": "coat", "n": 1000000000}"#,
            400,
            "n: 1000000000 is not a whole number",
        ),
        ("POST", GENERATIONS, r#"{"prompt": "coat", "n": 6}"#, 400, "ask for 1 to 5"),
        ("POST", GENERATIONS, r#"{"prompt": "coat", "size": "512x512"}"#, 400, "this model draws 28x28"),
        ("POST", GENERATIONS, r#"{"response_format": "url"}"#, 400, "say b64_json"),
        ("POST", GENERATIONS, r#"{"ddim": {"solver": "adaptive"}}"#, 400, "does not share calls"),
        ("POST", jobs, r#"{"stps": 3}"#, 400, "the nearest is steps"),
        ("POST", jobs, r#"{"steps": 5000}"#, 400, "5000"),
        ("POST", jobs, r#"{"steps": 4, "corrector_steps": 1023}"#, 400, "at most 3000"),
        ("POST", jobs, r#"{"guidance_rescale": 0.5}"#, 400, "it changes nothing without guidance"),
        ("GET", "/v1/jobs/job-0", "", 404, "is not here"),
        ("GET", "/v1/models/dall-e-3", "", 404, "there are /v1/images/generations"),
        ("DELETE", GENERATIONS, "", 405, "what is: POST"),
    ] {
        let (found, answer) = server.ask(method, path, JSON, body);
        assert_eq!(found, status, "{method} {path} {body}: {answer}");
        let error: Value = serde_json::from_str(&answer).expect("JSON");
        let message = error["error"]["message"].as_str().expect("a message");
        assert!(message.contains(words) && error["error"]["type"] == "invalid_request_error", "{body}: {answer}");
    }
    let (status, answer) = server.ask("POST", jobs, "Content-Type: text/plain\r\n", "{}");
    assert!(status == 415 && answer.contains("application/json"), "{answer}");
    let (status, answer) = server.post(jobs, &json!({ "class": "x".repeat(400) }));
    assert!(status == 413 && answer.contains("at most 300 bytes"), "{answer}");
    assert_eq!(server.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").0, 400, "TLS");
    assert_eq!(server.get("/health").0, 200);
    assert_eq!(server.draw(&json!({ "prompt": "coat", "ddim": { "steps": 1 } })).0, 200);
}

/// What never ends is left alone, and others are served meanwhile.
#[test]
fn slow_clients_hold_nobody_up() {
    let folder = folder();
    let server = Served::start(folder.path(), "--patience 0.4 --max-connections 12");
    let head = format!("POST {GENERATIONS} HTTP/1.1\r\n{JSON}Content-Length: 50\r\n\r\n{{");
    let mut slow: Vec<TcpStream> = (0..8).map(|_| server.connect()).collect();
    for (k, client) in slow.iter_mut().enumerate() {
        let part = if k % 2 == 0 { &head[..head.len() - k] } else { "GET /hea" };
        client.write_all(part.as_bytes()).expect("connected");
    }
    let begin = Instant::now();
    assert_eq!(server.draw(&json!({ "prompt": "coat", "ddim": { "steps": 1 } })).0, 200);
    for client in slow {
        assert_eq!(received(client).0, 408);
    }
    assert!(begin.elapsed() < LONG / 2);
    // A body without an end, in chunks.
    let mut endless = server.connect();
    endless
        .write_all(format!("POST /v1/jobs HTTP/1.1\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n").as_bytes())
        .expect("connected");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(1 << 16));
    while endless.write_all(chunk.as_bytes()).is_ok() {}
    let idle: Vec<TcpStream> = (0..12).map(|_| server.connect()).collect();
    let (status, answer) = server.get("/health");
    assert!(status == 503 && answer.contains("12 connections"), "{answer}");
    drop(idle);
    let begin = Instant::now();
    while server.get("/health").0 != 200 {
        assert!(begin.elapsed() < LONG, "connections that have gone count");
    }
}

#[test]
fn who_has_no_token_is_told_so_and_never_which() {
    let folder = folder();
    fs::write(folder.path().join("tokens"), "# ours\nsecret-of-the-file\n").expect("writable");
    let mut command = ddim(folder.path());
    command.args("serve --device cpu --listen 127.0.0.1:0 --token-file tokens -vv".split(' '));
    command.env("DDIM_TOKEN", "secret-of-the-environment");
    let server = Served::of(command);
    let asked = |token: &str| {
        let headers = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        server.ask("GET", "/v1/models", &headers, "")
    };
    for token in ["secret-of-the-file", "secret-of-the-environment"] {
        assert_eq!(asked(token).0, 200, "{token}");
    }
    for token in ["", "secret", "# ours"] {
        let (status, answer) = asked(token);
        assert!(status == 401 && answer.contains("invalid_api_key") && !answer.contains("secret"), "{answer}");
    }
    assert_eq!((server.get("/health").0, server.get("/metrics").0), (200, 401));
    server.terminate();
    let (code, said) = server.end();
    assert!(code == 0 && !said.contains("secret"), "{said}");
}

#[test]
fn an_end_finishes_what_is_under_way() {
    let folder = folder();
    let server = Served::start(folder.path(), "--grace 50");
    let request = json!({ "prompt": "coat", "n": 4, "ddim": { "steps": 60 } });
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| server.draw(&request));
        let id = begun(&server, &json!({ "class": "bag", "steps": 70, "num": 4 }));
        let told = scope.spawn(|| server.get(&format!("/v1/jobs/{}/events", { id })).1);
        server.wait_for("ddim_requests", "2");
        server.terminate();
        let (status, answer) = asked.join().expect("no panic");
        assert_eq!((status, answer["data"].as_array().map(Vec::len)), (200, Some(4)), "{answer}");
        let told = told.join().expect("no panic");
        let end = told.trim_end().rsplit("\n\n").next().expect("events");
        assert!(end.contains("event: end") && end.contains("finished"), "who listens hears the end, too: {end}");
    });
    let (code, said) = server.end();
    assert!(code == 0 && said.contains("every request was answered"), "{said}");
}

/// Whoever asks again and again how a job stands gets its pictures, though the server was told to end in between.
#[test]
fn an_end_waits_until_a_job_is_fetched() {
    let folder = folder();
    let server = Served::start(folder.path(), "--grace 50");
    let id = begun(&server, &json!({ "class": "bag", "steps": 60, "num": 2 }));
    server.terminate();
    let begin = Instant::now();
    while server.get("/health").0 != 503 {
        assert!(begin.elapsed() < LONG, "it says that it is ending");
    }
    assert_eq!(server.post("/v1/jobs", &json!({ "steps": 2 })).0, 503);
    let job = loop {
        let (status, body) = server.get(&format!("/v1/jobs/{id}"));
        let job: Value = serde_json::from_str(&body).expect("JSON");
        assert!(status == 200 && begin.elapsed() < LONG, "{body}");
        if job["status"] == "finished" {
            break job;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(job["data"].as_array().map(Vec::len), Some(2));
    let (code, said) = server.end();
    assert!(code == 0 && said.contains("every request was answered"), "{said}");
}

#[test]
fn an_end_does_not_wait_for_ever() {
    let folder = folder();
    let server = Served::start(folder.path(), "--grace 0.2");
    begun(&server, &endless());
    let request = json!({ "prompt": "coat", "n": 4, "ddim": { "steps": 1000 } });
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| server.draw(&request));
        server.wait_for("ddim_requests", "2");
        server.terminate();
        let (status, answer) = asked.join().expect("no panic");
        assert_eq!((status, &answer["error"]["code"]), (503, &json!("ending")));
    });
    let (code, said) = server.end();
    assert!(code == 0 && said.contains("2 requests not finished in time"), "{said}");
}

#[test]
fn what_cannot_be_served_is_said_at_once() {
    let folder = folder();
    let server = Served::start(folder.path(), "");
    let said = |words: &str| {
        let mut command = ddim(folder.path());
        command.args(["serve", "--device", "cpu"]).args(words.split_whitespace());
        let ran = finish(command);
        (ran.code, ran.stderr)
    };
    fs::write(folder.path().join("empty"), "# none\n").expect("writable");
    for (words, code, expected) in [
        (format!("--listen {}", server.address), 1, "--listen 127.0.0.1:0, which takes a free one"),
        ("--listen nowhere".to_owned(), 2, "as in 127.0.0.1:8080"),
        ("--listen 192.0.2.1:0".to_owned(), 1, "no address of this machine"),
        ("--listen 127.0.0.1:0 --token-file empty".to_owned(), 1, "holds no token"),
        ("--listen 127.0.0.1:0 --token-file missing".to_owned(), 1, "--token-file missing"),
        ("--listen 127.0.0.1:0 --model missing".to_owned(), 1, "no model folder at missing"),
        (
            format!("--listen 127.0.0.1:0 --model {}", golden("classes_scale_shift").display()),
            1,
            "draws 2 channels, and a picture that is served",
        ),
        ("--queue 0".to_owned(), 2, "--queue"),
        ("--patience never".to_owned(), 2, "not a number of seconds"),
        ("--patience 0".to_owned(), 2, "nobody is that fast"),
    ] {
        let (found, text) = said(&words);
        assert!(found == code && text.contains(expected), "{words}: {found} {text}");
    }
}

/// Each option of the help does what it says, here or in a test above.
#[test]
fn every_option_is_tried() {
    let folder = folder();
    let mut help = ddim(folder.path());
    help.args(["serve", "--help"]);
    let help = finish(help);
    let option = |line: &str| {
        let name = line.trim_start().strip_prefix("--")?;
        Some(name[..name.find([' ', '=']).unwrap_or(name.len())].to_owned())
    };
    let found: BTreeSet<String> = help.expect_success().stdout.lines().filter_map(option).collect();
    let tried = [
        "model",
        "weights",
        "listen",
        "queue",
        "max-pictures",
        "max-calls",
        "max-body",
        "max-connections",
        "patience",
        "grace",
        "token-file",
        "device",
        "batch-size",
        "precision",
    ];
    assert_eq!(found, tried.map(str::to_owned).into());
    crate::program::copy(&golden("attention_one_layer"), &folder.path().join("several"));
    crate::program::copy(&folder.path().join("several/unet"), &folder.path().join("several/unet_ema"));
    let server = Served::start(folder.path(), "--model several --weights model --precision bf16 --batch-size 1");
    let (status, answer) = server.draw(&json!({ "prompt": "", "n": 2, "ddim": { "steps": 2 } }));
    let command = answer["command"].as_str().unwrap_or_default();
    assert!(
        status == 200 && command.contains("--weights model") && command.contains("--precision bf16"),
        "{answer}"
    );
    assert_eq!(server.metric("ddim_call_rows_sum"), server.metric("ddim_call_rows_count"));
}
