//! Broken and lying files: each an error that names the file and what was expected, and no memory that is not
//! there.

use crate::files::{cifar10_record, folder, gzip, header, idx, npy, npz, open_alone, png, refusal, refused};
use ddim_data::{DataError, open};

/// Every start of a file and every file with one byte changed: an answer of any kind, but no panic. A change to
/// the values is not an error, a missing one always is.
fn endure(name: &str, bytes: &[u8]) {
    for length in 0..bytes.len() {
        assert!(open_alone(name, &bytes[..length]).is_err(), "{name} cut to {length} bytes is read");
    }
    for at in 0..bytes.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut changed = bytes.to_vec();
            changed[at] ^= change;
            let _ = open_alone(name, &changed);
        }
    }
}

#[test]
fn idx_endures_anything() {
    endure("plain-images", &idx(&[2, 2, 3], &[7; 12]));
    endure("images.gz", &gzip(&idx(&[2, 1, 2, 3], &[7; 12])));
}

#[test]
fn npz_endures_anything() {
    let pictures = npy(&header("|u1", "(2, 2, 2)"), &[7; 8]);
    let labels = npy(&header("|u1", "(2,)"), &[0, 1]);
    endure("set.npz", &npz(&[("arr_0", pictures), ("arr_1", labels)]));
}

#[test]
fn pictures_endure_anything() {
    let bytes = png(4, 4, &[1, 2, 3]);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0xff;
        for content in [&bytes[..at], &changed] {
            let _ = open(folder(&[("cat/1.png", content)]).path());
        }
    }
}

#[test]
fn idx_with_a_lying_header() {
    let short = refusal("images", &idx(&[2, 2, 3], &[7; 11]));
    assert!(
        short.ends_with(
            "its header [2, 2, 3] announces 12 bytes of data, but it ends after 11; pictures missing: 1 of 2"
        ),
        "{short}"
    );
    let long = refusal("images", &idx(&[2, 2, 3], &[7; 13]));
    assert!(long.ends_with("announces 12 bytes of data, but it goes on after that"), "{long}");
    let huge = refusal("images", &idx(&[u32::MAX, u32::MAX, u32::MAX, u32::MAX], &[7; 12]));
    assert!(
        huge.contains(&u128::from(u32::MAX).pow(4).to_string()) && huge.contains("at most 4294967296"),
        "{huge}"
    );
    // Just below the limit: read as far as it goes.
    let lie = refusal("images", &idx(&[65_535, 256, 256], &[7; 12]));
    assert!(
        lie.ends_with(
            "announces 4294901760 bytes of data, but it ends after 12; pictures missing: 65535 of 65535"
        ),
        "{lie}"
    );
    let none = refusal("images", &idx(&[0, 28, 28], &[]));
    assert!(none.ends_with("holds nothing: its dimensions are [0, 28, 28]"), "{none}");
}

#[test]
fn idx_of_another_kind() {
    assert!(refusal("images", b"hello, this is not a set").contains("not an image set; known are IDX"));
    assert!(refusal("images", b"GIF89a").contains("is not a picture"));
    assert!(refusal("images", &[0, 0]).ends_with("ends within the header of an IDX file"));
    assert!(
        refusal("images", &[0, 0, 0x0d, 3])
            .ends_with("is IDX of element type 0x0d; only unsigned bytes (0x08) are read")
    );
    assert!(refusal("images", &[0, 0, 8, 9]).ends_with("is IDX with 9 dimensions; 1 to 4 are read"));
    assert!(
        refusal("images", &idx(&[4], &[0; 4])).contains("its dimensions are [4]; pictures are [n, height, width]")
    );
    assert!(
        refusal("images", &idx(&[1, 1, 1, 2], &[0; 2]))
            .ends_with("its pictures are 1x1x2; 1, 3 or 4 channels are read")
    );
}

/// A gigabyte of zeros in a megabyte: unpacked no further than the header says.
#[test]
fn gzip_bombs_are_not_unpacked() {
    let zeros = gzip(&vec![0; 1 << 20]);
    let bomb = [gzip(&idx(&[1, 2, 2], &[])), zeros.repeat(1024)].concat();
    let message = refusal("images.gz", &bomb);
    assert!(message.ends_with("announces 4 bytes of data, but it goes on after that"), "{message}");
    let garbage = refusal("images.gz", &[0x1f, 0x8b, 8, 0, 1, 2, 3]);
    assert!(garbage.contains("images.gz"), "{garbage}");
}

