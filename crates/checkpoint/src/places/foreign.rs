//! Files of other programs, which hold no model that is read.

/// What a file of other programs is, and what to do with it.
pub(super) fn foreign(name: &str) -> Option<(&'static str, &'static str)> {
    let name = name.to_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if ends(&[".pkl", ".pickle"]) {
        return Some((
            "a pickle of Python objects, as EDM's networks are, which only the program that wrote it can open",
            "the network has to be a UNet2DModel of diffusers: load it in Python, copy its weights into one and \
             call save_pretrained(\"model\"); then give the folder model",
        ));
    }
    if ends(&[".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z"]) {
        return Some(("an archive", "unpack it, and give the folder that comes out"));
    }
    if ends(&[".onnx", ".gguf", ".h5", ".msgpack", ".tflite"]) {
        return Some(("a network in another format", "give the folder of the PyTorch or safetensors weights"));
    }
    None
}
