//! From a graph to the layers that this engine runs.
//!
//! A convolution does not ask where its picture ends: the border of zeros lies around the picture in memory. A
//! normalisation or a change of resolution writes it where all that read the result want the same one; otherwise a
//! layer of its own copies the picture into a border, once for all that want that one.
//!
//! Where nobody else reads what a layer writes, and nobody looks at it, a convolution does the max(x, 0) behind
//! it, and joins of joins are one.

use std::collections::HashMap;

use ddim_graph::{Activation, Border, Conv, Graph, Operation, Value as Source, Watched};

use crate::spread::Resample;
use crate::tape::{Form, Last, Layer, Tape, Value, Work};

impl Tape {
    /// The layers of a graph.
    pub(crate) fn new(graph: &Graph) -> Self {
        let tape = Tape { layers: Vec::new(), values: Vec::new(), result: Value(0), places: Vec::new() };
        let (wishes, only_readers) = (wishes(graph), only_readers(graph));
        let (copies, joins) = (HashMap::new(), HashMap::new());
        let mut lowering = Lowering { graph, tape, wishes, only_readers, copies, joins };
        for (k, layer) in graph.layers().iter().enumerate() {
            lowering.layer(k, &layer.operation, layer.output);
        }
        let mut tape = lowering.tape;
        tape.result = tape.places[graph.values() - 1];
        tape
    }
}

/// A graph on its way to a tape.
struct Lowering<'a> {
    graph: &'a Graph,
    tape: Tape,
    /// The border that all readers of each value want; none where they want different ones.
    wishes: Vec<Border>,
    /// Copies into a border that are there already.
    copies: HashMap<(Value, [usize; 4]), Value>,
    /// For each value the layer that reads it, where that is the only one to know of it.
    only_readers: Vec<Option<usize>>,
    /// What lies in values that are never written: the join behind them reads their parts.
    joins: HashMap<Source, Vec<Value>>,
}

