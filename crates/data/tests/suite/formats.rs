//! Each format, read as it is meant.

use crate::files::{cifar10_record, folder, gzip, header, idx, npy, npz, open_alone, png};
use ddim_data::{Alpha, ImageSet, Source, open};

#[test]
fn idx_of_three_dimensions_is_grey() {
    let values: Vec<u8> = (0..12).collect();
    let set = open_alone("train-images-idx3-ubyte", &idx(&[2, 2, 3], &values)).expect("fine");
    assert_eq!((set.shape, set.len(), set.labels.as_ref()), ([2, 3, 1], 2, None));
    assert_eq!(set.image(1), [6, 7, 8, 9, 10, 11]);
}

#[test]
fn idx_of_four_dimensions_has_channels() {
    let values: Vec<u8> = (0..16).collect();
    let set = open_alone("tiles", &idx(&[2, 1, 2, 4], &values)).expect("fine");
    assert_eq!((set.shape, set.image(0)), ([1, 2, 4], &values[..8]));
}

#[test]
fn idx_is_unpacked_whatever_its_name_and_finds_labels_and_names() {
    let images = gzip(&idx(&[3, 1, 1], &[5, 6, 7]));
    let labels = gzip(&idx(&[3], &[1, 0, 1]));
    for (image_name, label_name) in [
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("images-idx3-ubyte.gz", "labels-idx1-ubyte"),
        // As Kaggle has them.
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
        ("t10k-images.idx3-ubyte", "t10k-labels-idx1-ubyte"),
    ] {
        let folder = folder(&[
            (image_name, &images),
            (label_name, &labels),
            ("classes.txt", b"\xef\xbb\xbfoff\n\n on \r\n"),
        ]);
        for path in [folder.path().join(image_name), folder.path().to_owned()] {
            let set = open(&path).expect("fine");
            assert_eq!(set.pixels, [5, 6, 7]);
            assert_eq!(set.labels, Some(vec![1, 0, 1]));
            assert_eq!(
                (set.class_names.as_slice(), set.classes()),
                (["off".to_owned(), "on".to_owned()].as_slice(), 2)
            );
        }
    }
}

#[test]
fn a_gzip_file_may_have_several_members() {
    let bytes = idx(&[2, 1, 2], &[1, 2, 3, 4]);
    let (first, second) = bytes.split_at(18);
    let set = open_alone("images", &[gzip(first), gzip(second)].concat()).expect("fine");
    assert_eq!(set.pixels, [1, 2, 3, 4]);
}

#[test]
fn cifar10_planes_become_pixels() {
    let first = [cifar10_record(3, [10, 20, 30]), cifar10_record(9, [1, 2, 3])].concat();
    let second = cifar10_record(0, [7, 8, 9]);
    let folder = folder(&[
        ("data_batch_2.bin", &second),
        ("data_batch_1.bin", &first),
        ("test_batch.bin", &cifar10_record(5, [0, 0, 0])),
        ("batches.meta.txt", b"airplane\n"),
    ]);
    let set = open(folder.path()).expect("fine");
    assert_eq!((set.shape, set.labels), ([32, 32, 3], Some(vec![3, 9, 0])));
    assert_eq!(set.pixels[..6], [10, 20, 30, 10, 20, 30]);
    assert_eq!(set.pixels[2 * 3072..][..3], [7, 8, 9]);
    assert_eq!((set.class_names.len(), set.class_names[9].as_str()), (10, "truck"));
    let one = open(&folder.path().join("data_batch_2.bin")).expect("fine");
    assert_eq!((one.len(), one.labels), (1, Some(vec![0])));
}

