//! What a graph means, written down as plainly as it goes, in f64.

use std::f64::consts::{FRAC_1_SQRT_2, PI, TAU};

use ddim_graph::{
    Activation, Asked, Conv, Graph, Labels, Norm, Operation, PixelNorm, Pool, Pooling, Resample, Row,
    RowOperation, Value,
};

/// Pictures \[n, c, h, w\].
#[derive(Clone, Debug)]
pub(crate) struct Pictures {
    pub(crate) shape: [usize; 4],
    pub(crate) values: Vec<f64>,
}

/// A graph with weights, and rows for its modulations, one for each picture.
pub(crate) struct Plain<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) parameters: &'a [Vec<f64>],
    pub(crate) modulations: &'a [Vec<f64>],
}

impl Pictures {
    pub(crate) fn new(shape: [usize; 4], value: impl Fn([usize; 4]) -> f64) -> Self {
        let [n, c, h, w] = shape;
        let of = |k: usize| value([k / (c * h * w), k / (h * w) % c, k / w % h, k % w]);
        Pictures { shape, values: (0..n * c * h * w).map(of).collect() }
    }

    pub(crate) fn at(&self, [n, c, y, x]: [usize; 4]) -> f64 {
        let [_, channels, h, w] = self.shape;
        self.values[((n * channels + c) * h + y) * w + x]
    }
}

