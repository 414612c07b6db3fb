//! Running the program in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The three tiny models of the goldens.
pub(crate) const MODELS: [&str; 3] =
    ["attention_one_layer", "classes_scale_shift", "no_attention_two_layers_odd_channels"];

/// Where the tiny autoencoders are, and pipelines with some.
pub(crate) fn autoencoders() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/latent/models")
}

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Fails the test with everything the program said, unless it succeeded.
    pub(crate) fn expect_success(self) -> Self {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

/// A folder that is removed at the end of the test.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A path below `tests/goldens/models`.
pub(crate) fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/models").join(path)
}

/// Two tiny models that take numbers in place of classes, `timestep` and `identity`, into a folder: that of the
/// goldens without classes, whose layers of times are those of numbers, too.
pub(crate) fn lay_out_labelled(folder: &Path) {
    for kind in ["timestep", "identity"] {
        let model = folder.join(kind);
        copy(&golden("attention_one_layer"), &model);
        let config = model.join("unet/config.json");
        let text = fs::read_to_string(&config).expect("readable");
        let typed = format!("\"class_embed_type\": \"{kind}\"");
        assert!(text.contains("\"class_embed_type\": null"));
        fs::write(&config, text.replace("\"class_embed_type\": null", &typed)).expect("writable");
    }
    let file = folder.join("timestep/unet/diffusion_pytorch_model.safetensors");
    let bytes = fs::read(&file).expect("readable");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let of_times =
        |(name, view): (&str, _)| Some((format!("class_embedding{}", name.strip_prefix("time_embedding")?), view));
    let all = tensors.iter().map(|(name, view)| (name.to_owned(), view));
    let all: Vec<_> = all.chain(tensors.iter().filter_map(of_times)).collect();
    safetensors::serialize_to_file(all, None, &file).expect("writable");
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("writable");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::write(target, fs::read(path).expect("readable")).expect("writable");
        }
    }
}

/// The program, in `folder`, untouched by the environment of whoever runs the tests.
pub(crate) fn ddim(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddim"));
    command.current_dir(folder).env("COLUMNS", "80").stdin(Stdio::null());
    for name in ["RUST_LOG", "DDIM_SHARDS", "DDIM_TOKEN", "JOB_COMPLETION_INDEX"] {
        command.env_remove(name);
    }
    for name in ["ID", "COUNT", "MIN", "MAX", "STEP"] {
        command.env_remove(format!("SLURM_ARRAY_TASK_{name}"));
    }
    // Without it the Vulkan loader's own layers complain on stderr.
    command.env("XDG_RUNTIME_DIR", folder);
    command
}

/// Runs the program on the CPU with these words.
pub(crate) fn sample(folder: &Path, model: &str, words: &str) -> Ran {
    let mut command = ddim(folder);
    command.args(["sample", "--device", "cpu", "--model"]).arg(golden(model)).args(words.split_whitespace());
    finish(command)
}

/// Runs a command to its end.
pub(crate) fn finish(mut command: Command) -> Ran {
    let output = command.output().expect("the program starts");
    Ran {
        code: output.status.code().expect("an exit code"),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// The tensors of a safetensors file, as f64 with their shapes.
pub(crate) struct Tensors(Vec<u8>);

impl Tensors {
    pub(crate) fn read(path: &Path) -> Self {
        Self(fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// Values and shape, `None` if there is no tensor of that name.
    pub(crate) fn get(&self, name: &str) -> Option<(Vec<f64>, Vec<usize>)> {
        let tensors = safetensors::SafeTensors::deserialize(&self.0).expect("safetensors");
        let tensor = tensors.tensor(name).ok()?;
        let data = tensor.data();
        let values = match tensor.dtype() {
            safetensors::Dtype::F32 => {
                data.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word).into()).collect()
            }
            safetensors::Dtype::I64 => {
                data.as_chunks().0.iter().map(|word| i64::from_le_bytes(*word) as f64).collect()
            }
            safetensors::Dtype::U8 => data.iter().map(|byte| f64::from(*byte)).collect(),
            other => panic!("{name} is {other:?}"),
        };
        Some((values, tensor.shape().to_vec()))
    }

    /// Values of a tensor that is there.
    pub(crate) fn values(&self, name: &str) -> Vec<f64> {
        self.get(name).unwrap_or_else(|| panic!("a tensor {name}")).0
    }

    /// The metadata of that name.
    pub(crate) fn metadata(&self, name: &str) -> String {
        let (_, header) = safetensors::SafeTensors::read_metadata(&self.0).expect("a header");
        header.metadata().as_ref().expect("metadata")[name].clone()
    }
}
