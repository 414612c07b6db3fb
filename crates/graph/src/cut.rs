//! Where a graph can be cut, so that what lies before need not run again.

use thiserror::Error;

use crate::{Graph, Layer, Operation, Point, SizeError, Value, Watched};

/// A value of a graph that can be kept from one call to the next, and the layers that the result still needs then:
/// in a UNet the inner blocks are left out, and the outer ones run on both sides of the features that are kept (Ma
/// et al. 2024, "DeepCache", section 3.2).
///
/// ```
/// use ddim_graph::{Activation, Border, Builder, Convolution};
///
/// let conv = |name: &str| Convolution::new(name, 8).kernel(3).border(Border::even(1));
/// let mut builder = Builder::new();
/// let x = builder.input(3);
/// let outer = builder.convolve(x, conv("outer"));
/// let inner = builder.convolve(outer, conv("inner"));
/// builder.observe("inner", inner);
/// let both = builder.join(inner, outer);
/// let out = builder.convolve(both, conv("out"));
/// let graph = builder.finish(out);
///
/// let cut = graph.cut("inner")?;
/// assert_eq!(cut.needed(), [true, true, false, true, true]);
/// # Ok::<(), ddim_graph::CutError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    name: String,
    value: Value,
    needed: Vec<bool>,
}

/// A place where a graph cannot be cut.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CutError {
    /// No point has this name.
    #[error("the network has nothing called {name:?}")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// Nothing that layers write is seen there, only rows of the conditioning or what is before an activation.
    #[error("{name} is not a value that later layers read")]
    NotRead {
        /// What was asked for.
        name: String,
    },
    /// The result would not depend on the picture.
    #[error("behind {name} nothing reads the picture any more: what comes out would be that of the earlier call")]
    WithoutPicture {
        /// What was asked for.
        name: String,
    },
    /// Every layer would run all the same.
    #[error("{name} saves no product: all that leads to it is needed elsewhere, too")]
    SavesNothing {
        /// What was asked for.
        name: String,
    },
}

impl Cut {
    /// The name of its point.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is kept.
    pub fn value(&self) -> Value {
        self.value
    }

    /// Of each layer whether the result still needs it.
    pub fn needed(&self) -> &[bool] {
        &self.needed
    }
}

impl Graph {
    /// Cuts the graph at the point of this name.
    ///
    /// # Errors
    /// [`CutError`], for a place where that is not possible or saves no product of a weight.
    pub fn cut(&self, name: &str) -> Result<Cut, CutError> {
        let name = name.to_owned();
        let mut points = self.points().iter().filter(|point| point.name == name).peekable();
        if points.peek().is_none() {
            return Err(CutError::Unknown { name });
        }
        let value = points.find_map(|Point { watched, .. }| match watched {
            Watched::Value(value) => Some(*value),
            Watched::Row(_) | Watched::BeforeActivation(_) => None,
        });
        let Some(value) = value.filter(|value| value.index() + 1 < self.values()) else {
            return Err(CutError::NotRead { name });
        };
        let needed = self.needed_behind(value);
        let layers = || self.layers().iter().zip(&needed);
        let reads_picture =
            |(layer, needed): (&Layer, &bool)| *needed && matches!(layer.operation, Operation::Input { .. });
        if !layers().any(reads_picture) {
            return Err(CutError::WithoutPicture { name });
        }
        if !layers().any(|(layer, needed)| !needed && multiplies(layer)) {
            return Err(CutError::SavesNothing { name });
        }
        Ok(Cut { name, value, needed })
    }

    /// The names where it can be cut, in the order of the layers; of several names of one value the shortest.
    pub fn cuts(&self) -> Vec<Cut> {
        let mut cuts: Vec<Cut> = Vec::new();
        for cut in self.points().iter().filter_map(|point| self.cut(&point.name).ok()) {
            match cuts.iter_mut().find(|other| other.value == cut.value) {
                Some(other) if cut.name.len() < other.name.len() => *other = cut,
                Some(_) => {}
                None => cuts.push(cut),
            }
        }
        cuts.sort_by_key(|cut| cut.value);
        cuts
    }

    /// The multiplications of [`multiplications`](Self::multiplications) that a call takes with what was kept.
    ///
    /// # Errors
    /// A size that does not go through the layers.
    ///
    /// # Panics
    /// A cut of another graph.
    pub fn multiplications_behind(&self, cut: &Cut, size: [usize; 2]) -> Result<u64, SizeError> {
        assert_eq!(cut.needed.len(), self.layers().len(), "a cut of this graph");
        let of_layers = self.multiplications_of_layers(size)?;
        Ok(of_layers.into_iter().zip(&cut.needed).filter(|(_, needed)| **needed).map(|(of, _)| of).sum())
    }

    /// The layers that the result needs where this value is known: backwards from the end.
    fn needed_behind(&self, known: Value) -> Vec<bool> {
        let mut needed = vec![false; self.values()];
        let mut wanted = vec![false; self.values()];
        wanted[self.values() - 1] = true;
        for (k, layer) in self.layers().iter().enumerate().rev() {
            let output = layer.output;
            if wanted[output.index()] && output != known {
                needed[k] = true;
                layer.operation.reads().for_each(|value| wanted[value.index()] = true);
            }
        }
        needed
    }
}

fn multiplies(layer: &Layer) -> bool {
    matches!(layer.operation, Operation::Convolve(_) | Operation::Attend { .. })
}
