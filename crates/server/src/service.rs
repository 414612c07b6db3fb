//! What is answered to whom.

use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ddim::{LabelKind, Options};
use ddim_data::{DataError, Picture, encode_png_of_run, encode_png_without_run};
use serde_json::{Value, json};

use crate::asked::{Asked, base64, size};
use crate::http::{Answer, Connection, Head, Unread, endless};
use crate::jobs::{Job, Jobs, KEPT};
use crate::life::Life;
use crate::problem::Problem;
use crate::progress::{Phase, Ticket, What};
use crate::{Engine, Outcome, Tokens};

/// How long a request waits before it looks whether its client has gone.
const LOOK: Duration = Duration::from_millis(50);
/// How often a client that listens hears that nothing has happened.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A page that draws here.
const PAGE: &str = include_str!("page.html");
/// It loads nothing, and talks to nobody else.
const POLICY: &str = "default-src 'none'; connect-src 'self'; img-src data:; script-src 'unsafe-inline'; \
                      style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the pictures of a request say of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// JSON, for the text of their PNG files.
    pub run: String,
    /// The command that draws the same.
    pub command: String,
}

/// Who knows how pictures are drawn outside of the server.
pub trait Records: Send + Sync {
    /// The record of a request of these options, or in words why it cannot be drawn.
    ///
    /// # Errors
    ///
    /// Those words.
    fn of(&self, options: &Options) -> Result<Record, String>;
}

/// An engine, and what is answered about it.
pub struct Service {
    pub(crate) engine: Engine,
    name: String,
    records: Box<dyn Records>,
    tokens: Tokens,
    jobs: Jobs,
    started: u64,
}

/// What is sent back.
enum Reply {
    Whole(Answer),
    /// All that happens to a job, from the event after this one on.
    Events(Arc<Job>, u64),
    /// Nothing: the client has gone.
    Nothing,
}

impl Service {
    /// Of an engine whose model has this name.
    pub fn new(engine: Engine, name: impl Into<String>, records: Box<dyn Records>, tokens: Tokens) -> Self {
        Self { engine, name: name.into(), records, tokens, jobs: Jobs::default(), started: seconds() }
    }

    /// Jobs that have not ended.
    pub(crate) fn jobs_under_way(&self) -> Vec<Arc<Job>> {
        self.jobs.under_way()
    }

    /// Waits so long until somebody has the pictures of these; of how many nobody has.
    pub(crate) fn wait_for_fetches(&self, jobs: &[Arc<Job>], most: Duration) -> usize {
        let begun = Instant::now();
        loop {
            let waiting = jobs.iter().filter(|job| job.is_waiting()).count();
            if waiting == 0 || begun.elapsed() >= most {
                return waiting;
            }
            thread::sleep(LOOK);
        }
    }

    /// Answers what comes over a connection until that ends.
    pub(crate) fn converse(&self, mut connection: Connection, life: &Life) {
        while self.answer_next(&mut connection, life) {}
        connection.close();
    }

    /// Answers a request; false where none can follow.
    fn answer_next(&self, connection: &mut Connection, life: &Life) -> bool {
        let head = match connection.head() {
            Ok(head) => head,
            Err(unread) => return refuse(connection, unread, None),
        };
        let _busy = life.busy();
        if let Err(problem) = self.check_host(&head, life).and_then(|()| self.admit(&head)) {
            return connection.send(&problem.answer().closing(), Some(&head));
        }
        let body = match connection.body(&head) {
            Ok(body) => body,
            Err(unread) => return refuse(connection, unread, Some(&head)),
        };
        match self.reply(&head, &body, connection, life) {
            Ok(Reply::Whole(answer)) if life.is_ending() => connection.send(&answer.closing(), Some(&head)),
            Ok(Reply::Whole(answer)) => connection.send(&answer, Some(&head)),
            Err(problem) if life.is_ending() => connection.send(&problem.answer().closing(), Some(&head)),
            Err(problem) => connection.send(&problem.answer(), Some(&head)),
            Ok(Reply::Events(job, after)) => {
                self.tell(connection, &job, after);
                false
            }
            Ok(Reply::Nothing) => false,
        }
    }

