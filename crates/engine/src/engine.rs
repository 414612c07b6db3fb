//! The door.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use ddim_cpu::{Convolution, Isa};
use ddim_graph::{Cut, Graph, Labels, Parameter, Precision};
use ddim_tensor::{Device, Tensor};

use crate::EngineError;
use crate::conditioning::{Conditioning, Kind};

/// Weights in host memory, in the order of the graph's parameters. Engines on one model share them.
pub type Shared = Arc<Vec<Vec<f32>>>;

/// A network made ready for a device. Copies share it.
#[derive(Clone)]
pub struct Engine(Arc<Ready>);

struct Ready {
    graph: Arc<Graph>,
    weights: Shared,
    runs: Runs,
    /// On the processor with weights as the way back needs them, where `runs` holds others; made when it is first
    /// asked for.
    back: OnceLock<ddim_cpu::Network>,
}

enum Runs {
    Processor(ddim_cpu::Network),
    #[cfg(feature = "gpu")]
    Tensors(ddim_gpu::Network),
}

/// What [`Engine::observe`] gives, where the pictures were.
#[derive(Clone, Debug)]
pub struct Observed {
    /// As [`Engine::forward`].
    pub output: Tensor,
    /// At each point, \[n, channels, h, w\].
    pub points: Vec<Tensor>,
}

/// How an engine is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineOptions {
    /// What the network computes in.
    pub precision: Precision,
    /// How it runs.
    pub way: Way,
    /// Height and width of most pictures, 32 each where nobody says: what suits them is chosen, and others can be
    /// had all the same.
    pub size: Option<[usize; 2]>,
}

/// How a network runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// As fast as the device can.
    #[default]
    Fast,
    /// To be compared with: every product of a convolution added up on the processor, in place of Winograd's
    /// algorithm; tensor operation by tensor operation elsewhere.
    Plain,
}

/// The side of pictures for which an engine is made where nobody says.
const USUAL_SIZE: usize = 32;

impl Engine {
    /// Makes a network ready.
    ///
    /// # Errors
    /// What [`check`](Self::check) says.
    ///
    /// # Panics
    /// Weights of other sizes than the graph says.
    pub fn new(
        graph: Arc<Graph>,
        weights: Shared,
        device: &Device,
        options: &EngineOptions,
    ) -> Result<Self, EngineError> {
        Self::check(&graph, device, options.precision)?;
        let runs = match device {
            Device::Cpu => Runs::Processor(processor(&graph, &weights, options)?),
            #[cfg(feature = "gpu")]
            Device::Burn(device) => Runs::Tensors(tensors(&graph, &weights, device, options)),
        };
        Ok(Engine(Arc::new(Ready { graph, weights, runs, back: OnceLock::new() })))
    }

    /// Whether the device can run the graph in this precision.
    ///
    /// # Errors
    /// [`EngineError::Precision`], such as f16 on a processor; [`EngineError::Unsupported`] for a layer that the
    /// processor's engine lacks.
    pub fn check(graph: &Graph, device: &Device, precision: Precision) -> Result<(), EngineError> {
        let computes = match device {
            // Processors do not multiply in f16.
            Device::Cpu => precision != Precision::F16,
            #[cfg(feature = "gpu")]
            Device::Burn(device) => ddim_gpu::computes_in(device, precision),
        };
        if !computes {
            return Err(EngineError::Precision(precision));
        }
        match device {
            Device::Cpu => Ok(ddim_cpu::check(graph)?),
            #[cfg(feature = "gpu")]
            Device::Burn(_) => Ok(()),
        }
    }

