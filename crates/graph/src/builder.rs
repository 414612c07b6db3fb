//! Writing a graph down.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::convolution::{Begins, Biased};
use crate::{
    Activation, Asked, Border, Conv, Convolution, Graph, Initial, Layer, Modulation, Norm, Operation, Parameter,
    ParameterInfo, Part, PixelNorm, Point, Pool, Pooling, Resample, Row, RowOperation, Value, Watched,
};

/// Writes a graph down, layer by layer, in the order in which they run.
///
/// Every method panics where shapes do not fit, with the shapes: an architecture checks its configuration before.
#[derive(Debug)]
pub struct Builder {
    graph: Graph,
    names: BTreeSet<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// A graph without layers.
    pub fn new() -> Self {
        let graph = Graph {
            parameters: Vec::new(),
            rows: Vec::new(),
            row_widths: Vec::new(),
            modulations: Vec::new(),
            layers: Vec::new(),
            channels: Vec::new(),
            blocks: Vec::new(),
            points: Vec::new(),
        };
        Builder { graph, names: BTreeSet::new() }
    }

    /// The graph whose result is the value written last.
    ///
    /// # Panics
    /// Another value than that; a row that no layer and no other row takes is fine.
    pub fn finish(self, result: Value) -> Graph {
        assert_eq!(result.0 + 1, self.graph.values(), "the result is the value written last");
        self.graph
    }

    /// What is written from here on belongs to this block.
    pub fn block(&mut self, name: impl Into<String>) {
        self.graph.blocks.push((name.into(), self.graph.layers.len()));
    }

    /// The value written last can be observed under this name.
    pub fn observe(&mut self, name: impl Into<String>, value: Value) {
        self.point(name, Watched::Value(value));
    }

    /// What the normalisation that wrote this value gives before its activation can be observed under this name.
    pub fn observe_before_activation(&mut self, name: impl Into<String>, value: Value) {
        self.point(name, Watched::BeforeActivation(value));
    }

    /// A row of the conditioning can be observed under this name.
    pub fn observe_row(&mut self, name: impl Into<String>, row: Row) {
        self.point(name, Watched::Row(row));
    }

    fn point(&mut self, name: impl Into<String>, watched: Watched) {
        self.graph.points.push(Point { name: name.into(), watched });
    }

    /// A parameter that training changes.
    ///
    /// # Panics
    /// A name that is there already.
    pub fn parameter(&mut self, name: impl Into<String>, shape: &[usize], initial: Initial) -> Parameter {
        self.push_parameter(ParameterInfo { name: name.into(), shape: shape.to_vec(), initial, trained: true })
    }

    /// A parameter that training leaves as it is.
    ///
    /// # Panics
    /// A name that is there already.
    pub fn constant(&mut self, name: impl Into<String>, shape: &[usize], initial: Initial) -> Parameter {
        self.push_parameter(ParameterInfo { name: name.into(), shape: shape.to_vec(), initial, trained: false })
    }

    fn push_parameter(&mut self, info: ParameterInfo) -> Parameter {
        assert!(self.names.insert(info.name.clone()), "two parameters {}", info.name);
        self.graph.parameters.push(info);
        Parameter(self.graph.parameters.len() - 1)
    }
}

/// Pictures.
impl Builder {
    /// The pictures that the network is given.
    pub fn input(&mut self, channels: usize) -> Value {
        self.scaled_input(channels, 1.0, 0.0)
    }

    /// The pictures that the network is given, each value times `scale` plus `shift`.
    pub fn scaled_input(&mut self, channels: usize, scale: f64, shift: f64) -> Value {
        assert!(self.graph.layers.is_empty(), "the input is the first layer");
        self.push(Operation::Input { scale, shift }, channels)
    }

    /// Another resolution.
    pub fn resample(&mut self, x: Value, by: Resample) -> Value {
        let channels = match (by, self.channels(x)) {
            (Resample::Unpatch(side), channels) => {
                assert!(
                    side > 0 && channels.is_multiple_of(side * side),
                    "{channels} channels as {side}x{side} pixels"
                );
                channels / (side * side)
            }
            (Resample::Double | Resample::Halve, channels) => channels,
        };
        self.push(Operation::Resample { x, by }, channels)
    }

    /// The channels of `a`, then those of `b`.
    pub fn join(&mut self, a: Value, b: Value) -> Value {
        let channels = self.channels(a) + self.channels(b);
        self.push(Operation::Join { a, b }, channels)
    }

