//! What values are on the way through a network.

use ddim_graph::Watched;

use crate::layout::Layout;
use crate::network::{Network, Rows};
use crate::plan::Keep;
use crate::product::Split;
use crate::run::{Memory, Run};
use crate::spread::channels_first;
use crate::tape::Work;

/// Is told the name of a point, the values there, and their shape \[n, c, h, w\].
pub type Trace<'a> = dyn FnMut(&str, &[f32], [usize; 4]) + 'a;

/// A point of the graph that layers come by.
#[derive(Clone, Copy)]
pub(crate) struct Point<'a> {
    name: &'a str,
    /// The layer behind which it can be seen.
    pub(crate) layer: usize,
    watched: Watched,
}

impl Network {
    /// As [`forward`](Self::forward), with the same bits. `trace` is told of each of the graph's points in their
    /// order, but for its rows: those are [`Conditioning::observed`].
    ///
    /// All pictures go through a layer before the next begins: that takes more memory than `forward` does.
    ///
    /// [`Conditioning::observed`]: crate::Conditioning::observed
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_traced(
        &self,
        x: &[f32],
        [n, c, h, w]: [usize; 4],
        modulations: &[Rows],
        trace: &mut Trace,
    ) -> Vec<f32> {
        self.check(x, [n, c, h, w], modulations);
        if n == 0 {
            return Vec::new();
        }
        let plan = self.plan(n, [h, w], Keep::WhileRead);
        let run = Run { network: self, plan: &plan, split: Split::Threads, first: 0, modulations };
        let points = self.points();
        // What is seen before its turn has come waits.
        let mut seen: Vec<Option<Vec<f32>>> = vec![None; points.len()];
        let mut told = 0;
        let mut memory = run.memory();
        for (k, layer) in self.tape.layers.iter().enumerate() {
            run.layer(k, layer, x, &mut memory);
            for (seen, point) in seen.iter_mut().zip(&points).filter(|(_, point)| point.layer == k) {
                *seen = Some(run.at(point, &memory));
            }
            while let Some(values) = seen.get_mut(told).and_then(Option::take) {
                let layout = &plan.layouts[points[told].layer];
                trace(points[told].name, &values, [n, layout.channels, layout.height, layout.width]);
                told += 1;
            }
        }
        let result = &plan.layouts[self.tape.result.0];
        let mut out = vec![0.0; n * result.channels * result.pixels()];
        run.result(&memory, &mut out);
        out
    }

    /// Those of these names.
    ///
    /// # Panics
    /// A name that is not a point of the graph, or a row's.
    pub(crate) fn points_named(&self, names: &[&str]) -> Vec<Point<'_>> {
        let points = self.points();
        let named = |name: &&str| points.iter().find(|point| point.name == *name).copied();
        names.iter().map(|name| named(name).unwrap_or_else(|| panic!("no layer can be seen as {name}"))).collect()
    }

    fn points(&self) -> Vec<Point<'_>> {
        let points = self.graph.points().iter().filter_map(|point| {
            let value = match point.watched {
                Watched::Row(_) => return None,
                Watched::Value(value) | Watched::BeforeActivation(value) => value,
            };
            // Each layer writes the value of its number.
            let layer = self.tape.places[value.index()].0;
            Some(Point { name: &point.name, layer, watched: point.watched })
        });
        points.collect()
    }
}

impl Run<'_> {
    /// What can be seen at a point, behind its layer, \[n, c, h, w\].
    pub(crate) fn at(&self, point: &Point, memory: &Memory) -> Vec<f32> {
        let layout = &self.plan.layouts[point.layer];
        let values = match point.watched {
            Watched::BeforeActivation(_) => &self.before_activation(point, memory)[..],
            _ => &memory.values[self.plan.range(point.layer)],
        };
        let mut all = Vec::with_capacity(self.plan.pictures * layout.channels * layout.pixels());
        for picture in values.chunks(layout.len()).take(self.plan.pictures) {
            all.extend(without_border(picture, layout));
        }
        all
    }

    /// What the normalisation at a point gives without its activation.
    fn before_activation(&self, point: &Point, memory: &Memory) -> Vec<f32> {
        let layout = &self.plan.layouts[point.layer];
        let Work::Norm { x, norm } = &self.network.tape.layers[point.layer].work else {
            panic!("the point {} asks for what is before an activation: only a normalisation has one", point.name)
        };
        let x = (&memory.values[self.plan.range(x.0)], &self.plan.layouts[x.0]);
        let mut out = vec![0.0; self.plan.pictures * layout.len()];
        let bare = ddim_graph::Norm { activation: ddim_graph::Activation::Identity, ..*norm };
        self.norm(point.layer, &bare, x, (&mut out, layout));
        out
    }
}

/// \[c, h, w\] of a picture \[h, w, c\] in its border.
fn without_border(picture: &[f32], layout: &Layout) -> Vec<f32> {
    let inside: Vec<f32> = layout.lines(picture).flatten().copied().collect();
    let mut out = vec![0.0; inside.len()];
    channels_first(&inside, layout.channels, 1.0, &mut out);
    out
}
