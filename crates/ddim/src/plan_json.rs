//! A plan as JSON: everything that a program in another language needs to run the method.

use ddim_schedule::solvers::{Ddim, Ddpm};
use ddim_schedule::{
    Direction, EpsSource, FinalAlphaBar, Kept, LastNoise, Lineage, Plan, Predecessor, Resampling, Settings,
    Solver, Step, StepNoise, Variance, X0Limit,
};
use serde_json::{Map, Value, json};

use crate::{ADAPTIVE_PAIR, Route};

/// The whole plan: its settings, and one entry a step, in order of use, for every number of the update
///
/// `x0 = x0_from_x x + x0_from_out out`, limited as `clip` or `dynamic_threshold` says;
/// `eps = eps_from_x x + eps_from_out out`, or `rederived_from_x x + rederived_from_x0 x0` where `eps_source` is
/// `rederived`; `x_next = c_x x + c_x0 x0 + c_eps eps + sigma z` with standard normal `z`.
/// Here `out` is what the network gives for `input_scale x` at `time`. A solver that looks back adds
/// `c_start x_start`, where `x_start` is the first state, and `sum_k history[k-1] kept_k`, where `kept_k` is what
/// `keeps` names (`x0`, `eps` or `out`) of the call `k` calls earlier. A run from noise starts at `start_scale z`.
///
/// Decimals are the shortest that read back to the same f64. `sigma` is null where the network learned it.
///
/// ```
/// use ddim_schedule::{BetaSchedule, NoiseSchedule, Plan, Settings};
/// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
/// let json = ddim::plan_json(&Plan::new(&schedule, &Settings { n_steps: 2, ..Settings::default() })?);
/// assert_eq!(json["timesteps"], serde_json::json!([999, 499]));
/// assert_eq!(json["alpha_bar_prev"][1], 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn plan_json(plan: &Plan) -> Value {
    let mut json = table(plan);
    json.extend(settings(plan));
    Value::Object(json)
}

/// What the plan was made from, without its table: the part that decides all the rest.
///
/// ```
/// use ddim_schedule::{BetaSchedule, NoiseSchedule, Plan, Settings};
/// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
/// let json = ddim::settings_json(&Plan::new(&schedule, &Settings::default())?);
/// assert_eq!((&json["convention"], &json["steps"]), (&"exact".into(), &20.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn settings_json(plan: &Plan) -> Value {
    Value::Object(settings(plan))
}

/// What decides a route: of a plan its settings and timesteps, of a flow its settings and tolerance.
///
/// ```
/// use ddim::{Model, Options, Tolerance, device, route_json};
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
/// let model = Model::load(folder, &device::cpu())?;
/// let run = model.run_to_tolerance(&Options::default(), Tolerance::new(0.1, 0.01)?)?;
/// let json = route_json(&run.route);
/// assert_eq!((&json["solver"], &json["solver_options"]["rtol"]), (&"adaptive".into(), &0.1.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn route_json(route: &Route) -> Value {
    Value::Object(match route {
        Route::Plan(plan) => {
            let mut fields = settings(plan);
            fields.extend(table(plan).into_iter().take(1));
            fields
        }
        Route::Flow { flow, tolerance } => {
            let settings = flow.settings();
            let mut fields = object(json!({
                "convention": settings.convention.to_string(),
                "solver": "adaptive",
                "solver_options": {
                    "pair": ADAPTIVE_PAIR.name,
                    "rtol": tolerance.relative(),
                    "atol": tolerance.absolute(),
                },
                "direction": direction(settings.direction),
                "start_scale": 1.0,
            }));
            fields.extend(predictions(settings));
            fields
        }
    })
}

/// The columns of the plan, the best known first.
fn table(plan: &Plan) -> Map<String, Value> {
    let mut columns = Map::new();
    let mut column = |name: &str, value: &dyn Fn(&Step) -> Value| {
        columns.insert(name.to_owned(), plan.steps().iter().map(value).collect());
    };
    // The first: what a record of a run keeps of the table.
    column("timesteps", &|step| number(step.time));
    column("alpha_bar", &|step| json!(step.alpha_bar));
    column("alpha_bar_prev", &|step| json!(step.alpha_bar_prev));
    column("sigma", &|step| sigma(step.noise));
    column("time", &|step| json!(step.time));
    column("input_scale", &|step| json!(step.input_scale));
    column("x0_from_x", &|step| json!(step.prediction.x0_from_x));
    column("x0_from_out", &|step| json!(step.prediction.x0_from_out));
    column("eps_from_x", &|step| json!(step.prediction.eps_from_x));
    column("eps_from_out", &|step| json!(step.prediction.eps_from_out));
    column("rederived_from_x", &|step| json!(step.marginal.eps_from_x));
    column("rederived_from_x0", &|step| json!(step.marginal.eps_from_x0));
    column("c_x", &|step| json!(step.c_x));
    column("c_x0", &|step| json!(step.c_x0));
    column("c_eps", &|step| json!(step.c_eps));
    if plan.steps().iter().any(|step| step.c_start != 0.0) {
        column("c_start", &|step| json!(step.c_start));
    }
    if plan.kept() != Kept::Nothing {
        column("history", &|step| json!(step.history));
    }
    if plan.steps().iter().any(|step| matches!(step.noise, StepNoise::LearnedRange { .. })) {
        column("log_variance_small", &|step| log_variances(step.noise)[0].into());
        column("log_variance_large", &|step| log_variances(step.noise)[1].into());
    }
    columns
}

