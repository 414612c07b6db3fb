//! A small model, and files made by hand.
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use ddim_checkpoint::{Card, Checkpoint, Denoiser, SchedulerConfig, load, save};
use ddim_unet::UNet2DConfig;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tempfile::TempDir;

/// 1x8x8 pictures, two levels, attention in the second and in the middle, two classes.
pub(crate) const CONFIG: &str = r#"{
    "_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 1, "out_channels": 1,
    "block_out_channels": [4, 8], "norm_num_groups": 2, "layers_per_block": 1, "num_class_embeds": 2,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"]
}"#;

pub(crate) const WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";

pub(crate) fn small() -> Checkpoint {
    let config = UNet2DConfig::from_json(CONFIG).expect("it is understood");
    let graph = config.graph().expect("a valid configuration");
    // Numbers without a pattern.
    let numbers = |(k, info): (usize, &ddim_graph::ParameterInfo)| {
        (0..info.len()).map(|i| 0.3 * ((1 + k) as f32 * 12.9898 + i as f32 * 78.233).sin()).collect()
    };
    let weights = graph.parameters().iter().enumerate().map(numbers).collect();
    Checkpoint {
        first_stage: None,
        denoiser: Denoiser::new(config, weights).expect("a valid configuration"),
        scheduler: SchedulerConfig::default(),
        card: Card { name: "small".into(), classes: vec!["a".into(), "b".into()], ..Card::default() },
        warnings: Vec::new(),
    }
}

pub(crate) const FILES: [&str; 5] =
    ["model_index.json", "ddim.json", "unet/config.json", "scheduler/scheduler_config.json", WEIGHTS];

/// A folder with the small model in `model`: copies of one save, so that tests do not wait for the disk.
pub(crate) fn saved() -> (TempDir, PathBuf) {
    static SAVE: LazyLock<[Vec<u8>; 5]> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let model = folder.path().join("model");
        save(&small(), &model).expect("a save");
        FILES.map(|file| fs::read(model.join(file)).expect(file))
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = folder.path().join("model");
    fs::create_dir_all(model.join("unet")).expect("a folder");
    fs::create_dir_all(model.join("scheduler")).expect("a folder");
    for (file, bytes) in FILES.iter().zip(SAVE.iter()) {
        fs::write(model.join(file), bytes).expect(file);
    }
    (folder, model)
}

/// All weights, one after the other.
pub(crate) fn contents(model: &Checkpoint) -> Vec<f32> {
    model.denoiser.weights().concat()
}

/// A tensor by hand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hand {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn tensors(file: &Path) -> Vec<Hand> {
    let bytes = fs::read(file).expect("a weight file");
    let parsed = SafeTensors::deserialize(&bytes).expect("a valid file");
    let mut tensors: Vec<_> = parsed
        .iter()
        .map(|(name, view)| Hand {
            name: name.to_owned(),
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            bytes: view.data().to_vec(),
        })
        .collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    tensors
}

/// Writes the tensors to a safetensors file.
pub(crate) fn write_tensors(file: &Path, tensors: &[Hand]) {
    let views = tensors.iter().map(|tensor| {
        let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes);
        (tensor.name.clone(), view.expect("a valid tensor"))
    });
    safetensors::serialize_to_file(views, None, file).expect("a file");
}

/// Changes the weights of a saved model.
pub(crate) fn edit_weights(model: &Path, edit: impl FnOnce(&mut Vec<Hand>)) {
    let file = model.join(WEIGHTS);
    let mut all = tensors(&file);
    edit(&mut all);
    write_tensors(&file, &all);
}

/// The message of the error that loading must end in.
pub(crate) fn refusal(model: &Path) -> String {
    load(model).expect_err("a refusal").to_string()
}

/// A pickled state dict of f32 tensors as torch.save writes it, with storages in one file each.
pub(crate) fn pickle(tensors: &[Hand]) -> Vec<u8> {
    let mut out = b"\x80\x02".to_vec();
    state_dict(&mut out, tensors);
    out.push(b'.');
    out
}

/// The archive of a dictionary of state dicts, whose tensors share their storages.
pub(crate) fn pickle_of_sets(sets: &[&str], tensors: &[Hand]) -> Vec<u8> {
    let mut out = b"\x80\x02}(".to_vec();
    for set in sets {
        text(&mut out, set);
        state_dict(&mut out, tensors);
    }
    out.extend(b"u.");
    archive_of(out, tensors)
}

/// The archive of what `torch.save(ema.state_dict())` writes of diffusers' EMAModel, under a key of a dictionary,
/// beside a state dict under another where there is a name for it: the same tensors, in a list.
pub(crate) fn pickle_of_list(named: &str, key: &str, tensors: &[Hand]) -> Vec<u8> {
    let mut out = b"\x80\x02}(".to_vec();
    if !named.is_empty() {
        text(&mut out, named);
        state_dict(&mut out, tensors);
    }
    text(&mut out, key);
    out.extend(b"}(");
    text(&mut out, "decay");
    int(&mut out, 1);
    text(&mut out, "shadow_params");
    out.extend(b"](");
    tensors.iter().enumerate().for_each(|(key, each)| tensor(&mut out, key, each));
    out.extend(b"euu.");
    archive_of(out, tensors)
}

/// What a module of PyTorch has in its `__dict__` besides its tables.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Attributes {
    /// Those of every module.
    Plain,
    /// And its configuration, a dictionary of a class of its own, as the models of diffusers have it.
    Configuration,
}

