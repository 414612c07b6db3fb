//! What a request asks for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ddim::schedule::nearest_said;
use ddim::{Model, Options};
use serde_json::{Map, Value};

use crate::problem::Problem;

/// What OpenAI's `images/generations` takes and this server does, too.
const KNOWN: [&str; 11] = [
    "model",
    "prompt",
    "n",
    "size",
    "response_format",
    "seed",
    "ddim",
    "user",
    "quality",
    "output_format",
    "background",
];

/// Options in the form of our own.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) options: Options,
    /// The same as JSON.
    pub(crate) json: Value,
}

impl Asked {
    /// The options of a job.
    pub(crate) fn of_job(body: &[u8], model: &Model) -> Result<Self, Problem> {
        Self::of(Value::Object(object(body)?), model, "")
    }

    /// Those of a request to OpenAI's API, of a model of this name.
    pub(crate) fn of_openai(body: &[u8], model: &Model, name: &str) -> Result<Self, Problem> {
        let mut asked = object(body)?;
        // What a client leaves open asks for nothing.
        asked.retain(|_, value| !value.is_null());
        if let Some(unknown) = asked.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            let nearest = nearest_said(unknown, KNOWN);
            let known = KNOWN.join(", ");
            let words = format!(
                "{unknown}: there is no such field here{nearest}; there are {known}, and options go into ddim"
            );
            return Err(Problem::wrong(unknown, words));
        }
        let mut take = |key: &str| asked.remove(key);
        check_model(take("model"), name)?;
        check_size(take("size"), model)?;
        check_form(take("response_format"))?;
        for (key, allowed) in
            [("quality", &["auto", "standard"][..]), ("output_format", &["png"]), ("background", &["auto"])]
        {
            check_word(key, take(key), allowed)?;
        }
        let mut options = match take("ddim") {
            None => Map::new(),
            Some(Value::Object(options)) => options,
            Some(_) => return Err(Problem::wrong("ddim", "ddim: options are an object, as in {\"steps\": 20}")),
        };
        let mut stand = Vec::new();
        let mut put = |field: &'static str, option: &str, value: Option<Value>| match value {
            None => Ok(()),
            Some(_) if options.contains_key(option) => {
                let words = format!("{field}: ddim.{option} says the same: leave one of them out");
                Err(Problem::wrong(field, words))
            }
            Some(value) => {
                options.insert(option.to_owned(), value);
                stand.push((field, format!("ddim.{option}")));
                Ok(())
            }
        };
        put("n", "num", take("n"))?;
        put("seed", "seed", take("seed"))?;
        put("prompt", "class", prompt(take("prompt"))?)?;
        Self::of(Value::Object(options), model, "ddim.").map_err(|problem| problem.about(&stand))
    }

    fn of(json: Value, model: &Model, place: &str) -> Result<Self, Problem> {
        if json["solver"].as_str().is_some_and(|solver| solver.trim_start().starts_with("adaptive")) {
            let words = "solver: adaptive takes steps as long as each picture needs, and does not share calls of \
                         the network with others: draw with `ddim sample`, or name a solver with steps";
            return Err(Problem::wrong(&format!("{place}solver"), words));
        }
        if !json["batch_size"].is_null() {
            let words = "batch_size: the server decides how many rows a call has: leave it out";
            return Err(Problem::wrong(&format!("{place}batch_size"), words));
        }
        let options =
            Options::from_json(&json.to_string(), model).map_err(|error| Problem::option(error, place))?;
        Ok(Self { options, json })
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Problem::of(400, "invalid_json", "the body is a JSON object, as in {\"prompt\": \"coat\"}")),
        Err(error) => Err(Problem::of(400, "invalid_json", format!("the body is not JSON: {error}"))),
    }
}

fn check_model(asked: Option<Value>, name: &str) -> Result<(), Problem> {
    match asked {
        None => Ok(()),
        Some(Value::String(asked)) if asked == name || asked.is_empty() => Ok(()),
        Some(asked) => Err(Problem::of(
            404,
            "model_not_found",
            format!("model: {asked} is not here: this server has {name:?}"),
        )),
    }
}

fn check_size(asked: Option<Value>, model: &Model) -> Result<(), Problem> {
    let size = size(model);
    match asked {
        None => Ok(()),
        Some(Value::String(asked)) if asked == size || asked == "auto" => Ok(()),
        Some(asked) => {
            let words =
                format!("size: {asked} is not possible: this model draws {size}; say that, \"auto\", or nothing");
            Err(Problem::wrong("size", words))
        }
    }
}

