"""Networks of torch, where torch is installed."""

import numpy as np
import pytest

import ddim

torch = pytest.importorskip("torch", reason="torch is not installed")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x, times):
        assert times.shape == (len(x),)
        return torch.tanh(self.layer(x)) * 0.5


def test_arrays_are_read_without_a_copy():
    noise = ddim.Noise(7, range(2)).initial((3, 4, 4))
    tensor = torch.from_dlpack(noise)
    assert tensor.data_ptr() == noise.__array_interface__["data"][0] and tensor.dtype == torch.float32
    assert (tensor.numpy() == np.asarray(noise)).all()
    copy = torch.from_dlpack(noise, copy=True) if ddim._sample._knows_copy() else tensor.clone()
    assert copy.data_ptr() != tensor.data_ptr()
    del noise
    assert tensor.abs().max() > 0


def test_a_module_is_a_network():
    net, plan, noise = Net(), ddim.Plan(solver="unipc", steps=6, spacing="uniform"), ddim.Noise(7, range(3))
    kinds = []
    net.register_forward_pre_hook(lambda module, given: kinds.append(given[1].dtype))
    drawn = ddim.sample(plan, net, noise=noise, shape=(3, 8, 8))
    assert set(kinds) == {torch.int64}
    assert isinstance(drawn, torch.Tensor) and drawn.shape == (3, 3, 8, 8) and not drawn.requires_grad

    def in_numpy(x, times):
        with torch.no_grad():
            return net(torch.from_numpy(x.copy()), torch.from_numpy(times)).numpy()

    same = ddim.sample(plan, in_numpy, noise=noise, shape=(3, 8, 8))
    assert isinstance(same, np.ndarray) and (same == drawn.numpy()).all()
    start = torch.from_numpy(np.array(np.asarray(noise.initial((3, 8, 8))))) * plan.start_scale
    assert (ddim.sample(plan, lambda x, t: net(x, t), noise=noise, x=start) == drawn).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_types_and_layouts_of_torch(dtype):
    plan, noise = ddim.Plan(steps=3), ddim.Noise(7, range(2))
    net = Net().to(dtype)
    drawn = ddim.sample(plan, net, noise=noise, shape=(3, 4, 4))
    assert drawn.dtype == torch.float32 and torch.isfinite(drawn).all()
    last = ddim.sample(
        plan,
        lambda x, t: net(x.to(dtype), t).to(memory_format=torch.channels_last),
        arrays="torch",
        noise=noise,
        shape=(3, 4, 4),
    )
    assert (last == drawn).all()


def test_a_network_may_write_into_its_input():
    plan, noise = ddim.Plan(steps=3), ddim.Noise(7, range(2))
    halved = ddim.sample(plan, lambda x, t: x * 0.5, arrays="torch", noise=noise, shape=(3, 4, 4))
    written = ddim.sample(plan, lambda x, t: x.mul_(0.5), arrays="torch", noise=noise, shape=(3, 4, 4))
    assert (halved == written).all()


def test_runs_share_calls_of_torch():
    net = Net()
    plans = [ddim.Plan(steps=3), ddim.Plan(solver="unipc", steps=5)]
    runs = [ddim.Run(plan, noise=ddim.Noise(k, range(2)), shape=(3, 8, 8)) for k, plan in enumerate(plans)]
    ddim.drive(runs, net)
    for k, (run, plan) in enumerate(zip(runs, plans)):
        alone = ddim.sample(plan, net, noise=ddim.Noise(k, range(2)), shape=(3, 8, 8))
        assert np.abs(np.asarray(run.x) - alone.numpy()).max() < 1e-5
