//! Autoencoders from folders, and what is said about those that do not fit.

use std::fs;
use std::path::{Path, PathBuf};

use ddim_checkpoint::{Autoencoder, AutoencoderFiles, Warning, load, save, save_autoencoder};
use safetensors::SafeTensors;

const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/latent/models");

fn golden(name: &str) -> PathBuf {
    Path::new(MODELS).join(name)
}

/// A copy of a model whose configuration is changed.
fn changed(name: &str, change: impl FnOnce(String) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(golden(name)).expect("a model") {
        let path = entry.expect("a file").path();
        fs::copy(&path, folder.path().join(path.file_name().expect("a name"))).expect("room");
    }
    let config = folder.path().join("config.json");
    fs::write(&config, change(fs::read_to_string(&config).expect("text"))).expect("room");
    folder
}

fn refusal(path: &Path) -> String {
    AutoencoderFiles::open(path).map(|_| ()).expect_err("a refusal").to_string()
}

#[test]
fn folders_files_and_pipelines_are_found() {
    for path in [
        golden("kl_plain_shift"),
        golden("kl_plain_shift/config.json"),
        golden("kl_plain_shift/diffusion_pytorch_model.safetensors"),
        golden("ldm"),
        golden("ldm/model_index.json"),
        golden("ldm/vqvae"),
        golden("dit"),
    ] {
        let read = Autoencoder::load(&path).expect("an autoencoder");
        assert_eq!(read.warnings, [], "{}", path.display());
        assert_eq!(read.codebook.is_some(), path.display().to_string().contains("/ldm"));
    }
}

#[test]
fn names_and_shapes_of_old_releases_give_the_same_weights() {
    let modern = Autoencoder::load(&golden("kl_attention_quant")).expect("an autoencoder");
    for old in ["kl_attention_quant_old_names", "kl_attention_quant_old_convolutions"] {
        let old = Autoencoder::load(&golden(old)).expect("an autoencoder");
        assert!(old.encoder == modern.encoder && old.decoder == modern.decoder);
    }
}

