//! The one rule by which a pixel changes its colour type.

/// The weights of ITU-R BT.709, item 3.2, to the nearest level. They sum to 1, so grey stays as it is.
pub(crate) fn luma([r, g, b]: [u8; 3]) -> u8 {
    let [r, g, b] = [r, g, b].map(u32::from);
    // Between 0 and 255 by construction, here and below.
    ((2126 * r + 7152 * g + 722 * b + 5000) / 10000) as u8
}

/// A level with opacity `alpha` over the level `ground`, to the nearest level.
pub(crate) fn over(level: u8, ground: u8, alpha: u8) -> u8 {
    let (level, ground, alpha) = (u32::from(level), u32::from(ground), u32::from(alpha));
    ((level * alpha + ground * (255 - alpha) + 127) / 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_is_white_and_grey_is_grey() {
        assert!((0..=255).all(|level| luma([level; 3]) == level));
        // 0.2126 * 255 = 54.2, 0.7152 * 255 = 182.4, 0.0722 * 255 = 18.4
        assert_eq!([[255, 0, 0], [0, 255, 0], [0, 0, 255]].map(luma), [54, 182, 18]);
    }

    #[test]
    fn opacity_goes_from_the_ground_to_the_picture() {
        assert_eq!((over(7, 200, 0), over(7, 200, 255)), (200, 7));
        // 100 * 0.2 + 200 * 0.8
        assert_eq!(over(100, 200, 51), 180);
    }
}
