"""Bad input at a terminal: a sentence that says what was found, exit code 2, and no training."""

import sys
from pathlib import Path

import pytest

from invlightning import cli
from tests.helpers.cli_runs import QUIET

HEAD = "user,item,stars\n"
FILES = {
    "good.csv": HEAD + "".join(f"{u},{i},{(u * i) % 5 + 1}\n" for u in range(9) for i in range(9)),
    "empty.csv": "",
    "header.csv": HEAD,
    "word.csv": HEAD + "1,2,good\n2,1,3\n",
    "infinite.csv": HEAD + "1,2,inf\n2,1,3\n",
    "missing_user.csv": HEAD + ",2,4\n2,1,3\n",
    "one_user.csv": HEAD + "1,2,4\n1,3,1\n",
    "low.csv": HEAD + "1,2,1\n2,3,1\n1,3,1\n",
    "ragged.csv": HEAD + "1,2,4\n2,1\n",
    "latin.csv": None,
    "not.parquet": "user,item\n",
    "text.ckpt": "not a checkpoint",
    "broken.yaml": "model: [\n",
    "key.yaml": "model: {init_args: {inner_rate: 3}}\n",
    "section.yaml": "modl: {a: 3}\n",
    "list.yaml": "- 1\n",
}
TABLE = ["--data=TableDataModule", "--data.rating_column=stars", "--data.positive_threshold=3"]


def table(path, *more):
    return [*TABLE, f"--data.path={path}", *more]


