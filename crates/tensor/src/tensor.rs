//! The tensor: what it is made of, what is read of it, and pictures taken out and put together.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::{Device, DeviceError};

/// A batch of pictures, `[n, channels, height, width]`, of f32. Copies are cheap: they share their numbers.
#[derive(Clone)]
pub struct Tensor {
    pub(crate) dims: [usize; 4],
    pub(crate) values: Values,
}

/// The numbers, picture by picture, channel by channel, row by row.
#[derive(Clone)]
pub(crate) enum Values {
    Host(Arc<Vec<f32>>),
    #[cfg(feature = "gpu")]
    Burn(burn::tensor::Tensor<4>),
}

impl Tensor {
    /// These numbers, in host memory: picture by picture, channel by channel, row by row.
    ///
    /// # Panics
    /// More or fewer numbers than the shape has.
    pub fn new(values: Vec<f32>, dims: [usize; 4]) -> Self {
        assert_eq!(values.len(), dims.iter().product::<usize>(), "numbers for a tensor of {dims:?}");
        Self { dims, values: Values::Host(Arc::new(values)) }
    }

    /// The same number everywhere, in host memory.
    pub fn full(value: f32, dims: [usize; 4]) -> Self {
        Self::new(vec![value; dims.iter().product()], dims)
    }

    /// One number a picture, `[n, 1, 1, 1]`, where this tensor lies.
    pub fn column(&self, values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
        let n = values.len();
        Self::new(values, [n, 1, 1, 1]).to(&self.device())
    }

    /// How many pictures, channels, rows and columns.
    pub fn dims(&self) -> [usize; 4] {
        self.dims
    }

    /// Where it lies.
    pub fn device(&self) -> Device {
        match &self.values {
            Values::Host(_) => Device::Cpu,
            #[cfg(feature = "gpu")]
            Values::Burn(tensor) => Device::Burn(tensor.device()),
        }
    }

    /// The same on that device.
    ///
    /// # Panics
    /// A device that fails when its numbers are read.
    pub fn to(self, device: &Device) -> Self {
        match device {
            Device::Cpu if matches!(self.values, Values::Host(_)) => self,
            Device::Cpu => Self::new(self.values(), self.dims),
            #[cfg(feature = "gpu")]
            Device::Burn(device) => self.to_burn(device).into(),
        }
    }

    /// Its numbers: picture by picture, channel by channel, row by row.
    ///
    /// # Errors
    /// A device that fails.
    pub fn read(&self) -> Result<Vec<f32>, DeviceError> {
        match &self.values {
            Values::Host(values) => Ok(values.to_vec()),
            #[cfg(feature = "gpu")]
            Values::Burn(tensor) => {
                let data = tensor.clone().try_into_data();
                let data = data.map_err(|error| DeviceError { problem: error.to_string() })?;
                Ok(data.convert::<f32>().try_into_vec().expect("converted to f32"))
            }
        }
    }

    /// [`read`](Self::read), for whoever has nothing better to do about a device that fails.
    ///
    /// # Panics
    /// A device that fails.
    pub fn values(&self) -> Vec<f32> {
        self.read().unwrap_or_else(|error| panic!("the device failed: {error}"))
    }

    /// Its numbers without a copy, where they are nobody else's and lie in host memory.
    ///
    /// # Panics
    /// As [`values`](Self::values).
    pub fn into_values(self) -> Vec<f32> {
        match self.values {
            Values::Host(values) => Arc::unwrap_or_clone(values),
            #[cfg(feature = "gpu")]
            Values::Burn(_) => self.values(),
        }
    }

    /// Its numbers with channels innermost: picture by picture, pixel by pixel.
    ///
    /// # Panics
    /// As [`values`](Self::values).
    pub fn values_by_pixel(&self) -> Vec<f32> {
        let ([_, c, h, w], values) = (self.dims, self.values());
        let (pixels, mut turned) = (h * w, Vec::with_capacity(values.len()));
        for picture in values.chunks_exact((c * pixels).max(1)) {
            for pixel in 0..pixels {
                turned.extend((0..c).map(|channel| picture[channel * pixels + pixel]));
            }
        }
        turned
    }

    /// Its numbers where they are, in host memory.
    pub fn host(&self) -> Option<&[f32]> {
        match &self.values {
            Values::Host(values) => Some(values),
            #[cfg(feature = "gpu")]
            Values::Burn(_) => None,
        }
    }

    /// The same to be changed; a copy, where other tensors share them.
    pub fn host_mut(&mut self) -> Option<&mut [f32]> {
        match &mut self.values {
            Values::Host(values) => Some(Arc::make_mut(values).as_mut_slice()),
            #[cfg(feature = "gpu")]
            Values::Burn(_) => None,
        }
    }

    /// These pictures of the batch.
    ///
    /// # Panics
    /// A range that ends behind the last.
    pub fn pictures(&self, range: Range<usize>) -> Self {
        let [n, c, h, w] = self.dims;
        assert!(range.start <= range.end && range.end <= n, "pictures {range:?} of {n}");
        if range == (0..n) {
            return self.clone();
        }
        match &self.values {
            Values::Host(values) => {
                let len = c * h * w;
                Self::new(values[range.start * len..range.end * len].to_vec(), [range.len(), c, h, w])
            }
            #[cfg(feature = "gpu")]
            Values::Burn(tensor) => tensor.clone().slice([range]).into(),
        }
    }

