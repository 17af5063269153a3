"""The KeOps tutorial "Fitting a Gaussian Mixture Model", as it is there: Adam and autograd.

Gradient descent on (A, mu, w) with Sigma^-1 = A A^T and W = softmax(w), steps of 0.1, the
log-likelihood a KeOps log-sum-exp reduction with the general quadratic form, its gradient by
autograd, single precision. In words of our own, not the tutorial's code.
"""

import numpy as np
import torch
from pykeops.torch import Vi, Vj

from napari_sparse_gmm.mixture import FloatArray

LEARNING_RATE = 0.1


def descend(points: FloatArray, means: FloatArray, sparsity: float, n_steps: int) -> float:
    """The lowest cost of `n_steps` steps from balls of sigma 1/15 at `means`, in nats a point.

    With the constant (D/2) log(pi) that the tutorial leaves out, to compare with ours.
    """
    x = torch.tensor(points, dtype=torch.float32)
    m, d = means.shape
    mu = torch.tensor(means, dtype=torch.float32, requires_grad=True)
    a = (15 * torch.eye(d)).repeat(m, 1, 1).requires_grad_()
    w = torch.ones(m, requires_grad=True)
    optimizer = torch.optim.Adam([a, w, mu], lr=LEARNING_RATE)
    costs = []
    for _ in range(n_steps):
        optimizer.zero_grad()
        gamma = a @ a.mT / 2  # (M, D, D)
        offset = torch.log_softmax(w, 0) + 0.5 * torch.logdet(gamma)
        squares = Vi(x).weightedsqdist(Vj(mu), Vj(gamma.reshape(m, d * d)))
        log_p = (Vj(offset[:, None]) - squares).logsumexp(dim=1)
        cost = -log_p.mean() + sparsity * torch.softmax(w, 0).sqrt().mean()
        cost.backward()
        optimizer.step()
        costs.append(cost.item())
    return min(costs) + 0.5 * d * float(np.log(np.pi))