# Arguments behind ``fit --config ig_ncf.yaml``, and what the sentence says.
CASES = [
    # keys
    (["--model.inner_lrr=1"], "no option of InverseGradientRecommender; did you mean 'inner_lr'?"),
    (["--model.backbone.embeding_dim=3"], "no option of NeuMF; did you mean 'embedding_dim'?"),
    (["--model.unlabeled_loss.wait=3"], "--model.unlabeled_loss.wait is no option of"),
    (["--data.batchsize=3"], "no option of SyntheticDataModule; did you mean 'batch_size'?"),
    (["--data.root=x"], "--data.root is no option of SyntheticDataModule."),
    (["--trainer.max_epok=3"], "--trainer.max_epok is no option; did you mean 'max_epochs'?"),
    (["--monitr=val_auc"], "--monitr is no option; did you mean 'monitor'?"),
    (["--config=key.yaml"], "--model.inner_rate is no option of InverseGradientRecommender"),
    (["--config=section.yaml"], "--modl.a is no option; did you mean 'model'?"),
    # types
    (["--data.batch_size=many"], "--data.batch_size is 'many', expected int."),
    (["--data.meta_fraction=abc"], "--data.meta_fraction is 'abc', expected float."),
    (["--trainer.max_epochs=many"], "--trainer.max_epochs is 'many', expected int."),
    (["--model.optimizer.lr=high"], "--model.optimizer.lr is 'high', expected float."),
    (["--model.unlabeled_loss.prior=x"], "is 'x', expected float or 'labeled'."),
    (["--model.schedule=never"], "--model.schedule is 'never', expected 'phased', 'every_batch'."),
    (["--data.epoch=all"], "--data.epoch is 'all', expected"),
    # classes
    (["--model.backbone=NeuMFF"], "'NeuMFF', which is no class known here; did you mean 'NeuMF'?"),
    (["--model.unlabeled_loss=InversDualLoss"], "did you mean 'InverseDualLoss'?"),
    (["--model=Recomender"], "--model is 'Recomender', which is no class known here; did you mean"),
    (["--data=CoatModule"], "did you mean 'CoatDataModule'?"),
    (["--model=NeuMF"], "--model is 'NeuMF', which is a class of another kind"),
    (["--data.sampler=PopularSampler"], "did you mean 'PopularitySampler'?"),
    (["--model.optimizer=Adamm"], "did you mean 'Adam'?"),
    # what a class cannot do without
    (["--data=TableDataModule"], "--data.path is required by TableDataModule."),
    (["--model.lr_scheduler=StepLR"], "--model.lr_scheduler.step_size is required by StepLR."),
    # values
    (["--trainer.precision=64-mixed"], "--trainer.precision is '64-mixed', expected int or 'trans"),
    (["--trainer.strategy=fsdpp"], "You selected an invalid strategy name: `strategy='fsdpp'`"),
    (["--trainer.accumulate_grad_batches=0"], "accumulate_grad_batches is 0, expected at least 1"),
    (["--trainer.check_val_every_n_epoch=0"], "check_val_every_n_epoch is 0, expected at least 1"),
    (["--trainer.limit_val_batches=-1"], "invalid value -1.0 for limit_val_batches"),
    (["--model.capture=true"], "this run trains on cpu: use accelerator='gpu', or leave capture"),
    (["--model.capture=maybe"], "--model.capture is 'maybe', expected bool."),
    (["--model.backbone.embedding_dim=0"], "embedding_dim is 0, but a backbone needs at least 1."),
    (["--model.backbone.dropout=2"], "dropout is 2.0, expected at least 0 and less than 1."),
    (["--model.unlabeled_loss.prior=1.5"], "prior is 1.5, expected a number between 0 and 1"),
    (["--model.unlabeled_loss.weight=-1"], "weight is -1.0, expected 0 or more"),
    (["--model.unlabeled_loss.temperature=0"], "temperature is 0.0, expected more than 0"),
    (["--model.direction=up"], "--model.direction is 'up', expected 'adam', 'sgd', 'sign'."),
    (["--model.top_k=0"], "k is 0: a ranking needs at least one rank"),
    (["--model.label_cutoff=0"], "k is 0: a ranking needs at least one rank"),
    (["--model.item_chunk=0"], "item_chunk 0: both must be at least 1."),
    (["--data.num_exposed=-1"], "num_exposed must be at least 0, got -1."),
    (["--seed_everything=abc"], "--seed_everything is 'abc', expected bool or int."),
    (["--untrained=perhaps"], "--untrained is 'perhaps', expected bool."),
    (
        ["--data=MovieLensDataModule", "--data.variant=3k"],
        "--data.variant is '3k', expected '100k',",
    ),
    (["--model.inner_lr=0"], "inner_lr must be positive, got 0"),
    (["--model.embedding_l2=-1"], "embedding_l2 must be at least 0, got -1"),
    (["--model.optimizer.lr=-1"], "Invalid learning rate: -1"),
    (["--trainer.max_epochs=-5"], "`max_epochs` must be a non-negative integer or -1"),
    (["--data.batch_size=0"], "batch_size must be at least 1, got 0"),
    (["--data.labeled_fraction=2"], "labeled_fraction must be in (0, 1], got 2.0."),
    (["--data.meta_fraction=1"], "meta_fraction must be in [0, 1), got 1.0."),
    (["--data.meta_fraction=0"], "the data module has none: set meta_fraction above 0"),
    (["--data.num_unlabeled=0"], "num_unlabeled"),
    (["--trainer.limit_train_batches=2"], "before the meta part begins"),
    (
        ["--monitor=val_acc"],
        "monitors 'val_acc', which no validation of InverseGradientRecommender",
    ),
    (["--monitor=val_auc", "--trainer.callbacks=null"], "no ModelCheckpoint or EarlyStopping"),
    # files
    (["--config=nope.yaml"], "there is no config 'nope.yaml'"),
    (["--trainer.default_root_dir=good.csv"], "[Errno 20] Not a directory: "),
    (["--ckpt_path=nope.ckpt"], "nope.ckpt"),
    (["--ckpt_path=text.ckpt"], "text.ckpt"),
    (["--ckpt_path="], "--ckpt_path is empty"),
    (table("nope.csv"), "there is no file 'nope.csv'"),
    (table("empty.csv"), "empty.csv is empty"),
    (table("header.csv"), "has a header but no rows"),
    (table("good.csv", "--data.user_column=usr"), "has no column 'usr'; its columns are"),
    (table("good.csv", "--data.rating_column=star"), "did you mean 'stars' or 'user'?"),
    (
        table("good.csv", "--data.positive_threshold=9"),
        "ratings range from 1 to 5, so no rating is above",
    ),
    (table("word.csv"), "1 of 2 ratings are not numbers, such as 'good'"),
    (table("infinite.csv"), "infinite"),
    (table("missing_user.csv"), "1 of 2 user ids are missing"),
    (table("one_user.csv"), "fewer than two users"),
    (table("low.csv"), "ratings range from 1 to 1, so no rating is above"),
    (table("ragged.csv"), "ragged.csv is not a table separated by ','"),
    (table("latin.csv"), "latin.csv is not written in UTF-8"),
    (table("not.parquet"), "not.parquet is not a Parquet file"),
    (table("good.csv", "--data.separator=abc"), "separator must be one character or '::'"),
    (table("good.csv", "--data.min_user_count=99"), "leave none of"),
    (table("good.csv", "--data.encoding=utf-9"), "encoding is 'utf-9', which Python does not know"),
    (table("good.csv", "--data.test_path=nope.csv"), "there is no file 'nope.csv'"),
    (table("good.csv", "--data.drop_between=[5,1]"), "is '[5, 1]', expected bool."),
    (table("good.csv", "--data.positive_columns=[liked]"), "rows are labeled by one of them"),
]
OTHERS = [
    (["test", "--config=ig_ncf.yaml"], "test without --ckpt_path would use a model that was never"),
    (["predict", "--config=ig_ncf.yaml"], "predict without --ckpt_path would use a model"),
    (
        ["predict", "--config=ig_ncf.yaml", "--ckpt_path=nope.ckpt"],
        "there is no checkpoint at nope.ckpt",
    ),
    (
        ["test", "--config=ig_ncf.yaml", "--ckpt_path=text.ckpt"],
        "text.ckpt is not a checkpoint: give a .ckpt file",
    ),
    (["fit"], "arguments are required: fit.data, fit.model"),
    (["fit", "--config=base.yaml", "--config=method/nope.yaml"], "there is no config"),
    (["train"], "train"),
    ([], "subcommand"),
]
ALL = [(["fit", "--config=ig_ncf.yaml", *given], told) for given, told in CASES] + OTHERS


@pytest.mark.parametrize(("arguments", "told"), ALL, ids=lambda x: x if isinstance(x, str) else "")
@pytest.mark.filterwarnings("ignore")
def test_bad_input_is_one_sentence(arguments, told, tmp_path, monkeypatch, capsys):
    """Seen to fail on 0.1.0 for misspelt keys, wrong types, unknown classes and bad values."""
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        if content is not None:
            Path(name).write_text(content)
    Path("latin.csv").write_bytes((HEAD + "José,2,4\n").encode("latin-1"))
    monkeypatch.setattr(sys, "argv", ["invlightning", *arguments, *(QUIET if arguments else [])])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert "Traceback" not in error
    sentence = error[error.index("error: ") :]
    assert told in sentence
    assert len(sentence.splitlines()) <= 3
    assert not Path("runs", "lightning_logs", "version_0", "checkpoints").exists()