    /// What it runs.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.0.graph
    }

    /// Its weights.
    pub fn weights(&self) -> &Shared {
        &self.0.weights
    }

    /// The processor's own engine, where that runs the network.
    pub fn processor(&self) -> Option<&ddim_cpu::Network> {
        match &self.0.runs {
            Runs::Processor(network) => Some(network),
            #[cfg(feature = "gpu")]
            Runs::Tensors(_) => None,
        }
    }

    /// Takes times and labels as far as they go without a picture: one row for each. `times` and `labels` are
    /// equally many, or one of them is a single one that holds for all.
    ///
    /// # Panics
    /// No times; labels of another kind or number than the network takes, or outside its table of classes; a time
    /// that is not above 0 where its logarithm is taken, or not in a table of times.
    pub fn condition(&self, times: &[f64], labels: &Labels) -> Conditioning {
        Conditioning(match &self.0.runs {
            Runs::Processor(network) => Kind::Processor(network.condition(times, labels)),
            #[cfg(feature = "gpu")]
            Runs::Tensors(network) => Kind::Tensors(network.condition(times, labels)),
        })
    }

    /// What the network says about the pictures `x`, \[n, channels, h, w\]; the result is where `x` is.
    ///
    /// # Panics
    /// A picture on another device, with other channels than the network has, or of a size that [`Graph::sizes`]
    /// refuses; a conditioning of another network or engine, or with rows other than 1 or n.
    pub fn forward(&self, x: Tensor, conditioning: &Conditioning) -> Tensor {
        self.observe(x, conditioning, &[]).output
    }

    /// [`forward`](Self::forward) with what an earlier call has kept, \[n, c, h, w\] as [`observe`](Self::observe)
    /// gave it at the point of this cut: the layers that only led there are left out. What the same call would
    /// have computed there leads to the same bits.
    ///
    /// # Panics
    /// As [`forward`](Self::forward); a cut of another graph, or what was kept of other pictures.
    pub fn forward_behind(&self, x: Tensor, conditioning: &Conditioning, cut: &Cut, kept: &Tensor) -> Tensor {
        match (&self.0.runs, &conditioning.0) {
            (Runs::Processor(network), Kind::Processor(rows)) => {
                let [n, _, height, width] = x.dims();
                let kept = ddim_cpu::Kept { cut, values: on_host(kept) };
                let output = network.forward_behind(on_host(&x), x.dims(), &rows.modulations(), kept);
                Tensor::new(output, self.output_shape([n, height, width]))
            }
            #[cfg(feature = "gpu")]
            (Runs::Tensors(network), Kind::Tensors(rows)) => {
                network.forward_behind(on_burn(&x), rows, cut, on_burn(kept)).into()
            }
            #[cfg(feature = "gpu")]
            _ => panic!("a conditioning of another engine"),
        }
    }

    /// [`forward`](Self::forward), and what is seen at those of [`Graph::points`] that have these names, with the
    /// same bits.
    ///
    /// # Panics
    /// As [`forward`](Self::forward); a name that is not a point of the graph, or that of a row.
    pub fn observe(&self, x: Tensor, conditioning: &Conditioning, points: &[&str]) -> Observed {
        match (&self.0.runs, &conditioning.0) {
            (Runs::Processor(network), Kind::Processor(rows)) => {
                let seen = network.observe(on_host(&x), x.dims(), &rows.modulations(), points);
                let tensor = |(values, shape)| Tensor::new(values, shape);
                let output = (seen.output, seen.shape);
                Observed { output: tensor(output), points: seen.points.into_iter().map(tensor).collect() }
            }
            #[cfg(feature = "gpu")]
            (Runs::Tensors(network), Kind::Tensors(rows)) => observe_tensors(network, on_burn(&x), rows, points),
            #[cfg(feature = "gpu")]
            _ => panic!("a conditioning of another engine"),
        }
    }

    /// What the network says about `x`, and the transpose of its Jacobian there times `slope`, which is as large
    /// as the output: the gradient of the sum of outputs times `slope`, as `x` lies. Both are where `x` is.
    ///
    /// On the processor in f32 without Winograd's algorithm: a network that was made otherwise is packed once more
    /// the first time. By automatic differentiation everywhere else.
    ///
    /// # Panics
    /// As [`forward`](Self::forward); a slope of another size than the output.
    pub fn pull_back(&self, x: Tensor, conditioning: &Conditioning, slope: Tensor) -> (Tensor, Tensor) {
        let shape = x.dims();
        let [n, _, h, w] = shape;
        let out_shape = self.output_shape([n, h, w]);
        assert_eq!(out_shape, slope.dims(), "an output and its slope");
        match (&self.0.runs, &conditioning.0) {
            (Runs::Processor(network), Kind::Processor(rows)) => {
                let network = if network.goes_back() { network } else { self.way_back() };
                let back = network.pull_back(on_host(&x), shape, &rows.modulations(), on_host(&slope));
                (Tensor::new(back.output, out_shape), Tensor::new(back.input, shape))
            }
            #[cfg(feature = "gpu")]
            (Runs::Tensors(network), Kind::Tensors(rows)) => {
                let x = on_burn(&x).autodiff().require_grad();
                let output = network.forward(x.clone(), rows);
                let mut gradients = (output.clone() * on_burn(&slope)).sum().backward();
                let input = x.grad_remove(&mut gradients).expect("an output depends on its picture");
                (output.inner().into(), input.into())
            }
            #[cfg(feature = "gpu")]
            _ => panic!("a conditioning of another engine"),
        }
    }

    /// Of the output for `n` pictures of this height and width.
    fn output_shape(&self, [n, h, w]: [usize; 3]) -> [usize; 4] {
        let sizes = self.0.graph.sizes([h, w]).unwrap_or_else(|error| panic!("pictures that go through: {error}"));
        let [height, width] = sizes[sizes.len() - 1];
        [n, self.0.graph.output_channels(), height, width]
    }

    /// The processor's engine with weights as the way back needs them.
    fn way_back(&self) -> &ddim_cpu::Network {
        let Ready { graph, weights, back, .. } = &*self.0;
        back.get_or_init(|| {
            let plain = EngineOptions { way: Way::Plain, ..EngineOptions::default() };
            processor(graph, weights, &plain).expect("the processor runs the graph otherwise, too")
        })
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = match &self.0.runs {
            Runs::Processor(_) => "the processor's own engine".to_owned(),
            #[cfg(feature = "gpu")]
            Runs::Tensors(network) => format!("tensors, {:?}", network.form()),
        };
        f.debug_struct("Engine").field("runs", &runs).finish_non_exhaustive()
    }
}

