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
    #[cfg(feature = "gpu")]
    Tensors(ddim_gpu::Conditioning),
}

impl Conditioning {
    /// How many rows.
    pub fn len(&self) -> usize {
        match &self.0 {
            Kind::Processor(rows) => rows.len(),
            #[cfg(feature = "gpu")]
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
            #[cfg(feature = "gpu")]
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
            #[cfg(feature = "gpu")]
            Kind::Tensors(all) => Kind::Tensors(all.select(rows)),
        })
    }

    /// The rows of all `parts`, one after the other.
    ///
    /// # Panics
    /// No parts; parts of different networks or engines.
    pub fn cat(parts: &[Self]) -> Self {
        let first = parts.first().expect("conditionings to put together");
        Conditioning(match &first.0 {
            Kind::Processor(_) => {
                let rows = |part: &Self| match &part.0 {
                    Kind::Processor(rows) => rows.clone(),
                    #[cfg(feature = "gpu")]
                    Kind::Tensors(_) => panic!("{APART}"),
                };
                Kind::Processor(ddim_cpu::Conditioning::cat(&parts.iter().map(rows).collect::<Vec<_>>()))
            }
            #[cfg(feature = "gpu")]
            Kind::Tensors(_) => {
                let rows = |part: &Self| match &part.0 {
                    Kind::Tensors(rows) => rows.clone(),
                    Kind::Processor(_) => panic!("{APART}"),
                };
                Kind::Tensors(ddim_gpu::Conditioning::cat(&parts.iter().map(rows).collect::<Vec<_>>()))
            }
        })
    }
}

#[cfg(feature = "gpu")]
const APART: &str = "conditionings of different engines cannot be put together";
