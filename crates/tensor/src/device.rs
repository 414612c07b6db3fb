//! Where a tensor lies.

/// Where tensors lie and what is done with them happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// This processor, and host memory.
    Cpu,
    /// A device of burn, usually a GPU.
    #[cfg(feature = "gpu")]
    Burn(burn::tensor::Device),
}

impl Device {
    /// Whether it is this processor.
    pub fn is_cpu(&self) -> bool {
        *self == Self::Cpu
    }

    /// Waits until all that it was asked for is done.
    ///
    /// # Errors
    /// A device that fails.
    pub fn sync(&self) -> Result<(), DeviceError> {
        match self {
            Self::Cpu => Ok(()),
            #[cfg(feature = "gpu")]
            Self::Burn(device) => device.sync().map_err(|error| DeviceError { problem: error.to_string() }),
        }
    }
}

#[cfg(feature = "gpu")]
impl From<burn::tensor::Device> for Device {
    fn from(device: burn::tensor::Device) -> Self {
        Self::Burn(device)
    }
}

/// A device that could not compute what was asked of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct DeviceError {
    /// What it says.
    pub problem: String,
}