impl Lowering<'_> {
    fn layer(&mut self, k: usize, operation: &Operation, output: Source) {
        let (work, border) = match operation {
            Operation::Input { scale, shift } => {
                (Work::Input { scale: *scale as f32, shift: *shift as f32 }, Border::NONE)
            }
            Operation::Resample { x, by } => {
                (Work::Spread { x: self.place(*x), resample: (*by).into() }, self.wishes[output.index()])
            }
            Operation::Join { a, b } => {
                let parts = [self.parts(*a), self.parts(*b)].concat();
                if matches!(self.only_reader(output), Some(Operation::Join { .. })) {
                    // Nobody asks for its place.
                    self.tape.places.push(parts[0]);
                    self.joins.insert(output, parts);
                    return;
                }
                (Work::Join { parts }, Border::NONE)
            }
            Operation::Normalize(norm) => {
                (Work::Norm { x: self.place(norm.x), norm: *norm }, self.wishes[output.index()])
            }
            Operation::NormalizePixels(norm) => {
                (Work::NormPixels { x: self.place(norm.x), norm: *norm }, Border::NONE)
            }
            Operation::Convolve(conv) => return self.convolution(k, conv, output),
            Operation::Attend { qkv, heads, width } => {
                (Work::Attend { qkv: self.place(*qkv), heads: *heads, width: *width }, Border::NONE)
            }
            // Nothing happens: the value is that which it reads.
            Operation::Dropout { x, .. } => {
                self.tape.places.push(self.place(*x));
                return;
            }
            Operation::Activate { x, .. } if self.rectified(*x) == Some(output) => {
                self.tape.places.push(self.place(*x));
                return;
            }
            Operation::Multiply { x, by } => (Work::Multiply { x: self.place(*x), by: *by }, Border::NONE),
            Operation::Gate { x, by, residual } => {
                let (x, residual) = (self.place(*x), self.place(*residual));
                (Work::Gate { x, by: *by, residual }, Border::NONE)
            }
            Operation::AddPositions { x, base } => {
                (Work::Positions { x: self.place(*x), base: *base }, Border::NONE)
            }
            Operation::Pool(pool) => {
                (Work::Pool { x: self.place(pool.x), pool: *pool }, self.wishes[output.index()])
            }
            Operation::Mean { x } => (Work::Mean { x: self.place(*x) }, Border::NONE),
            Operation::Activate { x, activation } => {
                (Work::Activate { x: self.place(*x), activation: *activation }, self.wishes[output.index()])
            }
            Operation::Add { a, b } => (Work::Add { a: self.place(*a), b: self.place(*b) }, Border::NONE),
        };
        let place = self.push(k, work, output, border);
        self.tape.places.push(place);
    }

    /// A convolution of a picture in its border, into that of its readers.
    fn convolution(&mut self, k: usize, conv: &Conv, output: Source) {
        let x = self.bordered(k, conv.x, conv.border);
        let residual = conv.residual.map(|residual| self.place(residual));
        let (output, last) = match self.rectified(output) {
            Some(rectified) => (rectified, Last::Rectify),
            None => (output, Last::Nothing),
        };
        // A residual lies as what it is added to.
        let border = if residual.is_some() { Border::NONE } else { self.wishes[output.index()] };
        let place = self.push(k, Work::Conv { x, conv: conv.clone(), residual, last }, output, border);
        self.tape.places.push(place);
    }

    /// The value that max(x, 0) makes of what a convolution writes, where that is all that becomes of it.
    fn rectified(&self, value: Source) -> Option<Source> {
        let is_convolution = matches!(self.graph.layers()[value.index()].operation, Operation::Convolve(_));
        let reader = self.only_readers[value.index()].map(|reader| &self.graph.layers()[reader]);
        match reader.map(|layer| (&layer.operation, layer.output)) {
            Some((Operation::Activate { activation: Activation::Relu, .. }, out)) if is_convolution => Some(out),
            _ => None,
        }
    }

    fn only_reader(&self, value: Source) -> Option<&Operation> {
        self.only_readers[value.index()].map(|reader| &self.graph.layers()[reader].operation)
    }

    /// A value, or what is joined in it.
    fn parts(&self, value: Source) -> Vec<Value> {
        self.joins.get(&value).cloned().unwrap_or_else(|| vec![self.place(value)])
    }

    /// A value in a border, for layer `k` of the graph.
    fn bordered(&mut self, k: usize, source: Source, border: Border) -> Value {
        let x = self.place(source);
        if self.tape.values[x.0].border == border {
            return x;
        }
        let Border { top, left, bottom, right } = border;
        let key = (x, [top, left, bottom, right]);
        match self.copies.get(&key) {
            Some(copy) => *copy,
            None => {
                let copy = self.push(k, Work::Spread { x, resample: Resample::Keep }, source, border);
                self.copies.insert(key, copy);
                copy
            }
        }
    }

    fn place(&self, source: Source) -> Value {
        self.tape.places[source.index()]
    }

    fn push(&mut self, part_of: usize, work: Work, of: Source, border: Border) -> Value {
        let output = Value(self.tape.values.len());
        self.tape.values.push(Form { channels: self.graph.channels(of), border, of });
        self.tape.layers.push(Layer { work, output, part_of });
        output
    }
}

/// For each value the layer that reads it, where no other does and nobody looks at it.
fn only_readers(graph: &Graph) -> Vec<Option<usize>> {
    let mut only: Vec<Option<usize>> = graph.last_reads();
    for (only, readers) in only.iter_mut().zip(graph.readers()) {
        *only = only.filter(|_| readers == 1);
    }
    for point in graph.points() {
        if let Watched::Value(value) | Watched::BeforeActivation(value) = point.watched {
            only[value.index()] = None;
        }
    }
    only
}

/// For each value the border that all who read it want: none where they want different ones, and for the result.
fn wishes(graph: &Graph) -> Vec<Border> {
    let mut wishes: Vec<Option<Border>> = vec![None; graph.values()];
    wishes[graph.values() - 1] = Some(Border::NONE);
    // Backwards, so that what the readers of a value want is known where it is another under a new name.
    for layer in graph.layers().iter().rev() {
        let of_output = wishes[layer.output.index()];
        let mut wish = |value: Source, border: Border| {
            let wish = &mut wishes[value.index()];
            *wish = Some(wish.map_or(border, |other| if other == border { border } else { Border::NONE }));
        };
        match &layer.operation {
            Operation::Convolve(conv) => {
                wish(conv.x, conv.border);
                conv.residual.into_iter().for_each(|residual| wish(residual, Border::NONE));
            }
            Operation::Dropout { x, .. } => {
                of_output.into_iter().for_each(|border| wish(*x, border));
            }
            operation => operation.reads().for_each(|value| wish(value, Border::NONE)),
        }
    }
    wishes.into_iter().map(Option::unwrap_or_default).collect()
}