#[test]
fn labels_that_do_not_fit() {
    let images = idx(&[2, 1, 1], &[0, 0]);
    let with = |labels: &[u8]| {
        let folder = folder(&[("images-idx3-ubyte", &images), ("labels-idx1-ubyte", labels)]);
        let message = refused(open, &folder, "images-idx3-ubyte");
        assert!(message.contains("labels-idx1-ubyte"), "{message}");
        message
    };
    assert!(with(&idx(&[3], &[0; 3])).ends_with("3 labels for 2 pictures"));
    // The count is compared before anything is read.
    assert!(with(&idx(&[u32::MAX], &[])).ends_with("4294967295 labels for 2 pictures"));
    assert!(with(&idx(&[2], &[0])).ends_with("announces 2 bytes of data, but it ends after 1"));
    assert!(with(&idx(&[2, 1], &[0, 0])).ends_with("is IDX with 2 dimensions; labels have 1"));
    let many = folder(&[
        ("images-idx3-ubyte", &images),
        ("labels-idx1-ubyte", &idx(&[2], &[0, 2])),
        ("classes.txt", b"a\nb"),
    ]);
    let message = refused(open, &many, "images-idx3-ubyte");
    assert!(message.contains("classes.txt: 2 class names, but label 2 occurs"), "{message}");
}

#[test]
fn names_that_are_no_names() {
    let images = idx(&[1, 1, 1], &[0]);
    let long = folder(&[("images-idx3-ubyte", &images), ("classes.txt", &[b'a'; 2 << 20])]);
    assert!(refused(open, &long, "images-idx3-ubyte").ends_with("it must hold one class name a line"));
    let binary = folder(&[("images-idx3-ubyte", &images), ("classes.txt", &[0xff, 0xfe])]);
    assert!(refused(open, &binary, "images-idx3-ubyte").contains("classes.txt: cannot be read"));
}

#[test]
fn cifar10_that_is_none() {
    let record = cifar10_record(1, [0; 3]);
    let message = refusal("data_batch_1.bin", &record[..3000]);
    assert!(
        message.ends_with("has 3000 bytes; a CIFAR-10 record has 3073, and the file must be a multiple of that"),
        "{message}"
    );
    assert!(
        refusal("x.bin", &cifar10_record(10, [0; 3])).ends_with("has a label 10; those of CIFAR-10 are 0 to 9")
    );
    assert!(refusal("x.bin", &[]).contains("holds nothing"));
}

#[test]
fn npz_with_lying_arrays() {
    let alone = |npy: Vec<u8>| refusal("set.npz", &npz(&[("arr_0", npy)]));
    assert!(refusal("set.npz", b"no zip").contains("is not an npz archive"));
    assert!(refusal("set.npz", &npz(&[("x", vec![])])).contains("has no array arr_0, which holds the pictures"));
    let short = alone(npy(&header("|u1", "(2, 2, 2)"), &[0; 7]));
    assert!(short.ends_with("its arr_0 ends after 7 of 8 bytes; pictures missing: 1 of 2"), "{short}");
    let huge = alone(npy(&header("|u1", "(4294967296, 4294967296, 18446744073709551615)"), &[]));
    assert!(huge.contains("at most 4294967296 are read"), "{huge}");
    let lie = alone(npy(&header("|u1", "(65535, 256, 256)"), &[1; 9]));
    assert!(
        lie.ends_with("its arr_0 ends after 9 of 4294901760 bytes; pictures missing: 65535 of 65535"),
        "{lie}"
    );
    assert!(
        alone(npy(&header("<f4", "(1, 1, 1)"), &[0; 4]))
            .ends_with("its arr_0 is of type <f4; pictures are uint8, |u1")
    );
    assert!(alone(npy(&header("|u1", "(7,)"), &[0; 7])).contains("its dimensions are [7]; pictures are"));
    assert!(alone(npy(&header("|u1", "(0, 2, 2)"), &[])).contains("holds nothing"));
    let fortran = header("|u1", "(1, 1, 1)").replace("False", "True");
    assert!(
        alone(npy(&fortran, &[0]))
            .ends_with("its arr_0 is in Fortran order; save it with numpy.ascontiguousarray")
    );
}