fn processor(
    graph: &Arc<Graph>,
    weights: &Shared,
    options: &EngineOptions,
) -> Result<ddim_cpu::Network, EngineError> {
    let products = match options.precision {
        Precision::F32 => ddim_cpu::Precision::F32,
        Precision::Bf16 => ddim_cpu::Precision::Bf16,
        Precision::F16 => return Err(EngineError::Precision(Precision::F16)),
    };
    let convolution = match options.way {
        Way::Fast => Convolution::Winograd,
        Way::Plain => Convolution::Direct,
    };
    let weight = |Parameter(k)| Cow::Borrowed(weights[k].as_slice());
    let size = options.size.unwrap_or([USUAL_SIZE; 2]);
    Ok(ddim_cpu::Network::new(Arc::clone(graph), weight, Isa::detect(), convolution, products, size)?)
}

fn on_host(x: &Tensor) -> &[f32] {
    x.host().expect("pictures in host memory, where the network runs")
}

#[cfg(feature = "gpu")]
fn on_burn(x: &Tensor) -> burn::tensor::Tensor<4> {
    x.burn().expect("pictures on the device where the network runs").clone()
}

#[cfg(feature = "gpu")]
fn tensors(
    graph: &Arc<Graph>,
    weights: &Shared,
    device: &burn::tensor::Device,
    options: &EngineOptions,
) -> ddim_gpu::Network {
    let form = match options.way {
        Way::Fast => ddim_gpu::Form::Prepared(options.precision),
        Way::Plain => ddim_gpu::Form::Plain(options.precision),
    };
    let weight = |Parameter(k)| Cow::Borrowed(weights[k].as_slice());
    ddim_gpu::Network::new(Arc::clone(graph), weight, device, form)
}

#[cfg(feature = "gpu")]
fn observe_tensors(
    network: &ddim_gpu::Network,
    x: burn::tensor::Tensor<4>,
    rows: &ddim_gpu::Conditioning,
    points: &[&str],
) -> Observed {
    if points.is_empty() {
        return Observed { output: network.forward(x, rows).into(), points: Vec::new() };
    }
    let mut seen: Vec<Option<Tensor>> = vec![None; points.len()];
    let output = network.forward_traced(x, rows, &mut |name, value| {
        let wanted = seen.iter_mut().zip(points).filter(|(_, wanted)| **wanted == name);
        wanted.for_each(|(seen, _)| *seen = Some(value.clone().into()));
    });
    let named =
        |(seen, name): (Option<Tensor>, &&str)| seen.unwrap_or_else(|| panic!("no layer can be seen as {name}"));
    Observed { output: output.into(), points: seen.into_iter().zip(points).map(named).collect() }
}