    /// A group normalisation with the parameters `name.weight` and `name.bias`, and what follows it.
    pub fn normalize(
        &mut self,
        x: Value,
        name: &str,
        groups: usize,
        epsilon: f64,
        modulation: Option<Modulation>,
        activation: Activation,
    ) -> Value {
        let channels = self.channels(x);
        assert!(groups > 0 && channels.is_multiple_of(groups), "{name}: {groups} groups of {channels} channels");
        self.check_modulation(name, modulation, 2 * channels);
        let weight = self.parameter(format!("{name}.weight"), &[channels], Initial::Ones);
        let bias = self.parameter(format!("{name}.bias"), &[channels], Initial::Zeros);
        let norm = Norm { x, groups, epsilon, weight, bias, modulation, activation };
        self.push(Operation::Normalize(norm), channels)
    }

    /// A normalisation of each pixel over its channels.
    pub fn normalize_pixels(&mut self, x: Value, epsilon: f64, modulation: Option<Modulation>) -> Value {
        let channels = self.channels(x);
        self.check_modulation("a normalisation of pixels", modulation, 2 * channels);
        self.push(Operation::NormalizePixels(PixelNorm { x, epsilon, modulation }), channels)
    }

    /// `residual + by x`, channel by channel.
    pub fn gate(&mut self, x: Value, by: Modulation, residual: Value) -> Value {
        let channels = self.channels(x);
        self.check_modulation("a gate", Some(by), channels);
        assert_eq!(self.channels(residual), channels, "channels of what is added to a gated picture");
        self.push(Operation::Gate { x, by, residual }, channels)
    }

    /// What tells pixels apart is added: see [`positions`](crate::positions), which `base` is told.
    pub fn add_positions(&mut self, x: Value, base: [usize; 2]) -> Value {
        let channels = self.channels(x);
        assert!(channels.is_multiple_of(4) && !base.contains(&0), "positions of {channels} channels in {base:?}");
        self.push(Operation::AddPositions { x, base }, channels)
    }

    /// A convolution or linear layers, and the sums behind them.
    pub fn convolve(&mut self, x: Value, convolution: Convolution) -> Value {
        let Convolution { parts, kernel, linear, stride, border, shift, residual, scale, begins, biased } =
            convolution;
        let from = self.channels(x);
        let name = parts.first().map(|(name, _)| name.clone()).expect("a convolution has weights");
        let is_one_pixel = kernel == [1, 1] && stride == 1 && border == Border::NONE;
        assert!(!linear || is_one_pixel, "{name}: a linear layer has no kernel, no stride and no border");
        assert!(
            kernel[0] > 0 && kernel[1] > 0 && stride > 0,
            "{name}: a kernel of {kernel:?}, a stride of {stride}"
        );
        let usual = Initial::of_inputs(from * kernel[0] * kernel[1]);
        let [weights, biases] = match begins {
            Begins::Usually => [usual; 2],
            Begins::With { weight, bias } => [weight, bias],
        };
        let mut part = |(name, to): (String, usize)| {
            let shape = [to, from, kernel[0], kernel[1]];
            let shape = if linear { &shape[..2] } else { &shape };
            let weight = self.parameter(format!("{name}.weight"), shape, weights);
            let bias = match biased {
                Biased::Yes => Some(self.parameter(format!("{name}.bias"), &[to], biases)),
                Biased::No => None,
            };
            Part { to, weight, bias }
        };
        let parts: Vec<Part> = parts.into_iter().map(&mut part).collect();
        let conv = Conv { x, from, kernel, stride, border, parts, shift, residual, scale };
        let to = conv.to();
        self.check_modulation(&name, shift, to);
        if let Some(residual) = residual {
            assert_eq!(self.channels(residual), to, "{name}: channels of a residual and of its sum");
        }
        self.push(Operation::Convolve(conv), to)
    }

    /// The maximum or the mean of windows of so many pixels each way, `stride` apart, the first of which begins
    /// `border` pixels beyond the picture.
    pub fn pool(&mut self, x: Value, by: Pooling, [side, stride, border]: [usize; 3]) -> Value {
        assert!(stride > 0 && 2 * border <= side && side > 0, "windows of {side}, {stride} apart, in {border}");
        let channels = self.channels(x);
        self.push(Operation::Pool(Pool { x, by, side, stride, border }), channels)
    }

    /// The mean over all pixels.
    pub fn mean(&mut self, x: Value) -> Value {
        let channels = self.channels(x);
        self.push(Operation::Mean { x }, channels)
    }

    /// A function of each number.
    pub fn apply(&mut self, x: Value, activation: Activation) -> Value {
        let channels = self.channels(x);
        self.push(Operation::Activate { x, activation }, channels)
    }

    /// a + b.
    pub fn sum(&mut self, a: Value, b: Value) -> Value {
        let channels = self.channels(a);
        assert_eq!(self.channels(b), channels, "channels of two pictures that are added");
        self.push(Operation::Add { a, b }, channels)
    }

    /// Attention over all pixels, of heads of `width` channels.
    pub fn attend(&mut self, qkv: Value, heads: usize, width: usize) -> Value {
        assert_eq!(self.channels(qkv), 3 * heads * width, "channels of queries, keys and values");
        self.push(Operation::Attend { qkv, heads, width }, heads * width)
    }

