"""Rates at equal recall: medians over alternating rounds, with an interval, and the table."""
import math, random, statistics

TARGETS = (0.90, 0.95, 0.99)
EFS = (10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 80, 96, 128, 160, 200, 256, 400)
PROBES = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 56, 80, 120, 223)


def crossing(curve, target, value=lambda point: math.log(point[1])):
    """What `curve`, (recall, rate, ...) by rising effort, gives at `target`; None where it does not
    reach it, its first value where it begins above."""
    curve = sorted(curve)
    if curve[-1][0] < target: return None
    if curve[0][0] >= target: return value(curve[0])
    for low, high in zip(curve, curve[1:]):
        if low[0] < target <= high[0]:
            share = (target - low[0]) / (high[0] - low[0])
            return value(low) + share * (value(high) - value(low))
    return None


class Race:
    """Libraries that take turns: every round visits every setting of each, so that a busy machine
    is busy for all."""

    def __init__(self, data, k=10, seconds=0.1, top=0.9955):
        self.data, self.k, self.seconds, self.top = data, k, seconds, top
        self.rounds = []  # each: {library: [(recall, queries per CPU second, p50 us, effort)]}
        self.libraries, self.last = [], {}

    def enter(self, library, efforts=EFS):
        self.libraries.append((library, efforts)); return library

    def point(self, library, effort):
        queries = len(self.data.queries); cpu, passes, p50 = 0.0, 0, None
        while cpu < self.seconds:
            ids, used, p50 = library.timed(effort, self.k)
            cpu += used; passes += 1
        return self.data.recall(ids, self.k), queries * passes / cpu, p50, effort

    def run(self, rounds):
        for number in range(rounds):
            order = list(self.libraries)
            random.Random(number).shuffle(order)
            curves = {}
            for library, efforts in order:
                curve = []
                for effort in efforts:
                    if effort < self.k and library.name != "faiss-ivfpqfs": continue
                    point = self.point(library, effort)
                    curve.append(point)
                    if point[0] >= self.top: break
                curves[library.name] = curve
            self.rounds.append(curves)
        return self

    def rate(self, name, target):
        """Queries per CPU second at `target`, one a round."""
        return [crossing(curves[name], target) for curves in self.rounds]

    def ratios(self, ours, theirs, target):
        """A ratio a round; empty where one of the two never reaches the target."""
        pairs = zip(self.rate(ours, target), self.rate(theirs, target))
        return [math.exp(a - b) for a, b in pairs if a is not None and b is not None]

    def p50(self, name, target):
        return [crossing(curves[name], target, lambda point: point[2]) for curves in self.rounds]

    def at(self, name, effort):
        """(recall, rate) at one setting: the median rate."""
        points = [point for curves in self.rounds for point in curves[name] if point[3] == effort]
        return (points[0][0], statistics.median(point[1] for point in points)) if points else None


class Table:
    """`name value must aim pass|FAIL`, and what goes with it."""

    def __init__(self, judges=True):
        """Figures of tiny inputs are shown and not judged."""
        self.failed, self.rows, self.judges = 0, [], judges

    def head(self, text): print(f"\n## {text}", flush=True)
    def note(self, text): print(f"   {text}", flush=True)

    def row(self, name, values, must, aim=None, at_most=False, unit="", detail=""):
        """`values`: one a round; the median counts. `must` None: shown, not judged."""
        if not self.judges: must = None
        values = [value for value in (values if isinstance(values, list) else [values]) if value is not None]
        sign = "<=" if at_most else ">="
        bar = "-" if must is None else f"{sign}{must:g}{unit}"
        goal = "-" if aim is None else f"{sign}{aim:g}{unit}"
        if not values:
            verdict = "-" if must is None else "FAIL"
            shown = "not reached"
        else:
            middle = statistics.median(values)
            good = must is None or (middle <= must if at_most else middle >= must)
            verdict = "-" if must is None else ("pass" if good else "FAIL")
            shown = f"{middle:.4g}{unit}"
            if len(values) > 1: detail = f"[{min(values):.4g}, {max(values):.4g}] {detail}"
        if verdict == "FAIL": self.failed += 1
        self.rows.append({"name": name, "values": values, "must": must, "aim": aim, "verdict": verdict, "detail": detail})
        print(f"{name:<52} {shown:>14} {bar:>9} {goal:>9} {verdict:>5}  {detail}", flush=True)
