//! What tells the pixels of a picture apart for layers that see them as a set.

/// The longest period, in pixels over 2 pi.
const MAX_PERIOD: f64 = 10_000.0;

/// Sines and cosines of the place of each pixel, `[height, width, channels]` row by row (Vaswani et al. 2017,
/// arXiv:1706.03762, section 3.5, in two dimensions as He et al. 2022, arXiv:2111.06377, have them).
///
/// The first half of the channels is that of the column, the second that of the row: of a place p, sin(p w_k) for
/// each k, then cos(p w_k), where w_k = 10000^(-k / quarter), k below a quarter of the channels. Places are
/// stretched such that a picture of any size reaches as far as one of `base`, height and width.
///
/// ```
/// let two_columns = ddim_graph::positions(4, [1, 2], [1, 2]);
/// assert_eq!(two_columns, [0.0, 1.0, 0.0, 1.0, 1f64.sin() as f32, 1f64.cos() as f32, 0.0, 1.0]);
/// ```
///
/// # Panics
/// Channels that are not a multiple of 4.
pub fn positions(channels: usize, [height, width]: [usize; 2], base: [usize; 2]) -> Vec<f32> {
    assert!(channels.is_multiple_of(4), "positions of {channels} channels: a multiple of 4");
    let quarter = channels / 4;
    let frequencies: Vec<f64> =
        (0..quarter).map(|k| (-MAX_PERIOD.ln() * k as f64 / quarter as f64).exp()).collect();
    let axis = |side: usize, base: usize| {
        let places: Vec<f64> = (0..side).map(|place| place as f64 * (base as f64 / side as f64)).collect();
        crate::waves(&places, &frequencies, channels / 2, false)
    };
    let (rows, columns) = (axis(height, base[0]), axis(width, base[1]));
    let mut all = Vec::with_capacity(height * width * channels);
    for row in rows.chunks_exact(channels / 2) {
        for column in columns.chunks_exact(channels / 2) {
            all.extend_from_slice(column);
            all.extend_from_slice(row);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of diffusers 0.42.1 for 12 channels in three by three pixels, in the row that begins with (1,
    /// 0).
    #[test]
    fn columns_come_before_rows() {
        let table = positions(12, [3, 3], [3, 3]);
        let (sines, cosines) = ([0.841_470_984_8, 0.046_399_223_46, 0.002_154_433_023], [0.540_302_305_9]);
        let (none, one) = ([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], [&sines[..], &cosines[..]].concat());
        // Column and row of the pixel beside the first one, and of that below it.
        for (from, expected) in [(12, &one[..]), (18, &none), (36, &none), (42, &one)] {
            let off = table[from..].iter().zip(expected).map(|(a, b): (_, &f64)| (f64::from(*a) - b).abs());
            assert!(off.fold(0.0, f64::max) < 1e-7, "from {from}: {:?}", &table[from..from + 6]);
        }
    }

    #[test]
    fn other_sizes_are_stretched() {
        let (large, small) = (positions(8, [4, 6], [2, 3]), positions(8, [2, 3], [2, 3]));
        for (y, x) in [(0, 0), (0, 2), (1, 1), (1, 2)] {
            let at = |table: &[f32], y: usize, x: usize, width: usize| table[8 * (y * width + x)..][..8].to_vec();
            assert_eq!(at(&large, 2 * y, 2 * x, 6), at(&small, y, x, 3), "row {y}, column {x}");
        }
    }
}
