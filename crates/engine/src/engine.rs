//! The door.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use burn::tensor::{Device, Tensor, TensorData};
use ddim_cpu::{Convolution, Isa};
use ddim_gpu::{Form, Precision};
use ddim_graph::{Graph, Labels, Parameter};

use crate::conditioning::{Conditioning, Kind};

/// Weights in host memory, in the order of the graph's parameters. Engines on one model share them.
pub type Shared = Arc<Vec<Vec<f32>>>;

/// A network made ready for a device. Copies share it.
#[derive(Clone)]
pub struct Engine(Arc<Ready>);

struct Ready {
    graph: Arc<Graph>,
    weights: Shared,
    device: Device,
    runs: Runs,
    /// On tensors, for what the processor's engine does not do; made when it is first asked for.
    plain: OnceLock<Engine>,
    /// On the processor with weights as the way back needs them, where `runs` holds others; made likewise.
    back: OnceLock<ddim_cpu::Network>,
}

enum Runs {
    Processor(ddim_cpu::Network),
    Tensors(ddim_gpu::Network),
}

/// What [`Engine::observe`] gives, where the pictures were.
#[derive(Clone, Debug)]
pub struct Observed {
    /// As [`Engine::forward`].
    pub output: Tensor<4>,
    /// At each point, \[n, channels, h, w\].
    pub points: Vec<Tensor<4>>,
}

/// How a network runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// As fast as the device can.
    #[default]
    Fast,
    /// The same with every product of a convolution added up on the processor, in place of Winograd's algorithm;
    /// as [`Plain`](Self::Plain) elsewhere.
    Direct,
    /// Tensor operation by tensor operation, to be compared with.
    Plain,
}

/// The side of pictures for which an engine is made where nobody says.
const USUAL_SIZE: usize = 32;

