//! Pictures as coloured half-blocks for a terminal: two pixels a character, one above the other.

use ddim_data::Picture;

/// Draws pictures side by side, as many in a row as `width` characters hold; a wider picture is thinned out.
pub(crate) fn half_blocks(pictures: &[Picture], width: usize) -> String {
    let Some(first) = pictures.first() else { return String::new() };
    let across = ((width + 1) / (first.width + 1)).max(1);
    pictures.chunks(across).map(|row| picture_row(row, first.width.div_ceil(width).max(1))).collect()
}

/// One row of pictures; every `thin`-th pixel is shown.
fn picture_row(row: &[Picture], thin: usize) -> String {
    let mut text = String::new();
    for y in (0..row[0].height).step_by(2 * thin) {
        for (i, picture) in row.iter().enumerate() {
            if i > 0 {
                text.push(' ');
            }
            // A colour holds until the next one: most neighbours are alike, and terminals are slow.
            let mut colours = String::new();
            for x in (0..picture.width).step_by(thin) {
                let lower = (y + thin < picture.height).then(|| picture.rgb(x, y + thin));
                let wanted = escapes(picture.rgb(x, y), lower);
                if wanted != colours {
                    text.push_str(&wanted);
                    colours = wanted;
                }
                text.push('▀');
            }
            text.push_str("\x1b[0m");
        }
        text.push('\n');
    }
    text.push('\n');
    text
}

/// Sets the colour of the upper half of a character, and of the lower one where there is a pixel.
fn escapes([r, g, b]: [u8; 3], lower: Option<[u8; 3]>) -> String {
    let lower = lower.map(|[r, g, b]| format!("\x1b[48;2;{r};{g};{b}m")).unwrap_or_default();
    format!("\x1b[38;2;{r};{g};{b}m{lower}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize) -> Picture {
        Picture { width, height, channels: 1, pixels: (0..(width * height) as u8).collect() }
    }

    #[test]
    fn two_pixels_are_one_character() {
        let text = half_blocks(&[picture(1, 2)], 80);
        assert_eq!(text, "\x1b[38;2;0;0;0m\x1b[48;2;1;1;1m▀\x1b[0m\n\n");
    }

    #[test]
    fn an_odd_last_row_has_no_lower_half() {
        let text = half_blocks(&[picture(1, 1)], 80);
        assert_eq!(text, "\x1b[38;2;0;0;0m▀\x1b[0m\n\n");
    }

    #[test]
    fn wraps_and_thins_to_the_terminal() {
        let blocks = |pictures: &[Picture], width| {
            let text = half_blocks(pictures, width);
            text.lines().map(|line| line.matches('▀').count()).collect::<Vec<_>>()
        };
        let two = [picture(4, 2), picture(4, 2)];
        assert_eq!(blocks(&two, 9), [8, 0]);
        assert_eq!(blocks(&two, 8), [4, 0, 4, 0]);
        assert_eq!(blocks(&[picture(4, 2)], 2), [2, 0]);
    }
}