    /// The pictures with these numbers, in this order; repeats are allowed.
    ///
    /// # Panics
    /// A number without a picture.
    pub fn select(&self, pictures: &[usize]) -> Self {
        let [n, c, h, w] = self.dims;
        assert!(pictures.iter().all(|k| *k < n), "pictures {pictures:?} of {n}");
        match &self.values {
            Values::Host(values) => {
                let len = c * h * w;
                let chosen = pictures.iter().flat_map(|k| &values[k * len..(k + 1) * len]).copied();
                Self::new(chosen.collect(), [pictures.len(), c, h, w])
            }
            #[cfg(feature = "gpu")]
            Values::Burn(tensor) => {
                let places: Vec<i64> = pictures.iter().map(|k| *k as i64).collect();
                let places =
                    burn::tensor::Tensor::<1, burn::tensor::Int>::from_data(&places[..], &tensor.device());
                tensor.clone().select(0, places).into()
            }
        }
    }

    /// These channels of every picture.
    ///
    /// # Panics
    /// A range that ends behind the last.
    pub fn channels(&self, range: Range<usize>) -> Self {
        let [n, c, h, w] = self.dims;
        assert!(range.start <= range.end && range.end <= c, "channels {range:?} of {c}");
        if range == (0..c) {
            return self.clone();
        }
        match &self.values {
            Values::Host(values) => {
                let mut chosen = Vec::with_capacity(n * range.len() * h * w);
                for picture in values.chunks_exact((c * h * w).max(1)) {
                    chosen.extend_from_slice(&picture[range.start * h * w..range.end * h * w]);
                }
                Self::new(chosen, [n, range.len(), h, w])
            }
            #[cfg(feature = "gpu")]
            Values::Burn(tensor) => tensor.clone().narrow(1, range.start, range.len()).into(),
        }
    }

    /// One batch of the pictures of all.
    ///
    /// # Panics
    /// No parts; parts of other shapes, or on other devices than the first.
    pub fn cat(parts: &[Self]) -> Self {
        let [_, c, h, w] = parts.first().expect("parts to put together").dims;
        assert!(parts.iter().all(|part| part.dims[1..] == [c, h, w]), "pictures of different shapes");
        match &parts[0].values {
            Values::Host(_) => {
                let n = parts.iter().map(|part| part.dims[0]).sum();
                let mut values = Vec::with_capacity(n * c * h * w);
                parts.iter().for_each(|part| values.extend_from_slice(part.host().expect(APART)));
                Self::new(values, [n, c, h, w])
            }
            #[cfg(feature = "gpu")]
            Values::Burn(_) => {
                let parts = parts.iter().map(|part| part.burn().expect(APART).clone());
                burn::tensor::Tensor::cat(parts.collect(), 0).into()
            }
        }
    }

    /// The channels of this tensor, and then those of the other, in every picture.
    ///
    /// # Panics
    /// Other pictures, or on another device.
    pub fn join_channels(&self, other: &Self) -> Self {
        let ([n, a, h, w], [_, b, ..]) = (self.dims, other.dims);
        assert_eq!(other.dims, [n, b, h, w], "channels of the same pictures");
        match &self.values {
            Values::Host(values) => {
                let theirs = other.host().expect(APART);
                let mut joined = Vec::with_capacity(n * (a + b) * h * w);
                for k in 0..n {
                    joined.extend_from_slice(&values[k * a * h * w..][..a * h * w]);
                    joined.extend_from_slice(&theirs[k * b * h * w..][..b * h * w]);
                }
                Self::new(joined, [n, a + b, h, w])
            }
            #[cfg(feature = "gpu")]
            Values::Burn(tensor) => {
                let other = other.burn().expect(APART).clone();
                burn::tensor::Tensor::cat(vec![tensor.clone(), other], 1).into()
            }
        }
    }
}

/// Two tensors of one operation.
pub(crate) const APART: &str = "tensors on different devices";

#[cfg(feature = "gpu")]
impl Tensor {
    /// As a tensor of burn on that device.
    pub fn to_burn(&self, device: &burn::tensor::Device) -> burn::tensor::Tensor<4> {
        match &self.values {
            Values::Host(values) => {
                let data = burn::tensor::TensorData::new(values.to_vec(), self.dims);
                burn::tensor::Tensor::from_data(data, device)
            }
            Values::Burn(tensor) => tensor.clone().to_device(device),
        }
    }

    /// The tensor of burn that it is, where it does not lie in host memory.
    pub fn burn(&self) -> Option<&burn::tensor::Tensor<4>> {
        match &self.values {
            Values::Host(_) => None,
            Values::Burn(tensor) => Some(tensor),
        }
    }
}

#[cfg(feature = "gpu")]
impl From<burn::tensor::Tensor<4>> for Tensor {
    fn from(tensor: burn::tensor::Tensor<4>) -> Self {
        Self { dims: tensor.dims(), values: Values::Burn(tensor) }
    }
}

/// Shape and place, not the numbers.
impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tensor").field("dims", &self.dims).field("device", &self.device()).finish_non_exhaustive()
    }
}