/// Width and height of a model's pictures, as OpenAI writes them.
pub(crate) fn size(model: &Model) -> String {
    model.picture_shape().map_or_else(|_| "auto".to_owned(), |[_, height, width]| format!("{width}x{height}"))
}

fn check_form(asked: Option<Value>) -> Result<(), Problem> {
    match asked.as_ref().map(Value::as_str) {
        None | Some(Some("b64_json")) => Ok(()),
        Some(Some("url")) => {
            let words = "response_format: url is not possible: this server keeps no pictures; say b64_json";
            Err(Problem::wrong("response_format", words))
        }
        _ => Err(Problem::wrong("response_format", "response_format: b64_json is all there is")),
    }
}

fn check_word(key: &'static str, asked: Option<Value>, allowed: &[&str]) -> Result<(), Problem> {
    match asked {
        None => Ok(()),
        Some(Value::String(word)) if allowed.contains(&word.as_str()) => Ok(()),
        Some(asked) => {
            Err(Problem::wrong(key, format!("{key}: {asked} is not possible: {}", allowed.join(" or "))))
        }
    }
}

/// A class; none for a prompt that says nothing.
fn prompt(asked: Option<Value>) -> Result<Option<Value>, Problem> {
    match asked {
        Some(Value::String(class)) if class.trim().is_empty() => Ok(None),
        None | Some(Value::String(_)) => Ok(asked),
        Some(other) => Err(Problem::wrong("prompt", format!("prompt: {other} is no text: name a class"))),
    }
}

/// Bytes as JSON has them.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use ddim::device;

    use super::*;

    fn model() -> Model {
        Model::embedded("fashion-mnist", &device::cpu()).expect("it is embedded")
    }

    #[test]
    fn what_openai_calls_so_is_an_option_here() {
        let body = br#"{"model": "fashion-mnist", "prompt": "coat", "n": 3, "size": "28x28", "seed": 7,
            "response_format": "b64_json", "quality": "auto", "user": "x",
            "ddim": {"steps": 5, "solver": "unipc", "guidance": 2}}"#;
        let asked = Asked::of_openai(body, &model(), "fashion-mnist").expect("options");
        let coat = model().class("coat").expect("a class");
        let Options { count, seed, steps, labels, solver, .. } = asked.options;
        assert_eq!((count, seed, steps, labels, solver.name()), (3, 7, 5, vec![coat].into(), "unipc"));
        assert_eq!(asked.json["class"], "coat");
        let plain = Asked::of_openai(br#"{"prompt": " ", "n": null, "style": null}"#, &model(), "x")
            .expect("options")
            .options;
        assert!(plain.labels.is_empty() && plain.count == 1);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let said = |body: &str| {
            let problem = Asked::of_openai(body.as_bytes(), &model(), "fashion-mnist").expect_err(body);
            String::from_utf8(problem.answer().bytes(false, false)).expect("text")
        };
        for (body, param, words) in [
            ("{", "null", "the body is not JSON"),
            ("[]", "null", "the body is a JSON object"),
            (r#"{"promt": "coat"}"#, "\"promt\"", "the nearest is prompt"),
            (r#"{"prompt": "hat stand"}"#, "\"prompt\"", "hat stand"),
            (r#"{"prompt": 3}"#, "\"prompt\"", "3 is no text"),
            (r#"{"size": "1024x1024"}"#, "\"size\"", "this model draws 28x28"),
            (r#"{"response_format": "url"}"#, "\"response_format\"", "keeps no pictures"),
            (r#"{"model": "dall-e-3"}"#, "null", "this server has"),
            (r#"{"n": -1}"#, "\"n\"", "n: -1 is not a whole number"),
            (r#"{"n": 1, "ddim": {"num": 2}}"#, "\"n\"", "leave one of them out"),
            (r#"{"ddim": 1}"#, "\"ddim\"", "an object"),
            (r#"{"ddim": {"stps": 1}}"#, "\"ddim.stps\"", "the nearest is steps"),
            (r#"{"ddim": {"solver": "adaptive"}}"#, "\"ddim.solver\"", "does not share calls"),
            (r#"{"ddim": {"batch_size": 4}}"#, "\"ddim.batch_size\"", "leave it out"),
            (r#"{"quality": "hd"}"#, "\"quality\"", "auto or standard"),
        ] {
            let answer = said(body);
            assert!(answer.contains(words) && answer.contains(&format!("\"param\":{param}")), "{body}: {answer}");
        }
    }
}
