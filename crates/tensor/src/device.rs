//! Where a tensor lies.

#[cfg(feature = "gpu")]
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
#[cfg(feature = "gpu")]
use std::sync::{Mutex, PoisonError};

/// What drivers said of devices while nobody waited for an answer.
#[cfg(feature = "gpu")]
static REPORTS: Mutex<Vec<Report>> = Mutex::new(Vec::new());

#[cfg(feature = "gpu")]
struct Report {
    device: burn::tensor::Device,
    error: DeviceError,
    /// Whether nothing that it says is true any more.
    is_final: bool,
}

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
            Self::Burn(device) => answered(device, || device.sync().map_err(|error| error.to_string())),
        }
    }

    /// Writes down what a driver said of this device where nobody waited for an answer; the first report of a
    /// kind counts. After one that is final whatever is asked of the device is this error. After another, such
    /// as that there was no memory for a trial, an answer is an answer; where none comes, that is why.
    #[cfg(feature = "gpu")]
    pub fn report(&self, problem: impl Into<String>, is_final: bool) {
        if let Self::Burn(device) = self {
            let report =
                Report { device: device.clone(), error: DeviceError { problem: problem.into() }, is_final };
            REPORTS.lock().unwrap_or_else(PoisonError::into_inner).push(report);
        }
    }
}

/// What was reported of a device: what is final, or all.
#[cfg(feature = "gpu")]
fn reported(device: &burn::tensor::Device, only_final: bool) -> Option<DeviceError> {
    let reports = REPORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let counts = |report: &&Report| report.device == *device && (report.is_final || !only_final);
    reports.iter().find(counts).map(|report| report.error.clone())
}

/// What a device answers, unless it has failed: before, so that nobody waits for what will never come, or
/// meanwhile.
#[cfg(feature = "gpu")]
pub(crate) fn answered<T>(
    device: &burn::tensor::Device,
    ask: impl FnOnce() -> Result<T, String>,
) -> Result<T, DeviceError> {
    let failed = || reported(device, true).map_or(Ok(()), Err);
    failed()?;
    // What burn's threads stumble over when a device fails may end in a panic of whoever asked.
    let answer = catch_unwind(AssertUnwindSafe(ask));
    failed()?;
    match (answer, reported(device, false)) {
        (Ok(Ok(answer)), _) => Ok(answer),
        (_, Some(error)) => Err(error),
        (Ok(Err(problem)), None) => Err(DeviceError { problem }),
        (Err(panic), None) => resume_unwind(panic),
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
