//! Times and labels for either engine.

use std::ops::Range;

/// Times and labels, taken as far as they go without a picture: row k belongs to the k-th time.
///
/// Made by [`Engine::condition`](crate::Engine::condition), and of use to that engine alone.
#[derive(Clone, Debug)]
pub struct Conditioning(pub(crate) Kind);

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Processor(ddim_cpu::Conditioning),
    Tensors(ddim_gpu::Conditioning),
}

impl Conditioning {
    /// How many rows.
    pub fn len(&self) -> usize {
        match &self.0 {
            Kind::Processor(rows) => rows.len(),
            Kind::Tensors(rows) => rows.len(),
        }
    }

    /// Whether it holds no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows of `range`, in order.
    ///
    /// # Panics
    /// A range that is empty or ends after the last row.
    pub fn rows(&self, range: Range<usize>) -> Self {
        Conditioning(match &self.0 {
            Kind::Processor(rows) => Kind::Processor(rows.rows(range)),
            Kind::Tensors(rows) => Kind::Tensors(rows.rows(range)),
        })
    }

    /// The rows with these numbers, in this order; repeats are allowed.
    ///
    /// # Panics
    /// A number without a row.
    pub fn select(&self, rows: &[usize]) -> Self {
        Conditioning(match &self.0 {
            Kind::Processor(all) => Kind::Processor(all.select(rows)),
            Kind::Tensors(all) => Kind::Tensors(all.select(rows)),
        })
    }

    /// The rows of all `parts`, one after the other.
    ///
    /// # Panics
    /// No parts; parts of different networks or engines.
    pub fn cat(parts: &[Self]) -> Self {
        let processor: Option<Vec<_>> = parts.iter().map(Self::processor).collect();
        let tensors: Option<Vec<_>> = parts.iter().map(Self::tensors).collect();
        Conditioning(match (processor, tensors) {
            (Some(parts), _) if !parts.is_empty() => Kind::Processor(ddim_cpu::Conditioning::cat(&parts)),
            (_, Some(parts)) => Kind::Tensors(ddim_gpu::Conditioning::cat(&parts)),
            _ => panic!("conditionings of different engines cannot be put together"),
        })
    }

    fn processor(&self) -> Option<ddim_cpu::Conditioning> {
        match &self.0 {
            Kind::Processor(rows) => Some(rows.clone()),
            Kind::Tensors(_) => None,
        }
    }

    fn tensors(&self) -> Option<ddim_gpu::Conditioning> {
        match &self.0 {
            Kind::Processor(_) => None,
            Kind::Tensors(rows) => Some(rows.clone()),
        }
    }
}