impl Plain<'_> {
    /// All values of the graph, and for each normalisation what it gives before its activation.
    pub(crate) fn run(&self, x: &Pictures) -> (Vec<Pictures>, Vec<Option<Pictures>>) {
        self.run_with(x, None)
    }

    /// The same with this in place of one value.
    pub(crate) fn run_with(
        &self,
        x: &Pictures,
        known: Option<(Value, &Pictures)>,
    ) -> (Vec<Pictures>, Vec<Option<Pictures>>) {
        let (mut values, mut before) = (Vec::new(), Vec::new());
        for layer in self.graph.layers() {
            let mut inactive = None;
            let value = match &layer.operation {
                Operation::Normalize(norm) => {
                    let value = self.normalized(&values, norm);
                    inactive = Some(value.clone());
                    Pictures::new(value.shape, |at| activated(norm.activation, value.at(at)))
                }
                other => self.value(other, x, &values),
            };
            let known = known.filter(|(value, _)| *value == layer.output);
            values.push(known.map_or(value, |(_, known)| known.clone()));
            before.push(inactive);
        }
        (values, before)
    }

    pub(crate) fn result(&self, x: &Pictures) -> Vec<f64> {
        self.run(x).0.pop().expect("a layer").values
    }

    fn value(&self, operation: &Operation, input: &Pictures, values: &[Pictures]) -> Pictures {
        let of = |value: &Value| &values[value.index()];
        match operation {
            Operation::Input { scale, shift } => Pictures::new(input.shape, |at| scale * input.at(at) + shift),
            Operation::Resample { x, by } => resampled(of(x), *by),
            Operation::Join { a, b } => {
                let (a, b) = (of(a), of(b));
                let [n, from_a, h, w] = a.shape;
                Pictures::new([n, from_a + b.shape[1], h, w], |[n, c, y, x]| {
                    if c < from_a { a.at([n, c, y, x]) } else { b.at([n, c - from_a, y, x]) }
                })
            }
            Operation::Normalize(_) => unreachable!("done by the caller"),
            Operation::Convolve(conv) => self.convolved(of(&conv.x), conv, conv.residual.as_ref().map(of)),
            Operation::Attend { qkv, heads, width } => attended(of(qkv), *heads, *width),
            Operation::Dropout { x, .. } => of(x).clone(),
            Operation::Multiply { x, by } => {
                let x = of(x);
                Pictures::new(x.shape, |at| x.at(at) * self.modulations[by.index()][at[0]])
            }
            Operation::NormalizePixels(norm) => self.normalized_pixels(of(&norm.x), norm),
            Operation::Gate { x, by, residual } => {
                let (x, residual) = (of(x), of(residual));
                let by = |[n, c, ..]: [usize; 4]| self.modulations[by.index()][n * x.shape[1] + c];
                Pictures::new(x.shape, |at| residual.at(at) + by(at) * x.at(at))
            }
            Operation::AddPositions { x, base } => placed(of(x), *base),
            Operation::Pool(pool) => pooled(of(&pool.x), pool),
            Operation::Mean { x } => {
                let x = of(x);
                let [n, c, h, w] = x.shape;
                let pixels = |n, c| (0..h * w).map(move |k| x.at([n, c, k / w, k % w]));
                Pictures::new([n, c, 1, 1], |[n, c, ..]| pixels(n, c).sum::<f64>() / (h * w) as f64)
            }
            Operation::Activate { x, activation } => {
                let x = of(x);
                Pictures::new(x.shape, |at| activated(*activation, x.at(at)))
            }
            Operation::Add { a, b } => {
                let (a, b) = (of(a), of(b));
                assert_eq!(a.shape, b.shape);
                Pictures::new(a.shape, |at| a.at(at) + b.at(at))
            }
        }
    }

    fn normalized(&self, values: &[Pictures], norm: &Norm) -> Pictures {
        let x = &values[norm.x.index()];
        let [n, channels, h, w] = x.shape;
        let each = channels / norm.groups;
        let moments = |n: usize, group: usize| {
            let members = &x.values[(n * channels + group * each) * h * w..][..each * h * w];
            let mean = members.iter().sum::<f64>() / members.len() as f64;
            let variance = members.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / members.len() as f64;
            (mean, variance)
        };
        let all: Vec<_> = (0..n * norm.groups).map(|k| moments(k / norm.groups, k % norm.groups)).collect();
        let (weight, bias) = (&self.parameters[norm.weight.0], &self.parameters[norm.bias.0]);
        Pictures::new(x.shape, |[n, c, y, z]| {
            let (mean, variance) = all[n * norm.groups + c / each];
            let standard = (x.at([n, c, y, z]) - mean) / (variance + norm.epsilon).sqrt();
            let value = weight[c] * standard + bias[c];
            norm.modulation.map_or(value, |modulation| {
                let row = &self.modulations[modulation.index()][n * 2 * channels..];
                row[c] * value + row[channels + c]
            })
        })
    }

    fn normalized_pixels(&self, x: &Pictures, norm: &PixelNorm) -> Pictures {
        let channels = x.shape[1];
        Pictures::new(x.shape, |[n, c, y, z]| {
            let pixel: Vec<f64> = (0..channels).map(|c| x.at([n, c, y, z])).collect();
            let mean = pixel.iter().sum::<f64>() / channels as f64;
            let variance = pixel.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / channels as f64;
            let standard = (pixel[c] - mean) / (variance + norm.epsilon).sqrt();
            norm.modulation.map_or(standard, |modulation| {
                let row = &self.modulations[modulation.index()][n * 2 * channels..];
                row[c] * standard + row[channels + c]
            })
        })
    }

    fn convolved(&self, x: &Pictures, conv: &Conv, residual: Option<&Pictures>) -> Pictures {
        let Conv { kernel: [down, across], stride, border, from, .. } = *conv;
        let [n, channels, h, w] = x.shape;
        assert_eq!(channels, from);
        let steps = |side: usize, kernel: usize| (side - kernel) / stride + 1;
        let height = steps(h + border.top + border.bottom, down);
        let width = steps(w + border.left + border.right, across);
        // For each output channel its part and its place in that.
        let parts = conv.parts.iter().flat_map(|part| (0..part.to).map(move |channel| (part, channel)));
        let parts: Vec<_> = parts.collect();
        Pictures::new([n, parts.len(), height, width], |[n, c, y, z]| {
            let (part, channel) = parts[c];
            let mut sum = part.bias.map_or(0.0, |bias| self.parameters[bias.0][channel]);
            sum += conv.shift.map_or(0.0, |shift| self.modulations[shift.index()][n * parts.len() + c]);
            sum += residual.map_or(0.0, |residual| residual.at([n, c, y, z]));
            for (i, ky, kx) in (0..from).flat_map(|i| (0..down * across).map(move |t| (i, t / across, t % across)))
            {
                let (iy, ix) = (y * stride + ky, z * stride + kx);
                if (border.top..border.top + h).contains(&iy) && (border.left..border.left + w).contains(&ix) {
                    let weight = self.parameters[part.weight.0][((channel * from + i) * down + ky) * across + kx];
                    sum += weight * x.at([n, i, iy - border.top, ix - border.left]);
                }
            }
            conv.scale * sum
        })
    }
}

