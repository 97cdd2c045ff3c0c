"""How often are the intervals right, and what is a claim after a confirmation worth?

    python benchmarks/trust.py [--part coverage pairs search] [--repeats 1000] [--searches 300]

All is simulated: pages of many lengths and difficulties, seeds that are better or worse, pages that one seed or one
configuration misreads and another does not. The truth is the expectation over seeds and new documents. Searches are
random at first and then local, not hpsearch's sampler, so that hundreds of them take a minute. docs/trust.md has the
tables.
"""

from __future__ import annotations

import argparse
import math
import zlib
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Console
from rich.table import Table

from hpsearch.data.uncertainty import DocumentScores, difference, interval
from hpsearch.study.noise import noise_floor

DOCUMENTS = (30, 100, 300, 1000)
SEEDS = (1, 3, 5)
VALIDATION, HELD_OUT = 100, 200
CONSOLE = Console(width=180)


@dataclass(frozen=True)
class Kind:
    """A kind of documents and of noise. The spreads are of logarithms: 0.2 is about 20 %."""

    what: str
    rate: float = 0.05  # errors a character, on average
    lengths: float = 0.6  # spread of the documents' lengths, around 400 characters
    pages: float = 0.8  # spread of their difficulty
    seeds: float = 0.06  # spread of whole runs
    both: float = 0.5  # spread of one run on one page, beyond both
    configurations: float = 0.3  # spread of one configuration on one page, for all its seeds
    loops: float = 0.0  # share of pages on which a run repeats itself, with once to three times the page's length
    line: int = 0  # characters, if all documents are lines of one length
    exact: bool = False  # 1 for a page without errors, else 0; ``rate`` is the share with errors
    steep: float = 4.0  # in a search: how much worse the corners of the space are than its best point


KINDS = {
    "pages": Kind("pages of text, seeds differ by 6 %"),
    "seeds": Kind("pages of text, seeds differ by 22 %", rate=0.04, seeds=0.22),
    "lines": Kind("lines of 4 characters, like the demo", rate=0.04, line=4, pages=0.5, seeds=0.2),
    "clean": Kind("few errors, most on few pages", rate=0.003, pages=1.2, seeds=0.1),
    "loops": Kind("1 % of pages repeat themselves", loops=0.01),
    "mixed": Kind("lines and whole pages in one set", lengths=1.2),
    "exact": Kind("share of exact pages", rate=0.1, pages=1.0, seeds=0.1, exact=True),
    "quiet": Kind("large errors, seeds differ by 1 %", rate=0.1, seeds=0.01, both=0.2),
}


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", choices=("coverage", "pairs", "search"), default=[])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--repeats", type=int, default=1000, help="intervals for each number of documents and seeds")
    parser.add_argument("--pairs", type=int, default=500, help="pairs of identical configurations")
    parser.add_argument("--searches", type=int, default=300, help="searches of each kind")
    options = parser.parse_args()
    parts = options.part or ["coverage", "pairs", "search"]
    kinds = {name: KINDS[name] for name in options.kinds}
    if "coverage" in parts:
        show_coverage(kinds, options.repeats)
    if "pairs" in parts:
        show_pairs(kinds, options.pairs)
    if "search" in parts:
        show_searches({name: kind for name, kind in kinds.items() if not kind.exact}, options.searches)


def factor(rng: np.random.Generator, spread: float, size: tuple[int, ...]) -> np.ndarray:
    """Draw factors whose mean is 1."""
    return np.exp(spread * rng.standard_normal(size) - spread**2 / 2)


@dataclass(frozen=True)
class Documents:
    """Drawn documents: their lengths and difficulties, and how prone each is to make a run repeat itself."""

    lengths: np.ndarray
    difficulty: np.ndarray
    prone: np.ndarray


