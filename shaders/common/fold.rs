//! Device code: what the units of a cube have, put together for all of them.

use burn_cubecl::cubecl::{self, prelude::*};

/// The root of the number of units in a cube: as many as every adapter of WebGPU allows.
pub(crate) const SIDE: usize = 16;
pub(crate) const UNITS: usize = SIDE * SIDE;

/// What the values of all units of a cube are put together by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fold {
    Sum,
    Largest,
}

/// What the units of a cube, `side` squared of them, have, put together for all of them, always in the same order.
/// `shared` has `side` more places than there are units.
///
/// Two waits: each of the first units puts `side` values together, then each unit the results of those. It may be
/// called again at once: what is read last are the `side` places, which nobody writes before the next call's first
/// wait.
#[cube]
pub(crate) fn over_cube(
    value: f32,
    shared: &mut Shared<[f32]>,
    #[comptime] fold: Fold,
    #[comptime] side: usize,
) -> f32 {
    let unit = UNIT_POS as usize;
    let units = comptime!(side * side);
    shared[unit] = value;
    sync_cube();
    if unit < side {
        let mut part = shared[unit];
        for row in 1..side {
            part = fold_two(part, shared[unit + row * side], fold);
        }
        shared[units + unit] = part;
    }
    sync_cube();
    let mut whole = shared[units];
    for part in 1..side {
        whole = fold_two(whole, shared[units + part], fold);
    }
    whole
}

#[cube]
fn fold_two(a: f32, b: f32, #[comptime] fold: Fold) -> f32 {
    match comptime!(fold) {
        Fold::Sum => a + b,
        Fold::Largest => max(a, b),
    }
}
