//! Numbers of diffusers (tests/goldens/latent).

use std::collections::BTreeMap;
use std::fs;

use ddim_tensor::Tensor;
use safetensors::SafeTensors;
use serde_json::Value;

pub(crate) const GOLDENS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/latent");

/// The tensors of a file, and how far other rounding may take a number from them.
pub(crate) struct Golden {
    pub(crate) tensors: BTreeMap<String, (Vec<f32>, Vec<usize>)>,
    pub(crate) tolerance: f32,
}

impl Golden {
    pub(crate) fn read(model: &str, name: &str) -> Self {
        let bytes = fs::read(format!("{GOLDENS}/outputs/{model}/{name}.safetensors")).expect("a golden file");
        let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("a header");
        let info = &metadata.metadata().as_ref().expect("remarks")["info"];
        let info: Value = serde_json::from_str(info).expect("JSON");
        // As README.md beside them says; files without these two have numbers as large as those of the others.
        let number = |key: &str, otherwise: f64| info[key].as_f64().unwrap_or(otherwise);
        let tolerance = 1e-5 * number("largest_abs_value", 6.0).max(1.0)
            + 4.0 * number("max_abs_difference_from_float64", 3e-6);
        let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
        let tensors = tensors.iter().map(|(name, view)| {
            let numbers = match view.dtype() {
                safetensors::Dtype::F32 => view.data().chunks_exact(4).map(four_bytes).collect(),
                safetensors::Dtype::U8 => view.data().iter().map(|byte| f32::from(*byte)).collect(),
                safetensors::Dtype::I64 => {
                    let whole = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().expect("eight bytes")) as f32;
                    view.data().chunks_exact(8).map(whole).collect()
                }
                other => panic!("{name} is of type {other:?}"),
            };
            (name.to_owned(), (numbers, view.shape().to_vec()))
        });
        Golden { tensors: tensors.collect(), tolerance: tolerance as f32 }
    }

    pub(crate) fn tensor(&self, name: &str) -> Tensor {
        let (values, shape) = &self.tensors[name];
        Tensor::new(values.clone(), shape.as_slice().try_into().expect("four axes"))
    }

    pub(crate) fn check(&self, name: &str, found: &Tensor) {
        assert_eq!(found.dims().as_slice(), self.tensors[name].1, "{name}");
        self.check_numbers(name, &found.values());
    }

    pub(crate) fn check_numbers(&self, name: &str, found: &[f32]) {
        let expected = &self.tensors[name].0;
        assert_eq!(found.len(), expected.len(), "{name}");
        let far = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far <= self.tolerance, "{name}: {far} away, {} allowed", self.tolerance);
    }

    pub(crate) fn check_sums(&self, name: &str, found: &[f64]) {
        for (found, expected) in found.iter().zip(&self.tensors[name].0) {
            assert!((found / f64::from(*expected) - 1.0).abs() < 1e-5, "{name}: {found}, {expected} is right");
        }
    }
}

fn four_bytes(bytes: &[u8]) -> f32 {
    f32::from_le_bytes(bytes.try_into().expect("four bytes"))
}
