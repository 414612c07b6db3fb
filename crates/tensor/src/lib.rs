//! A batch of pictures as numbers, `[n, channels, height, width]`: in host memory, or on a GPU.
//!
//! A sampler needs little of its tensors: weighted sums, a limit, something of each picture by itself. [`Tensor`]
//! is that much and no more. In host memory it is a list of f32 that copies share until one of them changes; with
//! the feature `gpu` it can also be a tensor of burn, and then every operation is burn's. What two tensors make
//! lies where they lie; they never move by themselves.
//!
//! ```
//! use ddim_tensor::Tensor;
//!
//! let x = Tensor::new(vec![1.0, -2.0, 0.5, 4.0], [2, 1, 1, 2]);
//! let half = (x.clone() * 0.5).clamp(-1.0, 1.0);
//! assert_eq!(half.values(), [0.5, -1.0, 0.25, 1.0]);
//! assert_eq!(x.square().sums(), [5.0, 16.25]); // of each picture
//! ```

mod arithmetic;
mod device;
mod each;
mod host;
mod sum;
mod tensor;

pub use device::{Device, DeviceError};
pub use sum::weighted_sum;
pub use tensor::Tensor;
