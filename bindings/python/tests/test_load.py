"""Models that diffusers has in memory."""

import pickle

import numpy as np
import pytest

import ddim

torch = pytest.importorskip("torch", reason="torch is not installed")
diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")


def unet(**options):
    torch.manual_seed(0)
    small = dict(
        sample_size=16,
        block_out_channels=(32, 64),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
    )
    return diffusers.UNet2DModel(**{**small, **options}).eval()


@pytest.fixture(scope="module")
def pipeline():
    return diffusers.DDIMPipeline(unet(), diffusers.DDIMScheduler(clip_sample=False))


def test_it_is_the_model_of_the_saved_folder(pipeline, tmp_path):
    model = ddim.load_diffusers(pipeline, device="cpu")
    pipeline.save_pretrained(tmp_path / "folder")
    saved = ddim.Model.load(tmp_path / "folder", device="cpu")
    options = dict(seed=7, steps=5, solver="unipc")
    assert model.shape == (3, 16, 16)
    assert (np.asarray(model.sample(2, **options).raw()) == np.asarray(saved.sample(2, **options).raw())).all()


def test_it_is_the_network_that_torch_has(pipeline, capsys):
    model = ddim.load_diffusers(pipeline, device="cpu", check=True)
    assert capsys.readouterr().out.startswith("largest difference ")
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        theirs = pipeline.unet(x, 321).sample.numpy()
    assert np.abs(np.asarray(model.network(x, 321)) - theirs).max() < 2e-5 * np.abs(theirs).max()


def test_what_becomes_of_the_pipeline_changes_nothing(pipeline):
    network, scheduler = unet(num_class_embeds=5), pipeline.scheduler
    model = ddim.load_diffusers(network, scheduler, device="cpu")
    before = np.asarray(model.sample(2, steps=2, classes=[3, 4]))
    with torch.no_grad():
        for weights in network.parameters():
            weights.zero_()
    assert (np.asarray(model.sample(2, steps=2, classes=[3, 4])) == before).all()


def test_half_precision_weights_are_read(pipeline):
    half = unet().half()
    model = ddim.load_diffusers(half, pipeline.scheduler, device="cpu")
    x = np.zeros((1, 3, 16, 16), np.float32)
    full = ddim.load_diffusers(half.float(), pipeline.scheduler, device="cpu")
    assert (np.asarray(model.network(x, 5)) == np.asarray(full.network(x, 5))).all()


def test_what_is_no_such_model_is_named(pipeline):
    with pytest.raises(TypeError, match="a UNet2DModel of diffusers, or a pipeline that has one, is taken, and no int"):
        ddim.load_diffusers(3)
    with pytest.raises(TypeError, match="give its scheduler"):
        ddim.load_diffusers(pipeline.unet)
    latent = diffusers.LDMPipeline(
        vqvae=diffusers.VQModel(latent_channels=3), unet=unet(), scheduler=diffusers.DDIMScheduler()
    )
    with pytest.raises(ValueError, match=r"has a vqvae, too: pipeline.save_pretrained\(folder\)"):
        ddim.load_diffusers(latent)
    with pytest.raises(ValueError, match="precision is one of"):
        ddim.load_diffusers(pipeline, precision="f8")
    with pytest.raises(TypeError, match="a model from memory does not pickle"):
        pickle.dumps(ddim.load_diffusers(pipeline, device="cpu"))
    with pytest.raises(ValueError, match="nothing tuned beside a model from memory"):
        ddim.load_diffusers(pipeline, device="cpu").sample(1, spacing="tuned")


def test_a_pipeline_is_tuned_and_drawn_with_what_was_found(pipeline, tmp_path):
    heard = []
    options = dict(pictures=1, held_out=1, rounds=1, progress=lambda calls, best: heard.append(calls))
    found = ddim.tune(pipeline, 3, solvers=["ddim", "dpm++"], **options)
    assert list(found) == [3] and len(found[3]["timesteps"]) == 3 and found[3]["solver"] in ("ddim", "dpm++")
    assert heard == sorted(heard) and heard[-1] > 0
    assert found[3]["published"] and found[3]["distance"][0] > 0
    config, tuned = pipeline.scheduler.config, ddim.diffusers.PlanScheduler.from_config
    scheduler = tuned(config, tuned=found)
    scheduler.save_pretrained(tmp_path)
    for scheduler in (scheduler, ddim.diffusers.PlanScheduler.from_pretrained(tmp_path)):
        scheduler.set_timesteps(3)
        assert scheduler.timesteps.tolist() == found[3]["timesteps"]
        assert scheduler.plan.solver == found[3]["solver"]
    with pytest.raises(ValueError, match="nothing is tuned for 4 steps, only for: 3"):
        scheduler.set_timesteps(4)
    with pytest.raises(ValueError, match="tuned and spacing='quad' both say"):
        tuned(config, tuned=found, spacing="quad")
    with pytest.raises(RuntimeError, match="enough"):
        ddim.tune(pipeline, 3, pictures=1, held_out=1, progress=stop)
    with pytest.raises(TypeError, match=r"has no option .picture.; the nearest is pictures"):
        ddim.tune(pipeline, 3, picture=1)


def stop(calls, best):
    raise RuntimeError("enough")