fn resampled(x: &Pictures, by: Resample) -> Pictures {
    let [n, c, h, w] = x.shape;
    match by {
        Resample::Double => Pictures::new([n, c, 2 * h, 2 * w], |[n, c, y, z]| x.at([n, c, y / 2, z / 2])),
        Resample::Halve => Pictures::new([n, c, h / 2, w / 2], |[n, c, y, z]| {
            (0..4).map(|k| x.at([n, c, 2 * y + k / 2, 2 * z + k % 2])).sum::<f64>() / 4.0
        }),
        Resample::Unpatch(side) => {
            let to = c / (side * side);
            Pictures::new([n, to, side * h, side * w], |[n, c, y, z]| {
                x.at([n, (y % side * side + z % side) * to + c, y / side, z / side])
            })
        }
    }
}

/// The sines of the column, its cosines, the sines of the row, its cosines: a quarter of the channels each.
fn placed(x: &Pictures, base: [usize; 2]) -> Pictures {
    let [_, channels, h, w] = x.shape;
    let quarter = channels / 4;
    Pictures::new(x.shape, |[n, c, y, z]| {
        let place = match c / (2 * quarter) {
            0 => z as f64 * base[1] as f64 / w as f64,
            _ => y as f64 * base[0] as f64 / h as f64,
        };
        let angle = place * 10_000f64.powf(-((c % quarter) as f64) / quarter as f64);
        x.at([n, c, y, z]) + if c / quarter % 2 == 0 { angle.sin() } else { angle.cos() }
    })
}

fn pooled(x: &Pictures, pool: &Pool) -> Pictures {
    let [n, c, h, w] = x.shape;
    let steps = |side: usize| (side + 2 * pool.border - pool.side) / pool.stride + 1;
    Pictures::new([n, c, steps(h), steps(w)], |[n, c, y, z]| {
        // Along each axis a place in the border above or on the left, in the picture, or in the border behind it.
        let all =
            (0..pool.side * pool.side).map(|k| (y * pool.stride + k / pool.side, z * pool.stride + k % pool.side));
        let inside = all.filter(|(y, z)| {
            (pool.border..pool.border + h).contains(y) && (pool.border..pool.border + w).contains(z)
        });
        let values: Vec<f64> = inside.map(|(y, z)| x.at([n, c, y - pool.border, z - pool.border])).collect();
        match pool.by {
            Pooling::Maximum => values.iter().copied().reduce(f64::max).expect("a pixel"),
            Pooling::Mean => values.iter().sum::<f64>() / values.len() as f64,
        }
    })
}

fn attended(qkv: &Pictures, heads: usize, width: usize) -> Pictures {
    let [n, _, h, w] = qkv.shape;
    let (inner, pixels) = (heads * width, h * w);
    let at = |n: usize, part: usize, channel: usize, pixel: usize| {
        qkv.at([n, part * inner + channel, pixel / w, pixel % w])
    };
    let mut out = Pictures::new([n, inner, h, w], |_| 0.0);
    for (n, head, query) in (0..n).flat_map(|n| (0..heads * pixels).map(move |k| (n, k / pixels, k % pixels))) {
        let score = |key: usize| {
            let channels = head * width..(head + 1) * width;
            channels.map(|c| at(n, 0, c, query) * at(n, 1, c, key)).sum::<f64>() / (width as f64).sqrt()
        };
        let powers: Vec<f64> = (0..pixels).map(|key| score(key).exp()).collect();
        let total: f64 = powers.iter().sum();
        for c in head * width..(head + 1) * width {
            let sum: f64 = powers.iter().enumerate().map(|(key, power)| power * at(n, 2, c, key)).sum();
            out.values[(n * inner + c) * pixels + query] = sum / total;
        }
    }
    out
}

pub(crate) fn activated(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Identity => x,
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Mish => x * x.exp().ln_1p().tanh(),
        Activation::Gelu => x * 0.5 * (1.0 + erf(x * FRAC_1_SQRT_2)),
        Activation::GeluTanh => 0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()),
        Activation::Relu => x.max(0.0),
        Activation::LeakyRelu { slope } => x.max(0.0) + f64::from(slope) * x.min(0.0),
        Activation::Tanh => x.tanh(),
    }
}