/// The archive of what `torch.save(model)` writes: objects within objects.
pub(crate) fn pickle_of_modules(tensors: &[Hand], attributes: Attributes) -> Vec<u8> {
    let parts = tensors.iter().enumerate().map(|(key, each)| (each.name.split('.').collect::<Vec<_>>(), key));
    let mut out = b"\x80\x02".to_vec();
    module(
        &mut out,
        "diffusers.models.unets.unet_2d\nUNet2DModel",
        &parts.collect::<Vec<_>>(),
        tensors,
        attributes,
    );
    out.push(b'.');
    archive_of(out, tensors)
}

/// A module with the parameters whose names, split at dots, are left over below it.
fn module(out: &mut Vec<u8>, class: &str, parts: &[(Vec<&str>, usize)], tensors: &[Hand], attributes: Attributes) {
    out.extend(format!("c{class}\n)").into_bytes());
    out.extend(b"\x81}(");
    text(out, "training");
    out.push(0x88);
    text(out, "_parameters");
    out.extend(b"}(");
    for (path, key) in parts.iter().filter(|(path, _)| path.len() == 1) {
        text(out, path[0]);
        tensor(out, *key, &tensors[*key]);
    }
    out.push(b'u');
    text(out, "_buffers");
    out.push(b'}');
    text(out, "_non_persistent_buffers_set");
    out.extend(b"c__builtin__\nset\n]\x85R");
    text(out, "_forward_hooks");
    out.extend(b"ccollections\nOrderedDict\n)R");
    text(out, "_modules");
    out.extend(b"}(");
    let mut children: Vec<&str> =
        parts.iter().filter(|(path, _)| path.len() > 1).map(|(path, _)| path[0]).collect();
    children.dedup();
    for child in children {
        let below = parts.iter().filter(|(path, _)| path.len() > 1 && path[0] == child);
        let below: Vec<_> = below.map(|(path, key)| (path[1..].to_vec(), *key)).collect();
        text(out, child);
        module(out, "torch.nn.modules.container\nModuleList", &below, tensors, Attributes::Plain);
    }
    out.push(b'u');
    if attributes == Attributes::Configuration {
        text(out, "_internal_dict");
        out.extend(b"cdiffusers.configuration_utils\nFrozenDict\n)R(");
        text(out, "sample_size");
        int(out, 8);
        out.extend(b"u}(");
        text(out, "_FrozenDict__frozen");
        out.extend(b"\x88ub");
    }
    out.extend(b"ub");
}

fn state_dict(out: &mut Vec<u8>, tensors: &[Hand]) {
    out.extend(b"}(");
    for (key, each) in tensors.iter().enumerate() {
        text(out, &each.name);
        tensor(out, key, each);
    }
    out.push(b'u');
}

/// A tensor, whose values are the storage of this number.
fn tensor(out: &mut Vec<u8>, key: usize, tensor: &Hand) {
    out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    text(out, "storage");
    out.extend(b"ctorch\nFloatStorage\n");
    text(out, &key.to_string());
    text(out, "cpu");
    int(out, tensor.shape.iter().product());
    out.extend(b"tQ");
    int(out, 0);
    let strides = (0..tensor.shape.len()).map(|axis| tensor.shape[axis + 1..].iter().product());
    tuple(out, tensor.shape.iter().copied());
    tuple(out, strides);
    out.extend(b"\x89}tR");
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn int(out: &mut Vec<u8>, value: usize) {
    out.push(b'J');
    out.extend((value as u32).to_le_bytes());
}

fn tuple(out: &mut Vec<u8>, values: impl Iterator<Item = usize>) {
    out.push(b'(');
    values.for_each(|value| int(out, value));
    out.push(b't');
}

/// One entry of a zip archive.
pub(crate) struct ZipEntry {
    pub(crate) name: String,
    pub(crate) method: u16,
    /// The size the directory claims for the unpacked bytes.
    pub(crate) size: u32,
    pub(crate) bytes: Vec<u8>,
}

impl ZipEntry {
    pub(crate) fn stored(name: &str, bytes: Vec<u8>) -> Self {
        Self { name: name.into(), method: 0, size: bytes.len() as u32, bytes }
    }
}

/// A zip archive without checksums, as torch.save can write it.
pub(crate) fn zip(entries: &[ZipEntry]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let offset = out.len() as u32;
        let mut fields = vec![20, 0, 0, 0];
        fields.extend(entry.method.to_le_bytes());
        fields.extend([0; 8]);
        fields.extend((entry.bytes.len() as u32).to_le_bytes());
        fields.extend(entry.size.to_le_bytes());
        fields.extend((entry.name.len() as u16).to_le_bytes());
        fields.extend([0; 2]);
        out.extend(b"PK\x03\x04");
        out.extend(&fields);
        out.extend(entry.name.as_bytes());
        out.extend(&entry.bytes);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&fields);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(entry.name.as_bytes());
    }
    let (start, count) = (out.len() as u32, entries.len() as u16);
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0; 2]);
    out
}

/// The archive that torch.save would make of these tensors.
pub(crate) fn archive(tensors: &[Hand]) -> Vec<u8> {
    archive_of(pickle(tensors), tensors)
}

fn archive_of(pickle: Vec<u8>, tensors: &[Hand]) -> Vec<u8> {
    let mut entries = vec![ZipEntry::stored("archive/data.pkl", pickle)];
    for (key, tensor) in tensors.iter().enumerate() {
        entries.push(ZipEntry::stored(&format!("archive/data/{key}"), tensor.bytes.clone()));
    }
    zip(&entries)
}

/// Replaces the safetensors file of a saved model by these bytes as a `.bin`.
pub(crate) fn replace_by_bin(model: &Path, bytes: &[u8]) {
    fs::remove_file(model.join(WEIGHTS)).expect("a weight file");
    fs::write(model.join("unet/diffusion_pytorch_model.bin"), bytes).expect("a file");
}
