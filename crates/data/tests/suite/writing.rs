//! Files that appear whole or not at all, and what is in them.

use crate::files::folder;
use ddim_data::{DataError, Draft, Picture, encode_npz, encode_png, open, write_whole};
use std::fs;
use std::io;

#[test]
fn a_png_reads_back_and_a_cut_one_does_not() {
    for channels in [1, 3, 4] {
        let picture = Picture { width: 2, height: 3, channels, pixels: (0..6 * channels as u8).collect() };
        let bytes = encode_png(&picture, "{}").expect("encodes");
        let folder = folder(&[("whole.png", &bytes), ("cut.png", &bytes[..bytes.len() / 2])]);
        assert_eq!(Picture::read(&folder.path().join("whole.png")).expect("whole"), picture);
        let error = Picture::read(&folder.path().join("cut.png")).expect_err("cut").to_string();
        assert!(error.contains("cut.png: is not a picture"), "{error}");
    }
}

#[test]
fn two_channels_cannot_be_written() {
    let picture = Picture { width: 1, height: 1, channels: 2, pixels: vec![0, 0] };
    let error = encode_png(&picture, "{}").expect_err("no such PNG").to_string();
    assert_eq!(error, "cannot encode a PNG: pictures have 2 channels; those with 1, 3 or 4 can be written");
}

#[test]
fn an_npz_reads_back_with_its_labels_or_without() {
    let picture = |first| Picture { width: 2, height: 1, channels: 3, pixels: (first..first + 6).collect() };
    let pictures = [picture(1), picture(7)];
    for labels in [&[7, 300][..], &[]] {
        let folder = folder(&[("set.npz", &encode_npz(&pictures, labels).expect("encodes"))]);
        let set = open(&folder.path().join("set.npz")).expect("fine");
        assert_eq!((set.shape, set.pixels), ([1, 2, 3], (1..=12).collect()));
        assert_eq!(set.labels.unwrap_or_default(), labels);
    }
}

#[test]
fn a_failed_write_leaves_the_earlier_file_alone() {
    let folder = folder(&[("file", b"earlier"), ("full/file", b"")]);
    let path = folder.path().join("file");
    let mut draft = Draft::claim(&path).expect("free");
    draft.write(b"half of it").expect("writable");
    drop(draft);
    assert_eq!(fs::read(&path).expect("still there"), b"earlier");
    let failed = write_whole(&folder.path().join("full"), b"a folder is there");
    assert!(matches!(failed, Err(DataError::Write { .. })));
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 2, "something is left behind");
}

#[test]
fn a_file_has_one_writer_at_a_time() {
    let folder = folder(&[]);
    let path = folder.path().join("file");
    let mut first = Draft::claim(&path).expect("free");
    assert_eq!(Draft::claim(&path).expect_err("taken").kind(), io::ErrorKind::WouldBlock);
    first.write(b"whole").expect("writable");
    first.place().expect("still there");
    assert_eq!(fs::read(&path).expect("there"), b"whole");
    drop(Draft::claim(&path).expect("free again"));
}

/// The first draft is in its place and still open when the second one begins, and then ends.
#[test]
fn the_end_of_a_draft_leaves_the_next_one_alone() {
    let folder = folder(&[]);
    let path = folder.path().join("file");
    let mut first = Draft::claim(&path).expect("free");
    first.write(b"first").expect("writable");
    // What `place` does, with another writer before its end.
    fs::rename(folder.path().join(".file.tmp"), &path).expect("renamed");
    let mut second = Draft::claim(&path).expect("a new file under the old name");
    drop(first);
    second.write(b"second").expect("writable");
    assert_eq!(fs::read(&path).expect("there"), b"first", "the second draft has changed the first one");
    second.place().expect("the first one has not removed it");
    assert_eq!(fs::read(&path).expect("there"), b"second");
}

/// Many writers of one file: each either finds it taken or puts its whole content there.
#[test]
fn writers_that_race_never_mix_their_content() {
    let folder = folder(&[]);
    let path = folder.path().join("file");
    let write = |content: [u8; 4096]| {
        for _ in 0..500 {
            let written = Draft::claim(&path).and_then(|mut draft| {
                draft.write(&content)?;
                draft.place()
            });
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => written.expect("nothing but another writer is in the way"),
            }
            if let Ok(found) = fs::read(&path) {
                assert!(found.len() == 4096 && found.iter().all(|byte| *byte == found[0]), "not one content");
            }
        }
    };
    std::thread::scope(|scope| {
        for byte in 1..=4 {
            scope.spawn(move || write([byte; 4096]));
        }
    });
}

#[test]
fn what_a_killed_process_has_left_is_replaced() {
    let folder = folder(&[("file", b"earlier"), (".file.tmp", b"half of a much longer text")]);
    let path = folder.path().join("file");
    write_whole(&path, b"later").expect("fine");
    assert_eq!(fs::read(&path).expect("there"), b"later");
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1, "something is left behind");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = folder(&[]);
    let message = write_whole(&folder.path().join("no/file"), b"").expect_err("no such folder").to_string();
    assert!(message.contains("file: cannot be written"), "{message}");
}
