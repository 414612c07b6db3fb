//! Files that appear whole or not at all, and what is in them.

use crate::files::folder;
use ddim_data::{DataError, Pixels, open, write_grid, write_png, write_whole};
use std::fs;
use std::io;

#[test]
fn a_png_reads_back() {
    for colour in [&[10][..], &[1, 2, 3], &[1, 2, 3, 4]] {
        let folder = folder(&[]);
        let values = colour.repeat(6);
        let picture = Pixels { values: &values, shape: [2, 3, colour.len()] };
        write_png(&folder.path().join("1.png"), picture).expect("fine");
        let set = open(folder.path()).expect("fine");
        assert_eq!((set.shape, set.pixels), (picture.shape, values));
    }
}

#[test]
fn a_grid_has_dark_lines_between_its_pictures() {
    let folder = folder(&[]);
    let pictures = Pixels { values: &[1, 2, 3], shape: [1, 1, 1] };
    write_grid(&folder.path().join("grid.png"), pictures, 2).expect("fine");
    let set = open(folder.path()).expect("fine");
    assert_eq!((set.shape, set.pixels), ([3, 3, 1], vec![1, 32, 2, 32, 32, 32, 3, 32, 32]));
}

#[test]
fn two_channels_cannot_be_written() {
    let folder = folder(&[]);
    let path = folder.path().join("1.png");
    let error = write_png(&path, Pixels { values: &[0, 0], shape: [1, 1, 2] }).expect_err("no such PNG");
    assert!(
        error.to_string().ends_with("1.png: pictures have 2 channels; those with 1, 3 or 4 can be written"),
        "{error}"
    );
    assert!(!path.exists());
}

#[test]
fn a_failed_write_leaves_the_earlier_file_alone() {
    let folder = folder(&[("file", b"earlier")]);
    let path = folder.path().join("file");
    let failed = write_whole(&path, |file| {
        file.write_all(b"half of it")?;
        Err(io::Error::other("the disk is full"))
    });
    assert!(matches!(failed, Err(DataError::Write { .. })));
    assert_eq!(fs::read(&path).expect("still there"), b"earlier");
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1, "something is left behind");
}

#[test]
fn what_a_killed_process_has_left_is_replaced() {
    let folder = folder(&[("file", b"earlier"), (".file.tmp", b"half of a much longer text")]);
    let path = folder.path().join("file");
    write_whole(&path, |file| file.write_all(b"later")).expect("fine");
    assert_eq!(fs::read(&path).expect("there"), b"later");
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1, "something is left behind");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = folder(&[]);
    let message = write_whole(&folder.path().join("no/file"), |_| Ok(())).expect_err("no such folder").to_string();
    assert!(message.contains("file: cannot be written"), "{message}");
}
