"""`python -m tests.simulation --seed S --schedules N`: a count of what was exercised, or the story of a violation."""
# ruff: noqa: T201 - printing is what it is for

import argparse
import os
import sys
import time
from collections import Counter

from tests.simulation.families import FAMILIES
from tests.simulation.generator import draw
from tests.simulation.mutations import FAMILIES_OF, MUTATIONS
from tests.simulation.schedule import Schedule
from tests.simulation.shrink import shrink
from tests.simulation.world import Result, run_schedule


def main() -> int:
    """Run schedules until one fails; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first schedule; the next has the next")
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--without", choices=MUTATIONS, default="", help="leave a clause of the protocol out")
    parser.add_argument(
        "--family", choices=FAMILIES, default="", help="only schedules of it; else those of the clause, or any"
    )
    parser.add_argument("--whole", action="store_true", help="tell the story as it was, not the shortest found")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    begun = time.monotonic()
    for seed in range(options.seed, options.seed + options.schedules):
        schedule = draw(seed, family=options.family or FAMILIES_OF.get(options.without, ""))
        result = run_schedule(schedule, options.without)
        counts += result.counts
        if result.failures:
            if not options.whole:
                print(f"seed {seed} fails; looking for a shorter story", file=sys.stderr)
                schedule, result = shrink(
                    schedule, result, mutation=options.without, tell=lambda text: print(text, file=sys.stderr)
                )
            _tell(schedule, result)
            print(f"seed {seed}: {result.failures[0].splitlines()[0]}")
            return 1
    seconds = time.monotonic() - begun
    print(f"{options.schedules} schedules, {options.schedules / seconds * 60:.0f} a minute, no violation")
    for name, count in sorted(counts.items()):
        print(f"{count:10} {name}")
    return 0


def _tell(schedule: Schedule, result: Result) -> None:
    width = max((len(actor) for _, actor, _ in result.trail), default=0)
    for at, actor, text in result.trail:
        print(f"{at:10.2f} s  {actor:{width}}  {text}")
    print()
    for failure in result.failures:
        print(failure)
    print(f"\n{schedule}\n")


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets is a part of a schedule.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    sys.exit(main())
