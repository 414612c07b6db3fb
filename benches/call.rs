//! One network call, for comparing with another program: `cargo bench --bench call -- FOLDER --batch 1,16`.
//!
//! Reads a model folder in the diffusers layout and prints a line of JSON for each batch size: the times of `--repeats`
//! calls in milliseconds after two that are not counted, how many billion additions and multiplications a second the
//! median is if convolutions are done directly, the peak memory of the process so far, and the largest difference
//! from `output.safetensors` in the folder where that exists. With `--steps 20` it is whole runs of eta 0 that are timed, with
//! `--steps 0,20` both. The first time of all, in which kernels are compiled and tuned, is given apart; `--keep FOLDER` takes
//! from there which kernels are the fastest, and leaves there what was found out.
//!
//! `--device` is the CPU unless it names a graphics API of `ddim devices`; `--precision` is f32, f16 or bf16.
//! `--plain` leaves out Winograd's algorithm; on a GPU also joined projections, and weights are laid out at each call unless
//! `--steps` is given. On the CPU, `--layers` shows where the time goes, by kind of layer and by block. `--ceiling` tells how
//! fast a matrix product is.
//! `benches/peer/call.py` runs it beside PyTorch.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it is for")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ddim::checkpoint::Denoiser;
use ddim::doctor::ProductCheck;
use ddim::engine::{Conditioning, Cost, Engine, EngineOptions, Precision, Way};
use ddim::graph::Labels;
use ddim::{Device, Model, Options, Route, Run, Streams, Tensor, device};
use serde_json::{Value, json};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let Some(asked) = Asked::read(&arguments) else {
        println!(
            "cargo bench --bench call -- FOLDER [--batch 1,16] [--repeats 9] [--steps 0,N] [--device cpu|vulkan|metal|dx12] \
             [--precision f32|f16|bf16] [--keep FOLDER] [--plain] [--layers] [--ceiling]"
        );
        return;
    };
    keep_kernels(asked.keep.as_deref());
    let device = named(&asked.device);
    let call = Call::new(&asked, &device);
    if asked.layers {
        layers(&call);
    }
    for batch in &asked.batches {
        for steps in &asked.steps {
            println!("{}", measure(&asked, &call, *batch, *steps));
        }
    }
    if asked.ceiling {
        println!("{}", json!({ "ceiling_gflops": ceiling(&device) }));
    }
    device::wait_for_all();
}

/// A line of one batch size, printed as soon as it is known: whoever cuts this program off has those before it.
fn measure(asked: &Asked, call: &Call, batch: usize, steps: usize) -> Value {
    let x = input(call.shape(batch), &named(&asked.device));
    let run = |x: Tensor| if steps > 0 { call.run(x, steps) } else { call.once(x) };
    let first_milliseconds = timed(|| run(x.clone())).1;
    let out = run(x.clone());
    let milliseconds: Vec<f64> = (0..asked.repeats).map(|_| timed(|| run(x.clone())).1).collect();
    let work = gflop(call) * steps.max(1) as f64;
    json!({
        "batch": batch,
        "steps": steps,
        "gflops": batch as f64 * work / (median(&milliseconds) / 1e3),
        "milliseconds": milliseconds,
        "first_milliseconds": first_milliseconds,
        "gflop_a_picture": work,
        "difference": difference(&asked.folder, out).filter(|_| steps == 0),
        "peak_megabytes": peak(),
    })
}

/// What was typed.
struct Asked {
    folder: PathBuf,
    batches: Vec<usize>,
    repeats: usize,
    /// 0 is a call.
    steps: Vec<usize>,
    device: String,
    keep: Option<PathBuf>,
    precision: Precision,
    plain: bool,
    layers: bool,
    ceiling: bool,
}

