//! The C library `ddim_c`, and what a page in a browser calls: models, plans and runs by plain functions.
//!
//! `include/ddim.h` is made of these files; start there. Every function that can fail catches a panic, and says in
//! [`last`] what went wrong. `model` loads and draws, `run` goes call by call, `outside` is the border itself:
//! texts, numbers and handles that come from elsewhere.

#![allow(unsafe_code, reason = "the border to C; every block says why it is sound")]
#![allow(
    clippy::missing_safety_doc,
    reason = "these are the words of the header, which says once what pointers are"
)]

mod last;
#[cfg(target_family = "wasm")]
pub mod memory;
pub mod model;
mod outside;
pub mod run;

use std::ffi::{c_char, c_int};
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::outside::{Text, check_memory, room, text};

/// The version of the library, as in "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn ddim_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Why the most recent failed call on this thread failed; "" before any has. The text is good until the next one
/// fails.
#[unsafe(no_mangle)]
pub extern "C" fn ddim_last_error() -> *const c_char {
    last::text_of_last()
}

/// JSON: an object of the names that "solver" can have, each with one sentence.
#[unsafe(no_mangle)]
pub extern "C" fn ddim_solvers() -> *const c_char {
    static SOLVERS: LazyLock<Text> = LazyLock::new(|| {
        let solvers = ddim::solvers::all();
        let all = solvers.iter().map(|solver| (solver.name().to_owned(), json!(solver.about())));
        text(&Value::Object(all.collect()).to_string())
    });
    SOLVERS.as_ptr()
}

/// Fills `values` with standard normal numbers: the noise that picture `picture` of seed `seed` starts with, as it
/// is for that picture everywhere. 0, or -1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_normals(seed: u64, picture: u64, values: *mut f32, count: usize) -> c_int {
    last::or_minus_one(|| {
        let values = room(values, count, count, "values")?;
        check_memory(count.checked_mul(size_of::<f32>()), || format!("{count} numbers"))?;
        let mut noise = ddim::sampler::PictureNoise::new(seed, [picture]);
        let found = ddim::sampler::Noise::initial(&mut noise, [1, 1, 1, count], &ddim::Device::Cpu);
        // SAFETY: promised by the caller.
        unsafe { values.fill(&found.into_values()) };
        Ok(0)
    })
}