def draw_documents(kind: Kind, count: int, rng: np.random.Generator) -> Documents:
    """Draw documents."""
    lengths = np.maximum(np.round(400 * factor(rng, kind.lengths, (count,))), 1)
    if kind.line:
        lengths = np.full(count, float(kind.line))
    return Documents(lengths, factor(rng, kind.pages, (count,)), kind.loops * factor(rng, 1.5, (count,)))


def draw_runs(
    kind: Kind, documents: Documents, quality: np.ndarray, rng: np.random.Generator, seeds: tuple[int, ...] = ()
) -> DocumentScores:
    """Draw one run for each number in ``quality``, the factor by which its errors are more."""
    size = (len(quality), len(documents.lengths))
    rates = np.minimum(kind.rate * documents.difficulty * quality[:, None] * factor(rng, kind.both, size), 1.0)
    below = np.repeat(documents.lengths[None], len(quality), axis=0)
    if kind.exact:
        above, below = 1.0 - (rng.random(size) < rates), np.ones(size)
    elif kind.line:
        above = rng.binomial(kind.line, rates).astype(float)
    else:
        above = rng.poisson(below * rates).astype(float)
    if kind.loops:
        above = above + (rng.random(size) < documents.prone) * below * rng.uniform(1, 3, size)
    return DocumentScores(tuple(map(str, range(size[1]))), above, below, seeds)


def expectation(kind: Kind) -> float:
    """Return the truth, from two million documents each read with a seed of its own."""
    rng = np.random.default_rng(0)
    lone = replace(kind, both=math.hypot(kind.both, kind.seeds))
    sums = np.zeros(2)
    for _ in range(20):
        scores = draw_runs(lone, draw_documents(kind, 100_000, rng), np.ones(1), rng)
        sums += scores.above.sum(), scores.below.sum()
    return float(sums[0] / sums[1])


def generator(*words: object) -> np.random.Generator:
    """Return an rng of its own for each case, so that cases can be run alone."""
    return np.random.default_rng(zlib.crc32(repr(words).encode()))


def show_coverage(kinds: dict[str, Kind], repeats: int) -> None:
    """Print how often an interval held the truth, in percent."""
    titles = [
        "1 seed, prior",
        "1 seed, 8 repeats",
        "3 seeds",
        "5 seeds",
        "this run only",
        "its bootstrap",
        "3 seeds, bootstrap",
    ]
    table = Table(
        "kind",
        "documents",
        *titles,
        title=f"95 % intervals that hold the truth, %, of {repeats} (bootstraps: of a fifth)",
    )
    for name, kind in kinds.items():
        truth = expectation(kind)
        for documents in DOCUMENTS:
            held = np.zeros(len(titles))
            for number in range(repeats):
                held += covered(kind, documents, truth, generator("coverage", name, documents, number), number % 5 == 0)
            counts = [repeats] * 5 + [len(range(0, repeats, 5))] * 2
            shares = [f"{100 * share / count:.1f}" for share, count in zip(held, counts, strict=True)]
            if kind.loops or kind.exact:  # one run's own expectation is not known in closed form
                shares[4:6] = ["", ""]
            table.add_row(name, str(documents), *shares)
    CONSOLE.print(table)


def covered(kind: Kind, count: int, truth: float, rng: np.random.Generator, bootstraps: bool) -> list[bool]:
    """Return for each column of the table if one drawn case is covered."""
    documents = draw_documents(kind, count, rng)
    quality = factor(rng, kind.seeds, (max(SEEDS),))
    runs = draw_runs(kind, documents, quality, rng)
    single = part(runs, 1)
    # The study's repeats: five runs of two configurations, on other documents.
    others = draw_documents(kind, VALIDATION, rng)
    repeats = [draw_runs(kind, others, scale * factor(rng, kind.seeds, (5,)), rng) for scale in (1.0, 1.3)]
    direction = "maximize" if kind.exact else "minimize"
    floors = [noise_floor(groups, at=single.value, direction=direction) for groups in ([], repeats)]
    made = [interval(single, seed_sd=floor.sd, seed_freedom=floor.freedom) for floor in floors]
    made += [interval(part(runs, seeds)) for seeds in SEEDS[1:]]
    own = truth * quality[0] if not kind.loops and not kind.exact else math.nan
    ends = [(one.low, one.high, truth) for one in made]
    alone = interval(single)
    ends.append((alone.low, alone.high, own))
    for scores, value in ((single, own), (part(runs, 3), truth)):
        ends.append((*(bootstrap(scores, rng) if bootstraps else (math.nan, math.nan)), value))
    return [low <= value <= high for low, high, value in ends]