/// A number, without a fraction where it is whole.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}

fn sigma(noise: StepNoise) -> Value {
    match noise {
        StepNoise::None => json!(0.0),
        StepNoise::Fixed { sigma } => json!(sigma),
        StepNoise::LearnedRange { .. } | StepNoise::Learned | StepNoise::LearnedLog => Value::Null,
    }
}

fn log_variances(noise: StepNoise) -> [Option<f64>; 2] {
    match noise {
        StepNoise::LearnedRange { log_small, log_large } => [Some(log_small), Some(log_large)],
        _ => [None, None],
    }
}

fn settings(plan: &Plan) -> Map<String, Value> {
    let settings = plan.settings();
    let (eta, variance) = parameters(&*settings.solver);
    let mut fields = object(json!({
        "convention": settings.convention.to_string(),
        "solver": settings.solver.name(),
        "solver_options": solver_options(&*settings.solver),
        "eta": eta,
        "variance": variance,
        "steps": settings.n_steps,
        "calls": plan.steps().len(),
        "direction": direction(settings.direction),
        "strength": settings.strength,
        "start_scale": plan.start_scale(),
        "keeps": match plan.kept() {
            Kept::Nothing => Value::Null,
            Kept::X0 => json!("x0"),
            Kept::Eps => json!("eps"),
            Kept::Output => json!("out"),
        },
        "spacing": settings.spacing.to_string(),
    }));
    fields.extend(predictions(settings));
    fields.extend(object(json!({
        "predecessor": match settings.predecessor {
            Predecessor::InList => "in_list",
            Predecessor::Stride => "stride",
        },
        "last_noise": match settings.last_noise {
            LastNoise::Never => "never",
            LastNoise::UnlessTimestepZero => "unless_timestep_zero",
        },
    })));
    if let Resampling::Jumps { length, times } = settings.resampling {
        fields.insert("resampling".to_owned(), json!({ "jump_length": length, "times": times }));
    }
    fields
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => unreachable!("{other} is written as an object above"),
    }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Decode => "decode",
        Direction::Encode => "encode",
    }
}

/// What is made of the network's outputs, in a plan as in a flow.
fn predictions(settings: &Settings) -> Map<String, Value> {
    let (clip, dynamic_threshold) = match settings.limit {
        X0Limit::Free => (Value::Null, Value::Null),
        X0Limit::Clip { range } => (json!(range), Value::Null),
        X0Limit::DynamicThreshold { ratio, max } => (Value::Null, json!({ "ratio": ratio, "max": max })),
    };
    object(json!({
        "prediction": settings.prediction.to_string(),
        "clip": clip,
        "dynamic_threshold": dynamic_threshold,
        "eps_source": match settings.eps_source {
            EpsSource::Network => "network",
            EpsSource::Rederived => "rederived",
        },
        "final_alpha_bar": match settings.final_alpha_bar {
            FinalAlphaBar::One => "one",
            FinalAlphaBar::First => "first",
        },
    }))
}

/// Eta and variance of a solver, null where it has none.
fn parameters(solver: &dyn Solver) -> (Value, Value) {
    let eta = solver.as_a::<Ddim>().map(|ddim| ddim.eta.value());
    let variance = solver.as_a::<Ddpm>().map(|ddpm| variance_name(ddpm.variance));
    (json!(eta), json!(variance))
}

/// What a solver's rows depend on besides the levels; null for the methods of the papers.
fn solver_options(solver: &dyn Solver) -> Value {
    match solver.lineage() {
        Lineage::Equations => {
            let options = solver.options().into_iter();
            Value::Object(options.map(|(name, value)| (name.to_owned(), json!(value))).collect())
        }
        Lineage::Ddim | Lineage::Ddpm => Value::Null,
    }
}

