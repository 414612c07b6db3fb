//! A device that fails: a process of its own, since that is for ever.

#![cfg(feature = "gpu")]

use ddim_tensor::{Device, DeviceError, Tensor};

#[test]
fn what_a_driver_says_of_a_device_is_what_is_read_of_it() {
    let device: Device = burn::tensor::Device::flex().into();
    let x = Tensor::new(vec![1.0, 2.0], [1, 1, 1, 2]).to(&device);
    device.report("no memory for a trial", false);
    assert_eq!(x.read(), Ok(vec![1.0, 2.0]), "an answer is an answer");
    assert_eq!(device.sync(), Ok(()));
    device.report("lost", true);
    device.report("lost again", true);
    let lost = DeviceError { problem: "lost".to_owned() };
    assert_eq!((x.read(), device.sync()), (Err(lost.clone()), Err(lost)));
    assert_eq!(Device::Cpu.sync(), Ok(()));
}
