"""`python -m napari_sparse_gmm`."""

import sys

from napari_sparse_gmm.cli import main

sys.exit(main())