impl Asked {
    /// Nothing without a folder.
    fn read(arguments: &[String]) -> Option<Self> {
        let value = |name: &str| arguments.iter().position(|a| a == name).map(|at| arguments[at + 1].as_str());
        let has = |name: &str| arguments.iter().any(|a| a == name);
        let number = |text: &str| text.parse().expect("a number");
        let numbers = |text: &str| text.split(',').map(number).collect();
        Some(Self {
            folder: arguments.first().filter(|argument| !argument.starts_with("--"))?.into(),
            batches: numbers(value("--batch").unwrap_or("1,16")),
            repeats: value("--repeats").map_or(9, number),
            steps: numbers(value("--steps").unwrap_or("0")),
            device: value("--device").unwrap_or("cpu").to_owned(),
            keep: value("--keep").map(PathBuf::from),
            precision: match value("--precision").unwrap_or("f32") {
                "f32" => Precision::F32,
                "f16" => Precision::F16,
                "bf16" => Precision::Bf16,
                other => panic!("--precision {other}: there are f32, f16 and bf16"),
            },
            plain: has("--plain"),
            layers: has("--layers"),
            ceiling: has("--ceiling"),
        })
    }
}

/// Which kernels are the fastest is asked for in that folder, and kept there.
fn keep_kernels(folder: Option<&Path>) {
    #[cfg(feature = "persistence")]
    if let Some(folder) = folder {
        device::keep_kernels_in(folder).unwrap_or_else(|error| eprintln!("{error}"));
    }
    #[cfg(not(feature = "persistence"))]
    assert!(folder.is_none(), "--keep: this build keeps no kernels");
}

/// The CPU, or the first adapter of a graphics API, one made of hardware if possible.
fn named(name: &str) -> Device {
    if name == "cpu" {
        return device::cpu();
    }
    let mut found: Vec<_> = device::adapters().into_iter().filter(|adapter| adapter.api == name).collect();
    found.sort_by_key(|adapter| !adapter.is_hardware());
    let adapter = found.first().unwrap_or_else(|| panic!("--device {name}: `ddim devices` lists what there is"));
    adapter.open().expect("a device that works")
}

/// What is called, made beforehand as for a run. One packed network is held at a time: the peak of memory is reported.
enum Called {
    /// A model that draws whole runs.
    Model(Box<Model>),
    /// Its network alone.
    Network(Denoiser, Engine),
}

struct Call {
    called: Called,
    asked: Labels<'static>,
    conditioning: Conditioning,
}

impl Call {
    fn new(asked: &Asked, device: &Device) -> Self {
        let precision = asked.precision;
        let called = if asked.steps.iter().any(|steps| *steps > 0) {
            assert!(!asked.layers, "--steps draws as the library does");
            let model = Model::load(&asked.folder, device).expect("a model folder");
            let model = if asked.plain { model.uncompiled() } else { model };
            Called::Model(Box::new(model.with_precision(precision).expect("a precision of this device")))
        } else {
            let unet = ddim::checkpoint::load(&asked.folder).expect("a model folder").denoiser;
            let way = if asked.plain { Way::Plain } else { Way::Fast };
            let size = unet.config().sample_size();
            let options = EngineOptions { precision, way, size };
            let engine = Engine::new(unet.graph().clone(), unet.shared(), device, &options);
            Called::Network(unet, engine.expect("a network that the device runs"))
        };
        let classes = called.unet().graph().classes().is_some();
        let labels = if classes { Labels::Index(&[0]) } else { Labels::None };
        let conditioning = called.engine().condition(&[500.0], &labels);
        Self { conditioning, asked: labels, called }
    }

    fn once(&self, x: Tensor) -> Tensor {
        self.called.engine().forward(x, &self.conditioning)
    }

    /// A whole run of eta 0.
    fn run(&self, x: Tensor, steps: usize) -> Tensor {
        let Called::Model(model) = &self.called else { unreachable!("made for runs") };
        let plan = model.plan(&Options { steps, ..Options::default() }).expect("so many steps");
        let labels = if model.label_count() > 0 { vec![0; x.dims()[0]].into() } else { ddim::Labels::NONE };
        let pictures = x.dims()[0];
        let run = Run::new(model, Route::Plan(plan), Streams::given(x), pictures, pictures);
        let drawn = Run { labels, ..run }.all(|_, _| ControlFlow::Continue(())).expect("pictures");
        drawn.0.tensor().clone()
    }