#[test]
fn npz_holds_pictures_and_labels() {
    let pictures = npy(&header("|u1", "(2, 1, 2, 3)"), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    let eights = npy(&header("<i8", "(2,)"), &[[3, 0, 0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0]].concat());
    let set = open_alone("set.npz", &npz(&[("arr_0", pictures.clone()), ("arr_1", eights)])).expect("fine");
    assert_eq!((set.shape, set.labels.as_ref()), ([1, 2, 3], Some(&vec![3, 257])));
    assert_eq!((set.image(1), set.classes()), ([6, 7, 8, 9, 10, 11].as_slice(), 258));
    let without = open_alone("set.npz", &npz(&[("arr_0", pictures)])).expect("fine");
    assert_eq!(without.labels, None);
}

#[test]
fn npz_labels_may_be_integers_of_any_size() {
    for (descr, bytes) in [("|u1", vec![7u8]), ("|i1", vec![7]), ("<u2", vec![7, 0]), ("<i4", vec![7, 0, 0, 0])] {
        let pictures = npy(&header("|u1", "(1, 1, 1)"), &[9]);
        let labels = npy(&header(descr, "(1,)"), &bytes);
        let set = open_alone("set.npz", &npz(&[("arr_0", pictures), ("arr_1", labels)])).expect(descr);
        assert_eq!(set.labels, Some(vec![7]), "{descr}");
    }
}

#[test]
fn npy_headers_of_later_versions_and_other_spacing_are_read() {
    let text = b"{\"shape\":(1,2,1),\"fortran_order\":False,\"descr\":\"|u1\"}";
    for version in [2, 3] {
        let mut npy = vec![0x93, b'N', b'U', b'M', b'P', b'Y', version, 0];
        npy.extend((text.len() as u32).to_le_bytes());
        npy.extend(text);
        npy.extend([4, 5]);
        let set = open_alone("set.npz", &npz(&[("arr_0", npy)])).expect("fine");
        assert_eq!((set.shape, set.pixels), ([2, 1, 1], vec![4, 5]));
    }
}

#[test]
fn sub_folders_are_classes_in_order_of_their_names() {
    let folder = folder(&[
        ("dog/b.PNG", &png(3, 2, &[1, 2, 3])),
        ("dog/a.png", &png(3, 2, &[4, 5, 6])),
        ("dog/notes.txt", b"not a picture"),
        ("cat/1.png", &png(3, 2, &[7, 8, 9])),
        (".hidden/1.png", &png(9, 9, &[0])),
        ("readme.txt", b"not a picture"),
    ]);
    let set = open(folder.path()).expect("fine");
    assert_eq!((set.shape, set.labels.as_deref()), ([2, 3, 3], Some([0, 1, 1].as_slice())));
    assert_eq!(set.class_names, ["cat", "dog"]);
    let first_pixels: Vec<&[u8]> = (0..3).map(|index| &set.image(index)[..3]).collect();
    assert_eq!(first_pixels, [[7, 8, 9], [4, 5, 6], [1, 2, 3]]);
}

#[test]
fn a_folder_without_sub_folders_has_no_labels() {
    let folder = folder(&[("1.png", &png(2, 2, &[50])), ("2.png", &png(2, 2, &[60]))]);
    let set = open(folder.path()).expect("fine");
    assert_eq!((set.shape, set.labels, set.pixels), ([2, 2, 1], None, vec![50, 50, 50, 50, 60, 60, 60, 60]));
}

/// What `ddim sample` and `ddim train` write into a folder: pictures that show others once more.
#[test]
fn the_overview_of_a_run_is_not_one_of_its_pictures() {
    let (picture, overview) = (png(2, 2, &[50]), png(4, 2, &[50]));
    for (name, beside) in [("grid.png", "run.json"), ("samples.png", "train.safetensors")] {
        let folder = folder(&[("0.png", &picture), (name, &overview), (beside, b"{}")]);
        assert_eq!(open(folder.path()).expect("fine").len(), 1);
        let source = || Source::open(folder.path()).expect("fine");
        assert_eq!(source().file(0), folder.path().join("0.png"));
        assert_eq!(source().left_out().to_string(), "1 left out: 1 overview of a run");
        std::fs::remove_file(folder.path().join("0.png")).expect("there");
        let alone = Source::open(folder.path()).expect_err("nothing else").to_string();
        assert!(
            alone.contains(&format!("holds no pictures but {name}, in which a run shows many in one")),
            "{alone}"
        );
        std::fs::remove_file(folder.path().join(beside)).expect("there");
        assert_eq!(source().len(), 1, "without a run it is a picture like any other");
    }
}

#[test]
fn a_picture_file_is_a_set_of_one() {
    let set = open_alone("1.PNG", &png(2, 3, &[50])).expect("fine");
    assert_eq!((set.len(), set.labels), (1, None));
}

#[test]
fn the_content_of_a_picture_counts_and_not_its_ending() {
    let mut bmp = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(2, 1, image::Rgb([9, 8, 7]))
        .write_to(&mut bmp, image::ImageFormat::Bmp)
        .expect("fine");
    let folder = folder(&[("really-bmp.png", &bmp.into_inner())]);
    let set = open(folder.path()).expect("fine");
    assert_eq!((set.shape, set.pixels), ([1, 2, 3], vec![9, 8, 7, 9, 8, 7]));
}

#[test]
fn alpha_is_kept_dropped_or_laid_over_a_colour() {
    let folder = folder(&[("1.png", &png(1, 1, &[200, 100, 0, 51]))]);
    let set = open(folder.path()).expect("fine");
    assert_eq!(set.clone().with_alpha(Alpha::Keep), set);
    let dropped = set.clone().with_alpha(Alpha::Drop);
    assert_eq!((dropped.shape, dropped.pixels), ([1, 1, 3], vec![200, 100, 0]));
    // 51 / 255 = 0.2: 0.2 * (200, 100, 0) + 0.8 * (0, 50, 255)
    let over = set.with_alpha(Alpha::Over([0, 50, 255]));
    assert_eq!((over.shape, over.pixels), ([1, 1, 3], vec![40, 60, 204]));
}

#[test]
fn sets_without_alpha_stay_as_they_are() {
    let set = ImageSet { pixels: vec![1, 2, 3], labels: None, shape: [1, 1, 3], class_names: Vec::new() };
    assert_eq!(set.clone().with_alpha(Alpha::Over([0; 3])), set);
}
