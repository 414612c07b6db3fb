//! Networks without training, and golden files: numbers that diffusers computed, and how near is near.
#![allow(dead_code, reason = "each test file uses its own part of this")]

mod weights;

use burn::tensor::{Device, Tensor, TensorData};
use ddim_gpu::{Form, Network};
use ddim_graph::{Graph, Labels, Parameter};
use ddim_unet::UNet2DConfig;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weights::weights;

/// The network with [`weights`] on a device.
pub(crate) fn untrained(config: &UNet2DConfig, device: &Device, form: Form) -> Network {
    let graph = Arc::new(config.graph().expect("a valid configuration"));
    let weights = weights(&graph);
    Network::new(graph, |Parameter(k)| Cow::Borrowed(weights[k].as_slice()), device, form)
}

/// `tests/goldens/models` of the repository.
pub(crate) fn goldens() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/models")
}

/// One file of expected numbers.
pub(crate) struct Golden {
    tensors: BTreeMap<String, TensorData>,
    metadata: HashMap<String, String>,
}

impl Golden {
    pub(crate) fn read(path: &Path) -> Golden {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("a safetensors file");
        let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        Golden {
            tensors: file.tensors().into_iter().map(|(name, tensor)| (name, data(&tensor))).collect(),
            metadata: header.metadata().clone().unwrap_or_default(),
        }
    }

    pub(crate) fn metadata(&self, key: &str) -> &str {
        &self.metadata[key]
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub(crate) fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        Tensor::from_data(self.tensors[name].clone(), &Device::flex())
    }

    /// A network with each of its weights from the file, whose names have this prefix.
    pub(crate) fn network(&self, graph: Graph, prefix: &str) -> Network {
        let graph = Arc::new(graph);
        let names: Vec<&str> = graph.parameters().iter().map(|info| info.name.as_str()).collect();
        let values = |Parameter(k)| -> Cow<[f32]> {
            let tensor = &self.tensors[&format!("{prefix}{}", names[k])];
            Cow::Owned(tensor.iter::<f32>().collect())
        };
        Network::new(Arc::clone(&graph), values, &Device::flex(), Form::default())
    }

    pub(crate) fn numbers(&self, name: &str) -> Vec<f64> {
        self.tensors[name].iter::<f64>().collect()
    }

    /// The class labels as row numbers.
    pub(crate) fn indices(&self) -> Option<Vec<usize>> {
        let labels = self.tensors.get("class_labels")?;
        Some(labels.iter::<f64>().map(|label| label as usize).collect())
    }

    /// The rule of the goldens' README: 1e-5 max(1, largest) + 4 (distance of the reference from a float64 run).
    /// Where a file does not tell that distance, the largest of the other files stands in.
    pub(crate) fn assert_close(&self, name: &str, out: Tensor<4>, what: &str) {
        let info: Value = serde_json::from_str(self.metadata("info")).expect("info is JSON");
        let distance = info["max_abs_difference_from_float64"].as_f64().unwrap_or(2.5e-6);
        let expected = self.numbers(name);
        let out: Vec<f64> = out.into_data().iter::<f64>().collect();
        assert_eq!(out.len(), expected.len(), "{what}: size");
        let largest = expected.iter().fold(1.0, |largest: f64, value| largest.max(value.abs()));
        let allowed = 1e-5 * largest + 4.0 * distance;
        let difference = out.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(difference <= allowed, "{what}: differs by {difference:e}, allowed {allowed:e}");
    }
}

/// No labels, or these rows.
pub(crate) fn index_labels(indices: &Option<Vec<usize>>) -> Labels<'_> {
    indices.as_deref().map_or(Labels::None, Labels::Index)
}

fn data(tensor: &TensorView) -> TensorData {
    let shape = tensor.shape().to_vec();
    match tensor.dtype() {
        Dtype::F32 => TensorData::new(numbers(tensor, f32::from_le_bytes), shape),
        Dtype::I64 => TensorData::new(numbers(tensor, i64::from_le_bytes), shape),
        Dtype::U8 => TensorData::new(tensor.data().to_vec(), shape),
        other => panic!("a golden of type {other:?}"),
    }
}

fn numbers<const N: usize, E>(tensor: &TensorView, read: impl Fn([u8; N]) -> E) -> Vec<E> {
    tensor.data().chunks_exact(N).map(|bytes| read(bytes.try_into().expect("N bytes"))).collect()
}
