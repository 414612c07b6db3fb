//! How a picture lies in memory: \[h, w, c\], perhaps with a border of zeros around it.

use ddim_graph::Border;

/// The shape of one picture's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Zeros around the picture, so that a convolution need not ask where it ends.
    pub(crate) border: Border,
}

impl Layout {
    /// Floats in a line, the border not counted.
    pub(crate) fn line(&self) -> usize {
        self.width * self.channels
    }

    /// Floats from one line to the next.
    pub(crate) fn pitch(&self) -> usize {
        (self.width + self.border.left + self.border.right) * self.channels
    }

    /// Floats of a picture.
    pub(crate) fn len(&self) -> usize {
        let lines = self.height + self.border.top + self.border.bottom;
        lines.checked_mul(self.pitch()).expect("a picture that fits into memory")
    }

    /// Pixels of a picture, the border not counted.
    pub(crate) fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Where the inside begins.
    pub(crate) fn inside(&self) -> usize {
        self.border.top * self.pitch() + self.border.left * self.channels
    }

    /// The lines of one picture, without border.
    pub(crate) fn lines<'a>(&self, picture: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
        let line = self.line();
        picture[self.inside().min(picture.len())..]
            .chunks(self.pitch().max(1))
            .take(self.height)
            .map(move |l| &l[..line])
    }

    /// The lines of one picture, without border.
    pub(crate) fn lines_mut<'a>(&self, picture: &'a mut [f32]) -> impl Iterator<Item = &'a mut [f32]> {
        let (inside, line) = (self.inside().min(picture.len()), self.line());
        let lines = picture[inside..].chunks_mut(self.pitch().max(1)).take(self.height);
        lines.map(move |l| &mut l[..line])
    }

    /// Moves pictures that lie one behind the other, without borders, into theirs.
    pub(crate) fn set_apart(&self, pictures: usize, values: &mut [f32]) {
        if self.border == Border::NONE {
            return;
        }
        // The last line first: none goes to a place before its own, so that it covers only lines that have gone.
        for line in (0..pictures * self.height).rev() {
            let (picture, y) = (line / self.height, line % self.height);
            let to = picture * self.len() + self.inside() + y * self.pitch();
            values.copy_within(line * self.line()..(line + 1) * self.line(), to);
        }
    }

    /// Zeros where the border is.
    pub(crate) fn clear_border(&self, picture: &mut [f32]) {
        if self.border == Border::NONE {
            return;
        }
        let (pitch, line) = (self.pitch(), self.line());
        let (left, first, behind) =
            (self.border.left * self.channels, self.border.top, self.border.top + self.height);
        for (y, all) in picture[..self.len()].chunks_mut(pitch).enumerate() {
            if y < first || y >= behind {
                all.fill(0.0);
            } else {
                all[..left].fill(0.0);
                all[left + line..].fill(0.0);
            }
        }
    }
}