    /// Whether this client may ask. Whether the server is well anybody may, and for the page, which asks for a
    /// token itself.
    fn admit(&self, head: &Head) -> Result<(), Problem> {
        if matches!(head.path.as_str(), "/" | "/health") || self.tokens.admit(head.header("authorization")) {
            return Ok(());
        }
        self.engine.stats().ended(Outcome::Unauthorized);
        let words = "this server asks for a token: send one that it knows as `Authorization: Bearer TOKEN`";
        Err(Problem::of(401, "invalid_api_key", words))
    }

    /// A page of somebody else's can have its own name mean this machine, and then ask as if it were ours: where
    /// no token is asked for, a server of this machine alone is called by an address or as localhost.
    fn check_host(&self, head: &Head, life: &Life) -> Result<(), Problem> {
        let host = head.header("host").unwrap_or_default();
        let is_address = |name: &str| name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let name = if is_address(host) { host } else { host.rsplit_once(':').map_or(host, |(name, _)| name) };
        let is_ours = name.is_empty() || name.eq_ignore_ascii_case("localhost") || is_address(name);
        if is_ours || !life.is_local() || !self.tokens.are_none() {
            return Ok(());
        }
        let words = format!(
            "host: {name:?} is not known here: call this server by its address, or have it ask for tokens"
        );
        Err(Problem::of(403, "unknown_host", words))
    }

    fn reply(&self, head: &Head, body: &[u8], connection: &Connection, life: &Life) -> Result<Reply, Problem> {
        let method = if head.method == "HEAD" { "GET" } else { head.method.as_str() };
        let parts: Vec<&str> = head.path.trim_matches('/').split('/').collect();
        let answer = match (method, parts.as_slice()) {
            ("POST", ["v1", "images", "generations"]) => return self.generate(head, body, connection),
            ("POST", ["v1", "jobs"]) => self.begin(head, body)?,
            ("GET", ["v1", "jobs", id]) => self.show(&*self.job(id)?)?,
            ("DELETE", ["v1", "jobs", id]) => self.cancel(&*self.job(id)?),
            ("GET", ["v1", "jobs", id, "events"]) if head.method == method => {
                let after = head.header("last-event-id").and_then(|number| number.parse().ok());
                return Ok(Reply::Events(self.job(id)?, after.unwrap_or(0)));
            }
            ("GET", ["v1", "models"]) => Answer::json(200, &json!({ "object": "list", "data": [self.model()] })),
            ("GET", ["v1", "models", name @ ..]) if name.join("/") == self.name => {
                Answer::json(200, &self.model())
            }
            ("GET", [""]) => {
                Answer::text(200, "text/html; charset=utf-8", PAGE).with("content-security-policy", POLICY)
            }
            ("GET", ["health"]) => self.health(life),
            ("GET", ["metrics"]) => {
                let text = self.engine.stats().to_prometheus(self.engine.requests());
                Answer::text(200, "text/plain; version=0.0.4", text)
            }
            _ => return Err(not_here(method, &head.path, &parts)),
        };
        Ok(Reply::Whole(answer))
    }

    fn health(&self, life: &Life) -> Answer {
        let (requests, queue) = (self.engine.requests(), self.engine.limits().queue);
        let (status, word) = if life.is_ending() { (503, "ending") } else { (200, "ok") };
        Answer::json(status, &json!({ "status": word, "requests": requests, "queue": queue }))
    }