#[test]
fn a_scale_that_is_not_written_is_told() {
    let assumed = |folder: &Path| {
        let files = AutoencoderFiles::open(folder).expect("an autoencoder");
        let [Warning::AssumedScale { factor, .. }] = files.warnings() else { panic!("{:?}", files.warnings()) };
        let scale = files.config().scale().expect("a scale");
        assert!((scale.std()[0] * factor - 1.0).abs() < 1e-12);
        *factor
    };
    assert_eq!(assumed(&golden("kl_attention_quant")), 0.18215);
    for (version, factor) in [("0.4.2", 1.0), ("0.12.0", 0.18215), ("0.42.1", 0.18215), ("1.0", 0.18215)] {
        let old =
            changed("vq_codes", |text| text.replace(r#"  "scaling_factor": 1.0,"#, "").replace("0.42.1", version));
        assert_eq!(assumed(old.path()), factor, "{version}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let wide = changed("kl_plain_shift", |text| text.replace("\"latent_channels\": 16", "\"latent_channels\": 8"));
    let error = refusal(wide.path());
    assert!(error.contains("encoder.conv_out.weight should be [16, 20, 3, 3] and is [32, 20, 3, 3]"), "{error}");
    let large =
        changed("vq_codes", |text| text.replace("\"num_vq_embeddings\": 32", "\"num_vq_embeddings\": 9999999"));
    assert!(refusal(large.path()).contains("quantize.embedding.weight should be [9999999, 3]"));
    let foreign = changed("kl_plain_shift", |text| text.replace("AutoencoderKL", "AsymmetricAutoencoderKL"));
    let error = refusal(foreign.path());
    assert!(error.contains("AsymmetricAutoencoderKL") && error.contains("VQModel"), "{error}");
    let nameless = changed("kl_plain_shift", |text| text.replace("_class_name", "_other_name"));
    assert!(refusal(nameless.path()).contains("_class_name"));
    let zero = changed("kl_plain_shift", |text| text.replace("1.5305", "0"));
    assert!(refusal(zero.path()).contains("`scaling_factor` of the AutoencoderKL configuration is 0"));
    assert!(refusal(Path::new("nowhere")).contains("nowhere"));
    let empty = tempfile::tempdir().expect("a folder");
    assert!(refusal(empty.path()).contains("vae/config.json"));
    let no_weights = changed("kl_plain_shift", |text| text);
    fs::remove_file(no_weights.path().join("diffusion_pytorch_model.safetensors")).expect("a file");
    assert!(refusal(no_weights.path()).contains("weights"));
}

#[test]
fn options_that_no_such_class_has_are_passed_over_and_told() {
    let folder = changed("tiny", |text| text.replacen('{', "{ \"colour\": \"red\",", 1));
    let files = AutoencoderFiles::open(folder.path()).expect("an autoencoder");
    assert!(matches!(files.warnings(), [Warning::UnknownOptions { keys, .. }] if keys == &["colour"]));
}

#[test]
fn the_autoencoder_of_a_pipeline_comes_with_it_and_is_saved_with_it() {
    let model = load(&golden("ldm")).expect("a pipeline");
    let folder = tempfile::tempdir().expect("a folder");
    let saved = folder.path().join("saved");
    save(&model, &saved).expect("room");
    let again = load(&saved).expect("what was saved");
    assert!(
        model.first_stage.is_some() && again.first_stage == model.first_stage && again.denoiser == model.denoiser
    );
    let index = fs::read_to_string(saved.join("model_index.json")).expect("text");
    assert!(index.contains("LDMPipeline") && index.contains("VQModel"), "{index}");
    save(&model, &saved).expect("in place of the one before");
}

/// Tensor for tensor, byte for byte, whatever names they had.
#[test]
fn what_is_saved_is_what_diffusers_has_saved() {
    for (model, modern) in [
        ("kl_attention_quant_old_convolutions", "kl_attention_quant"),
        ("kl_plain_shift", "kl_plain_shift"),
        ("vq_wide_codes_attention", "vq_wide_codes_attention"),
        ("tiny", "tiny"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let saved = folder.path().join("saved");
        save_autoencoder(&Autoencoder::load(&golden(model)).expect("an autoencoder"), &saved).expect("room");
        let bytes = |folder: &Path| fs::read(folder.join("diffusion_pytorch_model.safetensors")).expect("weights");
        let (ours, theirs) = (bytes(&saved), bytes(&golden(modern)));
        let tensors = |bytes| SafeTensors::deserialize(bytes).expect("tensors");
        let (ours, theirs) = (tensors(&ours), tensors(&theirs));
        assert_eq!(ours.len(), theirs.len(), "{model}");
        for (name, tensor) in theirs.iter() {
            let own = ours.tensor(name).expect("under the same name");
            assert_eq!((own.shape(), own.data()), (tensor.shape(), tensor.data()), "{model}: {name}");
        }
        let config = fs::read_to_string(saved.join("config.json")).expect("text");
        assert!(config.contains("\"scaling_factor\""), "{config}");
        assert_eq!(Autoencoder::load(&saved).expect("what was saved").config.to_json(), config);
    }
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for part in ["unet", "scheduler"] {
        fs::create_dir(folder.path().join(part)).expect("room");
        for entry in fs::read_dir(golden("ldm").join(part)).expect("a part") {
            let path = entry.expect("a file").path();
            fs::copy(&path, folder.path().join(part).join(path.file_name().expect("a name"))).expect("room");
        }
    }
    fs::create_dir(folder.path().join("vae")).expect("room");
    for name in ["config.json", "diffusion_pytorch_model.safetensors"] {
        fs::copy(golden("kl_plain_shift").join(name), folder.path().join("vae").join(name)).expect("room");
    }
    let error = load(folder.path()).expect_err("other channels").to_string();
    assert!(
        error.contains("latents of this autoencoder have 16 channels, and the UNet beside it takes 3"),
        "{error}"
    );
}
