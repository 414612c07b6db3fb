"""Ray: the pictures of one process, whoever draws them."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import ddim
from conftest import ROOT

ray = pytest.importorskip("ray", reason="ray is not installed")
pyarrow = pytest.importorskip("pyarrow.parquet", reason="ray.data needs pyarrow")


@pytest.fixture(scope="module")
def cluster():
    # Ray looks for the module in a worker by the path of this process.
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def drawn(rows):
    """The rows by the numbers of their pictures."""
    rows = {row["picture"]: row for row in rows}
    return [rows[number] for number in sorted(rows)]


def test_two_workers_draw_the_pictures_of_one(cluster, model, tmp_path):
    expected = model.sample(100, steps=3, seed=7)
    found = ddim.ray.sample(100, workers=2, num_cpus=1, batch_size=16, steps=3, seed=7)
    found.write_parquet(str(tmp_path / "run"))
    rows = drawn(ray.data.read_parquet(str(tmp_path / "run")).take_all())
    assert [row["picture"] for row in rows] == list(range(100))
    assert [row["class"] for row in rows] == [model.classes[k % 10] for k in range(100)]
    assert all(row["png"] == expected[k].png() for k, row in enumerate(rows))


def test_nothing_need_be_said_of_the_cluster(cluster, model):
    rows = drawn(ddim.ray.sample(8, batch_size=4, steps=2, device="cpu").take_all())
    assert [row["png"] for row in rows] == [model.sample(1, first=k, steps=2).png() for k in range(8)]


def test_the_script_for_clusters_writes_parquet(tmp_path, model):
    script = ROOT / "deploy" / "ray" / "sample.py"
    words = ["--num", "6", "--steps", "2", "--seed", "5", "--class", "coat,bag", "--device", "cpu", "--cpus", "3"]
    command = [sys.executable, script, *words, "--out", tmp_path / "run"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = drawn(pyarrow.read_table(tmp_path / "run").to_pylist())
    expected = model.sample(6, steps=2, seed=5, classes=["coat", "bag"])
    assert [row["png"] for row in rows] == [expected[k].png() for k in range(6)]
    again = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert again.returncode == 1 and "already" in again.stderr and len(list((tmp_path / "run").iterdir())) > 0


def test_a_worker_that_is_killed_costs_its_batch(cluster, model, tmp_path):
    class Frail(ddim.ray.Draw):
        """Kills its process before its second batch, once."""

        def __call__(self, batch):
            if (tmp_path / "begun").exists() and not (tmp_path / "killed").exists():
                (tmp_path / "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            (tmp_path / "begun").touch()
            return super().__call__(batch)

    options = {"steps": 2, "seed": 3, "device": "cpu", "output": "array", "classes": ["bag", 9]}
    found = ray.data.range(60).map_batches(
        Frail, fn_constructor_kwargs=options, batch_size=10, compute=ray.data.ActorPoolStrategy(size=2), num_cpus=1
    )
    rows = drawn(found.take_all())
    assert (tmp_path / "killed").exists()
    expected = np.asarray(model.sample(60, steps=2, seed=3, classes=["bag", 9]))
    assert (np.stack([row["image"] for row in rows]) == expected).all()
    assert [row["class"] for row in rows[:3]] == ["bag", "Ankle boot", "bag"]


def test_numbers_stand_in_any_column_and_order(model):
    draw = ddim.ray.Draw(device="cpu", column="k", steps=2, output="array")
    batch = {"k": np.array([7, 8, 3, 4, 5, 0]), "mine": np.arange(6)}
    rows = draw(batch)
    expected = np.asarray(model.sample(9, steps=2))
    assert (rows["image"] == expected[batch["k"]]).all() and (rows["mine"] == batch["mine"]).all()
    assert list(rows["picture"]) == [7, 8, 3, 4, 5, 0] and "k" not in rows
    one = ddim.ray.Draw("fashion-mnist", device="cpu", steps=2)({"id": np.array([4])})
    assert one["png"][0] == model.sample(1, first=4, steps=2).png() and one["png"][0][1:4] == b"PNG"


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: ddim.ray.sample(3, first=2), ValueError, "first: the rows say which"),
        (lambda: ddim.ray.sample(3, output="jpeg"), ValueError, "it is 'png' or 'array'"),
        (lambda: ddim.ray.sample(0), ValueError, "num=0"),
        (lambda: ddim.ray.Draw("no/such/model"), FileNotFoundError, "no/such/model"),
        (lambda: ddim.ray.Draw(device="cpu", stepz=3)({"id": np.arange(2)}), TypeError, "stepz"),
        (lambda: ddim.ray.Draw(device="cpu")({"number": np.arange(2)}), ValueError, "column 'id'"),
    ],
)
def test_what_cannot_be_is_said(call, error, words):
    with pytest.raises(error, match=words):
        call()