#[cfg(test)]
mod tests {
    use ddim_graph::{Builder, Convolution, Pooling};

    use super::*;

    /// What a layer is, with the border of what it writes.
    fn kind(tape: &Tape, layer: &Layer) -> String {
        let Border { top, left, bottom, right } = tape.values[layer.output.0].border;
        let border = match [top, left, bottom, right] {
            [0, 0, 0, 0] => String::new(),
            [1, 1, 1, 1] => " in 1".to_string(),
            other => format!(" in {other:?}"),
        };
        let kind = match &layer.work {
            Work::Input { .. } => "input",
            Work::Spread { resample: Resample::Keep, .. } => "copy",
            Work::Spread { resample: Resample::Double, .. } => "double",
            Work::Spread { resample: Resample::Halve, .. } => "halve",
            Work::Spread { resample: Resample::Dilate(_), .. } => "dilate",
            Work::Spread { resample: Resample::Unpatch(_), .. } => "unpatch",
            Work::Join { .. } => "join",
            Work::Norm { .. } => "norm",
            Work::NormPixels { .. } => "norm of pixels",
            Work::Gate { .. } => "gate",
            Work::Positions { .. } => "positions",
            Work::Conv { conv, .. } if conv.kernel == [1, 1] => "linear",
            Work::Conv { last: Last::Rectify, .. } => "rectified conv",
            Work::Conv { .. } => "conv",
            Work::Attend { .. } => "attend",
            Work::Multiply { .. } => "multiply",
            Work::Pool { .. } => "pool",
            Work::Mean { .. } => "mean",
            Work::Activate { .. } => "activate",
            Work::Add { .. } => "add",
        };
        format!("{kind}{border}")
    }

    fn kinds(graph: &Graph) -> Vec<String> {
        let tape = Tape::new(graph);
        tape.layers.iter().map(|layer| kind(&tape, layer)).collect()
    }

    fn conv3(name: &str) -> Convolution {
        Convolution::new(name, 4).kernel(3).border(Border::even(1))
    }

    /// The residual block of a UNet, at another resolution if asked for.
    fn residual(graph: &mut Builder, x: Source, name: &str, by: Option<ddim_graph::Resample>) -> Source {
        let silu = Activation::Silu;
        let mut h = graph.normalize(x, &format!("{name}.norm1"), 2, 1e-5, None, silu);
        let mut x = x;
        if let Some(by) = by {
            h = graph.resample(h, by);
            x = graph.resample(x, by);
        }
        let h = graph.convolve(h, conv3(&format!("{name}.conv1")));
        let h = graph.normalize(h, &format!("{name}.norm2"), 2, 1e-5, None, silu);
        let h = graph.dropout(h, 0.1);
        if graph.channels(x) != 4 {
            x = graph.convolve(x, Convolution::new(format!("{name}.shortcut"), 4));
        }
        graph.convolve(h, conv3(&format!("{name}.conv2")).residual(x))
    }

