//! Where the weights of the network come from: the tensors of a file, batch normalisation folded into kernels.

use ddim_checkpoint::{CheckpointError, Slot, Weights};
use ddim_graph::{Graph, ParameterInfo};

const ARCHITECTURE: &str = "the Inception-v3 of 2015-12-05 in the layout of pytorch-fid or torch-fidelity";

/// What is added to a variance before its root: TensorFlow's batch normalisation in this network.
const EPSILON: f64 = 1e-3;

/// The tensors that a normalisation has in a file.
const NORM: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];

/// Every tensor of a file.
pub(super) fn slots(graph: &Graph) -> Vec<Slot> {
    graph.parameters().iter().flat_map(slots_of).collect()
}

/// The tensors that a parameter and those behind it are made of; none for a bias that its kernel brings.
fn slots_of(info: &ParameterInfo) -> Vec<Slot> {
    let slot = |name: String, shape: &[usize]| Slot { name, shape: shape.to_vec() };
    match unit(info) {
        Some((name, true)) => {
            let norm = NORM.iter().map(|part| slot(format!("{name}.bn.{part}"), &info.shape[..1]));
            std::iter::once(slot(format!("{name}.conv.weight"), &info.shape)).chain(norm).collect()
        }
        Some((_, false)) => Vec::new(),
        None => vec![slot(info.name.clone(), &info.shape)],
    }
}

/// The name of the convolution that a parameter belongs to, and whether it is the kernel; none for the last layer.
fn unit(info: &ParameterInfo) -> Option<(&str, bool)> {
    let (name, part) = info.name.rsplit_once('.')?;
    (name != "fc").then_some((name, part == "weight"))
}

/// The weights in a file, which must hold the tensors of the network and no others. PyTorch's count of the batches
/// that a normalisation has seen means nothing here, and may be there or not.
pub(super) fn read(graph: &Graph, weights: &Weights) -> Result<Vec<Vec<f32>>, CheckpointError> {
    weights.expect(ARCHITECTURE, &slots(graph), |name| name.ends_with(".bn.num_batches_tracked"))?;
    let mut all = Vec::with_capacity(graph.parameters().len());
    for info in graph.parameters() {
        match unit(info) {
            Some((name, true)) => all.extend(folded(weights, name)?),
            Some((_, false)) => {}
            None => all.push(weights.read(&info.name)?),
        }
    }
    Ok(all)
}

/// Kernel and bias. Batch normalisation is folded into them, in f64: with s = weight / sqrt(variance + epsilon),
/// the kernel becomes s kernel and the bias becomes bias - s mean.
fn folded(weights: &Weights, name: &str) -> Result<[Vec<f32>; 2], CheckpointError> {
    let kernels = weights.read(&format!("{name}.conv.weight"))?;
    let norm = |part: &str| weights.read(&format!("{name}.bn.{part}"));
    let [weight, bias, mean, variance] = NORM.map(norm);
    let (weight, bias, mean, variance) = (weight?, bias?, mean?, variance?);
    let scale: Vec<f64> =
        weight.iter().zip(&variance).map(|(w, v)| f64::from(*w) / (f64::from(*v) + EPSILON).sqrt()).collect();
    let shift = bias.iter().zip(&mean).zip(&scale).map(|((b, m), s)| (f64::from(*b) - s * f64::from(*m)) as f32);
    let rows = kernels.chunks_exact(kernels.len() / scale.len()).zip(&scale);
    let kernel = rows.flat_map(|(row, s)| row.iter().map(move |k| (f64::from(*k) * s) as f32)).collect();
    Ok([kernel, shift.collect()])
}
