//! A graph with weights.

use std::borrow::Cow;
use std::sync::Arc;

use burn::tensor::{Device, Gradients, Tensor};
use ddim_graph::{Cut, Graph, Labels, Parameter, Precision};

use crate::conditioning::Conditioning;
use crate::fused::Fused;
use crate::layer::{Making, Ready};
use crate::pass::{Pass, Trace};
use crate::rows::Rows;
use crate::weights::Weights;

/// A network on a device: a graph, and its weights as tensors.
#[derive(Clone, Debug)]
pub struct Network {
    graph: Arc<Graph>,
    /// What is needed besides the weights of layers.
    weights: Weights,
    /// The weights of each layer, as it takes them.
    pub(crate) ready: Vec<Ready>,
    pub(crate) fused: Fused,
    /// The last layer that reads each value.
    pub(crate) last_reads: Vec<Option<usize>>,
    pub(crate) form: Form,
    device: Device,
}

/// What a network is made for, and so how its weights lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// To be compared with: every convolution is plain, and no weight is laid out for a GPU.
    Plain(Precision),
    /// To draw with on a GPU: weights are laid out, joined and transformed as its kernels read them; in f32 some
    /// of them take five times the memory. The same numbers up to rounding.
    Prepared(Precision),
    /// To train: weights are leaves of automatic differentiation, and dropout acts. In f32, on a device with
    /// autodiff.
    Trained,
}

impl Default for Form {
    fn default() -> Self {
        Form::Plain(Precision::F32)
    }
}

impl Form {
    /// What the network computes in.
    pub fn precision(self) -> Precision {
        match self {
            Form::Plain(precision) | Form::Prepared(precision) => precision,
            Form::Trained => Precision::F32,
        }
    }
}

impl Network {
    /// Puts the weights on a device: `values` gives each parameter as files hold it.
    ///
    /// # Panics
    /// Parameters of other sizes than the graph says; [`Form::Trained`] on a device without autodiff.
    pub fn new<'a>(
        graph: Arc<Graph>,
        values: impl Fn(Parameter) -> Cow<'a, [f32]>,
        device: &Device,
        form: Form,
    ) -> Self {
        let mut weights = Weights::new(&graph, values, device);
        if form == Form::Trained {
            assert!(device.is_autodiff(), "a network is trained on a device with autodiff");
            weights = weights.leaves(&graph);
        }
        let making = Making { graph: &graph, weights: &weights, form };
        let ready = graph.layers().iter().map(|layer| making.layer(layer)).collect();
        if form != Form::Trained {
            weights = weights.of_rows(&graph);
        }
        let fused = Fused::new(&graph);
        let last_reads = fused.last_reads(&graph);
        Network { ready, fused, last_reads, weights, graph, form, device: device.clone() }
    }

    /// What it runs.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// What it was made for.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Where its weights are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How many of its convolutions take fewer multiplications than plain ones.
    pub fn transformed(&self) -> usize {
        let is_transformed = |ready: &&Ready| matches!(ready, Ready::Same(kernels) if kernels.are_transformed());
        self.ready.iter().filter(is_transformed).count()
    }

    /// Takes times and labels as far as they go without a picture: one row for each.
    ///
    /// `times` and `labels` are equally many, or one of them is a single one that holds for all. In training the
    /// result belongs to the graph of one step; in sampling it can be made once for a whole plan and handed out by
    /// [`Conditioning::rows`].
    ///
    /// # Panics
    /// No times; labels of another kind or number than the network takes, or outside its table of classes; a time
    /// that is not above 0 where its logarithm is taken, or not in a table of times.
    pub fn condition(&self, times: &[f64], labels: &Labels) -> Conditioning {
        let Network { graph, weights, device, .. } = self;
        Rows { graph, weights, device, times, labels }.condition()
    }

    /// What the network says about the pictures `x`, \[n, channels, h, w\].
    ///
    /// # Panics
    /// A picture with other channels than the network has, or of a size that [`Graph::sizes`] refuses; a
    /// conditioning of another network, or with rows other than 1 or n.
    pub fn forward(&self, x: Tensor<4>, conditioning: &Conditioning) -> Tensor<4> {
        self.run(x, conditioning, None, None)
    }

    /// The same with this, \[n, c, h, w\], in place of what leads to the place where the graph is cut: the layers
    /// that nothing else needs are left out.
    ///
    /// # Panics
    /// As [`forward`](Self::forward); a cut of another graph.
    pub fn forward_behind(
        &self,
        x: Tensor<4>,
        conditioning: &Conditioning,
        cut: &Cut,
        kept: Tensor<4>,
    ) -> Tensor<4> {
        assert_eq!(cut.needed().len(), self.graph.layers().len(), "a cut of another graph");
        self.run(x, conditioning, None, Some((cut, kept)))
    }

    /// [`forward`](Self::forward), and tells `trace` what is seen at each of [`Graph::points`]. Rows of the
    /// conditioning come first, with shape \[rows, width, 1, 1\].
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_traced(
        &self,
        x: Tensor<4>,
        conditioning: &Conditioning,
        trace: &mut dyn FnMut(&str, &Tensor<4>),
    ) -> Tensor<4> {
        for (name, row) in &conditioning.observed {
            trace(name, row);
        }
        self.run(x, conditioning, Some(trace), None)
    }

    /// The gradient of each trained parameter, one after the other as files hold them, for a network in
    /// [`Form::Trained`]; 0 where the loss does not depend on it.
    pub fn gradient(&self, gradients: Gradients) -> Vec<f32> {
        self.weights.gradient(&self.graph, gradients)
    }

    fn run<'a>(
        &'a self,
        x: Tensor<4>,
        conditioning: &'a Conditioning,
        trace: Option<Trace<'a>>,
        kept: Option<(&Cut, Tensor<4>)>,
    ) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        assert_eq!(channels, self.graph.input_channels(), "channels of the picture and of the network");
        if let Err(error) = self.graph.sizes([height, width]) {
            panic!("{error}");
        }
        let rows = conditioning.len();
        assert!(rows == 1 || rows == batch, "{rows} rows of conditioning for {batch} pictures: give 1 or {batch}");
        Pass::new(self, conditioning, trace).run(x, kept)
    }
}