#[test]
fn npz_with_broken_headers() {
    let alone = |npy: Vec<u8>| refusal("set.npz", &npz(&[("arr_0", npy)]));
    assert!(alone(b"PNG and so on".to_vec()).ends_with("its arr_0 is not an npy array of version 1, 2 or 3"));
    assert!(alone(b"\x93NUM".to_vec()).ends_with("its arr_0 ends within its npy header"));
    let long = alone(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{".to_vec());
    assert!(
        long.ends_with("its arr_0 announces an npy header of 4294967295 bytes; at most 65536 are read"),
        "{long}"
    );
    for text in
        ["", "{}", "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (1, 1, 1)}", &"(".repeat(60_000)]
    {
        let message = alone(npy(text, &[0]));
        assert!(
            message.contains("expected are descr, fortran_order and shape") && message.len() < 500,
            "{message}"
        );
    }
    for shape in ["(-1, 2, 2)", "(1.5, 2, 2)", "(99999999999999999999999, 2, 2)", "(1, 2", "1, 2, 2)"] {
        let message = alone(npy(&header("|u1", shape).replace(", }", "}"), &[0; 4]));
        assert!(message.contains("expected are descr, fortran_order and shape"), "{shape}: {message}");
    }
}

#[test]
fn npz_labels_that_do_not_fit() {
    let with = |labels: Vec<u8>| {
        let pictures = npy(&header("|u1", "(2, 1, 1)"), &[0; 2]);
        refusal("set.npz", &npz(&[("arr_0", pictures), ("arr_1", labels)]))
    };
    assert!(with(npy(&header("|u1", "(3,)"), &[0; 3])).ends_with("3 labels for 2 pictures"));
    assert!(
        with(npy(&header("<i8", "(4294967296, 4294967296)"), &[]))
            .ends_with("18446744073709551615 labels for 2 pictures")
    );
    assert!(
        with(npy(&header("<f4", "(2,)"), &[0; 8]))
            .ends_with("its arr_1 is of type <f4; labels are integers, such as int64, <i8")
    );
    assert!(
        with(npy(&header("|i1", "(2,)"), &[0, 0xff])).ends_with("its arr_1 has a label outside of 0 to 16777215")
    );
    assert!(
        with(npy(&header("<u8", "(2,)"), &[0xff; 16])).ends_with("its arr_1 has a label outside of 0 to 16777215")
    );
    assert!(with(npy(&header("<u2", "(2,)"), &[1; 3])).ends_with("its arr_1 ends after 3 of 4 bytes"));
}

#[test]
fn folders_that_are_no_sets() {
    let empty = folder(&[]);
    assert!(refused(open, &empty, "").contains("not an image set"));
    let differing = folder(&[("cat/1.png", &png(2, 2, &[0; 3])), ("dog/1.png", &png(2, 3, &[0; 3]))]);
    let message = refused(open, &differing, "");
    assert!(
        message.contains("1.png is 3x2x3 (height x width x channels), ") && message.contains("1.png is 2x2x3"),
        "{message}"
    );
    let text = folder(&[("cat/1.png", b"hello")]);
    assert!(refused(open, &text, "").contains("1.png: is not a picture"));
    let deep = folder(&[("train/cat/1.png", &png(2, 2, &[0])), ("val/cat/1.png", &png(2, 2, &[0]))]);
    let message = refused(open, &deep, "");
    assert!(message.contains("two folders deep") && message.ends_with("val"), "{message}");
    let other = folder(&[("1.tif", b""), ("2.HEIC", b"")]);
    let message = refused(open, &other, "");
    assert!(message.contains("holds no picture that can be read (2 left out: 1 .heic, 1 .tif)"), "{message}");
    let two = folder(&[("a-images-idx3-ubyte", b""), ("b-images-idx3-ubyte", b"")]);
    assert!(refused(open, &two, "").contains("holds more than one set"));
}

#[test]
fn what_is_not_there() {
    let folder = folder(&[]);
    for name in ["nothing", "nothing.npz", "nothing.bin"] {
        let message = refused(open, &folder, name);
        assert!(message.contains(name) && message.contains("cannot be read"), "{message}");
    }
}

/// 60,000 by 60,000 pixels in 60 bytes.
#[test]
fn huge_pictures_are_not_decoded() {
    let mut bytes = png(1, 1, &[0, 0, 0]);
    bytes[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let checksum = crc(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    let mut gif = b"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    gif.extend(b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;");
    let mut bmp = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\0\0\x01\0\0\0\x01\0\x01\0\x18\0".to_vec();
    bmp.extend([0; 24]);
    for (name, bytes) in [("1.png", bytes), ("1.gif", gif), ("1.bmp", bmp)] {
        let folder = folder(&[(name, &bytes)]);
        let error = open(folder.path()).expect_err(name);
        let message = error.to_string();
        match &error {
            DataError::PictureTooLarge { path, .. } => {
                assert!(path.ends_with(name) && message.contains("at most 268435456 are read"), "{message}");
            }
            // Beyond what its decoder takes.
            DataError::Malformed { path, .. } => assert!(path.ends_with("1.bmp"), "{message}"),
            _ => panic!("{message}"),
        }
    }
}

/// The checksum of a PNG chunk (PNG specification, annex D).
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8)
            .fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 })
    })
}