    /// A share of the values is dropped in training; no layer where the share is 0.
    pub fn dropout(&mut self, x: Value, rate: f64) -> Value {
        if rate == 0.0 {
            return x;
        }
        let channels = self.channels(x);
        self.push(Operation::Dropout { x, rate }, channels)
    }

    /// Each picture times a number of its own.
    pub fn multiply(&mut self, x: Value, by: Modulation) -> Value {
        self.check_modulation("a multiplication", Some(by), 1);
        let channels = self.channels(x);
        self.push(Operation::Multiply { x, by }, channels)
    }

    /// Channels of a value.
    pub fn channels(&self, value: Value) -> usize {
        self.graph.channels(value)
    }

    fn check_modulation(&self, name: &str, modulation: Option<Modulation>, width: usize) {
        if let Some(modulation) = modulation {
            assert_eq!(self.graph.modulation_width(modulation), width, "{name}: numbers of a modulation");
        }
    }

    fn push(&mut self, operation: Operation, channels: usize) -> Value {
        let output = Value(self.graph.channels.len());
        self.graph.channels.push(channels);
        self.graph.layers.push(Layer { operation, output });
        output
    }
}

/// Times and labels.
impl Builder {
    /// Sines and cosines of times or of numbers as labels; see [`RowOperation::Waves`].
    pub fn waves(&mut self, of: Asked, frequencies: Vec<f64>, width: usize, cosines_first: bool) -> Row {
        assert!(2 * frequencies.len() <= width, "{} frequencies in a row of {width}", frequencies.len());
        self.push_row(RowOperation::Waves { of, frequencies, width, cosines_first }, width)
    }

    /// Sines and cosines of logarithms; see [`RowOperation::LogarithmicWaves`].
    pub fn logarithmic_waves(&mut self, of: Asked, weights: Parameter) -> Row {
        let width = 2 * self.graph.parameter(weights).len();
        self.push_row(RowOperation::LogarithmicWaves { of, weights }, width)
    }

    /// Rows of a table.
    pub fn lookup(&mut self, of: Asked, table: Parameter) -> Row {
        let width = self.graph.parameter(table).shape[1];
        self.push_row(RowOperation::Lookup { of, table }, width)
    }

    /// The numbers that the caller gives as a label.
    pub fn given(&mut self, width: usize) -> Row {
        self.push_row(RowOperation::Given { width }, width)
    }

    /// 1 / time.
    pub fn inverse_time(&mut self) -> Row {
        self.push_row(RowOperation::InverseTime, 1)
    }

    /// A linear layer with the parameters `name.weight` and `name.bias`.
    pub fn linear(&mut self, x: Row, name: &str, to: usize) -> Row {
        let from = self.graph.row_width(x);
        let initial = Initial::of_inputs(from);
        let weight = self.parameter(format!("{name}.weight"), &[to, from], initial);
        let bias = self.parameter(format!("{name}.bias"), &[to], initial);
        self.push_row(RowOperation::Linear { x, weight, bias }, to)
    }

    /// A function of each number.
    pub fn activate(&mut self, x: Row, activation: Activation) -> Row {
        let width = self.graph.row_width(x);
        self.push_row(RowOperation::Activate { x, activation }, width)
    }

    /// a + b.
    pub fn add(&mut self, a: Row, b: Row) -> Row {
        let width = self.graph.row_width(a);
        assert_eq!(self.graph.row_width(b), width, "numbers of two rows that are added");
        self.push_row(RowOperation::Add { a, b }, width)
    }

    /// Some of the numbers of x, one range after the other.
    pub fn take(&mut self, x: Row, parts: Vec<Range<usize>>) -> Row {
        let width = self.graph.row_width(x);
        assert!(
            parts.iter().all(|part| part.start < part.end && part.end <= width),
            "{parts:?} of {width} numbers"
        );
        let taken = parts.iter().map(Range::len).sum();
        self.push_row(RowOperation::Take { x, parts }, taken)
    }

    /// 1 + x for the `first` numbers of x.
    pub fn one_plus(&mut self, x: Row, first: usize) -> Row {
        let width = self.graph.row_width(x);
        assert!(first <= width, "1 is added to {first} of {width} numbers");
        self.push_row(RowOperation::OnePlus { x, first }, width)
    }

    /// A row that layers take.
    pub fn modulation(&mut self, row: Row) -> Modulation {
        self.graph.modulations.push(row);
        Modulation(self.graph.modulations.len() - 1)
    }

    fn push_row(&mut self, operation: RowOperation, width: usize) -> Row {
        self.graph.rows.push(operation);
        self.graph.row_widths.push(width);
        Row(self.graph.rows.len() - 1)
    }
}
