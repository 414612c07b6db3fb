//! Pictures of one's own, as far as a shell cannot type them.

use std::path::Path;

use image::{GrayImage, ImageFormat, Luma};

use crate::program::{Tensors, ddim, finish, folder, golden};

const MODEL: &str = "no_attention_two_layers_odd_channels";

fn picture(path: &Path, level: u8) {
    let picture = GrayImage::from_pixel(16, 16, Luma([level]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).expect("into memory");
    std::fs::write(path, bytes.into_inner()).expect("writable");
}

/// Names of any bytes, in every command that takes pictures.
#[cfg(target_os = "linux")]
#[test]
fn names_of_pictures_need_not_be_utf_8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = folder();
    let set = folder.path().join(OsStr::from_bytes(b"s\xe9t"));
    std::fs::create_dir(&set).expect("writable");
    for k in 0..3 {
        picture(&set.join(OsStr::from_bytes(&[0xff, b'0' + k, b'.', b'p', b'n', b'g'])), 50 * k);
    }
    let one = set.join(OsStr::from_bytes(b"\xff0.png"));
    let model = golden(MODEL);
    let run = |words: &[&OsStr]| {
        let mut command = ddim(folder.path());
        command.args(words).args(["--device", "cpu"]);
        finish(command).expect_success()
    };
    let word = OsStr::new;
    let [model, set, one] = [model.as_os_str(), set.as_os_str(), one.as_os_str()];
    run(&[
        word("encode"),
        set,
        one,
        word("--model"),
        model,
        word("--steps"),
        word("1"),
        word("--out"),
        word("a.safetensors"),
    ]);
    let (_, shape) = Tensors::read(&folder.path().join("a.safetensors")).get("initial_noise").expect("encoded");
    assert_eq!(shape, [4, 1, 16, 16]);
    run(&[
        word("sample"),
        word("--init"),
        one,
        word("--model"),
        model,
        word("--steps"),
        word("2"),
        word("--num"),
        word("1"),
    ]);
    let kernel = [word("eval"), set, set, word("--metrics"), word("sliced")];
    assert!(run(&kernel).stdout.contains("(3 pictures)"));
    let ends = [word("interpolate"), word("--from"), one, word("--to"), one, word("--model"), model];
    run(&[
        ends.as_slice(),
        &[word("--steps"), word("1"), word("--count"), word("2"), word("--out"), word("b.png")],
    ]
    .concat());
}

/// A few hundred bytes that announce 400 MB and more are refused by their header.
#[test]
fn a_huge_picture_is_refused_with_its_size() {
    let folder = folder();
    let path = folder.path().join("huge.jpg");
    let mut bytes = std::io::Cursor::new(Vec::new());
    GrayImage::new(16, 16).write_to(&mut bytes, ImageFormat::Jpeg).expect("into memory");
    let mut bytes = bytes.into_inner();
    let frame = bytes.windows(2).position(|marker| marker == [0xff, 0xc0]).expect("a baseline frame");
    bytes[frame + 5..frame + 9].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]); // 20000 x 20000
    std::fs::write(&path, bytes).expect("writable");
    let mut command = ddim(folder.path());
    command.args(["encode", "huge.jpg", "--device", "cpu", "--out", "a.safetensors"]);
    let ran = finish(command);
    assert_eq!(ran.code, 1);
    let said = "huge.jpg: is 20000x20000 pixels, or says so, which take 400000000 bytes unpacked; pictures of at most 268435456 are read";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
}
