import pytest
import torch


@pytest.fixture(autouse=True)
def _cuda_only_where_there_is_one(request):
    if request.node.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
