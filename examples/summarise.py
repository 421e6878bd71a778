# Summarises each numeric column of the CSV on standard input: count, mean, min and max.
import csv
import statistics
import sys


def columns(file):
    """The numbers of each column by its name; what is no number is left out."""
    rows = csv.DictReader(file)
    numbers = {name: [] for name in rows.fieldnames or []}
    for row in rows:
        for name in numbers:
            try:
                numbers[name].append(float(row[name]))
            except (TypeError, ValueError):
                pass
    return numbers


result = {
    name: {
        "count": len(numbers),
        "mean": round(statistics.fmean(numbers), 3),
        "min": min(numbers),
        "max": max(numbers),
    }
    for name, numbers in columns(sys.stdin).items()
    if numbers
}

if not result:
    sys.exit("summarise.py: no numbers on standard input: give it a CSV with a header line")

width = max(map(len, result))
print(f"{'column':<{width}} {'count':>6} {'mean':>12} {'min':>12} {'max':>12}")
for name, column in result.items():
    numbers = " ".join(f"{column[key]:>12,.2f}" for key in ("mean", "min", "max"))
    print(f"{name:<{width}} {column['count']:>6} {numbers}")