/// 2 / sqrt(pi) e^(-x^2) sum of 2^k x^(2k+1) / (1 3 5 ... (2k+1)): terms of one sign.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let mut term = x;
    let mut sum = 0.0;
    for k in 0..200 {
        sum += term;
        term *= 2.0 * x * x / f64::from(2 * k + 3);
    }
    2.0 / PI.sqrt() * (-x * x).exp() * sum
}

/// The rows of a graph for these times and labels.
pub(crate) fn rows(graph: &Graph, parameters: &[Vec<f64>], times: &[f64], labels: &Labels) -> Vec<Vec<f64>> {
    let count = times.len().max(labels.count().unwrap_or(1));
    let mut conditioned = Conditioned { graph, parameters, times, labels, rows: Vec::new() };
    for operation in graph.rows() {
        let width = width(graph, operation);
        let values = (0..count * width).map(|k| conditioned.number(operation, k / width, k % width)).collect();
        conditioned.rows.push(values);
    }
    conditioned.rows
}

/// The rows that are there already, and all that they come from.
struct Conditioned<'a> {
    graph: &'a Graph,
    parameters: &'a [Vec<f64>],
    times: &'a [f64],
    labels: &'a Labels<'a>,
    rows: Vec<Vec<f64>>,
}

impl Conditioned<'_> {
    fn asked(&self, of: Asked, n: usize) -> f64 {
        match (of, self.labels) {
            (Asked::Time, _) => self.times[n % self.times.len()],
            (_, Labels::Value(values)) => values[n % values.len()],
            (_, Labels::Index(values)) => values[n % values.len()] as f64,
            other => panic!("{other:?}"),
        }
    }

    /// The number of row `n` at a place.
    fn number(&self, operation: &RowOperation, n: usize, place: usize) -> f64 {
        let at = |x: &Row, place: usize| self.rows[x.index()][n * self.graph.row_width(*x) + place];
        match operation {
            RowOperation::Waves { of, frequencies, cosines_first, .. } => {
                let half = frequencies.len();
                let angle = || self.asked(*of, n) * frequencies[place % half];
                match (place / half, cosines_first) {
                    (0, true) | (1, false) => angle().cos(),
                    (0, false) | (1, true) => angle().sin(),
                    _ => 0.0,
                }
            }
            RowOperation::LogarithmicWaves { of, weights } => {
                let weights = &self.parameters[weights.0];
                let angle = TAU * weights[place % weights.len()] * self.asked(*of, n).ln();
                if place < weights.len() { angle.sin() } else { angle.cos() }
            }
            RowOperation::Lookup { of, table } => {
                let width = self.graph.parameter(*table).shape[1];
                self.parameters[table.0][self.asked(*of, n) as usize * width + place]
            }
            RowOperation::Given { width } => match self.labels {
                Labels::Embedding { values, .. } => f64::from(values[(n * width + place) % values.len()]),
                other => panic!("{other:?}"),
            },
            RowOperation::InverseTime => 1.0 / self.asked(Asked::Time, n),
            RowOperation::Linear { x, weight, bias } => {
                let from = self.graph.row_width(*x);
                let weight = &self.parameters[weight.0][place * from..][..from];
                let sum: f64 = weight.iter().enumerate().map(|(k, w)| w * at(x, k)).sum();
                sum + self.parameters[bias.0][place]
            }
            RowOperation::Activate { x, activation } => activated(*activation, at(x, place)),
            RowOperation::Add { a, b } => at(a, place) + at(b, place),
            RowOperation::Take { x, parts } => {
                at(x, parts.iter().cloned().flatten().nth(place).expect("a number of the row"))
            }
            RowOperation::OnePlus { x, first } => at(x, place) + if place < *first { 1.0 } else { 0.0 },
        }
    }
}

fn width(graph: &Graph, operation: &RowOperation) -> usize {
    match operation {
        RowOperation::Waves { width, .. } | RowOperation::Given { width } => *width,
        RowOperation::LogarithmicWaves { weights, .. } => 2 * graph.parameter(*weights).len(),
        RowOperation::Lookup { table, .. } => graph.parameter(*table).shape[1],
        RowOperation::InverseTime => 1,
        RowOperation::Take { parts, .. } => parts.iter().map(std::ops::Range::len).sum(),
        RowOperation::Linear { bias, .. } => graph.parameter(*bias).len(),
        RowOperation::Activate { x, .. } | RowOperation::OnePlus { x, .. } | RowOperation::Add { a: x, .. } => {
            graph.row_width(*x)
        }
    }
}
