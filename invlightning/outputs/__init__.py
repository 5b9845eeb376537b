"""What a trained model gives: tables of recommendations."""

from invlightning.outputs.recommending import Written, recommend
from invlightning.outputs.table_writer import TableWriter

__all__ = ["TableWriter", "Written", "recommend"]
