"""One model of RecBole 1.2.1, epoch by epoch, for :mod:`benchmarks.recbole_speed`.

Runs under a Python of its own that has RecBole and nothing of this package. For every line on its
standard input it trains one epoch, evaluates, and prints the CPU-seconds of both.
"""

import logging
import sys
import tempfile
import time

import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

LAYERS = {
    "NeuMF": {"mf_embedding_size": 64, "mlp_embedding_size": 128, "mlp_hidden_size": [128, 64]},
    "BPR": {"embedding_size": 64},
}


def main(name: str, root: str, dropout: float) -> None:
    """Prepares the model, says so, and serves.

    Args:
        name: ``NeuMF`` or ``BPR``.
        root: Folder with ``ml-100k/ml-100k.inter``.
        dropout: Of NeuMF's layers.
    """
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    settings = {
        "data_path": root,
        "load_col": {"inter": ["user_id", "item_id"]},
        "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "group_by": "user", "mode": "full"},
        "train_batch_size": 2048,
        "topk": [10],
        "metrics": ["NDCG", "MRR", "Recall", "Hit"],
        "valid_metric": "MRR@10",
        "use_gpu": False,
        "show_progress": False,
        "checkpoint_dir": tempfile.gettempdir(),
        "dropout_prob": dropout,
        **LAYERS[name],
    }
    config = Config(model=name, dataset="ml-100k", config_dict=settings)
    init_seed(0, True)
    dataset = create_dataset(config)
    train, valid, _ = data_preparation(config, dataset)
    model = get_model(name)(config, train.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
    print("ready", flush=True)
    for epoch, _ in enumerate(sys.stdin):
        start = time.process_time()
        trainer._train_epoch(train, epoch, show_progress=False)
        trained = time.process_time()
        trainer.evaluate(valid, load_best_model=False, show_progress=False)
        print(trained - start, time.process_time() - trained, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