def part(scores: DocumentScores, seeds: int) -> DocumentScores:
    """Return the first runs."""
    return DocumentScores(scores.documents, scores.above[:seeds], scores.below[:seeds])


def bootstrap(scores: DocumentScores, rng: np.random.Generator, draws: int = 300) -> tuple[float, float]:
    """Return the percentiles of a plain bootstrap: seeds are drawn again, then documents."""
    seeds, documents = scores.above.shape
    rows = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds
    columns = rng.multinomial(documents, np.full(documents, 1 / documents), draws)
    ratios = (columns @ scores.above.T) / (columns @ scores.below.T)
    low, high = np.quantile((rows * ratios).sum(axis=1), (0.025, 0.975))
    return float(low), float(high)


def show_pairs(kinds: dict[str, Kind], pairs: int) -> None:
    """Print how often identical configurations, each with seeds of its own, are called different."""
    titles = ["1 seed, prior", "1 seed, 8 repeats", "3 seeds", "5 seeds", "two runs only"]
    table = Table("kind", *titles, title=f"identical pairs called different, %, of {pairs}; {VALIDATION} documents")
    for name, kind in kinds.items():
        called = np.zeros(len(titles))
        for number in range(pairs):
            rng = generator("pairs", name, number)
            documents = draw_documents(kind, VALIDATION, rng)
            first, second = (draw_runs(kind, documents, factor(rng, kind.seeds, (5,)), rng) for _ in range(2))
            repeats = [draw_runs(kind, documents, factor(rng, kind.seeds, (5,)), rng) for _ in range(2)]
            direction = "maximize" if kind.exact else "minimize"
            singles = part(first, 1), part(second, 1)
            at = (singles[0].value + singles[1].value) / 2
            floors = [noise_floor(groups, at=at, direction=direction) for groups in ([], repeats)]
            made = [difference(*singles, seed_sd=floor.sd, seed_freedom=floor.freedom) for floor in floors]
            made += [difference(part(first, seeds), part(second, seeds)) for seeds in SEEDS[1:]]
            made.append(difference(*singles))
            called += [not one.low <= 0 <= one.high for one in made]
        table.add_row(name, *(f"{100 * share / pairs:.1f}" for share in called))
    CONSOLE.print(table)


class Landscape:
    """A search space of two settings with its best point, and what each configuration is worth."""

    def __init__(self, kind: Kind, rng: np.random.Generator) -> None:
        self.kind = kind
        self.rng = rng
        self.best = rng.uniform(0.2, 0.8, 2)
        self.documents = draw_documents(kind, VALIDATION, rng)
        self.held_out = draw_documents(kind, HELD_OUT, rng)

    def quality(self, point: np.ndarray) -> float:
        """Return the factor by which a point's errors exceed those of the best one."""
        return 1 + self.kind.steep * float(((point - self.best) ** 2 * (1.0, 0.3)).sum())

    def run(self, configuration: Configuration, seeds: dict[int, float], held_out: bool = False) -> DocumentScores:
        """Run a configuration with each seed. Configurations share a part of a seed's luck (correlation 0.6)."""
        shared = np.array(list(seeds.values())) * math.sqrt(0.6)
        own = np.array([configuration.luck(seed) for seed in seeds]) * math.sqrt(0.4)
        spread = self.kind.seeds
        quality = configuration.quality * np.exp(spread * (shared + own) - spread**2 / 2)
        documents = self.held_out if held_out else self.documents
        harder = configuration.pages[held_out]
        other = replace(documents, difficulty=documents.difficulty * harder)
        return draw_runs(self.kind, other, quality, self.rng, tuple(seeds))

    def seeds(self, numbers: range) -> dict[int, float]:
        """Draw seeds: their luck by their numbers."""
        return {number: float(self.rng.standard_normal()) for number in numbers}