    /// What the model is and can be asked for.
    fn model(&self) -> Value {
        let (model, limits) = (self.engine.model(), self.engine.limits());
        let classes: Vec<Value> = match model.classes() {
            [] => model.class_labels().into_iter().map(Value::from).collect(),
            names => names.iter().map(|name| json!(name)).collect(),
        };
        let labels = match model.label_kind() {
            LabelKind::Numbers | LabelKind::Rows { .. } => json!(model.label_kind().to_string()),
            LabelKind::None | LabelKind::Classes => Value::Null,
        };
        let more = json!({
            "size": size(model),
            "channels": model.picture_shape().map_or(0, |[channels, ..]| channels),
            "classes": classes,
            "labels": labels,
            "guidance": model.null_class().is_some(),
            "pictures": limits.pictures,
        });
        json!({ "id": self.name, "object": "model", "created": self.started, "owned_by": "ddim", "ddim": more })
    }

    /// OpenAI's `images/generations`: answered when the pictures are there, and given up when the client goes.
    fn generate(&self, head: &Head, body: &[u8], connection: &Connection) -> Result<Reply, Problem> {
        let asked = check_kind(head).and_then(|()| Asked::of_openai(body, self.engine.model(), &self.name));
        let (ticket, record, asked) = self.submit(asked, false)?;
        while !ticket.wait(LOOK).is_end() {
            if connection.is_gone() {
                return Ok(Reply::Nothing);
            }
        }
        let data = self.pictures(&ticket, &record)?;
        let answer = json!({
            "created": seconds(),
            "data": data,
            "model": self.name,
            "size": size(self.engine.model()),
            "output_format": "png",
            "seed": asked.options.seed,
            "command": record.command,
        });
        Ok(Reply::Whole(Answer::json(200, &answer)))
    }

    /// Hands in what was asked for.
    fn submit(&self, asked: Result<Asked, Problem>, watched: bool) -> Result<(Ticket, Record, Asked), Problem> {
        let recorded = asked.and_then(|asked| {
            self.engine.check(&asked.options)?;
            let record = self.records.of(&asked.options);
            Ok((record.map_err(|words| Problem::of(400, "invalid_value", words))?, asked))
        });
        let (record, asked) = recorded.inspect_err(|_| self.engine.stats().ended(Outcome::Refused))?;
        Ok((self.engine.submit(&asked.options, watched)?, record, asked))
    }

    /// The pictures of a request that has ended, or why there are none.
    fn pictures(&self, ticket: &Ticket, record: &Record) -> Result<Vec<Value>, Problem> {
        match ticket.phase() {
            Phase::Failed(problem) => Err(Problem::of(500, "failed", problem)),
            Phase::Cancelled => {
                Err(Problem::of(503, "ending", "this server has ended before the pictures were finished"))
            }
            _ => {
                let each = ticket.pictures().into_iter().enumerate();
                let each = each.map(|(k, picture)| Ok(json!({ "b64_json": png(record, k, picture.as_deref())? })));
                each.collect::<Result<_, DataError>>().map_err(no_png)
            }
        }
    }

    fn begin(&self, head: &Head, body: &[u8]) -> Result<Answer, Problem> {
        let asked = check_kind(head).and_then(|()| Asked::of_job(body, self.engine.model()));
        let (ticket, record, asked) = self.submit(asked, true)?;
        let job = self.jobs.keep(Job::new(ticket, record, asked.json));
        Ok(Answer::json(202, &job.to_json()).with("location", format!("/v1/jobs/{}", job.id)))
    }

    fn job(&self, id: &str) -> Result<Arc<Job>, Problem> {
        self.jobs.find(id).ok_or_else(|| {
            let words = format!("job {id} is not here: the last {KEPT} that have ended are kept");
            Problem::of(404, "job_not_found", words)
        })
    }

    fn show(&self, job: &Job) -> Result<Answer, Problem> {
        let mut json = job.to_json();
        if job.ticket.phase() == Phase::Finished {
            json["data"] = self.pictures(&job.ticket, &job.record)?.into();
            job.fetched();
        }
        Ok(Answer::json(200, &json))
    }

    /// Cancels a job, and waits for the call under way that it may have a row in.
    fn cancel(&self, job: &Job) -> Answer {
        job.ticket.cancel();
        job.ticket.wait(HEARTBEAT);
        Answer::json(200, &job.to_json())
    }

