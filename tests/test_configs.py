"""Every YAML of ``configs/`` trains from the command line; methods in test_methods_yaml.py."""

from pathlib import Path

import pytest

from invlightning.cli import run
from invlightning.cli.configs_lookup import config_folder, find_config, packaged_configs
from tests.helpers.cli_runs import plain_lightning_cli, printed_config
from tests.helpers.config_runs import CONFIGS, QUICK, TINY, content, holds, saved_config
from tests.helpers.tiny_data import (
    write_coat,
    write_kuairand,
    write_kuairec,
    write_movielens,
    write_table,
    write_vk_lsvd,
    write_yambda,
)

BASES = {"backbone": "ig_ncf.yaml", "data": "ig_ncf.yaml"}
WRITERS = {
    "invlightning.CoatDataModule": write_coat,
    "invlightning.KuaiRandDataModule": write_kuairand,
    "invlightning.KuaiRecDataModule": write_kuairec,
    "invlightning.MovieLensDataModule": write_movielens,
    "invlightning.VKLSVDDataModule": write_vk_lsvd,
    "invlightning.YambdaDataModule": write_yambda,
}


def write_data(data, root):
    """Writes a file for a ``data`` section; returns the arguments that point to it."""
    if data["class_path"] == "invlightning.TableDataModule":
        write_table(root / data["init_args"]["path"])
        return []
    given = {"variant": data["init_args"]["variant"]} if "variant" in data["init_args"] else {}
    WRITERS[data["class_path"]](root, **given)
    return [f"--data.root={root}"]


def names():
    """Paths relative to the folder, base configs first."""
    found = sorted(CONFIGS.rglob("*.yaml"), key=lambda path: (len(path.parts), path))
    return [path.relative_to(CONFIGS).as_posix() for path in found]


@pytest.mark.parametrize("name", [name for name in names() if not name.startswith("method/")])
# What drifts in one tiny epoch says nothing about a config.
@pytest.mark.filterwarnings("ignore:.* of the unlabeled rows are annotated")
def test_config_trains(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = name.rpartition("/")[0]
    config = content(name)
    data = write_data(config["data"], tmp_path) if folder == "data" else TINY
    given = [f"--config={path}" for path in ([BASES[folder], name] if folder else [name])]
    cli = run(["fit", *given, *QUICK, *data])
    assert cli.trainer.current_epoch == 1
    assert holds(
        saved_config(cli.trainer), {key: part for key, part in config.items() if key != "trainer"}
    )
    assert "test_auc" in capsys.readouterr().out


FRONT_DOORS = {
    "bce_ncf.yaml": "method/labeled_only.yaml",
    "naive_ncf.yaml": "method/naive.yaml",
    "idl_ncf.yaml": "method/idl.yaml",
    "ig_ncf.yaml": "method/ig.yaml",
}


@pytest.mark.parametrize("door", FRONT_DOORS)
def test_a_front_door_is_the_base_and_its_method(door, capsys):
    """Seen to fail with another learning rate, and without a callback."""
    alone = printed_config(capsys, f"--config={door}")
    parts = [f"--config={name}" for name in ("base.yaml", FRONT_DOORS[door])]
    assert printed_config(capsys, *parts) == alone


def test_every_config_at_the_top_is_the_base_or_a_front_door():
    assert {path.name for path in CONFIGS.glob("*.yaml")} == {"base.yaml", *FRONT_DOORS}


@pytest.mark.parametrize("door", FRONT_DOORS)
def test_a_front_door_runs_under_a_plain_lightning_cli(door, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["fit", f"--config={CONFIGS / door}", *QUICK, *TINY, "--trainer.logger=false"]
    done = plain_lightning_cli(monkeypatch, *given)
    assert done.trainer.current_epoch == 1


def test_each_config_says_how_to_use_it():
    for name in names():
        first = (CONFIGS / name).read_text().splitlines()[0]
        assert first.startswith("# "), name


def test_packaged_config_is_found_unless_a_local_one_stands_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config_folder() == CONFIGS
    assert find_config("ig_ncf.yaml") == str(CONFIGS / "ig_ncf.yaml")
    assert find_config("configs/data/coat.yaml") == str(CONFIGS / "data" / "coat.yaml")
    Path("ig_ncf.yaml").write_text("{}")
    assert find_config("ig_ncf.yaml") == "ig_ncf.yaml"
    assert find_config("s3://bucket/ig_ncf.yaml") == "s3://bucket/ig_ncf.yaml"


def test_names_are_looked_up_behind_config_flags_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bce = str(CONFIGS / "bce_ncf.yaml")
    other = ["--data.root", "bce_ncf.yaml", "--data.path=bce_ncf.yaml"]
    given = ["fit", "-c", "bce_ncf.yaml", "--config=bce_ncf.yaml", *other]
    found = ["fit", "-c", bce, f"--config={bce}", *other]
    assert packaged_configs(given) == found
    with pytest.raises(TypeError, match="list of strings or None, got dict"):
        packaged_configs({"fit": {}})


def test_missing_config_lists_the_packaged_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no config 'ig_ncff.yaml' in .*, ig_ncf.yaml, "):
        run(["fit", "--config", "ig_ncff.yaml"])
