"""Results of an attack as tables, figures and files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroattack.errors import UnsupportedFeatureError
from neuroattack.experiments.attack import AttackResult as Measured
from neuroattack.notebook import html_table
from neuroattack.report.numbers import decimals_for, interval, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["AttackResult"]

_HEADER = {
    "index": "image",
    "label": "true class",
    "target_class": "target class",
    "predicted_clean": "predicted, clean",
    "predicted": "predicted, adversarial",
    "success_rate": "success rate",
    "clean_error_rate": "clean error rate",
    "distance": "L2",
    "search_queries": "queries",
    "stopped_by": "stopped by",
}
_ROUNDED = {"success_rate": "{:.2f}", "clean_error_rate": "{:.2f}", "distance": "{:.2f}"}


@dataclass(frozen=True, eq=False, repr=False)
class AttackResult(Measured):
    """An attack on several images, verified on fresh trials.

    Parameters
    ----------
    attack : Attack
        The attack as configured, except for its seed.
    images : tuple of AttackedImage
        Search and verification of each image.
    """

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row per image, with intervals and distances as columns; None is undecided."""
        rows = []
        for figures in self.as_json()["images"]:
            low, high = figures["success_ci95"]
            rows.append(
                {
                    "index": figures["index"],
                    "label": figures["label"],
                    "target_class": figures["target_class"],
                    "predicted_clean": figures["predicted_clean"],
                    "predicted": figures["predicted"],
                    "success_rate": figures["success_rate"],
                    "success_ci95_low": low,
                    "success_ci95_high": high,
                    "clean_error_rate": figures["clean_error_rate"],
                    **figures["distances"],
                    "search_queries": figures["search_queries"],
                    "verification_queries": figures["verification_queries"],
                    "stopped_by": figures["stopped_by"],
                }
            )
        return rows

    def to_dataframe(self) -> Any:
        """Return :attr:`rows` as a ``pandas.DataFrame``.

        Raises
        ------
        UnsupportedFeatureError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise UnsupportedFeatureError("data frames need pandas: pip install pandas") from error
        return pd.DataFrame(self.rows)

    def plot(self, images: int = 8) -> Figure:
        """Draw clean images, adversarial images and perturbations, one column per image.

        Of event samples, all events of a sample are drawn in one frame.

        Parameters
        ----------
        images : int, optional
            Maximum number of images, from the first.
        """
        if self.is_of_events:
            from neuroattack.report.events.frames import gallery_figure
        else:
            from neuroattack.report.plots import gallery_figure

        return gallery_figure(self.images[:images])

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``result.json`` and ``images.npz`` (``original``, ``adversarial``), atomically.

        Event samples are arrays of type bool, images of type float64.

        Raises
        ------
        OutputError
            If a file cannot be written.
        """
        from neuroattack.report.attack import save_figures

        save_figures(Path(folder), [self], self.as_json())

    def __repr__(self) -> str:
        return f"AttackResult({self._summary})"

    def _repr_html_(self) -> str:
        norm = self.attack.bound.norm if self.is_of_events else "l2"  # type: ignore[attr-defined]
        header = _HEADER if norm == "l2" else {**_HEADER, "distance": norm}
        rows = [
            ["" if row[key] is None else _ROUNDED.get(key, "{}").format(row[key]) for key in header]
            for row in ({**row, "distance": row[norm]} for row in self.rows)
        ]
        return html_table(self._summary, list(header.values()), rows)

    @property
    def _summary(self) -> str:
        bound = getattr(self.attack, "bound", None)
        count = len(self.images)
        return (
            f"{self.attack.name}, {'no bound' if bound is None else bound}: "
            f"success rate {percent(self.success_rate)}, "
            f"{interval(self.ci95, decimals_for(count))}; "
            f"clean error rate {percent(self.clean_error_rate)}; {count} images"
        )