impl Engine {
    /// Makes a network ready. `size`, height and width, is that of most pictures: what suits them is chosen;
    /// others can be had all the same.
    ///
    /// # Panics
    /// Weights of other sizes than the graph says.
    pub fn new(
        graph: Arc<Graph>,
        weights: Shared,
        device: &Device,
        precision: Precision,
        way: Way,
        size: Option<[usize; 2]>,
    ) -> Self {
        let size = size.unwrap_or([USUAL_SIZE; 2]);
        let is_host = *device == Device::flex();
        let processor = match way {
            Way::Fast if is_host => processor(&graph, &weights, Convolution::Winograd, precision, size),
            Way::Direct if is_host => processor(&graph, &weights, Convolution::Direct, precision, size),
            _ => None,
        };
        let runs = processor.map(Runs::Processor).unwrap_or_else(|| {
            let form = match way {
                // Automatic differentiation would not find weights that were laid out.
                Way::Fast if !device.is_autodiff() && !is_host => Form::Prepared(precision),
                _ => Form::Plain(precision),
            };
            Runs::Tensors(tensors(&graph, &weights, device, form))
        });
        let (plain, back) = (OnceLock::new(), OnceLock::new());
        Engine(Arc::new(Ready { graph, weights, device: device.clone(), runs, plain, back }))
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
            Runs::Tensors(network) => Kind::Tensors(network.condition(times, labels)),
        })
    }

    /// What the network says about the pictures `x`, \[n, channels, h, w\]; the result is where `x` is.
    ///
    /// # Panics
    /// A picture with other channels than the network has, or of a size that [`Graph::sizes`] refuses; a
    /// conditioning of another network or engine, or with rows other than 1 or n; a graph of automatic
    /// differentiation ([`differentiable`](Self::differentiable) is for it, and
    /// [`pull_back`](Self::pull_back) faster).
    pub fn forward(&self, x: Tensor<4>, conditioning: &Conditioning) -> Tensor<4> {
        self.observe(x, conditioning, &[]).output
    }

    /// [`forward`](Self::forward), and what is seen at those of [`Graph::points`] that have these names, with the
    /// same bits.
    ///
    /// # Panics
    /// As [`forward`](Self::forward); a name that is no point of the graph, or that of a row.
    pub fn observe(&self, x: Tensor<4>, conditioning: &Conditioning, points: &[&str]) -> Observed {
        match (&self.0.runs, &conditioning.0) {
            (Runs::Processor(network), Kind::Processor(rows)) => {
                assert!(!x.is_autodiff(), "the processor's engine leaves no trace for automatic differentiation");
                let (shape, device) = (x.dims(), x.device());
                let seen = network.observe(&numbers(x), shape, &rows.modulations(), points);
                let tensor = |(values, shape)| Tensor::from_data(TensorData::new(values, shape), &device);
                let output = (seen.output, seen.shape);
                Observed { output: tensor(output), points: seen.points.into_iter().map(tensor).collect() }
            }
            (Runs::Tensors(network), Kind::Tensors(rows)) => {
                let mut seen: Vec<Option<Tensor<4>>> = vec![None; points.len()];
                if points.is_empty() {
                    return Observed { output: network.forward(x, rows), points: Vec::new() };
                }
                let output = network.forward_traced(x, rows, &mut |name, value| {
                    let wanted = seen.iter_mut().zip(points).filter(|(_, wanted)| **wanted == name);
                    wanted.for_each(|(seen, _)| *seen = Some(value.clone()));
                });
                let named = |(seen, name): (Option<Tensor<4>>, &&str)| {
                    seen.unwrap_or_else(|| panic!("no layer can be seen as {name}"))
                };
                Observed { output, points: seen.into_iter().zip(points).map(named).collect() }
            }
            _ => panic!("a conditioning of another engine"),
        }
    }

    /// What the network says about `x`, and the transpose of its Jacobian there times `slope`, which is as large
    /// as the output: the gradient of the sum of outputs times `slope`, as `x` lies. Both are where `x` is.
    ///
    /// In f32 without Winograd's algorithm where the processor's engine runs: a network that was made otherwise is
    /// packed once more the first time. By automatic differentiation everywhere else.
    ///
    /// # Panics
    /// As [`forward`](Self::forward); a slope of another size than the output.
    pub fn pull_back(
        &self,
        x: Tensor<4>,
        conditioning: &Conditioning,
        slope: Tensor<4>,
    ) -> (Tensor<4>, Tensor<4>) {
        assert!(!x.is_autodiff() && !slope.is_autodiff(), "the way back leaves no trace for another");
        match (&self.0.runs, &conditioning.0) {
            (Runs::Processor(network), Kind::Processor(rows)) => {
                let network = if network.goes_back() { network } else { self.way_back() };
                let (shape, device) = (x.dims(), x.device());
                let [n, _, h, w] = shape;
                let out_shape = [n, self.0.graph.output_channels(), h, w];
                assert_eq!(out_shape, slope.dims(), "an output and its slope");
                let back = network.pull_back(&numbers(x), shape, &rows.modulations(), &numbers(slope));
                let tensor = |values, shape| Tensor::from_data(TensorData::new(values, shape), &device);
                (tensor(back.output, out_shape), tensor(back.input, shape))
            }
            (Runs::Tensors(network), Kind::Tensors(rows)) => {
                let x = x.autodiff().require_grad();
                let output = network.forward(x.clone(), rows);
                assert_eq!(output.dims(), slope.dims(), "an output and its slope");
                let mut gradients = (output.clone() * slope).sum().backward();
                (output.inner(), x.grad_remove(&mut gradients).expect("an output depends on its picture"))
            }
            _ => panic!("a conditioning of another engine"),
        }
    }

    /// The processor's engine with weights as the way back needs them.
    fn way_back(&self) -> &ddim_cpu::Network {
        let Ready { graph, weights, back, .. } = &*self.0;
        back.get_or_init(|| {
            let network = processor(graph, weights, Convolution::Direct, Precision::F32, [USUAL_SIZE; 2]);
            network.expect("the processor runs the graph otherwise, too")
        })
    }

    /// [`forward`](Self::forward), and tells `trace` what is seen at each of [`Graph::points`], for an engine that
    /// runs on tensors: [`differentiable`](Self::differentiable) gives one.
    ///
    /// # Panics
    /// As [`forward`](Self::forward); the processor's own engine.
    pub fn forward_traced(
        &self,
        x: Tensor<4>,
        conditioning: &Conditioning,
        trace: &mut dyn FnMut(&str, &Tensor<4>),
    ) -> Tensor<4> {
        match (&self.0.runs, &conditioning.0) {
            (Runs::Tensors(network), Kind::Tensors(rows)) => network.forward_traced(x, rows, trace),
            _ => panic!("parts are told by an engine that runs on tensors"),
        }
    }

    /// The engine whose operations automatic differentiation can follow: this one, where it runs on tensors, else
    /// one that is made when it is first asked for and then kept.
    pub fn differentiable(&self) -> &Engine {
        let Ready { graph, weights, device, runs, plain, .. } = &*self.0;
        match runs {
            Runs::Tensors(_) => self,
            Runs::Processor(_) => plain.get_or_init(|| {
                Engine::new(graph.clone(), weights.clone(), device, Precision::F32, Way::Plain, None)
            }),
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = match &self.0.runs {
            Runs::Processor(_) => "the processor's own engine".to_owned(),
            Runs::Tensors(network) => format!("tensors, {:?}", network.form()),
        };
        f.debug_struct("Engine").field("runs", &runs).finish_non_exhaustive()
    }
}

/// None where the graph has what only tensor operations can do, and for f16, in which processors do not multiply.
fn processor(
    graph: &Arc<Graph>,
    weights: &Shared,
    convolution: Convolution,
    precision: Precision,
    size: [usize; 2],
) -> Option<ddim_cpu::Network> {
    let products = match precision {
        Precision::F32 => ddim_cpu::Precision::F32,
        Precision::Bf16 => ddim_cpu::Precision::Bf16,
        Precision::F16 => return None,
    };
    let weight = |Parameter(k)| Cow::Borrowed(weights[k].as_slice());
    ddim_cpu::Network::new(Arc::clone(graph), weight, Isa::detect(), convolution, products, size).ok()
}

/// As they lie.
fn numbers(x: Tensor<4>) -> Vec<f32> {
    x.into_data().convert::<f32>().try_into_vec().expect("converted to f32")
}

fn tensors(graph: &Arc<Graph>, weights: &Shared, device: &Device, form: Form) -> ddim_gpu::Network {
    let weight = |Parameter(k)| Cow::Borrowed(weights[k].as_slice());
    ddim_gpu::Network::new(Arc::clone(graph), weight, device, form)
}
