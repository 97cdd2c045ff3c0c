"""Parameter importance: the parameters that decide if a trial is among the best (PED-ANOVA, arXiv:2304.10255)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hpsearch.report.figures.style import Figure, Layout, Trace, axis, rounded
from hpsearch.report.summary import StudySummary
from hpsearch.report.text import plot_label

if TYPE_CHECKING:
    from optuna import Study

# Optuna's advice is at least 5 trials above the target quantile; with 10 trials that is the better half of them. Below
# that the answer is mostly noise, and for 0 or 1 trials Optuna invents equal shares.
MINIMUM_TRIALS = 10
TOP_TRIALS = 5
_SHOWN = 15


def importances(study: Study, summary: StudySummary) -> dict[str, float] | str:
    """Return the share of each parameter, the largest first, or a sentence that says why there are none."""
    complete, varying = len(summary.completed), [item.name for item in summary.parameters if item.varies]
    if complete < MINIMUM_TRIALS:
        have = f"{complete} {'has' if complete == 1 else 'have'}"
        return f"Importance needs {MINIMUM_TRIALS} completed trials to be more than noise; {have} completed so far."
    if len(varying) < 2:
        return f"Importance compares parameters, and {len(varying) or 'none'} of them varied in this study."
    if len({row.value for row in summary.completed}) < 2:
        return "All completed trials have the same value, so no parameter can be said to matter."
    shares = _ped_anova(study, summary)
    if not any(shares.values()):
        return "No parameter separates the better trials from the others, so there is nothing to show."
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))


def importance(summary: StudySummary, shares: Mapping[str, float] | str) -> Figure:
    """Draw the shares as bars."""
    title, key = "Parameter importance", "importance"
    if isinstance(shares, str):
        return Figure(key, title, sentence=shares)
    shown = list(reversed(list(shares.items())[:_SHOWN]))
    trace: Trace = {
        "type": "bar",
        "orientation": "h",
        "x": [rounded(share) for _, share in shown],
        "y": list(range(len(shown))),
        "text": [f"{share:.0%}" for _, share in shown],
        "textposition": "outside",
        "cliponaxis": False,
        "textfont": {"color": "@ink"},
        "hoverinfo": "skip",
        "marker": {"color": "@complete"},
    }
    ticks = {"tickvals": list(range(len(shown))), "ticktext": [plot_label(name, 32) for name, _ in shown]}
    layout: Layout = {
        "xaxis": axis("share of the importance", tickformat=".0%", range=[0, 1.12 * max(share for _, share in shown)]),
        "yaxis": axis("", showgrid=False, **ticks),
        "showlegend": False,
        "margin": {"l": 64, "r": 24, "t": 12, "b": 56},
        "bargap": 0.35,
    }
    complete = len(summary.completed)
    caption = (
        f"How much each parameter decides whether a trial is among the best {round(_quantile(complete) * complete)} of "
        f"{complete} completed ones (PED-ANOVA)."
    )
    if complete < 5 * MINIMUM_TRIALS:
        caption += " With fewer than 50 trials, read it as a hint."
    return Figure(key, title, caption, (trace,), layout, 80 + 34 * len(shown))


def order_of(summary: StudySummary, shares: Mapping[str, float] | str, limit: int) -> tuple[list[str], str]:
    """Return the varying parameters to show, the most important first, and a sentence about those left out."""
    names = [item.name for item in summary.parameters if item.varies]
    if not isinstance(shares, str):
        names.sort(key=lambda name: (-shares.get(name, 0.0), name))
    left = len(names) - limit
    how = "in the order of their names" if isinstance(shares, str) else "by importance"
    return names[:limit], f"Shows {limit} of {len(names)} parameters, {how}." if left > 0 else ""


def _quantile(complete: int) -> float:
    """Return Optuna's default of a tenth, or a share with at least ``TOP_TRIALS``."""
    return max(0.1, TOP_TRIALS / complete)


def _ped_anova(study: Study, summary: StudySummary) -> dict[str, float]:
    """Compute shares from the trials with finite values only, so that a script's inf has no effect."""
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    from hpsearch.study.storage.replica import adopt_trials

    wanted = {row.number for row in summary.completed}
    memory = optuna.storages.InMemoryStorage()
    copy = optuna.create_study(direction=study.direction, storage=memory)
    trials = (trial for trial in study.get_trials(deepcopy=False) if trial.number in wanted)
    adopt_trials(memory, memory.get_study_id_from_name(copy.study_name), trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = PedAnovaImportanceEvaluator(target_quantile=_quantile(len(wanted)))
        return get_param_importances(copy, evaluator=evaluator)