class Configuration:
    """A configuration that was tried: its quality, its own luck with seeds, the pages that are harder for it."""

    def __init__(self, landscape: Landscape, point: np.ndarray) -> None:
        self.point = point
        self.quality = landscape.quality(point)
        self.searched = math.nan
        spread = landscape.kind.configurations
        self.pages = [factor(landscape.rng, spread, (count,)) for count in (VALIDATION, HELD_OUT)]
        self._luck: dict[int, float] = {}
        self._rng = np.random.default_rng(landscape.rng.integers(2**32))

    def luck(self, seed: int) -> float:
        """Return what this configuration alone makes of a seed."""
        return self._luck.setdefault(seed, float(self._rng.standard_normal()))


def search(landscape: Landscape, trials: int) -> list[Configuration]:
    """Try points at random, after the tenth near the best one so far, each with a seed of its own."""
    tried: list[Configuration] = []
    for number in range(trials):
        point = landscape.rng.uniform(0, 1, 2)
        if number >= 10:
            centre = min(tried, key=lambda trial: trial.searched).point
            point = np.clip(centre + landscape.rng.normal(0, 0.12, 2), 0, 1)
        trial = Configuration(landscape, point)
        trial.searched = landscape.run(trial, landscape.seeds(range(number, number + 1))).value
        tried.append(trial)
    return tried


@dataclass(frozen=True)
class Confirmed:
    """How a race ended: the winner, those that cannot be told from the best, three claims, the runs.

    A claim is a score on held-out documents: of the winner's racing runs, of one more run of the winner, or crossed:
    for each seed that of the candidate which the other seeds name.
    """

    winner: Configuration
    indistinguishable: list[Configuration]
    racing: float
    further: float
    crossed: float
    runs: int


