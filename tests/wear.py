"""A table as a wearable exports it, with its dirt: `python tests/wear.py wear.csv PEOPLE SECONDS RATE` writes one.

Rows in any order, some of them twice; packets lost, single values and whole rows missing; every third person without a
gyroscope in the second half; the first seconds without a label. Only the gyroscope tells stairs from walking.
"""

import sys

import numpy as np
import pandas as pd

PACE = {"sit": 0.2, "walk": 1.6, "stairs": 1.6}  # cycles a second


def table(people: int = 5, seconds: int = 24, rate: int = 5, seed: int = 0) -> pd.DataFrame:
    """Columns person, t in seconds, ax to az, gx to gz, activity, which changes every eight seconds."""
    draw = np.random.default_rng(seed)
    return pd.concat([_soiled(_person(one, seconds, rate, draw), one, draw) for one in range(people)]).sample(
        frac=1, random_state=seed
    )


def _person(number: int, seconds: int, rate: int, draw: np.random.Generator) -> pd.DataFrame:
    t = np.arange(seconds * rate) / rate
    activity = np.resize([*PACE], seconds // 8 + 1)[(t // 8).astype(int)]
    phase = 2 * np.pi * np.cumsum([PACE[one] for one in activity])[:, None] / rate
    force = np.where(activity == "sit", 0.1, 1)[:, None]
    acc = force * np.sin(phase * [1, 1, 2] + [0, 1, 2]) + [0.3, -0.2, 9.81]
    gyro = 60 * force * np.where(activity == "stairs", -1, 1)[:, None] * np.sin(phase * [1, 2, 1] + [0.5, 0, 2])
    noisy = np.hstack([acc, gyro]) + draw.normal(size=(len(t), 6)) * np.repeat([0.3, 10], 3)
    columns = dict(zip("ax ay az gx gy gz".split(), noisy.T.round(4), strict=True))
    return pd.DataFrame({"person": f"p{number:02d}", "t": t, **columns, "activity": activity})


def _soiled(one: pd.DataFrame, number: int, draw: np.random.Generator) -> pd.DataFrame:
    rows, gyro = len(one), ["gx", "gy", "gz"]
    for start in draw.integers(0, rows, max(rows // 500, 1)):
        one.loc[start : start + draw.integers(1, 4), gyro] = np.nan
    one.loc[draw.integers(0, rows, rows // 50), "ay"] = np.nan
    if number % 3 == 0:
        one.loc[rows // 2 :, gyro] = np.nan
    one.loc[: rows // 12, "activity"] = None
    one = one.drop(index=draw.integers(1, rows - 1, rows // 60))
    return pd.concat([one, one.iloc[::40]])


if __name__ == "__main__":
    table(*map(int, sys.argv[2:])).to_csv(sys.argv[1], index=False)
