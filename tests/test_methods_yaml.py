"""Every method trains and evaluates every common network, by one more file on the command line."""

import pytest
import torch

from invlightning.cli import run
from tests.helpers.config_runs import CONFIGS, QUICK, TINY, KeepStart, content, holds, saved_config

METHODS = sorted(path.stem for path in (CONFIGS / "method").glob("*.yaml"))
BACKBONES = ["gmf", "neumf", "lightgcn"]


def networks(method):
    """The configs of networks for a method: the common ones, or none where it brings its own."""
    own = "backbone" in content(f"method/{method}.yaml").get("model", {}).get("init_args", {})
    return [None] if own else BACKBONES


CASES = [(method, network) for method in METHODS for network in networks(method)]
METRICS = {
    "test_gauc",
    "test_ndcg@10",
    "test_mrr",
    "test_harm@10",
    "test_log_loss",
    "test_auc",
    "test_recall@20",
    "test_disliked@20",
    "test_full_ndcg@20",
    "test_hit_rate@20",
}


def at_once(overlay):
    """What starts in a later epoch starts in the first one: the overlay, and the arguments."""
    flags = []
    for name in ("sampler", "resampler"):
        settings = overlay.get("data", {}).get("init_args", {}).get(name, {}).get("init_args", {})
        if "start_epoch" in settings:
            settings["start_epoch"] = 0
            flags.append(f"--data.{name}.init_args.start_epoch=0")
    return overlay, flags


@pytest.mark.parametrize(("method", "backbone"), CASES)
# What drifts in one tiny epoch says nothing about a method.
@pytest.mark.filterwarnings("ignore:.* of the unlabeled rows are annotated")
def test_method_trains_and_evaluates(method, backbone, tmp_path, monkeypatch):
    """Seen to fail with a learning rate of 0, without the overlay, and with a loss of nan."""
    monkeypatch.chdir(tmp_path)
    names = ["base.yaml", f"method/{method}.yaml"]
    names += [f"backbone/{backbone}.yaml"] if backbone else []
    overlay, flags = at_once(content(names[1]))
    callback = "--trainer.callbacks+=tests.helpers.config_runs.KeepStart"
    given = [f"--config={name}" for name in names]
    cli = run(["fit", *given, *QUICK, *TINY, *flags, callback])

    [start] = [c.parameters for c in cli.trainer.callbacks if isinstance(c, KeepStart)]
    for name, now in cli.model.backbone.named_parameters():
        assert now.isfinite().all(), name
        # A bias cancels in losses of score differences.
        assert now.dim() == 1 or not torch.equal(now, start[name]), name

    found = cli.trainer.callback_metrics
    assert set(found) >= METRICS
    assert all(value.isfinite() for value in found.values()), found

    saved = saved_config(cli.trainer)
    assert holds(saved, {key: part for key, part in overlay.items() if key != "trainer"})
    watching = {type(callback).__name__ for callback in cli.trainer.callbacks}
    for spec in overlay.get("trainer", {}).get("callbacks+", []):
        assert spec["class_path"].rpartition(".")[2] in watching
    if backbone:
        assert holds(saved, content(names[-1]))
