//! Which pictures a set has, what is left out of it, and what is read when.

use crate::files::{cifar10_record, folder, gzip, header, idx, npy, npz, png};
use ddim_data::{Changes, DataError, Fit, LeftOut, Reason, Resize, Source, open};
use std::path::Path;
use tempfile::TempDir;

fn found(folder: &TempDir) -> Source {
    Source::open(folder.path()).expect("a set")
}

/// Length, class names, and what is said about the rest.
fn told(folder: &TempDir) -> (usize, Vec<String>, String) {
    let source = found(folder);
    let left_out = source.left_out();
    let left_out = if left_out.is_empty() { String::new() } else { left_out.to_string() };
    (source.len(), source.class_names().to_vec(), left_out)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn pictures_and_folders_of_them_are_one_set_the_larger_one() {
    let picture = png(1, 1, &[9]);
    let flat = folder(&[("1.png", &picture), ("2.png", &picture), ("old/1.png", &picture)]);
    assert_eq!(told(&flat), (2, vec![], "1 left out: 1 picture in a sub-folder".to_owned()));
    let classes = folder(&[("preview.png", &picture), ("cat/1.png", &picture), ("dog/1.png", &picture)]);
    let said = "1 left out: 1 picture beside the folders of classes".to_owned();
    assert_eq!(told(&classes), (2, names(&["cat", "dog"]), said));
    let even = folder(&[("1.png", &picture), ("cat/1.png", &picture)]);
    assert_eq!(told(&even).0, 1);
    assert_eq!(found(&even).labels(), Some([0].as_slice()));
}

#[test]
fn folders_that_are_no_class_are_said() {
    let picture = png(1, 1, &[9]);
    let folder = folder(&[
        ("cat/1.png", &picture),
        ("cat/more/1.png", &picture),
        ("dog/notes.txt", b""),
        ("emu/1.png", &picture),
        ("thumbs/1.png", &picture),
        ("__MACOSX/1.png", &picture),
        (".cache/1.png", &picture),
        ("cat/._1.png", b"resource fork"),
    ]);
    let (count, classes, said) = told(&folder);
    assert_eq!((count, classes), (2, names(&["cat", "emu"])));
    assert_eq!(
        said,
        "4 left out: 1 folder within that of a class, 1 folder without pictures, 2 folders of thumbnails"
    );
    assert_eq!(found(&folder).labels(), Some([0, 1].as_slice()));
}

#[test]
fn formats_that_are_not_read_are_counted_by_name() {
    let mut ppm = b"P6 1 1 255\n".to_vec();
    ppm.extend([1, 2, 3]);
    let mut jfif = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(1, 1).write_to(&mut jfif, image::ImageFormat::Jpeg).expect("into memory");
    let folder = folder(&[
        ("a.ppm", &ppm),
        ("b.JFIF", &jfif.into_inner()),
        ("c.tif", b"II*\0"),
        ("d.TIFF", b"II*\0"),
        ("e.tif", b"II*\0"),
        ("f.txt", b"a caption"),
    ]);
    assert_eq!(told(&folder), (2, vec![], "3 left out: 2 .tif, 1 .tiff".to_owned()));
    assert_eq!(open(folder.path()).expect("both").pixels[..3], [1, 2, 3]);
}

#[test]
fn the_majority_decides_and_never_the_first() {
    let (grey, rgb, rgba) = (png(2, 2, &[50]), png(2, 2, &[10, 20, 30]), png(2, 2, &[255, 0, 0, 0]));
    let folder = folder(&[
        ("0.png", &grey),
        ("1.png", &rgb),
        ("2.png", &rgb),
        ("3.png", &rgba),
        ("4.png", &png(9, 2, &[0; 3])),
    ]);
    let source = found(&folder);
    assert_eq!(source.shape().expect("headers"), [2, 2, 3]);
    assert_eq!((0..5).map(|k| source.header(k).expect("a header")[2]).collect::<Vec<_>>(), [1, 3, 3, 4, 3]);
    let error = open(folder.path()).expect_err("one is wider").to_string();
    assert!(error.contains("4.png is 2x9x3 (height x width x channels), "), "{error}");
    assert!(error.contains("0.png is 2x2x3 as most of the set"), "{error}");
    let mut left_out = LeftOut::default();
    let (set, changes) = source
        .collect(0..5, &Fit::default(), |error| {
            left_out.add(Path::new("x"), Reason::of(&error));
            Ok(())
        })
        .expect("four are left");
    assert_eq!(
        set.pixels.chunks(12).map(|picture| picture[..3].to_vec()).collect::<Vec<_>>(),
        [vec![50; 3], vec![10, 20, 30], vec![10, 20, 30], vec![255; 3]]
    );
    assert_eq!(changes, Changes { resized: 0, to_grey: 0, to_colour: 1, laid_over: 1 });
    assert_eq!(left_out.to_string(), "1 left out: 1 of another size");
    let fit = Fit { size: Some([4, 4]), channels: Some(1), resize: Resize::Stretch, ..Fit::default() };
    let (set, changes) = source.collect(1..5, &fit, Err).expect("all");
    assert_eq!((set.shape, set.len(), changes.resized, changes.to_grey), ([4, 4, 1], 4, 4, 4));
}

/// Where none is more frequent: the smaller size, and RGB.
#[test]
fn a_tie_is_settled_by_what_can_be_made() {
    let folder = folder(&[("0.png", &png(9, 9, &[0])), ("1.png", &png(2, 2, &[0; 3]))]);
    assert_eq!(found(&folder).shape().expect("headers"), [2, 2, 3]);
}

#[test]
fn a_png_with_a_transparent_colour_is_laid_over_the_ground() {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_trns(vec![0, 9, 0, 9, 0, 9]);
    let mut writer = encoder.write_header().expect("into memory");
    writer.write_image_data(&[9, 9, 9, 1, 2, 3]).expect("into memory");
    writer.finish().expect("into memory");
    let folder = folder(&[("1.png", &bytes)]);
    let fit = Fit { channels: Some(3), ground: [7, 8, 9], ..Fit::default() };
    let (set, changes) = found(&folder).collect(0..1, &fit, Err).expect("fine");
    assert_eq!((set.pixels, changes.laid_over), (vec![7, 8, 9, 1, 2, 3], 1));
}

/// A file of 6 GB, of which two pictures are there: those are read, and all of it is refused beforehand.
#[test]
fn only_what_is_asked_for_is_read() {
    let pictures = npy(&header("|u1", "(100000, 256, 256)"), &[[1; 65536], [2; 65536]].concat());
    let packed = folder(&[
        ("set.npz", &npz(&[("arr_0", pictures)])),
        ("t-images-idx3-ubyte.gz", &gzip(&idx(&[100_000, 256, 256], &[3; 65536]))),
    ]);
    let source = Source::open(&packed.path().join("set.npz")).expect("a header");
    assert_eq!(source.len(), 100_000);
    // In any order.
    for k in [1, 0, 1] {
        assert_eq!(source.read(k).expect("there").pixels[0], k as u8 + 1);
    }
    assert!(matches!(source.read(2), Err(DataError::BreaksOff { pictures: 99_998, .. })));
    assert_eq!(source.collect(0..2, &Fit::default(), Err).expect("two").0.len(), 2);
    let error = source.collect(0..100_000, &Fit::default(), Err).expect_err("too much").to_string();
    assert!(error.contains("6553600000 bytes of data; at most 4294967296"), "{error}");
    let zipped = Source::open(&packed.path().join("t-images-idx3-ubyte.gz")).expect("a header");
    assert_eq!(zipped.read(0).expect("there").pixels[9], 3);
    let error = zipped.read(1).expect_err("not there").to_string();
    let said = "announces 6553600000 bytes of data, but it ends after 65536; pictures missing: 99999 of 100000";
    assert!(error.ends_with(said), "{error}");
}

/// What is left out of a set that is read with broken pictures left out, and how many problems that were.
fn problems(source: &Source, part: std::ops::Range<usize>) -> (usize, Vec<String>, String) {
    let (mut left_out, mut said) = (LeftOut::default(), Vec::new());
    let collected = source.collect(part, &Fit::default(), |error| {
        left_out.add_error(&error);
        said.push(error.to_string());
        Ok(())
    });
    (collected.expect("some are there").0.len(), said, left_out.to_string())
}

/// A file that breaks off is one problem, however many pictures it announces, and is not opened again for each:
/// that would not end here.
#[test]
fn what_a_file_does_not_hold_is_one_problem_with_a_count() {
    let npz_of =
        |count: usize, bytes: &[u8]| npz(&[("arr_0", npy(&header("|u1", &format!("({count}, 2, 2)")), bytes))]);
    let many = 1 << 30;
    let packed = gzip(&idx(&[2_000_000, 2, 2], &(0..200).collect::<Vec<u8>>()));
    let folder = folder(&[
        ("lie.npz", &npz_of(many, &[7; 4 * 3 + 1])),
        ("cut-images-idx3-ubyte.gz", &packed[..packed.len() - 12]),
        ("lie-images-idx3-ubyte.gz", &packed),
    ]);
    let open = |name: &str| Source::open(&folder.path().join(name)).expect("a header");
    let (read, said, left_out) = problems(&open("lie.npz"), 0..many);
    assert_eq!((read, said.len()), (3, 1));
    assert!(
        said[0]
            .ends_with("its arr_0 ends after 13 of 4294967296 bytes; pictures missing: 1073741821 of 1073741824")
    );
    assert_eq!(left_out, "1073741821 left out: 1073741821 behind where the file breaks off");
    // No more are missing than were asked for.
    let (read, _, left_out) = problems(&open("lie.npz"), 2..10);
    assert_eq!((read, left_out.as_str()), (1, "7 left out: 7 behind where the file breaks off"));
    let (read, said, _) = problems(&open("lie-images-idx3-ubyte.gz"), 0..2_000_000);
    assert_eq!((read, said.len()), (50, 1));
    // Packed, and cut off as a download is.
    let (read, said, left_out) = problems(&open("cut-images-idx3-ubyte.gz"), 0..2_000_000);
    assert!(read > 0 && read <= 50 && said.len() == 1, "{read}: {said:?}");
    assert!(
        said[0].contains("cannot be read behind ") && said[0].contains(" of 8000000 bytes of pictures: "),
        "{said:?}"
    );
    assert_eq!(left_out, format!("{0} left out: {0} behind where the file breaks off", 2_000_000 - read));
}

/// In any order, from any number on: what is there stays there, and the first missing one is found from behind,
/// too.
#[test]
fn a_file_that_breaks_off_still_gives_what_is_before() {
    let lie = npz(&[("arr_0", npy(&header("|u1", "(4611686018427387904, 2, 2)"), &[1, 1, 1, 1, 2, 2, 2, 2, 3]))]);
    let folder = folder(&[("lie.npz", &lie)]);
    let source = Source::open(&folder.path().join("lie.npz")).expect("a header");
    for (index, pictures) in
        [(4_611_686_018_427_387_903, 1), (2, 4_611_686_018_427_387_902), (7, 4_611_686_018_427_387_897)]
    {
        let error = source.read(index).expect_err("not there");
        assert!(error.to_string().contains("ends after 9 of"), "{error}");
        assert_eq!(error.pictures(), pictures);
    }
    assert_eq!([1, 0].map(|k| source.read(k).expect("there").pixels[0]), [2, 1]);
}

#[test]
fn a_picture_is_known_by_its_file_and_number() {
    let record = |label| cifar10_record(label, [label; 3]);
    let folder =
        folder(&[("data_batch_1.bin", &[record(1), record(2)].concat()), ("data_batch_2.bin", &record(3))]);
    let source = found(&folder);
    assert_eq!((source.len(), source.labels()), (3, Some([1, 2, 3].as_slice())));
    assert!(source.name(1).ends_with("data_batch_1.bin[1]"));
    assert!(source.name(2).ends_with("data_batch_2.bin[0]"));
    assert_eq!([0, 1, 2, 0].map(|k| source.read(k).expect("there").pixels[5]), [1, 2, 3, 1]);
}

#[test]
fn what_is_not_read_says_what_to_do() {
    let refused = |name: &str, bytes: &[u8]| {
        let folder = folder(&[(name, bytes)]);
        Source::open(&folder.path().join(name)).expect_err(name).to_string()
    };
    assert!(refused("x.npy", &npy(&header("|u1", "(1, 1, 1)"), &[0])).contains("np.savez("));
    assert!(refused("edm.zip", &npz(&[("a", vec![])])).contains("unzip "));
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    assert!(refused("cifar-10-python.tar.gz", &gzip(&tar)).contains("tar -xf "));
    assert!(refused("data_batch_1", b"\x80\x02}q\x01").contains("cifar-10-binary.tar.gz"));
    let python = folder(&[("data_batch_1", b"\x80\x02"), ("test_batch", b"\x80\x02"), ("readme.html", b"")]);
    let error = Source::open(python.path()).expect_err("pickles").to_string();
    assert!(error.contains("np.savez('cifar10.npz'"), "{error}");
    let medmnist = npz(&[("train_images", npy(&header("|u1", "(1, 1, 1)"), &[0])), ("train_labels", vec![])]);
    assert!(refused("m.npz", &medmnist).ends_with("/m.npz train_images pictures.npz"));
    // The names in an archive are a stranger's.
    let odd = npz(&[("image'; rm x #", npy(&header("|u1", "(1, 1, 1)"), &[0]))]);
    assert!(refused("o.npz", &odd).ends_with(r"/o.npz 'image'\''; rm x #' pictures.npz"));
    let planes = npz(&[("arr_0", npy(&header("|u1", "(1, 3, 8, 8)"), &[0; 192]))]);
    assert!(refused("p.npz", &planes).contains(".transpose(0, 2, 3, 1)"));
}

/// A picture is told by its content where its name says nothing.
#[test]
fn a_file_without_an_ending_may_be_a_picture() {
    let folder = folder(&[("photo", &png(1, 1, &[9]))]);
    assert_eq!(open(&folder.path().join("photo")).expect("a picture").pixels, [9]);
}

#[cfg(target_os = "linux")]
#[test]
fn names_need_not_be_utf_8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = folder(&[]);
    let class = folder.path().join(OsStr::from_bytes(b"chat\xe9"));
    std::fs::create_dir(&class).expect("writable");
    std::fs::write(class.join(OsStr::from_bytes(b"\xff.png")), png(1, 1, &[9])).expect("writable");
    let set = open(folder.path()).expect("fine");
    assert_eq!((set.pixels, set.class_names), (vec![9], vec!["chat\u{fffd}".to_owned()]));
    assert_eq!(open(&class.join(OsStr::from_bytes(b"\xff.png"))).expect("fine").len(), 1);
}
