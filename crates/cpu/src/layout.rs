//! How a picture lies in memory: \[h, w, c\], perhaps with a border of zeros around it.

/// The shape of one picture's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) halo: Halo,
}

/// Zeros around a picture, so that a convolution need not ask where it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Halo {
    /// Lines above and columns to the left.
    pub before: usize,
    /// Lines below and columns to the right.
    pub after: usize,
}

impl Halo {
    /// No border.
    pub const NONE: Halo = Halo { before: 0, after: 0 };
    /// One line on each side: what a 3x3 convolution that keeps the size needs.
    pub const ONE: Halo = Halo { before: 1, after: 1 };
}

impl Layout {
    /// Floats in a line, the halo not counted.
    pub(crate) fn line(&self) -> usize {
        self.width * self.channels
    }

    /// Floats from one line to the next.
    pub(crate) fn pitch(&self) -> usize {
        (self.width + self.halo.before + self.halo.after) * self.channels
    }

    /// Floats of a picture.
    pub(crate) fn len(&self) -> usize {
        let lines = self.height + self.halo.before + self.halo.after;
        lines.checked_mul(self.pitch()).expect("a picture that fits into memory")
    }

    /// Pixels of a picture, the halo not counted.
    pub(crate) fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Where the inside begins.
    fn inside(&self) -> usize {
        self.halo.before * (self.pitch() + self.channels)
    }

    /// The lines of one picture, without halo.
    pub(crate) fn lines<'a>(&self, picture: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
        let line = self.line();
        picture[self.inside().min(picture.len())..]
            .chunks(self.pitch().max(1))
            .take(self.height)
            .map(move |l| &l[..line])
    }

    /// The lines of one picture, without halo.
    pub(crate) fn lines_mut<'a>(&self, picture: &'a mut [f32]) -> impl Iterator<Item = &'a mut [f32]> {
        let (inside, line) = (self.inside().min(picture.len()), self.line());
        let lines = picture[inside..].chunks_mut(self.pitch().max(1)).take(self.height);
        lines.map(move |l| &mut l[..line])
    }

    /// Zeros where the halo is.
    pub(crate) fn clear_halo(&self, picture: &mut [f32]) {
        if self.halo == Halo::NONE {
            return;
        }
        let (pitch, line) = (self.pitch(), self.line());
        let (left, lines) = (self.halo.before * self.channels, self.height + self.halo.before);
        for (y, all) in picture[..self.len()].chunks_mut(pitch).enumerate() {
            if y < self.halo.before || y >= lines {
                all.fill(0.0);
            } else {
                all[..left].fill(0.0);
                all[left + line..].fill(0.0);
            }
        }
    }
}
