//! Files that people have and that are not read: what to do about each.

use crate::folder;
use ddim_schedule::quoted;
use std::path::Path;

/// One command of a shell that makes CIFAR-10's python version an npz.
const CIFAR10: &str = "is the python version of CIFAR-10; take the binary one, \
    https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz, or make an npz where the batches lie: python -c \
    \"import pickle, numpy as np; b = [pickle.load(open(f'data_batch_{k}', 'rb'), encoding='bytes') for k in \
    range(1, 6)]; np.savez('cifar10.npz', np.concatenate([x[b'data'] for x in b]).reshape(-1, 3, 32, \
    32).transpose(0, 2, 3, 1), np.concatenate([x[b'labels'] for x in b]))\"";

/// What CIFAR-10's python version is told.
pub(crate) fn cifar10_python() -> String {
    CIFAR10.to_owned()
}

/// What a file is that begins like this, and what to do about it; `None` for what is not known.
pub(crate) fn advice(path: &Path, start: &[u8]) -> Option<String> {
    let (file, stem) = (typed(path), typed(&path.with_extension("")));
    let unpack =
        |what: &str, command: String| Some(format!("is {what}; unpack it, and name the folder: {command}"));
    let is_tar = start.get(257..262) == Some(b"ustar");
    match start {
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Some(format!(
            "is a single NumPy array; make an npz of it: python -c \"import sys, numpy as np; \
             np.savez(sys.argv[2], np.load(sys.argv[1]))\" {file} {}",
            typed(&path.with_extension("npz"))
        )),
        [b'P', b'K', 3, 4, ..] => unpack("a zip archive", format!("unzip {file} -d {stem}")),
        _ if is_tar => {
            let folder = path.parent().filter(|parent| *parent != Path::new(""));
            let into = folder.map_or(String::new(), |folder| format!(" -C {}", typed(folder)));
            unpack("a tar archive", format!("tar -xf {file}{into}"))
        }
        [b'7', b'z', 0xbc, 0xaf, ..] => unpack("a 7z archive", format!("7z x {file} -o{stem}")),
        [b'R', b'a', b'r', b'!', ..] => unpack("a rar archive", format!("unrar x {file}")),
        [0x80, 2..=5, ..] if is_cifar10(path) => Some(cifar10_python()),
        [0x80, 2..=5, ..] => Some(
            "is a Python pickle, which could run any code and is not opened; save its pictures as an npz: \
             numpy.savez('pictures.npz', pictures, labels), uint8 [n, height, width, channels]"
                .to_owned(),
        ),
        [b'P', b'A', b'R', b'1', ..] => export("a Parquet table"),
        [0x89, b'H', b'D', b'F', ..] => export("an HDF5 file"),
        _ if start.starts_with(b"MATLAB 5.0") => export("a MATLAB file"),
        _ if folder::is_unread(path) => {
            let png = typed(&path.with_extension("png"));
            Some(format!("is a picture of a format that is not read; convert it to PNG: magick {file} {png}"))
        }
        _ => None,
    }
}

/// A path as it is typed into a command: in quotes where a shell needs them, and neither an option nor, to `tar`,
/// a file of another machine.
pub(crate) fn typed(path: &Path) -> String {
    let text = path.display().to_string();
    match text.starts_with('-') || path.is_relative() && text.contains(':') {
        true => quoted(&format!("./{text}")),
        false => quoted(&text),
    }
}

fn export(what: &str) -> Option<String> {
    Some(format!(
        "is {what}; save its pictures as PNG files in a folder, or as an npz: numpy.savez('pictures.npz', \
         pictures, labels), uint8 [n, height, width, channels]"
    ))
}

fn is_cifar10(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.starts_with("data_batch_") || name == "test_batch"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_next_command() {
        let says = |path: &str, start: &[u8]| advice(Path::new(path), start).expect("known");
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let numpy = says("a/x.npy", b"\x93NUMPY\x01");
        assert!(numpy.ends_with("np.savez(sys.argv[2], np.load(sys.argv[1]))\" a/x.npy a/x.npz"), "{numpy}");
        assert!(says("a/x.zip", b"PK\x03\x04").ends_with("unzip a/x.zip -d a/x"));
        assert!(says("a/x.tar.gz", &tar).ends_with("tar -xf a/x.tar.gz -C a"));
        assert!(says("x.tar", &tar).ends_with("tar -xf x.tar"));
        assert!(says("c/data_batch_1", b"\x80\x02}q").contains("cifar-10-binary.tar.gz"));
        assert!(says("x.pkl", b"\x80\x04").contains("numpy.savez"));
        assert!(says("x.parquet", b"PAR1").starts_with("is a Parquet table"));
        assert!(says("a/x.TIF", b"II*\0").ends_with("magick a/x.TIF a/x.png"));
        assert_eq!(advice(Path::new("x"), b"hello"), None);
    }

    /// Whatever a path is called, it is one word of the command, and that word is not an option.
    #[test]
    fn commands_can_be_copied_whatever_the_path() {
        let command = |path: &str, start: &[u8]| {
            let said = advice(Path::new(path), start).expect("known");
            said.rsplit_once(": ").expect("a command").1.to_owned()
        };
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(command("my set/it's.zip", b"PK\x03\x04"), r"unzip 'my set/it'\''s.zip' -d 'my set/it'\''s'");
        assert_eq!(command("my set/x.tar", &tar), "tar -xf 'my set/x.tar' -C 'my set'");
        assert_eq!(command("host:x.tar", &tar), "tar -xf ./host:x.tar");
        assert_eq!(command("-x.7z", b"7z\xbc\xaf"), "7z x ./-x.7z -o./-x");
        assert_eq!(command("$(rm x).rar", b"Rar!"), "unrar x '$(rm x).rar'");
        assert_eq!(command("a b.tif", b"II*\0"), "magick 'a b.tif' 'a b.png'");
        assert!(command("a \"b\".npy", b"\x93NUMPY\x01").ends_with("\" 'a \"b\".npy' 'a \"b\".npz'"));
    }
}