    /// Sends what happens to a job until it has ended or nobody listens.
    fn tell(&self, connection: &mut Connection, job: &Job, mut after: u64) {
        let (mut said, mut sent) = (Instant::now(), connection.write(&endless("text/event-stream")));
        while sent.is_ok() && !connection.is_gone() {
            let events = job.ticket.events_after(after, 10 * LOOK);
            if events.is_empty() && job.ticket.phase().is_end() {
                return;
            }
            let mut text = String::new();
            for event in &events {
                after = event.number;
                let (name, json) = told(job, &event.what);
                text.push_str(&format!("id: {after}\nevent: {name}\ndata: {json}\n\n"));
            }
            if text.is_empty() && said.elapsed() >= HEARTBEAT {
                text.push_str(": nothing new\n\n");
            }
            if !text.is_empty() {
                (said, sent) = (Instant::now(), connection.write(text.as_bytes()));
            }
            if sent.is_ok() && events.iter().any(|event| matches!(event.what, What::End(_))) {
                job.fetched();
            }
        }
    }
}

/// The name of an event, and what it says.
fn told(job: &Job, what: &What) -> (&'static str, Value) {
    match what {
        What::Step { picture, step, preview } => {
            let preview = preview.as_deref().and_then(|preview| encode_png_without_run(preview).ok());
            let preview = preview.map(|png| base64(&png));
            let steps = job.ticket.steps_of_picture();
            ("step", json!({ "picture": picture, "step": step, "steps": steps, "preview": preview }))
        }
        What::Picture(k) => {
            let picture = job.ticket.pictures()[*k].clone();
            let png = png(&job.record, *k, picture.as_deref()).ok();
            ("picture", json!({ "picture": k, "b64_json": png }))
        }
        What::End(phase) => {
            let problem = if let Phase::Failed(problem) = phase { Some(problem) } else { None };
            ("end", json!({ "status": phase.name(), "error": problem }))
        }
    }
}

/// A picture with what it says of itself, as `ddim sample` writes it, in base64.
fn png(record: &Record, k: usize, picture: Option<&Picture>) -> Result<String, DataError> {
    let picture = picture.expect("a request that is finished has all its pictures");
    let which = json!({ "index": k }).to_string();
    Ok(base64(&encode_png_of_run(picture, &record.run, &which)?))
}

fn no_png(error: DataError) -> Problem {
    Problem::of(500, "failed", error.to_string())
}

/// A page of somebody else's in a browser can send other kinds of bodies to any server without being asked.
fn check_kind(head: &Head) -> Result<(), Problem> {
    let kind = head.header("content-type").unwrap_or_default().to_ascii_lowercase();
    match kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json") {
        true => Ok(()),
        false => {
            Err(Problem::of(415, "invalid_content_type", "the body is JSON: say content-type: application/json"))
        }
    }
}

/// Why there is nothing for this method and path.
fn not_here(method: &str, path: &str, parts: &[&str]) -> Problem {
    let allowed = match parts {
        ["v1", "images", "generations"] | ["v1", "jobs"] => "POST",
        ["v1", "jobs", _] => "GET, DELETE",
        ["v1", "jobs", _, "events"] | ["v1", "models"] | ["health"] | ["metrics"] | [""] => "GET",
        _ => {
            let words = format!(
                "{path} is not here: there are /v1/images/generations, /v1/jobs, /v1/models, /health and /metrics"
            );
            return Problem::of(404, "not_found", words);
        }
    };
    Problem::method(allowed, format!("{method} {path} is not possible: what is: {allowed}"))
}

/// Says why a request could not be read; nothing follows it.
fn refuse(connection: &mut Connection, unread: Unread, head: Option<&Head>) -> bool {
    if let Unread::Bad(status, words) = unread {
        connection.send(&Problem::of(status, "invalid_request", words).answer().closing(), head);
    }
    false
}

/// Now, in seconds since 1970.
pub(crate) fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