/// diffusers' names of the variances.
fn variance_name(variance: Variance) -> &'static str {
    match variance {
        Variance::FixedSmall => "fixed_small",
        Variance::FixedLarge => "fixed_large",
        Variance::Learned => "learned",
        Variance::LearnedLog => "learned_log",
        Variance::LearnedRange => "learned_range",
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use ddim_sampler::{Observation, Outcome, PictureNoise};
    use ddim_schedule::{BetaSchedule, Convention, Eta, NoiseSchedule, solvers};
    use ddim_tensor::Tensor;

    use super::*;

    fn plan(solver: impl Into<Box<dyn Solver>>) -> Plan {
        let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("the paper's schedule");
        Plan::new(&schedule, &Settings::new(Convention::Diffusers, solver, 10)).expect("a plan")
    }

    /// The ten-line script: the JSON alone, read back from text, runs every kind of method on a number.
    fn run_from_json(json: &Value, mut x: f64, network: impl Fn(f64) -> f64) -> f64 {
        let calls = json["calls"].as_u64().expect("a count") as usize;
        let limit = json["clip"].as_f64().unwrap_or(f64::INFINITY);
        let (start, mut kept) = (x, Vec::new());
        for i in 0..calls {
            let at = |name: &str| json[name][i].as_f64().unwrap_or(0.0);
            let out = network(at("input_scale") * x);
            let x0 = (at("x0_from_x") * x + at("x0_from_out") * out).clamp(-limit, limit);
            let eps = match json["eps_source"] == "rederived" {
                true => at("rederived_from_x") * x + at("rederived_from_x0") * x0,
                false => at("eps_from_x") * x + at("eps_from_out") * out,
            };
            let history = json["history"][i].as_array().cloned().unwrap_or_default();
            let past = history.iter().zip(kept.iter().rev());
            let past: f64 = past.map(|(c, kept): (&Value, &f64)| c.as_f64().expect("a number") * kept).sum();
            x = at("c_x") * x + at("c_x0") * x0 + at("c_eps") * eps + at("c_start") * start + past;
            kept.push(match json["keeps"].as_str() {
                Some("x0") => x0,
                Some("eps") => eps,
                _ => out,
            });
        }
        x
    }

    #[test]
    fn the_json_alone_runs_the_method() {
        for (solver, clip) in
            [("ddim", true), ("euler", true), ("heun", false), ("dpm++", true), ("unipc", false), ("iddim", false)]
        {
            let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("the paper's schedule");
            let limit = if clip { X0Limit::Clip { range: 1.0 } } else { X0Limit::Free };
            let solver = solvers::parse(solver).expect("a method");
            let settings = Settings { limit, ..Settings::new(Convention::Exact, solver.clone(), 10) };
            let plan = Plan::new(&schedule, &settings).expect("a plan");
            let json: Value = serde_json::from_str(&plan_json(&plan).to_string()).expect("JSON");
            let start = Tensor::full((0.7 * plan.start_scale()) as f32, [1, 1, 1, 1]);
            let mut noise = PictureNoise::new(0, [0]);
            let go_on = |_: &Observation| ControlFlow::Continue(());
            let ran = ddim_sampler::sample(&plan, start, |x, _| x * 0.5, &mut noise, go_on).expect("a run");
            let Outcome::Finished(x) = ran else { panic!("nothing stops it") };
            let expected = f64::from(x.values()[0]);
            let found = run_from_json(&json, 0.7 * plan.start_scale(), |x| 0.5 * x);
            // The sampler runs in f32, over ten steps of states up to 110.
            assert!((found - expected).abs() < 2e-4 * expected.abs().max(1.0), "{solver}: {found} {expected}");
        }
    }

    #[test]
    fn decimals_read_back_exactly() {
        let plan = plan(Ddim { eta: Eta::DDPM });
        let json = plan_json(&plan);
        // As text: serde_json itself reads decimals to within one unit in the last place only.
        let written = |name: &str, i: usize| json[name][i].to_string().parse::<f64>().expect("a number");
        for (i, step) in plan.steps().iter().enumerate() {
            assert_eq!(written("alpha_bar", i), step.alpha_bar);
            assert_eq!(written("c_x0", i), step.c_x0);
        }
    }

    #[test]
    fn a_learned_variance_has_no_sigma_but_its_range() {
        let json = plan_json(&plan(Ddpm { variance: Variance::LearnedRange }));
        assert_eq!((&json["sigma"][0], &json["variance"]), (&Value::Null, &"learned_range".into()));
        assert!(json["log_variance_small"][0].as_f64() < json["log_variance_large"][0].as_f64());
        assert!(plan_json(&plan(solvers::SigmaHat)).get("log_variance_small").is_none());
    }
}