def confirm(
    landscape: Landscape, candidates: list[Configuration], budget: int, indifference: float = 0.02
) -> Confirmed:
    """Race candidates over fresh seeds, the same for all. A candidate leaves when it is surely worse than the best
    fresh mean: at 95 % over all comparisons and looks together (Bonferroni)."""
    left, spent, seeds = list(candidates), 0, landscape.seeds(range(1000, 1000 + budget))
    names = list(seeds)
    runs: dict[int, DocumentScores] = {}
    looks = max(budget // len(candidates), 2)
    level = 1 - 0.05 / ((len(candidates) - 1) * looks)
    for round_number in range(budget):
        if spent + len(left) > budget:
            break
        for trial in left:
            fresh = landscape.run(trial, {names[round_number]: seeds[names[round_number]]})
            runs[id(trial)] = joined(runs[id(trial)], fresh) if id(trial) in runs else fresh
        spent += len(left)
        best = min(left, key=lambda trial: runs[id(trial)].value)
        if round_number == 0:
            continue
        gaps = {id(trial): difference(runs[id(trial)], runs[id(best)], level) for trial in left if trial is not best}
        left = [trial for trial in left if trial is best or gaps[id(trial)].low <= 0]
        close = indifference * runs[id(best)].value
        if all(
            abs(gaps[id(trial)].low) <= close and gaps[id(trial)].high <= close for trial in left if trial is not best
        ):
            break
    winner = min(left, key=lambda trial: runs[id(trial)].value)
    used = {name: seeds[name] for name in runs[id(winner)].seeds}
    held_out = {id(trial): landscape.run(trial, used, held_out=True).runs for trial in left}
    validation = {id(trial): runs[id(trial)].runs for trial in left}
    crossed = [
        held_out[min(validation, key=lambda name: np.delete(validation[name], place).mean())][place]
        for place in range(len(used))
    ]
    further = landscape.run(winner, landscape.seeds(range(5000, 5001)), held_out=True).value
    return Confirmed(winner, left, float(held_out[id(winner)].mean()), further, float(np.mean(crossed)), spent)


def joined(first: DocumentScores, second: DocumentScores) -> DocumentScores:
    """Return both configurations' runs as one's."""
    above, below = (np.vstack([getattr(scores, name) for scores in (first, second)]) for name in ("above", "below"))
    return DocumentScores(first.documents, above, below, first.seeds + second.seeds)


def show_searches(kinds: dict[str, Kind], searches: int) -> None:
    """Print what a claim is worth and what a confirmation gains, for 6 and 12 full runs."""
    titles = (
        "runs",
        "raw best's error",
        "claim's error",
        "regret ratio",
        "at equal runs",
        "set has the best",
        "size",
        "spent",
    )
    title = f"mean errors of claims in sds of one run's score, and regret; {searches} searches"
    table = Table("kind", *titles, title=title)
    for name, kind in kinds.items():
        for top, budget in ((3, 6), (6, 12)):
            table.add_row(name, f"{budget} (top {top})", *searched(name, kind, top, budget, searches))
    CONSOLE.print(table)


def searched(name: str, kind: Kind, top: int, budget: int, searches: int) -> list[str]:
    """Simulate the searches of one row."""
    base = expectation(kind)
    sd = float(np.std([draw_run_score(kind, generator("sd", name, number)) for number in range(400)]))
    rows = []
    for number in range(searches):
        landscape = Landscape(kind, generator("search", name, number))
        longer = search(landscape, 20 + budget)
        tried = longer[:20]
        ranked = sorted(tried, key=lambda trial: trial.searched)
        raw, most = ranked[0], min(longer, key=lambda trial: trial.searched)
        done = confirm(landscape, ranked[:top], budget)
        truest = min(tried, key=lambda trial: trial.quality).quality
        worth = base * done.winner.quality
        claims = (done.racing, done.further, done.crossed)
        errors = [(raw.searched - base * raw.quality) / sd, *((claim - worth) / sd for claim in claims)]
        regrets = [raw.quality - truest, done.winner.quality - truest, done.winner.quality - 1, most.quality - 1]
        holds = min(ranked[:top], key=lambda trial: trial.quality) in done.indistinguishable
        rows.append([*errors, *regrets, holds, len(done.indistinguishable), done.runs])
    values = np.array(rows, dtype=float)
    means, halves = values.mean(axis=0), 1.96 * values.std(axis=0) / searches**0.5
    return [
        *(f"{mean:+.2f} ± {half:.2f}" for mean, half in zip(means[:4], halves[:4], strict=True)),
        ratio(values[:, 5], values[:, 4]),
        ratio(values[:, 6], values[:, 7]),
        f"{100 * means[8]:.1f}",
        f"{means[9]:.1f}",
        f"{means[10]:.1f}",
    ]


def draw_run_score(kind: Kind, rng: np.random.Generator) -> float:
    """Draw one run's score on documents of its own: its sd is the noise that errors are measured by."""
    return draw_runs(kind, draw_documents(kind, VALIDATION, rng), factor(rng, kind.seeds, (1,)), rng).value


def ratio(above: np.ndarray, below: np.ndarray) -> str:
    """Return a ratio of mean regrets with its bootstrap interval over searches."""
    rng = np.random.default_rng(0)
    picks = rng.integers(len(above), size=(2000, len(above)))
    low, high = np.quantile(above[picks].mean(axis=1) / below[picks].mean(axis=1), (0.025, 0.975))
    return f"{above.mean() / below.mean():.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
