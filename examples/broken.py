# Ranks players by their average score, and falls over the one who has not played yet.
SCORES = {
    "Ada": [31, 28, 35],
    "Grace": [40, 22],
    "Linus": [],
}


def average(scores):
    return sum(scores) / len(scores)


def ranking(players):
    return sorted(players, key=lambda name: average(players[name]), reverse=True)


def report(players):
    for place, name in enumerate(ranking(players), start=1):
        print(f"{place}. {name}: {average(players[name]):.1f}")


report(SCORES)