    /// The shape of so many pictures.
    fn shape(&self, pictures: usize) -> [usize; 4] {
        let config = self.called.unet().config();
        let [height, width] = config.sample_size().expect("a size in its config.json");
        [pictures, config.in_channels(), height, width]
    }
}

impl Called {
    fn unet(&self) -> &Denoiser {
        match self {
            Self::Model(model) => &model.checkpoint().denoiser,
            Self::Network(unet, _) => unet,
        }
    }

    fn engine(&self) -> &Engine {
        match self {
            Self::Model(model) => model.engine(),
            Self::Network(_, engine) => engine,
        }
    }
}

/// A result that is there, and the milliseconds until it was.
fn timed(work: impl FnOnce() -> Tensor) -> (Tensor, f64) {
    let start = Instant::now();
    let out = work();
    out.device().sync().expect("a device that works");
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    // A kernel that could not be compiled takes no time, and only who reads its result is told.
    out.read().expect("kernels that ran");
    (out, milliseconds)
}

/// Pictures that any program can make: x[k] = sin(k) of the running number k.
fn input(shape: [usize; 4], device: &Device) -> Tensor {
    let values: Vec<f32> = (0..shape.iter().product()).map(|k: usize| (k as f64).sin() as f32).collect();
    Tensor::new(values, shape).to(device)
}

/// The largest difference from the other program's output for as many of these pictures as it has.
fn difference(folder: &Path, out: Tensor) -> Option<f32> {
    let bytes = std::fs::read(folder.join("output.safetensors")).ok()?;
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let theirs = file.tensor("output").expect("a tensor named output");
    let theirs = theirs.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes")));
    let ours = out.into_values();
    Some(ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max))
}

/// Billions of additions and multiplications for one picture, convolutions done directly.
fn gflop(call: &Call) -> f64 {
    let [_, _, height, width] = call.shape(1);
    let multiplications = call.called.unet().graph().multiplications([height, width]);
    2.0 * multiplications.expect("a size of the network") as f64 / 1e9
}

/// The time of each kind of layer at each resolution, and of each block, for four pictures on one thread.
fn layers(call: &Call) {
    let network = call.called.engine().processor();
    let network = network.expect("--layers is for a network on the processor's own engine");
    let conditioning = network.condition(&[500.0], &call.asked);
    let costs = network.profile(call.shape(4), &conditioning.modulations(), 10);
    let total: f64 = costs.iter().map(|cost| cost.seconds).sum();
    let kind = |cost: &Cost| format!("{} at {}", cost.kind, cost.shape[0]);
    for names in
        [costs.iter().map(kind).collect::<Vec<_>>(), costs.iter().map(|cost| cost.block.clone()).collect()]
    {
        let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for (name, cost) in names.iter().zip(&costs) {
            let (seconds, flops) = sums.entry(name).or_default();
            (*seconds, *flops) = (*seconds + cost.seconds, *flops + cost.flops);
        }
        for (name, (seconds, flops)) in sums {
            let (milliseconds, share) = (seconds * 1e3, 100.0 * seconds / total);
            println!("{name:14} {milliseconds:9.2} ms {share:5.1} % {:7.1} GFLOP/s", flops / seconds / 1e9);
        }
        println!("{:14} {:9.2} ms", "all", total * 1e3);
    }
}

/// The fastest of some products of two matrices of 2048 rows, in billions of additions and multiplications a second.
fn ceiling(device: &Device) -> f64 {
    ProductCheck::new(2048, 0, device, &Instant::now()).gflops()
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The most memory that this process has held, in megabytes; Linux only.
fn peak() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kibibytes| kibibytes * 1.024e-3)
}
