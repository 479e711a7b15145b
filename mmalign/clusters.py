"""K-means, as two systems need it: SMIL's cluster centres, and the words of DeepMLF's codebook."""

import torch
from torch import Tensor


def centres(points: Tensor, count: int, seed: int, starts: int) -> Tensor:
    """(N, D) -> (count, D), the centres of k-means, in the dtype of the points.

    Where fewer points differ, each is one, and they come again in turn: the nearest is then the first of its like.

    Args:
        points: finite numbers.
        count: how many centres.
        seed: draws where the search begins.
        starts: how many times it begins; the best end counts.

    >>> centres(torch.tensor([[0.0], [2.0], [10.0], [12.0]]), 2, seed=0, starts=10).sort(dim=0).values.tolist()
    [[1.0], [11.0]]
    """
    from sklearn.cluster import KMeans  # late: it takes a second

    search = KMeans(min(count, len(points.unique(dim=0))), n_init=starts, random_state=seed)
    found = torch.from_numpy(search.fit(points.cpu().numpy()).cluster_centers_).to(points)
    return found[torch.arange(count, device=found.device) % len(found)]
