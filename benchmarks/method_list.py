"""Every method of the package, by the YAML that trains it.

A method is an overlay of ``configs/method`` on ``base.yaml`` and, rarely, an option; what the
benchmarks measure is what these lines give a user.
"""

from dataclasses import dataclass

import pytorch_lightning as pl
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI

import invlightning as il
from invlightning.cli.configs_lookup import packaged_configs
from invlightning.cli.monitors import add_monitor

# What a method does with labels. Where it only uses true negatives, it works without them too.
POSITIVES = "positives"
USES_NEGATIVES = "positives (uses negatives)"
BOTH = "positives and negatives"


class Builder(LightningCLI):
    """Builds model and data from arguments in which packaged configs are given by name."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds what methods may say beside model and data."""
        add_monitor(parser)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parses the arguments and nothing else of the process."""
        self.config = parser.parse_args(packaged_configs(args))


@dataclass(frozen=True)
class Method:
    """A method and what a user wants to know before choosing it.

    One that brings its own network keeps it, whatever further configs say.

    Args:
        name: What tables call it.
        overlay: File in ``configs/method``.
        reference: Authors, venue and year.
        state: What it keeps between steps, beside the model and its optimizer.
        labels: What labels it needs.
        options: Command-line options on top.
        rows: Which rows it uses beside the labeled ones.
        own_network: Whether its config names the network.
    """

    name: str
    overlay: str
    reference: str
    state: str = "none"
    labels: str = POSITIVES
    options: tuple[str, ...] = ()
    rows: str = "drawn"
    own_network: bool = False

    @property
    def arguments(self) -> list[str]:
        """The method alone, as arguments of the command line."""
        return ["--config=base.yaml", f"--config=method/{self.overlay}", *self.options]

    def build(
        self, *arguments: str, seed: int = 42
    ) -> tuple[pl.LightningModule, il.ImplicitDataModule]:
        """Builds the model and the data as ``invlightning fit`` does, without a logger.

        Args:
            *arguments: Further configs and options of the command line, which win over all but a
                network of its own.
            seed: Seed of everything random.
        """
        last = [f"--config=method/{self.overlay}"] if self.own_network else []
        given = [*self.arguments, "--trainer.callbacks=null", "--trainer.logger=false"]
        cli = Builder(
            pl.LightningModule,
            pl.LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            save_config_callback=None,
            run=False,
            args=[*given, *arguments, *last, f"--seed_everything={seed}"],
        )
        return cli.model, cli.datamodule


IDL, RANKING, WANG = "Lin et al., WSDM 2024", "Rendle et al., UAI 2009", "Wang et al., WSDM 2021"
YANG = "Yang et al., NeurIPS 2024"

METHODS = (
    Method("labeled only", "labeled_only.yaml", "He et al., WWW 2017", labels=BOTH, rows="none"),
    Method(
        "naive (sampled = negative)",
        "naive.yaml",
        "He et al., WWW 2017",
        labels=USES_NEGATIVES,
    ),
    Method(
        "naive, weight 0.1", "naive_weighted.yaml", "Hu et al., ICDM 2008", labels=USES_NEGATIVES
    ),
    Method(
        "popularity",
        "popularity.yaml",
        "Cremonesi et al., RecSys 2010",
        state="count of each item",
        rows="none",
        own_network=True,
    ),
    Method(
        "ItemKNN",
        "item_knn.yaml",
        "Deshpande and Karypis, TOIS 2004",
        state="100 neighbors of each item, the positives",
        rows="none",
        own_network=True,
    ),
    Method(
        "EASE",
        "ease.yaml",
        "Steck, WWW 2019",
        state="a weight for each pair of items, the positives",
        rows="none",
        own_network=True,
    ),
    Method("IDL", "idl.yaml", IDL, labels=BOTH),
    Method(
        "IDL, prior 0.1, weight 0.3",
        "idl_prior.yaml",
        IDL,
        labels="positives, class prior (uses negatives)",
    ),
    Method("IG, phased", "ig.yaml", IDL, labels=BOTH),
    Method(
        "IG, every batch",
        "ig.yaml",
        IDL,
        labels=BOTH,
        options=("--model.schedule=every_batch",),
    ),
    Method("IG, per example", "ig_sign.yaml", IDL, labels=BOTH),
    Method("IG, reweighting", "ig_reweight.yaml", "Ren et al., ICML 2018", labels=BOTH),
    Method(
        "Meta-Weight-Net",
        "meta_weight_net.yaml",
        "Shu et al., NeurIPS 2019",
        state="a small network and its optimizer",
        labels=BOTH,
    ),
    Method("T-CE", "tce.yaml", WANG, state="count of steps", labels=USES_NEGATIVES),
    Method("R-CE", "rce.yaml", WANG, labels=USES_NEGATIVES),
    Method("GCE", "gce.yaml", "Zhang and Sabuncu, NeurIPS 2018", labels=USES_NEGATIVES),
    Method("SCE", "sce.yaml", "Wang et al., ICCV 2019", labels=USES_NEGATIVES),
    Method("nnPU", "nnpu.yaml", "Kiryo et al., NeurIPS 2017", labels="positives, class prior"),
    Method("Rel-MF", "relmf.yaml", "Saito et al., WSDM 2020", state="propensity of each item"),
    Method(
        "debiased contrastive",
        "debiased.yaml",
        "Chuang et al., NeurIPS 2020",
        labels="positives, class prior",
    ),
    Method("sampled softmax", "softmax.yaml", "Yi et al., RecSys 2019", state="log Q of each item"),
    Method(
        "in-batch softmax", "inbatch.yaml", "Yi et al., RecSys 2019", state="log Q of each item"
    ),
    Method(
        "sampled softmax, dislikes",
        "softmax_dislikes.yaml",
        "Wang et al., RecSys 2023",
        state="log Q of each item",
        labels=BOTH,
    ),
    Method("PSL, relu", "psl.yaml", YANG, state="log Q of each item"),
    Method(
        "PSL, tanh",
        "psl.yaml",
        YANG,
        state="log Q of each item",
        options=("--model.joint_loss=PSLTanhLoss",),
    ),
    Method(
        "PSL, arctan",
        "psl.yaml",
        YANG,
        state="log Q of each item",
        options=("--model.joint_loss=PSLArctanLoss",),
    ),
    Method("SimCE", "simce.yaml", "Yang et al., arXiv 2406.16170"),
    Method("lower-left partial AUC", "llpauc.yaml", "Shi et al., WWW 2024"),
    Method("BPR", "bpr.yaml", RANKING),
    Method("BPR, dislikes", "bpr_dislikes.yaml", RANKING, labels=BOTH),
    Method("DNS", "dns.yaml", "Zhang et al., SIGIR 2013"),
    Method("DNS(M, N)", "dns_mn.yaml", "Shi et al., WWW 2023"),
    Method("AOBPR", "aobpr.yaml", "Rendle and Freudenthaler, WSDM 2014"),
    Method(
        "RNS",
        "rns.yaml",
        "Ding et al., IJCAI 2019",
        state="factors of each user and item",
        labels=BOTH,
    ),
    Method(
        "SRNS",
        "srns.yaml",
        "Ding et al., NeurIPS 2020",
        state="eight items of each user, five epochs of scores",
    ),
    Method("AHNS", "ahns.yaml", "Lai et al., AAAI 2024"),
    Method("BNS", "bns.yaml", "Liu and Wang, ICDE 2023", state="count of each item"),
    Method("PLD", "pld.yaml", "Zhang et al., WWW 2025"),
    Method("soft label on exposed", "soft_label.yaml", "control", labels=BOTH, rows="exposed"),
    Method("IDL on exposed", "idl_exposed.yaml", IDL, labels=BOTH, rows="exposed"),
    Method("Direct on exposed", "direct_exposed.yaml", "control", labels=BOTH, rows="exposed"),
    Method("IG on exposed", "ig_exposed.yaml", IDL, labels=BOTH, rows="exposed"),
    Method(
        "entire space + IDL",
        "entire_space.yaml",
        "Ma et al., SIGIR 2018",
        state="a second backbone",
        labels=BOTH,
        rows="exposed, drawn",
    ),
    Method(
        "entire space + IG",
        "entire_space_ig.yaml",
        "Ma et al., SIGIR 2018",
        state="a second backbone",
        labels=BOTH,
        rows="exposed, drawn",
    ),
)