    #[test]
    fn a_unet_has_the_layers_that_it_was_written_with_by_hand() {
        let mut graph = Builder::new();
        let x = graph.input(3);
        let first = graph.convolve(x, conv3("conv_in"));
        let x = residual(&mut graph, first, "down", None);
        let normed = graph.normalize(x, "attention.norm", 2, 1e-5, None, Activation::Identity);
        let parts = ["q", "k", "v"].map(|part| (part.to_string(), 4));
        let qkv = graph.convolve(normed, Convolution::linear(parts));
        let attended = graph.attend(qkv, 1, 4);
        let out = Convolution::linear([("out".to_string(), 4)]).residual(x);
        let x = graph.convolve(attended, out);
        let half = Convolution::new("half", 4).kernel(3).stride(2).border(Border::behind(1));
        let low = graph.convolve(x, half);
        let low = residual(&mut graph, low, "halved", Some(ddim_graph::Resample::Halve));
        let up = residual(&mut graph, low, "doubled", Some(ddim_graph::Resample::Double));
        let up = graph.resample(up, ddim_graph::Resample::Double);
        let up = graph.convolve(up, conv3("up"));
        let x = graph.join(up, first);
        let x = residual(&mut graph, x, "last", None);
        let x = graph.normalize(x, "norm_out", 2, 1e-5, None, Activation::Silu);
        let x = graph.convolve(x, conv3("conv_out"));
        let expected = [
            vec!["input", "copy in 1", "conv"],
            vec!["norm in 1", "conv", "norm in 1", "conv"],
            vec!["norm", "linear", "attend", "linear"],
            vec!["copy in [0, 0, 1, 1]", "conv"],
            vec!["norm", "halve in 1", "halve", "conv", "norm in 1", "conv"],
            vec!["norm", "double in 1", "double", "conv", "norm in 1", "conv"],
            vec!["double in 1", "conv", "join"],
            vec!["norm in 1", "conv", "norm in 1", "linear", "conv"],
            vec!["norm in 1", "conv"],
        ];
        assert_eq!(kinds(&graph.finish(x)), expected.concat());
    }

    #[test]
    fn readers_that_want_different_borders_each_have_theirs() {
        let mut graph = Builder::new();
        let x = graph.input(4);
        let normed = graph.normalize(x, "norm", 2, 1e-5, None, Activation::Silu);
        let a = graph.convolve(normed, conv3("a"));
        let b = graph.convolve(normed, conv3("b"));
        let wide = Convolution::new("c", 4).kernel(5).border(Border::even(2));
        let c = graph.convolve(normed, wide.residual(normed));
        let ab = graph.join(a, b);
        let abc = graph.join(ab, c);
        let expected = ["input", "norm", "copy in 1", "conv", "conv", "copy in [2, 2, 2, 2]", "conv", "join"];
        assert_eq!(kinds(&graph.finish(abc)), expected);
    }

    #[test]
    fn readers_that_want_one_border_share_it() {
        let mut graph = Builder::new();
        let x = graph.input(4);
        let normed = graph.normalize(x, "norm", 2, 1e-5, None, Activation::Silu);
        let a = graph.convolve(normed, conv3("a"));
        let dropped = graph.dropout(normed, 0.5);
        let b = graph.convolve(dropped, conv3("b"));
        let ab = graph.join(a, b);
        assert_eq!(kinds(&graph.finish(ab)), ["input", "norm in 1", "conv", "conv", "join"]);
    }

    #[test]
    fn what_is_read_once_is_done_by_who_writes_or_reads_it() {
        let mut graph = Builder::new();
        let x = graph.input(4);
        let conv = |graph: &mut Builder, x: Source, name: &str, activation: Activation| {
            let x = graph.convolve(x, conv3(name));
            graph.apply(x, activation)
        };
        let a = conv(&mut graph, x, "a", Activation::Relu);
        let b = conv(&mut graph, a, "b", Activation::Silu);
        let c = conv(&mut graph, b, "c", Activation::Relu);
        let seen = graph.convolve(c, conv3("d"));
        graph.observe("seen", seen);
        let d = graph.apply(seen, Activation::Relu);
        let pooled = graph.pool(d, Pooling::Mean, [3, 1, 1]);
        let cd = graph.join(c, d);
        let cdd = graph.join(cd, pooled);
        graph.observe("joined", cdd);
        let all = graph.join(cdd, a);
        let expected = [
            vec!["input", "copy in 1", "rectified conv", "copy in 1", "conv", "activate in 1"],
            vec!["rectified conv", "copy in 1", "conv", "activate", "pool", "join", "join"],
        ];
        assert_eq!(kinds(&graph.finish(all)), expected.concat());
    }

    #[test]
    fn a_convolution_writes_into_the_border_that_its_reader_wants() {
        let mut graph = Builder::new();
        let x = graph.input(4);
        let x = graph.convolve(x, Convolution::new("a", 4));
        let x = graph.apply(x, Activation::Relu);
        let x = graph.convolve(x, conv3("b"));
        let x = graph.convolve(x, conv3("c"));
        let expected = ["input", "linear in 1", "conv in 1", "conv"];
        assert_eq!(kinds(&graph.finish(x)), expected);
    }
}
