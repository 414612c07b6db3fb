//! Copies of pictures with a border, at another resolution, or side by side.

use ddim_graph::Resample as Asked;

use crate::layout::Layout;

/// What a copy does to the resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resample {
    /// Nothing.
    Keep,
    /// Each pixel becomes four.
    Double,
    /// Four pixels become their mean.
    Halve,
    /// The channels of each pixel become a square of so many pixels each way.
    Unpatch(usize),
    /// So many pixels from one of the picture's to the next, with zeros between: what the gradient of a stride
    /// needs.
    Dilate(usize),
}

impl From<Asked> for Resample {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Double => Resample::Double,
            Asked::Halve => Resample::Halve,
            Asked::Unpatch(side) => Resample::Unpatch(side),
        }
    }
}

/// Copies one picture.
pub(crate) fn spread(resample: Resample, (x, from): (&[f32], &Layout), (out, to): (&mut [f32], &Layout)) {
    to.clear_border(out);
    let channels = from.channels;
    let (mut lines, outs) = (from.lines(x), to.lines_mut(out));
    match resample {
        Resample::Keep => outs.zip(lines).for_each(|(out, x)| out.copy_from_slice(x)),
        Resample::Double => {
            let twice = lines.flat_map(|line| [line, line]);
            outs.zip(twice).for_each(|(out, x)| double(x, channels, out));
        }
        Resample::Halve => {
            for out in outs {
                let (Some(upper), Some(lower)) = (lines.next(), lines.next()) else { return };
                halve([upper, lower], channels, out);
            }
        }
        Resample::Unpatch(side) => {
            let rows = lines.flat_map(|line| (0..side).map(move |row| (row, line)));
            outs.zip(rows).for_each(|(out, (row, x))| unpatch(x, channels, (row, side), out));
        }
        Resample::Dilate(stride) => {
            for (y, out) in outs.enumerate() {
                out.fill(0.0);
                if y % stride == 0 {
                    let Some(line) = lines.next() else { return };
                    dilate(line, channels, stride, out);
                }
            }
        }
    }
}

/// Each pixel of a line twice.
fn double(line: &[f32], channels: usize, out: &mut [f32]) {
    for (two, pixel) in out.chunks_exact_mut(2 * channels).zip(line.chunks_exact(channels)) {
        two[..channels].copy_from_slice(pixel);
        two[channels..].copy_from_slice(pixel);
    }
}

/// The means of four pixels each of two lines.
fn halve([upper, lower]: [&[f32]; 2], channels: usize, out: &mut [f32]) {
    let pairs = upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels));
    for (out, (upper, lower)) in out.chunks_exact_mut(channels).zip(pairs) {
        for (channel, out) in out.iter_mut().enumerate() {
            let pair = |two: &[f32]| two[channel] + two[channels + channel];
            *out = (pair(upper) + pair(lower)) * 0.25;
        }
    }
}

/// One row of the squares that the pixels of a line become.
fn unpatch(line: &[f32], channels: usize, (row, side): (usize, usize), out: &mut [f32]) {
    let len = channels / side;
    for (out, pixel) in out.chunks_exact_mut(len).zip(line.chunks_exact(channels)) {
        out.copy_from_slice(&pixel[row * len..][..len]);
    }
}

/// The pixels of a line at every `stride`-th place.
fn dilate(line: &[f32], channels: usize, stride: usize, out: &mut [f32]) {
    for (some, pixel) in out.chunks_mut(stride * channels).zip(line.chunks_exact(channels)) {
        some[..channels].copy_from_slice(pixel);
    }
}

/// The gradient of [`spread`]: adds to that of `x`, `to`, what that of the copy, `from`, says; neither has a
/// border.
pub(crate) fn gather(resample: Resample, (d, from): (&[f32], &Layout), (d_x, to): (&mut [f32], &Layout)) {
    let channels = to.channels;
    let add =
        |to: &mut [f32], from: &[f32], times: f32| to.iter_mut().zip(from).for_each(|(to, d)| *to += times * d);
    match resample {
        Resample::Keep => add(d_x, &d[..to.len()], 1.0),
        Resample::Double => {
            let mut lines = d[..from.len()].chunks_exact(from.pitch());
            for d_x in d_x[..to.len()].chunks_exact_mut(to.pitch()) {
                for line in lines.by_ref().take(2) {
                    for (d_x, two) in d_x.chunks_exact_mut(channels).zip(line.chunks_exact(2 * channels)) {
                        add(d_x, &two[..channels], 1.0);
                        add(d_x, &two[channels..], 1.0);
                    }
                }
            }
        }
        Resample::Halve => {
            for (d_x, d) in d_x[..to.len()].chunks_exact_mut(2 * to.pitch()).zip(d.chunks_exact(from.pitch())) {
                for line in d_x.chunks_exact_mut(to.pitch()) {
                    for (two, d) in line.chunks_exact_mut(2 * channels).zip(d.chunks_exact(channels)) {
                        two.chunks_exact_mut(channels).for_each(|one| add(one, d, 0.25));
                    }
                }
            }
        }
        Resample::Unpatch(side) => {
            let len = channels / side;
            let rows = d[..from.len()].chunks_exact(from.pitch());
            for (y, row) in rows.enumerate() {
                let line = &mut d_x[y / side * to.pitch()..][..to.pitch()];
                for (pixel, d) in line.chunks_exact_mut(channels).zip(row.chunks_exact(len)) {
                    add(&mut pixel[y % side * len..][..len], d, 1.0);
                }
            }
        }
        Resample::Dilate(_) => unreachable!("only the way back spreads pixels apart"),
    }
}

/// The channels of all parts, each with its number of them, one after the other, pixel by pixel.
pub(crate) fn join(parts: &[(&[f32], usize)], out: &mut [f32]) {
    if let [(a, in_a), (b, in_b)] = *parts {
        // The usual case, without a loop for each pixel.
        let pixels = a.chunks_exact(in_a).zip(b.chunks_exact(in_b));
        for (out, (a, b)) in out.chunks_exact_mut(in_a + in_b).zip(pixels) {
            out[..in_a].copy_from_slice(a);
            out[in_a..].copy_from_slice(b);
        }
        return;
    }
    let all = parts.iter().map(|(_, channels)| channels).sum();
    for (pixel, mut out) in out.chunks_exact_mut(all).enumerate() {
        for (x, channels) in parts {
            let (here, behind) = out.split_at_mut(*channels);
            here.copy_from_slice(&x[pixel * channels..][..*channels]);
            out = behind;
        }
    }
}

/// Each value times one number.
pub(crate) fn multiply(x: &[f32], by: f32, out: &mut [f32]) {
    out.iter_mut().zip(x).for_each(|(out, x)| *out = by * x);
}

/// \[c, h, w\] to \[h, w, c\], each value times `scale` plus `shift`.
pub(crate) fn channels_last(x: &[f32], channels: usize, (scale, shift): (f32, f32), out: &mut [f32]) {
    let plane = x.len() / channels;
    for (channel, x) in x.chunks_exact(plane).enumerate() {
        for (out, x) in out[channel..].iter_mut().step_by(channels).zip(x) {
            *out = x * scale + shift;
        }
    }
}

/// \[h, w, c\] to \[c, h, w\], each value times `scale`.
pub(crate) fn channels_first(x: &[f32], channels: usize, scale: f32, out: &mut [f32]) {
    let plane = out.len() / channels;
    for (channel, out) in out.chunks_exact_mut(plane).enumerate() {
        for (out, x) in out.iter_mut().zip(x[channel..].iter().step_by(channels)) {
            *out = x * scale;
        }
    }
}
