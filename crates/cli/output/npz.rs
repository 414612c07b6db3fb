//! `.npz` files as published evaluators read them: `arr_0` uint8 [n,h,w,c], `arr_1` labels [n].

use std::io::{self, Cursor};

use anyhow::Context;
use npyz::WriterBuilder;
use npyz::npz::NpzWriter;

use crate::picture::Picture;

/// The bytes of an npz file of pictures and, where the model has classes, their labels.
///
/// # Errors
/// When the archive cannot be encoded.
///
/// # Panics
/// When there is no picture, or not one label for each.
pub(crate) fn encode(pictures: &[Picture], labels: &[usize]) -> anyhow::Result<Vec<u8>> {
    let first = pictures.first().expect("at least one picture");
    assert!(labels.is_empty() || labels.len() == pictures.len(), "one label for each picture");
    let shape = [pictures.len(), first.height, first.width, first.channels];
    let mut bytes = Cursor::new(Vec::new());
    let mut archive = NpzWriter::new(&mut bytes);
    write(&mut archive, "arr_0", &shape, pictures.iter().flat_map(|picture| picture.pixels.iter().copied()))
        .context("cannot encode arr_0")?;
    if !labels.is_empty() {
        write(&mut archive, "arr_1", &[labels.len()], labels.iter().map(|label| *label as i64))
            .context("cannot encode arr_1")?;
    }
    archive.zip_writer().finish().context("cannot encode the archive")?;
    drop(archive);
    Ok(bytes.into_inner())
}

fn write<T: npyz::AutoSerialize>(
    archive: &mut NpzWriter<&mut Cursor<Vec<u8>>>,
    name: &str,
    shape: &[usize],
    values: impl Iterator<Item = T>,
) -> io::Result<()> {
    let shape: Vec<u64> = shape.iter().map(|side| *side as u64).collect();
    let mut array = archive.array(name, Default::default())?.default_dtype().shape(&shape).begin_nd()?;
    array.extend(values)?;
    array.finish()
}

#[cfg(test)]
mod tests {
    use npyz::npz::NpzArchive;

    use super::*;

    #[test]
    fn holds_pictures_and_labels() {
        let picture = Picture { width: 2, height: 1, channels: 3, pixels: vec![1, 2, 3, 4, 5, 6] };
        let bytes = encode(&[picture.clone(), picture], &[7, 9]).expect("encodes");
        let mut archive = NpzArchive::new(Cursor::new(bytes)).expect("an archive");
        let pixels = archive.by_name("arr_0").expect("readable").expect("there");
        assert_eq!(pixels.shape(), [2, 1, 2, 3]);
        assert_eq!(pixels.into_vec::<u8>().expect("uint8")[6..], [1, 2, 3, 4, 5, 6]);
        let labels = archive.by_name("arr_1").expect("readable").expect("there");
        assert_eq!(labels.into_vec::<i64>().expect("int64"), [7, 9]);
    }

    #[test]
    fn has_no_labels_without_classes() {
        let picture = Picture { width: 1, height: 1, channels: 1, pixels: vec![0] };
        let bytes = encode(&[picture], &[]).expect("encodes");
        let archive = NpzArchive::new(Cursor::new(bytes)).expect("an archive");
        assert_eq!(archive.array_names().collect::<Vec<_>>(), ["arr_0"]);
    }
}
